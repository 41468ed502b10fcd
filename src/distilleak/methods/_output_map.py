"""What `red_list` and `temperature` share: an affine map of the logits of vulnerable tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from distilleak.methods.base import DistillationParameters, DistillationSet, PlainDistillation

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class OutputMapParameters(DistillationParameters):
    """Which tokens are vulnerable and where their logits are changed."""

    where: Literal["inference", "teacher"] = "inference"
    """`inference`: the map acts on the student's logits after training; whoever has the weights can
    remove it. `teacher`: it acts on the teacher's targets during training; nothing is needed at run
    time."""
    rule: Literal["log_odds", "union"] = "log_odds"
    """`log_odds`: the tokens that are most over-represented in vulnerable members compared with the
    others. `union`: every token that occurs in a vulnerable member."""
    top_fraction: float = Field(default=0.1, gt=0, le=1)
    """Share of the vocabulary that `log_odds` selects. A map of most of the vocabulary cancels in
    the softmax and protects nothing."""
    smoothing: float = Field(default=1.0, gt=0, le=1e6)
    """Added to the count of every token on both sides before computing the odds."""


Q = TypeVar("Q", bound=OutputMapParameters)


class OutputMapMethod(PlainDistillation[Q], Generic[Q]):
    """Plain distillation with a per-token map of logits, which `scale_shift` defines."""

    needs_vulnerability: bool = True
    changes: ClassVar[str] = "the output"

    def trained_like(self) -> dict[str, Any] | None:
        """With `where: inference`, `kd` with the same objective."""
        if self.parameters.where == "teacher":
            return None
        return {"method": "kd", "parameters": self.objective().model_dump()}

    def removable(self) -> tuple[str, ...]:
        """With `where: inference`, the map: two buffers behind the head."""
        return ("output_map",) if self.parameters.where == "inference" else ()

    def scale_shift(self) -> tuple[float, float]:
        """The factor and the offset for the logit of a vulnerable token."""
        raise NotImplementedError

    def centred_on(self) -> str:
        """The centre that the factor scales about: "zero", or the row's "mean" logit."""
        return "zero"

    def vulnerable_tokens(self, members: DistillationSet) -> NDArray[np.bool_]:
        """The tokens that the configured rule selects, (vocabulary,)."""
        vulnerable = _counts(members, members.vulnerable)
        if self.parameters.rule == "union":
            return vulnerable > 0
        return most_over_represented(
            vulnerable,
            _counts(members, ~members.vulnerable),
            self.parameters.top_fraction,
            self.parameters.smoothing,
        )

    def targets(self, logits: Tensor, tokens: NDArray[np.bool_] | None) -> Tensor:
        """The teacher's logits, mapped with `where: teacher`."""
        if self.parameters.where == "inference":
            return logits
        import torch

        from distilleak.models.surgery import output_map

        assert tokens is not None
        scale, shift = (torch.from_numpy(b).to(logits.device) for b in self._buffers(tokens))
        return output_map.map_logits(logits, scale, shift, self.centred_on())

    def finish(self, student: PreTrainedModel, tokens: NDArray[np.bool_] | None) -> PreTrainedModel:
        """The student with the map in its head, with `where: inference`."""
        if self.parameters.where == "teacher":
            return student
        from distilleak.models.surgery import base, output_map

        assert tokens is not None
        mapped = base.operate(student, {"output_map": {"centre": self.centred_on()}})
        output_map.set_buffers(mapped, *self._buffers(tokens))
        return mapped

    def _buffers(
        self, tokens: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        scale, shift = self.scale_shift()
        return (
            np.where(tokens, scale, 1.0).astype(np.float32),
            np.where(tokens, shift, 0.0).astype(np.float32),
        )


def most_over_represented(
    vulnerable: NDArray[np.int64], others: NDArray[np.int64], fraction: float, smoothing: float
) -> NDArray[np.bool_]:
    """The `fraction` of the vocabulary (at least one token) with the largest log odds, (S,).

    ratio = log((v + s) / (V - v + s (S - 1))) - log((o + s) / (O - o + s (S - 1))), where v and o
    count the token in vulnerable and other members, V and O are the totals, s is the smoothing and
    S the size of the vocabulary. Only tokens that occur in a vulnerable member can be selected;
    ties go to the lower token id.
    """

    def log_odds(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        smoothed = counts + smoothing
        odds: NDArray[np.float64] = smoothed / (smoothed.sum() - smoothed)
        return np.log(odds)

    ratio = np.where(vulnerable > 0, log_odds(vulnerable) - log_odds(others), -np.inf)
    wanted = min(max(1, round(fraction * len(ratio))), int((vulnerable > 0).sum()))
    chosen = np.zeros(len(ratio), dtype=bool)
    chosen[np.argsort(-ratio, kind="stable")[:wanted]] = True
    return chosen


def _counts(members: DistillationSet, selected: NDArray[np.bool_]) -> NDArray[np.int64]:
    tokens = [members.tokens[row] for row in np.flatnonzero(selected).tolist()]
    flat = np.concatenate(tokens) if tokens else np.zeros(0, np.int64)
    return np.bincount(flat, minlength=members.vocabulary)
