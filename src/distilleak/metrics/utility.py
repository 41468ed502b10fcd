"""How useful a model is: loss, perplexity and top-1 accuracy on held-out records."""

import numpy as np
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.metrics import closed
from distilleak.metrics.measure import Metrics, Statistics
from distilleak.metrics.rates import Floats, Weights, chunks


def utility(logp_sum: Floats, tokens: NDArray[np.int64], correct: NDArray[np.int64]) -> Metrics:
    """How well a language model predicts held-out records.

    `heldout_loss` is in nats per token: the total over all records divided by their total number of
    tokens, so that long records count more than short ones. `perplexity` is exp(heldout_loss), and
    `top1_accuracy` is the share of tokens that are the model's most likely prediction.

    Args:
        logp_sum: (n,), sum of the tokens' log p in each record, natural logarithm.
        tokens: (n,), scored tokens of each record.
        correct: (n,), tokens of each record whose rank is 0.

    Raises:
        DistilleakError: a record has no token, or a sum that is not finite.
    """
    bad = np.flatnonzero(~np.isfinite(logp_sum) | (tokens < 1))
    if len(bad):
        raise DistilleakError(
            f"held-out record number {bad[0]}: log-probability {logp_sum[bad[0]]} over "
            f"{tokens[bad[0]]} tokens; a finite sum over at least one token is needed"
        )
    columns = np.stack([logp_sum, tokens, correct], axis=1).astype(np.float64)

    def statistics(w: Weights) -> Statistics:
        sums = np.concatenate([w[rows].astype(np.float64) @ columns for rows in chunks(w)])
        loss = -sums[:, 0] / sums[:, 1]
        return {
            ("heldout_loss", ""): loss,
            ("perplexity", ""): np.exp(loss),
            ("top1_accuracy", ""): sums[:, 2] / sums[:, 1],
        }

    return Metrics(
        len(tokens), statistics, lambda _: {("top1_accuracy", ""): closed.mean(correct / tokens)}
    )
