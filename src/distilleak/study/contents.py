"""What the user's files contain, in a few characters: a job runs again when it changes.

A date says little: a file that is copied keeps an old one, and one that is saved again gets a new
one though nothing in it has changed.
"""

import hashlib
import os
from collections.abc import Sequence
from functools import cache

from distilleak.errors import DistilleakError

LARGE = 2**30
"""Bytes from which on a file is not read completely whenever a study is planned."""
SAMPLES = 256
SAMPLE = 2**16
"""A large file is read at so many places, so many bytes each. Training changes all the weights of a
model, so another model of the same shape differs there; the date tells of a change elsewhere."""


def is_large(file: str) -> bool:
    """Whether a file is only sampled, so that its date counts, too."""
    return os.path.getsize(file) > LARGE


def digest(files: Sequence[str]) -> str:
    """A checksum of the contents of files, in their order, whatever their names and dates.

    Raises:
        DistilleakError: a file cannot be read.
    """
    return hashlib.sha256("".join(map(_digest, files)).encode()).hexdigest() if files else ""


@cache
def _digest(file: str) -> str:
    try:
        with open(file, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size <= LARGE:
                return hashlib.file_digest(stream, "sha256").hexdigest()
            found = hashlib.sha256(str(size).encode())
            for number in range(SAMPLES):
                stream.seek((size - SAMPLE) * number // (SAMPLES - 1))
                found.update(stream.read(SAMPLE))
            return found.hexdigest()
    except OSError as error:
        raise DistilleakError(f"{file}: cannot be read ({error.strerror})") from error
