"""What every stage shares: its command line, its log lines and its errors."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from distilleak.errors import DistilleakError
from distilleak.machine.signals import EXIT_STATUS, Interrupted


def parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """An argument parser for the stage in this module, whose help shows the stage's docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m distilleak {module.rpartition('.')[2]}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def settings_argument(kind: Any) -> Callable[[str], Any]:
    """An argparse type that reads JSON into `kind`: settings, a union of them, a plain type."""
    adapter = TypeAdapter(kind)

    def read(text: str) -> Any:
        try:
            return adapter.validate_python(json.loads(text))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise argparse.ArgumentTypeError(f"{place}: {first['msg']}") from error
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"not JSON: {error}") from error

    return read


def run(main: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> None:
    """Run a stage's `main` on the arguments of a command line, as a program.

    A `DistilleakError` becomes one line and exit status 1, an interruption after which the stage
    can be resumed one line and exit status 75.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    # It reports every glyph that it puts into a PDF.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    try:
        main(arguments)
    except DistilleakError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except Interrupted as interruption:
        print(interruption, file=sys.stderr)
        sys.exit(EXIT_STATUS)
