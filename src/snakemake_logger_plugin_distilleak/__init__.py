"""Configuration files are read as plain data before Snakemake could evaluate anything in them.

Snakemake reads `--configfile` before it runs the Snakefile, and evaluates the `?expressions` of a
file that says `__use_yte__: true`, in a dry run too. Plugins are loaded earlier still: this one,
which `profiles/default` selects, replaces Snakemake's loader with the one of `distilleak`. It logs
nothing.
"""

import sys
from logging import LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase


class LogHandler(LogHandlerBase):
    """A handler that replaces Snakemake's loader of configuration files when it is made."""

    writes_to_stream = False
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        # Imported here, as Snakemake imports every plugin that is installed, for any workflow.
        from snakemake.common import configfile
        from snakemake.settings import types

        # One name is that of `--configfile`, the other that of `configfile:` in the Snakefile.
        for module in (types, configfile):
            if not hasattr(module, "load_configfile"):
                sys.exit(
                    f"error: this version of Snakemake has no {module.__name__}.load_configfile, "
                    "so a configuration could run code; install the version of constraints.txt"
                )
            module.load_configfile = _load

    def emit(self, record: LogRecord) -> None:
        """Log nothing."""


def _load(path: str | Path) -> dict[str, Any]:
    present = set(sys.modules)
    from distilleak.errors import DistilleakError
    from distilleak.study.yaml_text import read_yaml

    try:
        return read_yaml(path)
    except DistilleakError as error:
        sys.exit(f"error: {error}")
    finally:
        # The Snakefile imports the package that lies beside it, which may not be the installed one.
        for name in sys.modules.keys() - present:
            if name.partition(".")[0] == "distilleak":
                del sys.modules[name]
