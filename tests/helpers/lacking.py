"""A machine that refuses what is asked of it: disk, memory, descriptors or rights."""

import os
import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

UNPRIVILEGED = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)
"""Before a command: root may then read only what its owner may, as every other user."""


@contextmanager
def limited(kind: int, most: int) -> Iterator[None]:
    """Inside the block this process gets at most so much of a resource of the module `resource`."""
    before, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (before, hard))


def no_descriptors() -> AbstractContextManager[None]:
    """Inside the block this process can open no file."""
    lowest = os.dup(0)
    os.close(lowest)
    return limited(resource.RLIMIT_NOFILE, lowest)
