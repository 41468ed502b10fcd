"""The teacher's logits, from which every student is distilled: stored once, or asked for anew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from distilleak.batches import Batch, Tokens, batch, by_length
from distilleak.errors import DistilleakError
from distilleak.files import atomic


class Targets(Protocol):
    """Where a student's training gets the teacher's logits from."""

    def logits(self, now: Batch) -> torch.Tensor:
        """The teacher's float32 logits for the labels of a batch, (n, vocabulary)."""


class OnlineTargets:
    """The teacher itself, asked for every batch."""

    def __init__(self, teacher: PreTrainedModel) -> None:
        self.teacher = teacher

    @torch.no_grad()
    def logits(self, now: Batch) -> torch.Tensor:
        head = self.teacher.get_output_embeddings()  # type: ignore[no-untyped-call]
        return head(now.hidden_states(self.teacher)).float()  # type: ignore[no-any-return]


class StoredTargets:
    """Exact logits in a file, one float32 row per token, read through a memory map.

    Args:
        path: the file that `store` wrote.
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
            raise DistilleakError(
                f"{path}: damaged file of soft targets ({error}); delete it and run again"
            ) from error
        wanted = (int(lengths.sum()), vocabulary)
        if self.rows.shape != wanted or self.rows.dtype != np.float32:
            raise DistilleakError(
                f"{path}: holds {self.rows.dtype} {self.rows.shape}, expected float32 {wanted}; "
                "delete it and run again"
            )
        ends = np.cumsum(lengths)
        self.spans = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
        self.selected = selected

    def logits(self, now: Batch) -> torch.Tensor:
        rows = [self.rows[self.spans[self.selected[row]]] for row in now.rows]
        return torch.from_numpy(np.concatenate(rows)).to(now.labels.device)


@torch.no_grad()
def store(
    teacher: PreTrainedModel,
    tokens: Sequence[Tokens],
    start: int,
    batch_tokens: int,
    path: str | Path,
) -> None:
    """Write the teacher's logits on `tokens` to `path` (.npy), records in their order."""
    lengths = np.array([len(record) for record in tokens])
    ends = np.cumsum(lengths)
    online = OnlineTargets(teacher)
    shape = (int(ends[-1]), teacher.config.vocab_size)
    with atomic(path) as temporary:
        stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        for rows in by_length(tokens, batch_tokens):
            now = batch(tokens, rows, start, teacher.device.type)
            parts = online.logits(now).cpu().numpy()
            for row, part in zip(rows, np.split(parts, np.cumsum(lengths[rows])[:-1]), strict=True):
                stored[ends[row] - lengths[row] : ends[row]] = part
        stored.flush()
