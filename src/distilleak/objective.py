"""The distillation loss, with its gradient written out so that no intermediate is kept twice."""

from typing import Any

import torch
from torch.autograd.function import FunctionCtx, once_differentiable

CHUNK = 2**17
"""Logits at a time: a few blocks of this size stay in a CPU's cache, which halves the time."""


class _DistillationLoss(torch.autograd.Function):
    """Computes loss and d loss / d logits together, chunk by chunk; see `distillation_loss`."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: torch.Tensor,
        labels: torch.Tensor,
        teacher: torch.Tensor | None,
        alpha: float,
        temperature: float,
    ) -> torch.Tensor:
        gradient = torch.empty_like(logits)
        total = torch.zeros((), dtype=torch.float64, device=logits.device)
        tokens = max(1, CHUNK // logits.shape[-1])
        for first in range(0, len(labels), tokens):
            part = slice(first, first + tokens)
            z, y, g = logits[part], labels[part, None], gradient[part]
            if alpha:
                torch.softmax(z, -1, out=g)
                total -= alpha * (z.gather(-1, y) - _log_sum(z, g)).sum(dtype=torch.float64)
                g.scatter_add_(-1, y, torch.full_like(y, -1, dtype=g.dtype))
                g *= alpha
            else:
                g.zero_()
            if teacher is not None and alpha < 1:
                hard, soft = teacher[part] / temperature, z / temperature
                q, p = torch.softmax(hard, -1), torch.softmax(soft, -1)
                weight = (1 - alpha) * temperature**2
                # KL(q || p) = sum q (log q - log p), with log q = hard - log sum exp hard.
                constants = (_log_sum(soft, p) - _log_sum(hard, q)).sum(dtype=torch.float64)
                cross = (hard.sub_(soft).mul_(q)).sum(dtype=torch.float64)
                total += weight * (cross + constants)
                # d/dz of T^2 KL(q || p), p = softmax(z / T), is T (p - q).
                g.add_(p.sub_(q), alpha=weight / temperature)
        ctx.save_for_backward(gradient.div_(max(1, len(labels))))
        return (total / max(1, len(labels))).to(logits.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream: torch.Tensor) -> Any:
        (gradient,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * upstream, None, None, None, None


def _log_sum(z: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """log sum exp z, (n, 1), from p = softmax(z): at the largest logit, where log p is accurate.

    It saves the second round of exponentials that logsumexp would cost.
    """
    return z.amax(-1, keepdim=True) - p.amax(-1, keepdim=True).log()


def distillation_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    teacher_logits: torch.Tensor | None,
    alpha: float,
    temperature: float,
) -> torch.Tensor:
    """Mean over tokens of alpha * CE(y, s) + (1 - alpha) * T^2 * KL(teacher_T || student_T).

    Hinton et al. 2015, section 2: T^2 keeps the gradient of the soft part at the scale of the hard
    part when T changes. The softmax is over the vocabulary. An empty batch gives 0, not NaN.

    Args:
        logits: (n, vocabulary) student logits of the n predicted tokens.
        labels: (n,) the true tokens.
        teacher_logits: (n, vocabulary), not softened; None if alpha is 1.
        alpha: weight of the true token.
        temperature: T.

    Raises:
        ValueError: alpha asks for a teacher and there is none, or its vocabulary differs.
    """
    if alpha < 1 and (teacher_logits is None or teacher_logits.shape != logits.shape):
        shape = None if teacher_logits is None else tuple(teacher_logits.shape)
        raise ValueError(f"teacher logits {shape} do not fit student logits {tuple(logits.shape)}")
    return _DistillationLoss.apply(logits, labels, teacher_logits, alpha, temperature)  # type: ignore[no-any-return,no-untyped-call]
