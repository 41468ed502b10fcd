"""Token-level InfoRMIA (Tao & Shokri 2025, arXiv 2510.05582): RMIA for every token, in nats.

RMIA counts the z of a population against which x is the likelier one under the target than under
models in general. InfoRMIA takes the mean of the log of that ratio over z, drawn as models in
general have it: log p_T(x) / p(x) + KL(p || p_T). Token by token, x is the token and the population
what else could stand in its place, so that the divergence depends on the context.

In the paper every token of the vocabulary is an outcome, which takes the complete distributions of
target and reference models side by side. Evidence has, of each model by itself, the probability of
the true token and of all others together. So the population here has two outcomes, this token and
any other. Their divergence is at most that over the vocabulary, and the score then is
(1 - p) (logit p_T - logit p): the gain in confidence, weighted by how surprising the token is.
"""

import numpy as np

from distilleak.attacks.base import Needs, ScoreArray, check_tokens
from distilleak.evidence.table import Evidence
from distilleak.ragged import Ragged
from distilleak.settings.base import Settings

NEEDS = Needs(references=1)
THREAT = "references"


class Parameters(Settings):
    """InfoRMIA has nothing to choose: unlike RMIA, it compares with no factor gamma."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Mean over tokens of l_T - l + p (l - l_T) + (1 - p) (m - m_T); (records,).

    l = log p and m = log(1 - p), where p is the mean of the token's probability over the reference
    models, as in RMIA; l_T and m_T are those of the target.

    Raises:
        DistilleakError: a reference model scored different tokens from the target.
    """
    target = evidence.views["plain"]
    check_tokens(target, evidence.references)
    count = np.log(len(evidence.references))
    log_p, log_rest = (
        np.logaddexp.reduce([column.floats for column in columns], axis=0) - count
        for columns in (
            [view.logp for view in evidence.references],
            [view.log1m_p for view in evidence.references],
        )
    )
    # The four terms, as one product: they nearly cancel where p is close to 1.
    gained = (target.logp.floats - log_p) - (target.log1m_p.floats - log_rest)
    return Ragged(np.exp(log_rest) * gained, target.logp.offsets).mean()
