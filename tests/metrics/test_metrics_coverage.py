"""Intervals near 0 and 1 are no points and cover the truth, for attacks with few values, too."""

import numpy as np
import pytest
from replicates import resampled, weights
from scipy import stats

from distilleak.metrics import closed
from distilleak.metrics.bootstrap import interval
from distilleak.metrics.exposure import mean_exposure
from distilleak.metrics.measure import Measurement, measure, measure_seen
from distilleak.metrics.picking import strongest
from distilleak.metrics.seeds import difference_over_seeds, over_seeds, spread
from distilleak.metrics.thresholds import folds
from distilleak.metrics.utility import utility

FPR = 0.01
DATASETS = 100
MEMBERS, NONMEMBERS = 300, 1000
LABELS = np.arange(MEMBERS + NONMEMBERS) < MEMBERS
WEIGHTS = weights(LABELS, 100, seed=0)


class Game:
    """Scores of members and of non-members, and the true metrics of all records there could be."""

    def __init__(self, member: stats.rv_continuous, nonmember: stats.rv_continuous) -> None:
        self.member, self.nonmember = member, nonmember

    def scores(self, rng: np.random.Generator) -> np.ndarray:
        sides = ((self.member, MEMBERS), (self.nonmember, NONMEMBERS))
        return np.concatenate([side.rvs(size, random_state=rng) for side, size in sides]).astype(
            float
        )

    def truth(self) -> dict[str, float]:
        if isinstance(self.nonmember.dist, stats.rv_discrete):
            values = np.arange(-1, 60)
            fpr, tpr = self.nonmember.sf(values), self.member.sf(values)
            auc = (self.member.pmf(values) * (self.nonmember.cdf(values - 1))).sum()
            auc += (self.member.pmf(values) * self.nonmember.pmf(values)).sum() / 2
            return {"auc": float(auc), f"tpr_at_fpr_{FPR}": float(tpr[fpr <= FPR].max())}
        tpr = self.member.sf(self.nonmember.isf(FPR))
        auc = self.nonmember.expect(self.member.sf)
        found = {"auc": float(auc), f"tpr_at_fpr_{FPR}": float(tpr)}
        # In the middle, a continuous score's AUC has DeLong's interval, which has its own test.
        return {metric: value for metric, value in found.items() if not 0.1 < value < 0.9}


def normal(shift: float, scale: float = 1.0) -> Game:
    return Game(stats.norm(shift, scale), stats.norm())


def votes(models: int, member: float, nonmember: float) -> Game:
    """How many of so many models call a record a member: scores with few values."""
    return Game(stats.binom(models, member), stats.binom(models, nonmember))


GAMES = {
    "TPR of 0.00001": normal(-2),
    "TPR of 0.002": normal(-0.5),
    "TPR at chance": normal(0),
    "TPR of 0.995": normal(4.9),
    "AUC of 0.002": normal(-4),
    "no threshold reaches the FPR": votes(4, 0.6, 0.5),
    "few values, the highest is rare": votes(4, 0.35, 0.3),
    "few values, nearly perfect": votes(2, 0.999, 0.05),
    "one value that members hardly have": votes(1, 0.003, 0.002),
    "all members, hardly a non-member": votes(1, 0.998, 0.003),
}


def everywhere(scores: np.ndarray, fold: np.ndarray) -> list[Measurement]:
    """All metrics of the scores, of which none is called a member."""
    return resampled(measure(scores, LABELS, fold, float("inf")), WEIGHTS)


@pytest.mark.parametrize("name", GAMES)
def test_intervals_near_0_and_1_cover_the_truth(name: str) -> None:
    """At least 93 % of intervals that are meant to cover it in 95 %."""
    game, rng = GAMES[name], np.random.default_rng(0)
    truth = game.truth()
    fold = np.zeros(len(LABELS), np.int64)
    covered = dict.fromkeys(truth, 0)
    for _ in range(DATASETS):
        scores = game.scores(rng)
        found = {each.metric: each for each in everywhere(scores, fold)}
        for metric, value in truth.items():
            low, high = found[metric].interval()
            assert 0 <= low <= found[metric].value <= high <= 1
            assert low < high
            covered[metric] += low <= value <= high
    assert min(covered.values()) / DATASETS >= 0.93, covered


def test_a_bootstrap_alone_does_not_cover_it() -> None:
    """What the intervals by formula are for: of members that are hardly ever found, none is."""
    game, rng = GAMES["TPR of 0.002"], np.random.default_rng(0)
    truth, fold = game.truth()[f"tpr_at_fpr_{FPR}"], np.zeros(len(LABELS), np.int64)
    covered = 0
    for _ in range(DATASETS):
        found = everywhere(game.scores(rng), fold)
        low, high = interval(next(e for e in found if e.metric.startswith("tpr")).replicates)
        covered += low <= truth <= high
    assert covered / DATASETS < 0.85


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("share", [0.001, 0.005])
def test_intervals_over_seeds_near_0_cover_the_truth(seeds: int, share: float) -> None:
    """Also where all seeds find the same few members, or none."""
    rng, records, covered = np.random.default_rng(1), 400, 0
    for _ in range(600):
        values = rng.binomial(records, share, seeds) / records
        ends = np.array([closed.share(value, records) for value in values])
        found = over_seeds(values, np.zeros((seeds, 2)), within=(0, 1), ends=ends)
        assert found.low < found.high
        assert found.standard_error > 0
        covered += found.low <= share <= found.high
    assert covered / 600 >= 0.93


def everything_right() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    labels = np.arange(60) < 30
    return labels.astype(float), labels, folds(labels, 3, 0), weights(labels, 100, 0)


