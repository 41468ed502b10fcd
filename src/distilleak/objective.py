"""The distillation loss, with its gradient written out so that no intermediate is kept twice."""

from typing import Any

import torch
from torch.autograd.function import FunctionCtx

CHUNK = 512  # tokens at a time: a (512, 2048) float32 block stays in a CPU's cache


class _DistillationLoss(torch.autograd.Function):
    """Computes loss and d loss / d logits together, chunk by chunk; see `distillation_loss`."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        logits: torch.Tensor,
        labels: torch.Tensor,
        teacher: torch.Tensor | None,
        alpha: float,
        temperature: float,
    ) -> torch.Tensor:
        gradient = torch.empty_like(logits)
        total = torch.zeros((), dtype=torch.float64, device=logits.device)
        for first in range(0, len(labels), CHUNK):
            part = slice(first, first + CHUNK)
            z, y, g = logits[part], labels[part, None], gradient[part]
            if alpha:
                log_p = torch.log_softmax(z, -1)
                total -= alpha * log_p.gather(-1, y).sum(dtype=torch.float64)
                torch.exp(log_p, out=g)
                g.scatter_add_(-1, y, torch.full_like(y, -1, dtype=g.dtype))
                g *= alpha
            else:
                g.zero_()
            if teacher is not None and alpha < 1:
                log_q = torch.log_softmax(teacher[part] / temperature, -1)
                log_p = torch.log_softmax(z / temperature, -1)
                q = log_q.exp()
                weight = (1 - alpha) * temperature**2
                total += weight * (q * log_q.sub_(log_p)).sum(dtype=torch.float64)
                # d/dz of T^2 KL(q || p), p = softmax(z / T), is T (p - q).
                g.add_(log_p.exp_().sub_(q), alpha=weight / temperature)
        ctx.save_for_backward(gradient.div_(max(1, len(labels))))
        return (total / max(1, len(labels))).to(logits.dtype)

    @staticmethod
    def backward(ctx: FunctionCtx, upstream: torch.Tensor) -> Any:  # type: ignore[override]
        (gradient,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * upstream, None, None, None, None


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
