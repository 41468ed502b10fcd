"""What the teacher says about a batch: stored once for all students, or queried each time."""

import math
import os
import shutil
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError, refusal
from distilleak.files import atomic
from distilleak.models import families
from distilleak.models.batches import Batch, Tokens, batch, by_length
from distilleak.records.framing import Framing

_ONLINE = (
    "a masked model's masks change, so its logits cannot be stored; query the teacher for every "
    "batch"
)

BLOCK = 2**24
"""Bytes of a file that are held in memory while its checksum is computed."""


@dataclass(frozen=True)
class Lesson:
    """What the teacher says about one batch of n predicted tokens.

    Attributes:
        logits: chunk of the n tokens -> (m, vocabulary) float32, the teacher's logits for
            `labels[chunk]`; computed or read on demand, so that they are never all in memory.
        hidden: (n, d) final hidden states; None where only logits were stored.
    """

    logits: Callable[[slice], torch.Tensor]
    hidden: torch.Tensor | None


class Targets(Protocol):
    """Where a student's training gets the teacher's lessons from."""

    def lesson(self, now: Batch) -> Lesson:
        """The teacher's lesson on a batch."""


class OnlineTargets:
    """The teacher itself, queried for every batch; it is frozen, and in evaluation mode."""

    def __init__(self, teacher: PreTrainedModel) -> None:
        self.teacher = teacher.requires_grad_(False).eval()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def lesson(self, now: Batch) -> Lesson:
        hidden = now.hidden_states(self.teacher)
        return Lesson(lambda chunk: self._logits(hidden[chunk]), hidden)

    @torch.no_grad()
    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return families.logits(self.teacher, hidden).float()


@dataclass(frozen=True)
class MappedTargets:
    """Other targets, whose logits a method changes.

    Attributes:
        targets: the teacher's.
        change: (m, vocabulary) logits -> as many that the student sees, row by row.
    """

    targets: Targets
    change: Callable[[torch.Tensor], torch.Tensor]

    def lesson(self, now: Batch) -> Lesson:
        given = self.targets.lesson(now)
        return replace(given, logits=lambda chunk: self.change(given.logits(chunk)))


