"""Run a command on GPUs that no other job of this user on this machine holds.

`python -m distilleak.machine.gpus --of 4 --take 1 COMMAND ...` takes the first free one of four
cards, names it in CUDA_VISIBLE_DEVICES and becomes the command. A lock on a file holds a card until
the process and all that it started have ended, however they end.
"""

import argparse
import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PAUSE = 0.5
"""Seconds between two looks for a free card."""


def main(argv: Sequence[str] | None = None) -> None:
    """Take the cards and become the command."""
    arguments = _parser().parse_args(argv)
    cards = visible(arguments.of)
    if not 1 <= arguments.take <= len(cards):
        sys.exit(
            f"error: {arguments.take} GPUs are wanted for one job, but only {len(cards)} may be "
            "used: the limit `gpu` of the profile, or CUDA_VISIBLE_DEVICES"
        )
    try:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(take(cards, arguments.take, locks()))
    except KeyboardInterrupt:
        sys.exit("interrupted; run again")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {place}{error.strerror}")
    try:
        os.execvp(arguments.command[0], arguments.command)
    except OSError as error:
        sys.exit(f"error: {arguments.command[0]}: {error.strerror}")


def visible(limit: int) -> list[str]:
    """The cards that may be used, at most `limit`: those of CUDA_VISIBLE_DEVICES, or 0, 1, ..."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    named = [card.strip() for card in given.split(",") if card.strip()]
    return (named or [str(card) for card in range(limit)])[:limit]


def locks() -> Path:
    """The directory of the lock files: this user's alone, on this machine."""
    directory = Path(tempfile.gettempdir(), f"distilleak-cards-{os.getuid()}")
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        sys.exit(f"error: {directory}: belongs to another user; set TMPDIR to a place of your own")
    return directory


def take(cards: Sequence[str], count: int, directory: Path) -> list[str]:
    """Hold `count` of the `cards` until this process ends, and the one that it becomes.

    Waits until so many are free at once.
    """
    reported = False
    while True:
        held: dict[str, int] = {}
        for card in cards:
            file = os.open(directory / card.replace("/", "_"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                continue
            held[card] = file
            if len(held) == count:
                for kept in held.values():
                    os.set_inheritable(kept, True)
                return list(held)
        for file in held.values():
            os.close(file)
        if not reported:
            print(f"waiting for {count} of the GPUs {', '.join(cards)}", file=sys.stderr)
            reported = True
        time.sleep(PAUSE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m distilleak.machine.gpus",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--of", type=int, required=True, help="GPUs that may be used in all")
    parser.add_argument("--take", type=int, default=1, help="GPUs that the command needs")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command and its arguments")
    return parser


if __name__ == "__main__":
    main()
