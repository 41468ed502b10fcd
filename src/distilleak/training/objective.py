"""What a student minimises: the true token, the teacher's distribution and its hidden states.

The gradient with respect to the logits is written out, so that no intermediate is kept, and the
head and all after it run on a chunk of the tokens at a time, so that a large (tokens, vocabulary)
array never exists as a whole.
"""

from collections.abc import Callable
from functools import partial

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

Divergence = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(student, teacher), a chunk's logits divided by T, which may be overwritten -> (sum of D over the
tokens, float64; its gradient with respect to the student's)."""


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
        logits.backward(gradient)  # type: ignore[no-untyped-call]
        total += loss
        del logits, soft, gradient  # before those of the next chunk are made
        if objective.hidden_weight:
            distance = objective.hidden_weight * _hidden_distance(leaf, lesson, at)
            (distance / max(1, tokens)).backward()  # type: ignore[no-untyped-call]
            total += distance.detach()
    hidden.backward(torch.cat([leaf.grad for leaf in leaves if leaf.grad is not None]))  # type: ignore[no-untyped-call]
    return total


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
    spread = objective.label_smoothing
    divergence = _divergence(objective)
    if soft_weight:
        _same_vocabulary(logits, teacher)
    gradient = torch.empty_like(logits)
    total = torch.zeros((), dtype=torch.float64, device=logits.device)
    size = max(1, LOSS_CHUNK[logits.device.type] // logits.shape[-1])
    for first in range(0, len(labels), size):
        chunk = slice(first, first + size)
        z, y, g = logits[chunk], labels[chunk, None], gradient[chunk]
        if alpha:
            torch.softmax(z, -1, out=g)
            true = z.gather(-1, y)
            log_sum = _log_sum(z, g)
            if spread:
                true = true.mul_(1 - spread).add_(z.mean(-1, keepdim=True), alpha=spread)
                g.sub_(spread / z.shape[-1])
            total -= alpha * (true - log_sum).sum(dtype=torch.float64)
            g.scatter_add_(-1, y, torch.full_like(y, spread - 1, dtype=g.dtype))
            g *= alpha / tokens
        else:
            g.zero_()
        if soft_weight:
            assert teacher is not None
            value, slope = divergence(z / temperature, teacher[chunk] / temperature)
            total += soft_weight * value
            g.add_(slope, alpha=soft_weight / temperature / tokens)
    return total, gradient


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


def _forward_kl(student: torch.Tensor, teacher: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """KL(q || p) = sum q (log q - log p), and p - q, for p of the student and q of the teacher."""
    p, q = torch.softmax(student, -1), torch.softmax(teacher, -1)
    constants = (_log_sum(student, p) - _log_sum(teacher, q)).sum(dtype=torch.float64)
    cross = teacher.sub_(student).mul_(q).sum(dtype=torch.float64)
    return cross + constants, p.sub_(q)


def _reverse_kl(student: torch.Tensor, teacher: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """KL(p || q) = sum p (log p - log q), and p (log p - log q - KL)."""
    p = torch.softmax(student, -1)
    constant = torch.logsumexp(teacher, -1, keepdim=True) - _log_sum(student, p)
    ratio = student.sub_(teacher).add_(constant)
    value = (p * ratio).sum(-1, keepdim=True)
    return value.sum(dtype=torch.float64), ratio.sub_(value).mul_(p)


def _hard_labels(student: torch.Tensor, teacher: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """-log p[argmax q], and p - the unit vector of that token; ties go to the lower token id."""
    p = torch.softmax(student, -1)
    answer = teacher.argmax(-1, keepdim=True)
    value = (_log_sum(student, p) - student.gather(-1, answer)).sum(dtype=torch.float64)
    return value, p.scatter_add_(-1, answer, torch.full_like(answer, -1, dtype=p.dtype))


def _jensen_shannon(
    student: torch.Tensor, teacher: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """beta KL(q || m) + (1 - beta) KL(p || m), m = beta q + (1 - beta) p, and
    (1 - beta) p (log p - log m - KL(p || m)): the generalised form of Agarwal et al. 2024, eq. 1.
    """
    p, q = torch.softmax(student, -1), torch.softmax(teacher, -1)
    log_p, log_q = student.sub_(_log_sum(student, p)), teacher.sub_(_log_sum(teacher, q))
    # Where p and q are both 0 in float32, the token adds 0, not 0 times infinity.
    log_m = (beta * q).add_(p, alpha=1 - beta).clamp_(torch.finfo(p.dtype).tiny).log_()
    ratio = log_p.sub_(log_m)
    own = (p * ratio).sum(-1, keepdim=True)
    value = beta * q.mul_(log_q.sub_(log_m)).sum(dtype=torch.float64)
    value += (1 - beta) * own.sum(dtype=torch.float64)
    return value, ratio.sub_(own).mul_(p).mul_(1 - beta)


def _log_sum(z: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """log sum exp z, (n, 1), from p = softmax(z): at the largest logit, where log p is accurate.

    It saves the second round of exponentials that logsumexp would cost.
    """
    return z.amax(-1, keepdim=True) - p.amax(-1, keepdim=True).log()


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
