"""What is kept of a distribution over the vocabulary: statistics of every predicted token.

All of them come from one exponential per logit. On a CPU they are taken of a block of rows after
the other: a block stays in a core's cache while it is swept over, and a sweep is then much cheaper
than the product that made the logits. What concerns a row as a whole is computed for all rows at
once, since a call costs as much as a sweep over a thousand logits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from distilleak.evidence import fused, tempered
from distilleak.evidence.table import FLOAT_COLUMNS, INTEGER_COLUMNS

Columns = dict[str, torch.Tensor]
Rows = torch.Tensor | slice
BLOCK = {"cpu": 2**16, "cuda": 2**26}
"""Logits in a block: on a CPU it stays in a core's cache, with two arrays of its size."""
SPREAD = 1 / 32
"""Least share of the second moment about the largest logit that the variance has to be: it is what
is left when the square of the mean is taken away. Half of its digits more would be lost below."""


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

    With the odds of the true token, and mean and variance of the logits of all others, every
    statistic is a sum of terms of one sign: none loses its digits where p is near 0 or 1.

    Args:
        logits: (n, vocabulary) float32, up to a constant of each row; they are overwritten.
        labels: (n,) the true tokens.
    """
    column = labels[:, None]
    sums = fused.sums if fused.available(logits.device) else _sums
    true, above, log_others, mean, variance = sums(logits, column)
    log_p, log1m_p = logsigmoid(true - log_others), logsigmoid(log_others - true)
    log_sum = torch.logaddexp(true, log_others)
    p, others = log_p.exp(), log1m_p.exp()
    found = {
        "logp": log_p,
        "mean_logp": p * log_p + others * (mean - log_sum),
        "std_logp": (others * (variance + p * (true - mean).square())).sqrt(),
        "top_logp": torch.where(true > 0, log_p, -log_sum),
        "rank": above.int(),
        "log1m_p": log1m_p,
    }
    return {"token_id": labels.int(), **{name: values[:, 0] for name, values in found.items()}}


def _sums(logits: torch.Tensor, column: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What `fused.sums` returns."""
    true = logits.gather(-1, column)
    logits.scatter_(-1, column, fused.ABSENT)
    found = logits.new_empty(5, len(column), 1)
    for block, one, two, own, *sums in _blocks(logits, true, *found):
        block_top, block_above, block_total, block_linear, block_square = sums
        torch.amax(block, -1, True, out=block_top)
        # Ones and zeros of the logits' type are added several times faster than booleans.
        torch.sum(torch.gt(block, own, out=one), -1, True, out=block_above)
        block.sub_(block_top)
        torch.sum(torch.exp(block, out=one), -1, True, out=block_total)
        torch.sum(torch.mul(one, block, out=two), -1, True, out=block_linear)
        torch.sum(two.mul_(block), -1, True, out=block_square)
    top, above, total, linear, square = found
    mean = linear / total
    return true - top, above, total.log(), mean, _variance(logits, total, mean, square / total)


def _blocks(logits: torch.Tensor, *columns: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Blocks of rows, two arrays of the size of each, and of `columns`, (n, 1), the same rows."""
    rows = max(1, BLOCK[logits.device.type] // logits.shape[-1])
    one, two = logits.new_empty(2, min(rows, len(logits)), logits.shape[-1])
    parts = (torch.split(whole, rows) for whole in (logits, *columns))
    for block, *own in zip(*parts, strict=True):
        yield block, one[: len(block)], two[: len(block)], *own


def _variance(
    below: torch.Tensor, total: torch.Tensor, mean: torch.Tensor, square: torch.Tensor
) -> torch.Tensor:
    """The variance, (n, 1), from the moments about the largest logit of each row.

    Where the mean lies many standard deviations below the largest logit, it is computed again,
    centred before it is squared.
    """

    def centred(rows: Rows) -> torch.Tensor:
        distance = (below[rows] - mean[rows]).square_()
        return distance.mul_(below[rows].exp()).sum(-1, keepdim=True) / total[rows]

    found = square - mean.square()
    wrong = found < SPREAD * square
    if not below.is_cpu:  # To ask which rows they are would stop a GPU; all of them are faster.
        return torch.where(wrong, centred(slice(None)), found)
    rows = torch.nonzero(wrong[:, 0])[:, 0]
    if len(rows):
        found[rows] = centred(rows)
    return found


def tempered_statistics(logits: torch.Tensor, labels: torch.Tensor) -> Columns:
    """Log p of the true token at each of `tempered.SCALES`, (n,) each; arguments as above."""
    true = logits.gather(-1, labels[:, None])
    top = torch.empty_like(true)
    total = logits.new_empty(len(tempered.SCALES), len(labels), 1)
    for block, scratch, _, block_top, *sums in _blocks(logits, top, *total):
        block.sub_(torch.amax(block, -1, True, out=block_top))
        for scale, of_scale in zip(tempered.SCALES, sums, strict=True):
            torch.sum(torch.mul(block, scale, out=scratch).exp_(), -1, True, out=of_scale)
    true -= top
    scaled = [
        (true * scale - sums.log())[:, 0]
        for scale, sums in zip(tempered.SCALES, total, strict=True)
    ]
    return dict(zip(tempered.COLUMNS, scaled, strict=True))


EVIDENCE = Statistics(FLOAT_COLUMNS, INTEGER_COLUMNS, token_statistics)
TEMPERED = Statistics(tempered.COLUMNS, (), tempered_statistics)
