"""What a student minimises: the true token, the teacher's distribution and its hidden states.

The gradient with respect to the logits is written out, so that no intermediate is kept, and the
head and all after it run on a chunk of the tokens at a time, so that a large (tokens, vocabulary)
array never exists as a whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models import families
from distilleak.models.batches import Batch
from distilleak.settings.objective import ObjectiveSettings
from distilleak.training.targets import Lesson

HEAD_CHUNK = {"cpu": 2**24, "cuda": 2**26}
"""Logits that are held at a time. Every chunk adds a gradient as large as the head to the head's,
so few and large ones are faster: on a CPU, with 50,257 words, 2**22 takes a fifth longer and saves
100 MB. A small study's batch is one chunk. On a GPU 256 MiB, a thousand tokens of such a
vocabulary, keep it busy."""
LOSS_CHUNK = {"cpu": 2**17, "cuda": 2**24}
"""Logits whose loss is computed at a time. On a CPU a few chunks of this size stay in its cache,
which halves the time; on a GPU the launch of a kernel must be short against its work."""


@dataclass(frozen=True)
class Chunk:
    """What divergences read of some tokens, (m, vocabulary) or (m, 1) each.

    Attributes:
        student: the student's logits divided by T, less the largest of their row; may be
            overwritten.
        exponential: their exponentials; may be overwritten.
        total: the sum of these.
        teacher: the teacher's logits divided by T, less the largest of their row; may be
            overwritten.
        scratch: an array of the same size.
    """

    student: torch.Tensor
    exponential: torch.Tensor
    total: torch.Tensor
    teacher: torch.Tensor
    scratch: torch.Tensor


Divergence = Callable[[Chunk, torch.Tensor, float], torch.Tensor]
"""(chunk, gradient, weight) -> sum of D over the tokens, float64; adds weight times its gradient,
with respect to the student's logits divided by T, to the given one."""