class StoredTargets:
    """Exact logits in a file, one float32 row per token, read where they are needed.

    They are not mapped into memory: if the disk fails, a map ends the process by a signal.

    For causal models: the masks of a masked model change, and its logits with them.

    Args:
        path: the file that `store` wrote; its checksum is computed once, here.
        lengths: (members,) tokens of every member, in the order in which they were stored.
        selected: (records,) the member that each training record is.
        vocabulary: width of a row.

    Raises:
        DistilleakError: the file is damaged, or made for other records or another vocabulary.
    """

    def __init__(
        self,
        path: str | Path,
        lengths: NDArray[np.int64],
        selected: NDArray[np.int64],
        vocabulary: int,
    ) -> None:
        self.path, self.file = path, _open(path)
        weakref.finalize(self, self.file.close)
        shape, dtype = _header(path, self.file)
        wanted = (int(lengths.sum()), vocabulary)
        if shape != wanted or dtype != np.float32:
            raise DistilleakError(
                f"{path}: holds {dtype} {shape}, expected float32 {wanted}; delete it and run again"
            )
        self.begin, self.width = self.file.tell(), vocabulary
        _verify(path, self.file, 4 * math.prod(shape))
        self.lengths, self.selected = lengths, selected

    def lesson(self, now: Batch) -> Lesson:
        if now.visible is not None:
            raise DistilleakError(_ONLINE)
        places = _places(self.lengths, self.selected[now.rows])
        device = now.labels.device
        return Lesson(lambda chunk: torch.from_numpy(self._read(places[chunk])).to(device), None)

    def _read(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """The rows at `places`; those that follow each other are read at once."""
        rows = np.empty((len(places), self.width), "<f4")
        ends = [*(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
        first = 0
        with _named(self.path):
            for end in ends:
                self.file.seek(self.begin + 4 * self.width * int(places[first]))
                part = rows[first:end]
                if self.file.readinto(part.data) != part.nbytes:
                    raise _damaged(self.path, "it has become shorter")
                first = end
        return rows


def store(
    teacher: PreTrainedModel,
    tokens: Sequence[Tokens],
    framing: Framing,
    batch_tokens: int,
    path: str | Path,
) -> None:
    """Write a causal teacher's logits on `tokens` to `path`, records in their order.

    The file is .npy, (all tokens, vocabulary) float32, which `np.load` reads; the CRC-32 of its
    bytes follows as a second array of the same file. `batch_tokens` padded tokens are in memory at
    a time.

    Raises:
        DistilleakError: the model is a masked one.
    """
    if framing.masked:
        raise DistilleakError(_ONLINE)
    lengths = np.array([len(record) for record in tokens], dtype=np.int64)
    online = OnlineTargets(teacher)
    shape = (int(lengths.sum()), teacher.config.vocab_size)
    form = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with atomic(path) as temporary, temporary.open("w+b") as file:
        np.lib.format.write_array_header_1_0(file, form)
        _require_space(path, 4 * math.prod(shape))
        # Written, and not mapped into memory: on a full disk a map ends the process by a signal.
        begin, width = file.tell(), 4 * shape[1]
        places = np.cumsum(lengths) - lengths
        for rows in by_length(lengths, batch_tokens):
            lesson = online.lesson(batch(tokens, rows, framing, teacher.device.type))
            logits = lesson.logits(slice(None)).cpu().numpy()
            ends = np.cumsum(lengths[rows])
            for row, record in zip(rows, np.split(logits, ends[:-1]), strict=True):
                file.seek(begin + width * int(places[row]))
                file.write(np.ascontiguousarray(record, dtype="<f4").data)
        checksum = _checksum(file, begin, 4 * math.prod(shape))
        file.seek(0, os.SEEK_END)
        np.save(file, checksum)


def _require_space(path: str | Path, size: int) -> None:
    """Refuse what the disk has no room for, before it is computed.

    Raises:
        DistilleakError: it has fewer than `size` free bytes.
    """
    free = shutil.disk_usage(Path(path).parent).free
    if free < size:
        raise DistilleakError(
            f"{path}: cannot be written: its logits need {size / 2**20:,.0f} MiB, but only "
            f"{free / 2**20:,.0f} MiB are free on this disk"
        )


def _places(lengths: NDArray[np.int64], members: NDArray[np.int64]) -> NDArray[np.int64]:
    """The stored rows of the tokens of `members`, one member after the other."""
    first = (np.cumsum(lengths) - lengths)[members]
    count = lengths[members]
    before = np.cumsum(count) - count
    return np.repeat(first - before, count) + np.arange(count.sum())


def _checksum(file: IO[bytes], begin: int, size: int) -> NDArray[np.uint32]:
    """CRC-32 of `size` bytes of a file from `begin` on, or of as many as there are."""
    file.seek(begin)
    found = 0
    while size and (block := file.read(min(size, BLOCK))):
        found, size = zlib.crc32(block, found), size - len(block)
    return np.array(found, dtype=np.uint32)


def _open(path: str | Path) -> BufferedReader:
    with _named(path):
        return open(path, "rb")


def _header(path: str | Path, file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array that a file begins with; its rows come next."""
    try:
        with _named(path):
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError("not version 1.0 of the format")
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    except ValueError as error:
        raise _damaged(path, str(error).splitlines()[0]) from error
    return shape, dtype


def _verify(path: str | Path, file: IO[bytes], size: int) -> None:
    """Compare the `size` bytes that come next with the checksum that follows them."""
    try:
        with _named(path):
            found = _checksum(file, file.tell(), size)
            expected = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise _damaged(path, "no checksum at its end") from error
    if not np.array_equal(expected, found):
        raise _damaged(path, "its checksum differs")


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Say which file it was where the machine refuses to read it in the block."""
    try:
        yield
    except OSError as error:
        raise DistilleakError(f"{path}: cannot be read: {refusal(error) or error}") from error


def _damaged(path: str | Path, reason: str) -> DistilleakError:
    return DistilleakError(
        f"{path}: damaged file of soft targets ({reason}); delete it and run again"
    )