def test_a_perfect_attack_is_not_perfect_for_certain() -> None:
    scores, labels, fold, drawn = everything_right()
    # Of 30 records, none is wrong: (1 - p)^30 = 0.025.
    rare = 1 - 0.025 ** (1 / 30)
    found = {
        (e.metric, e.threshold): e for e in resampled(measure(scores, labels, fold, None), drawn)
    }
    for metric in ("member_accuracy", "nonmember_accuracy"):
        for threshold in ("cross_fitted", "oracle"):
            assert found[metric, threshold].interval() == pytest.approx((1 - rare, 1))
    both = 1 - np.hypot(rare, rare) / 2
    assert found["balanced_accuracy", "oracle"].interval() == pytest.approx((both, 1))
    assert found["auc", ""].interval() == pytest.approx((both, 1))
    assert found["tpr_at_fpr_0.01", ""].interval() == pytest.approx((1 - rare, 1))
    assert all(low == high for low, high in (interval(e.replicates) for e in found.values()))
    seen = np.arange(60) < 10
    apart = resampled(measure_seen(scores, labels, seen, fold), drawn)
    sides = {e.metric: e.interval() for e in apart}
    rarer = 1 - 0.025 ** (1 / 10)
    assert sides["member_accuracy_seen"] == pytest.approx((1 - rarer, 1))
    assert sides["auc_seen"] == pytest.approx((1 - np.hypot(rarer, rare) / 2, 1))


def test_scores_that_are_all_equal_have_an_interval() -> None:
    labels = np.arange(60) < 20
    rare = 1 - 0.025 ** (1 / 20)
    metrics = measure(np.zeros(60), labels, np.arange(60) % 2, 0.5)
    found = resampled(metrics, weights(labels, 100, 0))
    auc = next(each for each in found if each.metric == "auc")
    assert auc.interval() == pytest.approx((0.5 - rare / 2, 0.5 + rare / 2))


def test_a_share_that_does_not_vary_between_records() -> None:
    """No token of 40 held-out records is predicted."""
    ones = np.ones(40, np.int64)
    metrics = utility(-ones.astype(float), 5 * ones, 0 * ones)
    found = resampled(metrics, weights(ones < 0, 100, 0))
    accuracy = next(each for each in found if each.metric == "top1_accuracy")
    assert accuracy.interval() == pytest.approx((0, 1 - 0.025 ** (1 / 40)))
    assert closed.mean(np.array([0.2, 0.2, 0.3])) is None
    low, high = closed.mean(np.full(40, 0.2)) or (0, 0)
    rare = 1 - 0.025 ** (1 / 40)
    assert (low, high) == pytest.approx((0.2 * (1 - rare), 0.2 * (1 - rare) + rare))


def test_the_mean_of_two_shares_against_differences_of_their_own_intervals() -> None:
    """Half of p - (1 - q): the interval of a difference by Zou and Donner, of exact ones."""
    p, m, q, n = 0.9, 50, 0.75, 80
    ends = [stats.binomtest(round(x * k), k).proportion_ci(0.95) for x, k in ((p, m), (q, n))]
    low = (p + q) / 2 - np.hypot(p - ends[0].low, q - ends[1].low) / 2
    high = (p + q) / 2 + np.hypot(p - ends[0].high, q - ends[1].high) / 2
    assert closed.mean_of_shares([(p, m), (q, n)]) == pytest.approx((low, high))


def test_two_models_in_which_nothing_varies_differ_by_what_either_may_be() -> None:
    none, ends = np.zeros(3), np.tile([0.0, 0.01], (3, 1))
    found = difference_over_seeds(none, np.zeros((3, 9)), none, np.zeros((3, 9)), ends, 2 * ends)
    assert (found.difference, found.low, found.high) == (0, -0.02, 0.01)
    assert found.p_value == 1
    # The same decisions on every record are the same: their replicates vary alike.
    drawn = np.random.default_rng(0).random((3, 9))
    found = difference_over_seeds(none, drawn, none, drawn, ends, ends)
    assert (found.low, found.high) == (0, 0)
    # By chance alike in every seed, but not in the replicates.
    other = np.random.default_rng(1).random((3, 9))
    found = difference_over_seeds(none, drawn, none, other, ends, ends)
    expected = np.quantile(drawn - other, [0.025, 0.975], axis=1).mean(axis=1)
    assert (found.low, found.high) == pytest.approx(tuple(expected))


def test_the_strongest_of_attacks_is_not_perfect_for_certain() -> None:
    values = np.array([[1.0, 1.0], [0.5, 0.5]])
    counts = np.array([40, 30]), np.array([90, 80])
    found = strongest(values, np.repeat(values[:, :, None], 5, axis=2), *counts)
    assert (found.attack, found.value, found.high) == (0, 1.0, 1.0)
    # Two attacks share the 5 %, and an interval has two sides.
    assert found.low == pytest.approx(0.0125 ** (1 / 30))


def test_seeds_that_do_not_differ_say_nothing_about_their_spread() -> None:
    found = spread(np.zeros(4))
    assert found.value == 0
    assert np.isnan([found.low, found.high]).all()


def test_exposure_stays_in_its_range_and_is_never_certain() -> None:
    # Every one of five secrets is ranked first among 16.
    mean, low, high = mean_exposure(np.full((1, 5), 4.0), 4.0)
    assert (mean, high) == (4.0, 4.0)
    assert low == pytest.approx(4 * 0.025 ** (1 / 5))
    mean, low, high = mean_exposure(np.array([[4.0, 4.0, 0.1]]), 4.0)
    assert (low, high) == (0.0, 4.0)