def accumulate(
    model: PreTrainedModel,
    now: Batch,
    objective: ObjectiveSettings,
    lesson: Lesson | None,
    tokens: int,
) -> torch.Tensor:
    """Add the gradient of (sum of the batch's losses) / `tokens` to the parameters' `.grad`.

    The loss of a token is that of `loss_and_gradient` plus gamma * (1 - cos(h_t, h_s)), the
    distance between the final hidden states of teacher and student (Sanh et al. 2019, section 3).

    Args:
        model: the student.
        now: what it reads and predicts.
        objective: the loss.
        lesson: what the teacher says about the batch; not read if alpha is 1 and gamma 0.
        tokens: predicted tokens of the whole update, over all its batches and processes, so that
            the gradient does not depend on how an update is split.

    Returns:
        The sum of the losses, a float64 scalar on the model's device.

    Raises:
        DistilleakError: vocabularies or hidden sizes of teacher and student differ, or hidden
            states are needed and the targets are stored.
    """
    hidden = now.hidden_states(model)
    total = torch.zeros((), dtype=torch.float64, device=hidden.device)
    size = max(1, HEAD_CHUNK[hidden.device.type] // model.config.vocab_size)
    # The graph is cut at the hidden states: the head's part is built and freed chunk by chunk.
    leaves = [chunk.requires_grad_() for chunk in hidden.detach().split(size)]  # type: ignore[no-untyped-call]
    for number, leaf in enumerate(leaves):
        at = slice(number * size, number * size + len(leaf))
        logits = families.logits(model, leaf).float()
        soft = None if lesson is None or objective.alpha == 1 else lesson.logits(at)
        loss, gradient = loss_and_gradient(
            logits.detach(), now.labels[at], soft, objective, max(1, tokens)
        )
        _propagate(logits, gradient)
        total += loss
        del logits, soft, gradient  # before those of the next chunk are made
        if objective.hidden_weight:
            distance = objective.hidden_weight * _hidden_distance(leaf, lesson, at)
            (distance / max(1, tokens)).backward()  # type: ignore[no-untyped-call]
            total += distance.detach()
    _propagate(hidden, torch.cat([leaf.grad for leaf in leaves if leaf.grad is not None]))
    return total


class _Known(torch.autograd.Function):
    """A scalar whose gradient with respect to `values` is known."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gradient)
        return values.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.saved_tensors[0], None


def _propagate(values: torch.Tensor, gradient: torch.Tensor) -> None:
    """Add to the parameters' `.grad` what the gradient with respect to `values`, same shape, means.

    As `values.backward(gradient)`, which would import SymPy to compare the shapes.
    """
    _Known.apply(values, gradient).backward()  # type: ignore[no-untyped-call]


def loss_and_gradient(
    logits: torch.Tensor,
    labels: torch.Tensor,
    teacher: torch.Tensor | None,
    objective: ObjectiveSettings,
    tokens: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of the losses of n tokens, and its gradient with respect to their logits.

    The loss of a token is alpha * CE(y, s) + (1 - alpha) * T^2 * D(teacher_T, student_T). Hinton et
    al. 2015, section 2: T^2 keeps the gradient of the soft part at the scale of the hard part when
    T changes. The softmax is over the vocabulary. An empty batch gives 0, not NaN.

    Args:
        logits: (n, vocabulary) student logits of the n predicted tokens.
        labels: (n,) the true tokens.
        teacher: (n, vocabulary) teacher logits, not softened; not read if alpha is 1.
        objective: alpha, T, D.
        tokens: what the gradient is divided by.

    Returns:
        The sum, float64, and (n, vocabulary) the gradient of the sum / `tokens`.

    Raises:
        DistilleakError: the teacher's vocabulary is of another size.
    """
    alpha, temperature = objective.alpha, objective.distillation_temperature
    soft_weight = (1 - alpha) * temperature**2
    divergence = _divergence(objective)
    if soft_weight:
        _same_vocabulary(logits, teacher)
    gradient = torch.empty_like(logits)
    loss = torch.zeros((), dtype=torch.float64, device=logits.device)
    size = max(1, LOSS_CHUNK[logits.device.type] // logits.shape[-1])
    arrays = logits.new_empty(4, min(size, len(labels)), logits.shape[-1])
    for first in range(0, len(labels), size):
        at = slice(first, first + size)
        z, g = logits[at], gradient[at]
        student, exponential, soft, scratch = arrays[:, : len(z)]
        top = z.amax(-1, keepdim=True)
        _soften(z, top, temperature, student)
        torch.exp(student, out=exponential)
        total = exponential.sum(-1, keepdim=True)
        if alpha:
            loss += alpha * _true_token(
                z, labels[at, None], top, exponential, objective, alpha / tokens, g
            )
        else:
            g.zero_()
        if soft_weight:
            assert teacher is not None
            _soften(teacher[at], teacher[at].amax(-1, keepdim=True), temperature, soft)
            chunk = Chunk(student, exponential, total, soft, scratch)
            loss += soft_weight * divergence(chunk, g, soft_weight / temperature / tokens)
    return loss, gradient


def _soften(
    logits: torch.Tensor, top: torch.Tensor, temperature: float, out: torch.Tensor
) -> torch.Tensor:
    """(logits - top) / T in one sweep."""
    return torch.add(top / -temperature, logits, alpha=1 / temperature, out=out)


def _true_token(
    z: torch.Tensor,
    y: torch.Tensor,
    top: torch.Tensor,
    exponential: torch.Tensor,
    objective: ObjectiveSettings,
    weight: float,
    gradient: torch.Tensor,
) -> torch.Tensor:
    """The sum of the cross-entropies with the true tokens `y`, float64; `gradient` becomes `weight`
    times its gradient. `exponential` is that of the logits `z` less `top`, divided by T.
    """
    # An exponential costs as much as three products.
    if objective.distillation_temperature == 1:
        gradient.copy_(exponential)
    elif objective.distillation_temperature == 2:
        torch.mul(exponential, exponential, out=gradient)
    else:
        torch.sub(z, top, out=gradient).exp_()
    total = gradient.sum(-1, keepdim=True)
    gradient.mul_(weight / total)
    true, spread = z.gather(-1, y), objective.label_smoothing
    if spread:
        true = true.mul_(1 - spread).add_(z.mean(-1, keepdim=True), alpha=spread)
        gradient.sub_(weight * spread / z.shape[-1])
    gradient.scatter_add_(-1, y, torch.full_like(true, weight * (spread - 1)))
    return (top + total.log() - true).sum(dtype=torch.float64)


def _divergence(objective: ObjectiveSettings) -> Divergence:
    match objective.divergence:
        case "forward_kl":
            return _forward_kl
        case "reverse_kl":
            return _reverse_kl
        case "jensen_shannon":
            return partial(_jensen_shannon, beta=objective.beta)
        case "hard_labels":
            return _hard_labels


def _forward_kl(chunk: Chunk, gradient: torch.Tensor, weight: float) -> torch.Tensor:
    """KL(q || p) = sum q (log q - log p), and p - q, for p of the student and q of the teacher."""
    difference = torch.sub(chunk.teacher, chunk.student, out=chunk.student)
    q = chunk.teacher.exp_()
    total = q.sum(-1, keepdim=True)
    cross = difference.mul_(q).sum(-1, keepdim=True) / total
    gradient.addcmul_(chunk.exponential, weight / chunk.total).addcmul_(q, -weight / total)
    return (cross + chunk.total.log() - total.log()).sum(dtype=torch.float64)


def _reverse_kl(chunk: Chunk, gradient: torch.Tensor, weight: float) -> torch.Tensor:
    """KL(p || q) = sum p (log p - log q), and p (log p - log q - KL)."""
    ratio = chunk.student.sub_(chunk.teacher)
    total = chunk.teacher.exp_().sum(-1, keepdim=True)
    product = torch.mul(chunk.exponential, ratio, out=chunk.scratch)
    mean = product.sum(-1, keepdim=True) / chunk.total
    gradient.addcmul_(ratio.sub_(mean).mul_(chunk.exponential), weight / chunk.total)
    return (mean + total.log() - chunk.total.log()).sum(dtype=torch.float64)


def _hard_labels(chunk: Chunk, gradient: torch.Tensor, weight: float) -> torch.Tensor:
    """-log p[argmax q], and p - the unit vector of that token; ties go to the lower token id."""
    answer = chunk.teacher.argmax(-1, keepdim=True)
    true = chunk.student.gather(-1, answer)
    gradient.addcmul_(chunk.exponential, weight / chunk.total)
    gradient.scatter_add_(-1, answer, torch.full_like(true, -weight))
    return (chunk.total.log() - true).sum(dtype=torch.float64)


def _jensen_shannon(
    chunk: Chunk, gradient: torch.Tensor, weight: float, beta: float
) -> torch.Tensor:
    """beta KL(q || m) + (1 - beta) KL(p || m), m = beta q + (1 - beta) p, and
    (1 - beta) p (log p - log m - KL(p || m)): the generalised form of Agarwal et al. 2024, eq. 1.
    """
    p, q = chunk.exponential, torch.exp(chunk.teacher, out=chunk.scratch)
    total = q.sum(-1, keepdim=True)
    # Where p and q are both 0 in float32, the token adds 0, not 0 times infinity.
    tiny = q.new_tensor(torch.finfo(q.dtype).tiny)
    m = torch.addcmul(tiny, q, beta / total)
    log_m = m.addcmul_(p, (1 - beta) / chunk.total).log_()
    product = chunk.student.sub_(log_m).mul_(p)
    mean = product.sum(-1, keepdim=True) / chunk.total
    share = weight * (1 - beta) / chunk.total
    gradient.addcmul_(product, share).addcmul_(p, -mean * share)
    cross = chunk.teacher.sub_(log_m).mul_(q).sum(-1, keepdim=True) / total
    value = beta * (cross - total.log()) + (1 - beta) * (mean - chunk.total.log())
    return value.sum(dtype=torch.float64)


def _same_vocabulary(logits: torch.Tensor, teacher: torch.Tensor | None) -> None:
    if teacher is None:
        raise ValueError("alpha < 1 needs a teacher and there is none")
    if teacher.shape != logits.shape:
        raise DistilleakError(
            f"the teacher's vocabulary has {teacher.shape[-1]} tokens and the student's "
            f"{logits.shape[-1]}; distillation needs the same"
        )


def _hidden_distance(states: torch.Tensor, lesson: Lesson | None, at: slice) -> torch.Tensor:
    """Sum over tokens of 1 - cos(h_t, h_s), float64."""
    if lesson is None or lesson.hidden is None:
        raise DistilleakError(
            "hidden_weight: stored targets hold no hidden states; query the teacher for every batch"
        )
    hidden = lesson.hidden[at]
    if hidden.shape != states.shape:
        raise DistilleakError(
            f"hidden_weight: the teacher's hidden states are {hidden.shape[-1]} wide and the "
            f"student's {states.shape[-1]}; they must be equally wide"
        )
    return (1 - F.cosine_similarity(states.float(), hidden.float(), dim=-1)).sum(
        dtype=torch.float64
    )
