"""Lower bounds on epsilon: how private a model cannot be, given how well an attack on it works.

(epsilon, delta)-differential privacy bounds every attack on a model, so an attack that does better
refutes that epsilon. The bounds do not show how private the model is: a weak attack gives a bound
near 0. Neither bound exceeds what the number of records can prove, about log(n) for n records.

Both take one training run and count records as trials. `one_run` is exact for records that were
each included by an independent fair coin. A pool of fixed size, drawn at random, is not quite that:
its labels are slightly dependent, and the neighbouring relation becomes the swap of a member for a
non-member, for which the theorem is not proved. With as many guesses of members as of non-members,
the variance of the number of correct guesses at epsilon 0 is 1 + 1 / (m - 1) times the binomial
variance (m records); with unequal numbers it is smaller. If all records are guessed, at 95 %, a
model that reveals nothing is then accused in up to 5.6 % of cases for any 400 records or more, and
in up to 7.2 % for 30 or more. `at_threshold` also assumes that the scores of the records are
independent given their membership, which training on all of them at once does not guarantee.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from distilleak.errors import DistilleakError
from distilleak.metrics.binomial import lower_bound, upper_bound
from distilleak.metrics.rates import Floats, Labels, Ranking
from distilleak.seeding import stream

# Bisection halves this range until it is far below any digit that is reported.
_HIGHEST = 64.0
_HALVINGS = 50


def at_threshold(
    scores: Floats, members: Labels, delta: float, seed: int, level: float = 0.95
) -> float:
    """Lower bound on epsilon from the error rates at a threshold; 0 if none is shown.

    Differential privacy implies TPR <= e^eps FPR + delta and TNR <= e^eps FNR + delta (Kairouz, Oh
    and Viswanath 2015), hence eps >= log((TPR - delta) / FPR), and likewise with TNR and FNR. On a
    random half of the records, the threshold with the highest bound is chosen for each direction;
    the bounds are then computed on the other half. The four rates are replaced by one-sided
    Clopper-Pearson bounds, each at (1 - level) / 4, so that the larger of the two directions'
    bounds is valid.

    Args:
        scores: (n,), higher = more likely a member.
        members: (n,), True = member.
        delta: 0 to 1.
        seed: of the split into halves.
        level: confidence.

    Raises:
        DistilleakError: delta out of range, a score that is not finite, or fewer than two members
            or non-members.
    """
    _check(delta)
    calibration = np.zeros(len(scores), np.bool_)
    rng = stream(seed, "epsilon", "halves")
    for side in (members, ~members):
        records = rng.permutation(np.flatnonzero(side))
        if len(records) < 2:
            raise DistilleakError(f"{len(records)} records of a class; two halves need at least 2")
        calibration[records[: len(records) // 2]] = True
    ranking = Ranking.of(scores, members, among=calibration)
    thresholds = np.append(np.inf, ranking.scores)
    confidence = 1 - (1 - level) / 4
    choices = _bounds(
        ranking.top_members,
        ranking.top_nonmembers,
        len(ranking.members),
        len(ranking.nonmembers),
        delta,
        confidence,
    )
    chosen = thresholds[np.argmax(choices, axis=1)]
    judged = ~calibration
    called = scores >= chosen[:, None]  # (directions, n)
    bounds = _bounds(
        np.count_nonzero(called & (judged & members), axis=1),
        np.count_nonzero(called & (judged & ~members), axis=1),
        int(np.count_nonzero(judged & members)),
        int(np.count_nonzero(judged & ~members)),
        delta,
        confidence,
    )
    return max(0.0, float(np.diagonal(bounds).max()))


def one_run(records: int, guesses: int, correct: int, delta: float, level: float = 0.95) -> float:
    """Lower bound on epsilon from correct guesses in one training run; 0 if none is shown.

    The largest epsilon whose `p_value` is below 1 - level (Steinke, Nasr and Jagielski 2023, arXiv
    2305.08846, corollary 5.4), found by bisection. Delta must be far below 1 / m: from 1 / (2 m)
    upwards, almost nothing can be shown. Arguments and errors as in `p_value`.
    """
    low, high = 0.0, _HIGHEST
    if p_value(records, guesses, correct, low, delta) >= 1 - level:
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if p_value(records, guesses, correct, middle, delta) < 1 - level:
            low = middle
        else:
            high = middle
    return low


def p_value(records: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Highest probability of that many correct guesses under (epsilon, delta)-privacy, at most 1.

    P(W >= v) + 2 m delta max over i = 1 ... v of P(v > W >= v - i) / i, with W binomial of r trials
    with success probability e^eps / (1 + e^eps), v correct of r guesses, and m records, guessed
    or not (Steinke, Nasr and Jagielski 2023, corollary 5.4).

    Args:
        records: m, each included in the training data by an independent fair coin.
        guesses: r, how many of them were guessed, a number chosen without the labels.
        correct: v.
        epsilon: 0 or more.
        delta: 0 to 1.

    Raises:
        DistilleakError: delta out of range, or not 0 <= correct <= guesses <= records.
    """
    _check(delta)
    if not 0 <= correct <= guesses <= records:
        raise DistilleakError(
            f"{correct} correct of {guesses} guesses on {records} records; allowed: 0 <= correct "
            "<= guesses <= records"
        )
    if correct == 0:
        return 1.0
    success = float(special.expit(epsilon))
    tail = float(special.betainc(correct, guesses - correct + 1, success))
    if delta == 0:
        return tail
    # P(W <= j) for j = v - 1, v - 2 ... -1; the last count is impossible, so its probability is 0.
    below = np.append(special.bdtr(np.arange(correct - 1, -1, -1), guesses, success), 0.0)
    worst = float(((below[0] - below[1:]) / np.arange(1, correct + 1)).max())
    return min(1.0, tail + 2 * records * delta * worst)


