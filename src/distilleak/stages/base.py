"""What every stage shares: its command line, its log lines and its errors."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from pydantic import TypeAdapter, ValidationError

from distilleak.errors import DistilleakError, refusal
from distilleak.machine.signals import EXIT_STATUS, Interrupted

SCREEN = "DISTILLEAK_SCREEN"
"""The variable with the number of an open file: the screen of the workflow that runs the stage."""


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


def screen() -> int | None:
    """The open file of the screen of the workflow that runs the stage; None without one."""
    number = os.environ.get(SCREEN, "")
    return int(number) if number.isdecimal() else None


def run(main: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> None:
    """Run a stage's `main` on the arguments of a command line, as a program.

    A `DistilleakError` becomes one line and exit status 1, as does whatever the machine refuses: a
    full disk, missing rights, too little memory. An interruption after which the stage can be
    resumed becomes one line and exit status 75.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    # It reports every glyph that it puts into a PDF.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    try:
        main(arguments)
    except DistilleakError as error:
        _say(f"error: {error}")
        sys.exit(1)
    except Interrupted as interruption:
        _say(str(interruption))
        sys.exit(EXIT_STATUS)
    except Exception as error:
        # Anything else is a fault of this program, and keeps its traceback.
        reason = refusal(error)
        if reason is None and not isinstance(error, OSError):
            raise
        _say(f"error: {_place(error)}{reason or _first_line(error)}")
        sys.exit(1)


def _say(line: str) -> None:
    """Print a last line; where the log cannot take it, on the screen of the workflow."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        # The log lies on the disk that is full. Without a screen the exit status has to do.
        with suppress(OSError, KeyError):
            os.write(int(os.environ[SCREEN]), f"{line}\n".encode())


def _place(error: Exception) -> str:
    """The file that an error names, as the beginning of a line."""
    name = getattr(error, "filename", None)
    return f"{os.fsdecode(name)}: " if isinstance(name, str | bytes) else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
