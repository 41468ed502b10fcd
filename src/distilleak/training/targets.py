"""What the teacher says about a batch: stored once for all students, or queried each time."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.files import atomic
from distilleak.models import families
from distilleak.models.batches import Batch, Tokens, batch, by_length
from distilleak.records.framing import Framing

_ONLINE = (
    "a masked model's masks change, so its logits cannot be stored; query the teacher for every "
    "batch"
)


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
    """Exact logits in a file, one float32 row per token, read through a memory map.

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
        try:
            self.rows = np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError) as error:
            raise _damaged(path, str(error)) from error
        wanted = (int(lengths.sum()), vocabulary)
        if self.rows.shape != wanted or self.rows.dtype != np.float32:
            raise DistilleakError(
                f"{path}: holds {self.rows.dtype} {self.rows.shape}, expected float32 {wanted}; "
                "delete it and run again"
            )
        _verify(path, self.rows)
        self.lengths, self.selected = lengths, selected

    def lesson(self, now: Batch) -> Lesson:
        if now.visible is not None:
            raise DistilleakError(_ONLINE)
        places = _places(self.lengths, self.selected[now.rows])
        device = now.labels.device
        return Lesson(lambda chunk: torch.from_numpy(self.rows[places[chunk]]).to(device), None)


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
    with atomic(path) as temporary:
        stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        for rows in by_length(lengths, batch_tokens):
            lesson = online.lesson(batch(tokens, rows, framing, teacher.device.type))
            stored[_places(lengths, rows)] = lesson.logits(slice(None)).cpu().numpy()
        stored.flush()
        with temporary.open("ab") as file:
            np.save(file, _checksum(stored))


def _places(lengths: NDArray[np.int64], members: NDArray[np.int64]) -> NDArray[np.int64]:
    """The stored rows of the tokens of `members`, one member after the other."""
    first = (np.cumsum(lengths) - lengths)[members]
    count = lengths[members]
    before = np.cumsum(count) - count
    return np.repeat(first - before, count) + np.arange(count.sum())


def _checksum(rows: NDArray[np.float32]) -> NDArray[np.uint32]:
    return np.array(zlib.crc32(rows.data), dtype=np.uint32)


def _verify(path: str | Path, rows: Any) -> None:
    """Compare a memory-mapped array with the checksum that follows it in its file."""
    try:
        with open(path, "rb") as file:
            file.seek(rows.offset + rows.nbytes)
            expected = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, "no checksum at its end") from error
    if not np.array_equal(expected, _checksum(rows)):
        raise _damaged(path, "its checksum differs")


def _damaged(path: str | Path, reason: str) -> DistilleakError:
    return DistilleakError(
        f"{path}: damaged file of soft targets ({reason}); delete it and run again"
    )
