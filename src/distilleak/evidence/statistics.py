"""What is kept of a distribution over the vocabulary: statistics of every predicted token.

All of them come from one exponential per logit. On a CPU they are taken of a block of rows after
the other: a block stays in a core's cache while it is swept over, and a sweep is then much cheaper
than the product that made the logits. What concerns a row as a whole is computed for all rows at
once, since a call costs as much as a sweep over a thousand logits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from distilleak.evidence import fused, tempered
from distilleak.evidence.table import FLOAT_COLUMNS, INTEGER_COLUMNS

Columns = dict[str, torch.Tensor]
Rows = torch.Tensor | slice
BLOCK = {"cpu": 2**17, "cuda": 2**26}
"""Logits in a block: on a CPU it stays in a core's cache, with two arrays of its size."""
_LIKELY = 0.5
"""From this probability on, too few digits are left in 1 - p."""
SPREAD = 1 / 16
"""Least share of the second moment about the largest logit that the variance has to be: it is what
is left when the square of the mean is taken away, and may lose one digit in doing so."""


@dataclass(frozen=True)
class Statistics:
    """What is kept of a distribution over the vocabulary.

    Attributes:
        floats: names of columns in float32.
        integers: names of columns in int32.
        of: (logits, labels) -> (n,) each of these columns; arguments as of `token_statistics`.
    """

    floats: Sequence[str]
    integers: Sequence[str]
    of: Callable[[torch.Tensor, torch.Tensor], Columns]


def token_statistics(logits: torch.Tensor, labels: torch.Tensor) -> Columns:
    """The columns of evidence, (n,) each.

    Args:
        logits: (n, vocabulary) float32, up to a constant of each row; they are overwritten.
        labels: (n,) the true tokens.

    `log1m_p` comes from the sum over the other tokens where p is large: 1 - exp(log p) has no
    digits left when p is near 1.
    """
    if fused.available(logits.device):
        total, mean, squares, above, true, others = fused.sums(logits, labels)
        variance, log_others = squares / total, others - total.log()
    else:
        total, mean, variance, above, true, log_others = _sums(logits, labels[:, None])
    log_sum = total.log()
    log_p = true - log_sum
    p = log_p.exp()
    found = {
        "logp": log_p,
        "mean_logp": mean - log_sum,
        "std_logp": variance.sqrt(),
        "top_logp": -log_sum,
        "rank": above.int(),
        "log1m_p": torch.where(p > _LIKELY, log_others, torch.log1p(-p.clamp(max=_LIKELY))),
    }
    return {"token_id": labels.int(), **{name: values[:, 0] for name, values in found.items()}}


def _sums(logits: torch.Tensor, column: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """With e = exp(z - max z), (n, 1) each: sum e; the mean and the variance of z - max z; how many
    logits are above the true one; the true one less the largest; where the true token is likely,
    log of the share of all others.
    """
    true = logits.gather(-1, column)
    raw = logits.new_empty(5, len(column), 1)
    for block, first, second, at in _blocks(logits):
        top, above, total, linear, square = (sums[at] for sums in raw)
        torch.amax(block, -1, keepdim=True, out=top)
        # Ones and zeros of the logits' type are added several times faster than booleans.
        torch.sum(torch.gt(block, true[at], out=first), -1, keepdim=True, out=above)
        block.sub_(top)
        torch.sum(torch.exp(block, out=first), -1, keepdim=True, out=total)
        torch.sum(torch.mul(first, block, out=second), -1, keepdim=True, out=linear)
        torch.sum(second.mul_(block), -1, keepdim=True, out=square)
    top, above, total, linear, square = raw
    true -= top
    mean = linear / total
    variance = _variance(logits, total, mean, square / total)
    return total, mean, variance, above, true, _others(logits, true, total, column)


def _blocks(
    logits: torch.Tensor,
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor, slice]]:
    """Blocks of rows, two arrays of the size of each, and where its rows lie."""
    rows = max(1, BLOCK[logits.device.type] // logits.shape[-1])
    first, second = logits.new_empty(2, min(rows, len(logits)), logits.shape[-1])
    for start in range(0, len(logits), rows):
        block = logits[start : start + rows]
        at = slice(start, start + len(block))
        yield block, first[: len(block)], second[: len(block)], at


def _variance(
    below: torch.Tensor, total: torch.Tensor, mean: torch.Tensor, square: torch.Tensor
) -> torch.Tensor:
    """The variance of log p, (n, 1), from the moments about the largest logit of each row.

    Where the mean lies many standard deviations below the largest logit, it is computed again,
    centred before it is squared.
    """

    def centred(rows: Rows) -> torch.Tensor:
        distance = (below[rows] - mean[rows]).square_()
        return distance.mul_(below[rows].exp()).sum(-1, keepdim=True) / total[rows]

    found = square - mean.square()
    return _replaced(found, found < SPREAD * square, centred, every_row=not below.is_cpu)


def _others(
    below: torch.Tensor, true: torch.Tensor, total: torch.Tensor, column: torch.Tensor
) -> torch.Tensor:
    """Log of the share of all but the true token, (n, 1), where that one is likely."""

    def left(rows: Rows) -> torch.Tensor:
        others = below[rows].scatter(-1, column[rows], -torch.inf)
        return torch.logsumexp(others, -1, keepdim=True) - total[rows].log()

    likely = (true - total.log()).exp() > _LIKELY
    return _replaced(torch.zeros_like(true), likely, left, every_row=not below.is_cpu)


def _replaced(
    found: torch.Tensor,
    wrong: torch.Tensor,
    compute: Callable[[Rows], torch.Tensor],
    every_row: bool,
) -> torch.Tensor:
    """`found`, (n, 1), with what `compute` makes of the rows that are `wrong`."""
    if every_row:  # To ask which they are would stop a GPU; it is faster to do them all.
        return torch.where(wrong, compute(slice(None)), found)
    rows = torch.nonzero(wrong[:, 0])[:, 0]
    if len(rows):
        found[rows] = compute(rows)
    return found


def tempered_statistics(logits: torch.Tensor, labels: torch.Tensor) -> Columns:
    """Log p of the true token at each of `tempered.SCALES`, (n,) each; arguments as above."""
    true = logits.gather(-1, labels[:, None])
    top = torch.empty_like(true)
    total = logits.new_empty(len(tempered.SCALES), len(labels), 1)
    for block, scratch, _, at in _blocks(logits):
        block.sub_(torch.amax(block, -1, keepdim=True, out=top[at]))
        for scale, sums in zip(tempered.SCALES, total, strict=True):
            torch.sum(torch.mul(block, scale, out=scratch).exp_(), -1, keepdim=True, out=sums[at])
    true -= top
    scaled = [
        (true * scale - sums.log())[:, 0]
        for scale, sums in zip(tempered.SCALES, total, strict=True)
    ]
    return dict(zip(tempered.COLUMNS, scaled, strict=True))


EVIDENCE = Statistics(FLOAT_COLUMNS, INTEGER_COLUMNS, token_statistics)
TEMPERED = Statistics(tempered.COLUMNS, (), tempered_statistics)