def correct_guesses(
    scores: Floats, members: Labels, guessed_members: int, guessed_nonmembers: int, seed: int
) -> int:
    """How many guesses are right if the highest scores are guessed members, the lowest non-members.

    The attack abstains on the scores in between. Ties are broken at random; otherwise the order of
    the records, which may depend on their labels, would decide them. The numbers of guesses must be
    fixed in advance: the best of several is optimistic.

    Raises:
        DistilleakError: more guesses than records, a negative number of guesses, or a score that
            is NaN.
    """
    total = guessed_members + guessed_nonmembers
    if min(guessed_members, guessed_nonmembers) < 0 or total > len(scores):
        raise DistilleakError(
            f"{guessed_members} + {guessed_nonmembers} guesses on {len(scores)} records; allowed: "
            "as many as there are records"
        )
    if np.isnan(scores).any():
        raise DistilleakError(f"{np.isnan(scores).sum()} scores are NaN; they have no rank")
    drawn = stream(seed, "epsilon", "ties").random(len(scores))
    ordered = members[np.lexsort((drawn, -scores))]
    top, bottom = ordered[:guessed_members], ordered[len(scores) - guessed_nonmembers :]
    return int(np.count_nonzero(top) + np.count_nonzero(~bottom))


def _bounds(
    true_positives: NDArray[np.intp],
    false_positives: NDArray[np.intp],
    members: int,
    nonmembers: int,
    delta: float,
    confidence: float,
) -> Floats:
    """Bounds on epsilon at each threshold, (2, thresholds): by TPR over FPR and by TNR over FNR."""
    kept = [
        lower_bound(true_positives, members, confidence),
        lower_bound(nonmembers - false_positives, nonmembers, confidence),
    ]
    errors = [
        upper_bound(false_positives, nonmembers, confidence),
        upper_bound(members - true_positives, members, confidence),
    ]
    # Where delta alone explains the rate, the bound is minus infinity: nothing is shown.
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(np.stack(kept) - delta, 0)) - np.log(np.stack(errors))


def _check(delta: float) -> None:
    if not 0 <= delta <= 1:
        raise DistilleakError(f"delta {delta}; it must lie between 0 and 1")
