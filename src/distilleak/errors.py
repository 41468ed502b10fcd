"""The one exception that a user of the benchmark is meant to read, and what a machine refuses."""

import errno
import os
import re

_NUMBER = re.compile(r"(?:\[errno|\(os error|os \{ code:) (\d+)", re.IGNORECASE)
"""How pyarrow, safetensors and tokenizers write the number of what the system said."""
_WORDED = re.compile(r"([A-Z][^:;()<>]*) \((\d+)\)")
"""How torch writes it, behind the words for it; safetensors opens files with torch's help."""
_LACKING = re.compile(
    r"[^:;\]]*(?:out of memory|can(?:no|')t allocate memory|bad_alloc"
    r"|(?:can(?:no|')t start|failed to launch)[a-z ]* thread|failed to map segment)[^:;]*",
    re.IGNORECASE,
)
"""Libraries report memory and threads that they do not get in words alone."""


class DistilleakError(Exception):
    """Bad input, reported in one line.

    The message names the file, the key or record, what is wrong and what is allowed. Stages
    print it without a traceback and exit with status 1.
    """


def refusal(error: BaseException) -> str | None:
    """What the machine refused: a full disk, missing rights, too little memory, a lost mount.

    None where the machine is not at fault: then what was read may be damaged. Libraries wrap what
    the system says in exceptions of their own types, or raise one while they handle it.
    """
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, DistilleakError):
        if isinstance(seen, MemoryError):
            return f"not enough memory ({_first_line(seen)})"
        number = seen.errno if isinstance(seen, OSError) else None
        if number is None:
            number = _number(str(seen))
        # A file that is not there is often looked for, and done without.
        if number is not None and (number != errno.ENOENT or seen is error):
            return os.strerror(number)
        if lacking := _LACKING.search(str(seen)):
            return lacking[0].strip()
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return None


def _number(text: str) -> int | None:
    """The number of what the system said, if a library has written it into a message."""
    if written := _NUMBER.search(text):
        return int(written[1])
    found = ((words, int(number)) for words, number in _WORDED.findall(text))
    return next((number for words, number in found if os.strerror(number) == words), None)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
