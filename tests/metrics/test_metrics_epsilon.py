"""Lower bounds on epsilon: they stay below the epsilon of mechanisms for which it is known."""

import functools
import math

import numpy as np
import pytest
from scipy import optimize, stats

from distilleak.errors import DistilleakError
from distilleak.metrics.binomial import lower_bound, upper_bound
from distilleak.metrics.epsilon import at_threshold, correct_guesses, one_run, p_value

SIMULATIONS = 1000

# The bound depends on only a few counts, which recur in the simulations.
one_run_of_counts = functools.cache(one_run)


def gaussian_epsilon(shift, delta):
    """Epsilon of a Gaussian mechanism with sensitivity / sigma = shift (Balle and Wang 2018)."""

    def excess(eps):
        # Theorem 8: delta(eps) = Phi(s/2 - eps/s) - e^eps Phi(-s/2 - eps/s).
        far = stats.norm.logcdf(-shift / 2 - eps / shift)
        return stats.norm.cdf(shift / 2 - eps / shift) - math.exp(eps + far) - delta

    return optimize.brentq(excess, 0, 100)


def slow_p_value(m, r, v, eps, delta):
    """Corollary 5.4 of Steinke et al. 2023, term by term with exact binomial coefficients."""
    q = math.exp(eps) / (1 + math.exp(eps))
    pmf = [math.comb(r, k) * q**k * (1 - q) ** (r - k) for k in range(r + 1)]
    tail = math.fsum(pmf[v:])
    worst = max((math.fsum(pmf[v - i : v]) / i for i in range(1, v + 1)), default=0.0)
    return min(1.0, tail + 2 * m * delta * worst)


def gaussian(rng, shift, n, fixed_size=False):
    """Each record's membership, released with Gaussian noise."""
    members = rng.permutation(np.arange(n) < n // 2) if fixed_size else rng.random(n) < 0.5
    return rng.normal(size=n) + shift * members, members


def randomised_response(rng, eps, n, fixed_size=False):
    """Pure epsilon-privacy that an attack can exploit fully: each membership, or a lie."""
    members = rng.permutation(np.arange(n) < n // 2) if fixed_size else rng.random(n) < 0.5
    honest = rng.random(n) < 1 / (1 + math.exp(-eps))
    return np.where(honest, members, ~members).astype(float), members


@pytest.mark.parametrize(
    ("m", "r", "v", "eps", "delta"),
    [
        (100, 100, 75, math.log(3), 0.0),
        (100, 60, 40, 0.0, 1e-3),
        (200, 50, 50, 2.0, 1e-4),
        (200, 50, 1, 0.3, 1e-4),
        (50, 10, 0, 0.3, 1e-4),
        (30, 30, 20, 1.0, 0.9),
    ],
)
def test_the_p_value_is_that_of_the_corollary(m, r, v, eps, delta):
    assert p_value(m, r, v, eps, delta) == pytest.approx(slow_p_value(m, r, v, eps, delta))


def test_the_bound_is_the_one_that_the_paper_prints():
    # Appendix D: 75 of 100 guesses on 1,000 records, delta 1e-4, 95 %.
    assert one_run(1000, 100, 75, 1e-4) == pytest.approx(0.673, abs=5e-4)


@pytest.mark.parametrize("delta", [0.0, 1e-5, 1e-3])
def test_the_p_value_grows_with_epsilon_and_falls_with_correct_guesses(delta):
    by_epsilon = np.array([p_value(400, 100, 80, e, delta) for e in np.linspace(0, 5, 100)])
    assert (np.diff(by_epsilon) >= -1e-12).all()
    by_correct = np.array([p_value(400, 100, v, 0.5, delta) for v in range(101)])
    assert (np.diff(by_correct) <= 1e-12).all()


def test_the_one_run_bound_is_where_the_p_value_reaches_the_level():
    bound = one_run(500, 200, 150, 1e-5)
    assert p_value(500, 200, 150, bound, 1e-5) == pytest.approx(0.05, abs=1e-9)


def test_perfect_guesses_bound_epsilon_by_the_number_of_guesses():
    # q^r = 0.05 with q = e^eps / (1 + e^eps).
    q = 0.05 ** (1 / 100)
    assert one_run(100, 100, 100, 0.0) == pytest.approx(math.log(q / (1 - q)))


@pytest.mark.parametrize("fixed_size", [False, True])
@pytest.mark.parametrize(("shift", "delta"), [(0.3, 1e-3), (3.0, 1e-5)])
def test_bounds_exceed_the_epsilon_of_a_gaussian_mechanism_in_at_most_5_percent(
    shift, delta, fixed_size
):
    rng = np.random.default_rng(0)
    truth, n = gaussian_epsilon(shift, delta), 200
    threshold, guesses = np.empty(SIMULATIONS), np.empty(SIMULATIONS)
    for i in range(SIMULATIONS):
        scores, members = gaussian(rng, shift, n, fixed_size)
        threshold[i] = at_threshold(scores, members, delta, seed=i)
        correct = correct_guesses(scores, members, 30, 30, seed=i)
        guesses[i] = one_run_of_counts(n, 60, correct, delta)
    assert (threshold > truth).mean() <= 0.05
    assert (guesses > truth).mean() <= 0.05
    if shift == 3:  # so leaky that both bounds show it in every draw
        assert (threshold > 1).mean() > 0.95
        assert (guesses > 1).mean() > 0.95


@pytest.mark.parametrize("fixed_size", [False, True])
@pytest.mark.parametrize("eps", [0.0, 0.5, 2.0])
def test_bounds_exceed_that_of_randomised_response_in_about_5_percent_at_most(eps, fixed_size):
    # Here the one-run bound is tight; 6.5 % is two standard errors above 5 % for 1,000 draws.
    rng = np.random.default_rng(1)
    threshold, guesses = np.empty(SIMULATIONS), np.empty(SIMULATIONS)
    for i in range(SIMULATIONS):
        scores, members = randomised_response(rng, eps, 400, fixed_size)
        threshold[i] = at_threshold(scores, members, 0.0, seed=i)
        correct = correct_guesses(scores, members, 100, 100, seed=i)
        guesses[i] = one_run_of_counts(400, 200, correct, 0.0)
    assert (threshold > eps).mean() <= 0.05
    assert (guesses > eps).mean() <= 0.065


@pytest.mark.parametrize(("n", "share"), [(30, 0.072), (400, 0.045), (402, 0.056), (2000, 0.049)])
def test_on_a_pool_of_fixed_size_an_uninformative_model_is_accused_as_often_as_documented(n, share):
    accused = next(v for v in range(n + 1) if stats.binom.sf(v - 1, n, 0.5) < 0.05)
    # Half are guessed members: there are twice as many correct guesses as members among them.
    members = math.ceil(accused / 2)
    assert stats.hypergeom.sf(members - 1, n, n // 2, n // 2) == pytest.approx(share, abs=1e-3)


def test_both_directions_count():
    rng = np.random.default_rng(2)
    members = np.arange(2000) < 1000
    # Some non-members are certain, no member is: only the TNR over FNR direction shows it.
    scores = np.where(~members & (rng.random(2000) < 0.2), -5.0, 0.0)
    assert at_threshold(scores, members, 1e-5, seed=0) > 2
    assert at_threshold(-scores, ~members, 1e-5, seed=0) > 2


def test_an_uninformative_score_shows_nothing():
    members = np.arange(200) < 100
    assert at_threshold(np.zeros(200), members, 0.0, seed=0) == 0.0
    assert one_run(200, 100, 50, 0.0) == 0.0


def test_a_delta_that_explains_everything_leaves_no_bound():
    members = np.arange(400) < 200
    assert at_threshold(members.astype(float), members, 1.0, seed=0) == 0.0
    assert one_run(400, 400, 400, 1.0) == 0.0


def test_the_threshold_never_sees_the_half_that_it_is_judged_by():
    # The scores are uninformative: a threshold chosen on the judged records themselves would show
    # a bound far too often, even at a confidence of 20 %.
    rng = np.random.default_rng(3)
    members = np.arange(200) < 100
    honest, cheating = np.empty(500), np.empty(500)
    for i in range(500):
        scores = rng.normal(size=200)
        honest[i] = at_threshold(scores, members, 0.0, seed=i, level=0.2)
        true = np.cumsum(members[np.argsort(-scores)])
        false = np.arange(1, 201) - true
        ratios = lower_bound(true, 100, 0.8) / upper_bound(false, 100, 0.8)
        others = lower_bound(100 - false, 100, 0.8) / upper_bound(100 - true, 100, 0.8)
        cheating[i] = max(ratios.max(), others.max())
    assert np.mean(honest > 0) < 0.15
    assert np.mean(cheating > 1) > 0.5


def test_the_threshold_bound_is_that_of_the_rates_of_the_judged_half():
    # Every threshold between the classes makes no error on the 100 + 100 records of that half.
    members = np.arange(400) < 200
    rate, error = 0.0125 ** (1 / 100), 1 - 0.0125 ** (1 / 100)
    bound = at_threshold(members.astype(float), members, 0.01, seed=0)
    assert bound == pytest.approx(math.log((rate - 0.01) / error))


def test_ties_are_broken_without_the_labels():
    members = np.arange(1000) < 500
    counts = [correct_guesses(np.zeros(1000), members, 100, 100, seed=s) for s in range(200)]
    assert np.mean(counts) == pytest.approx(100, abs=2)


def test_correct_guesses_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])
    members = np.array([True, False, True, False, True, False])
    assert correct_guesses(scores, members, 2, 0, seed=0) == 1
    assert correct_guesses(scores, members, 0, 3, seed=0) == 2
    assert correct_guesses(scores, members, 3, 3, seed=0) == 4


def test_bounds_are_pure_functions_of_their_arguments():
    scores, members = gaussian(np.random.default_rng(0), 2.0, 300)
    assert at_threshold(scores, members, 0.0, 7) == at_threshold(scores, members, 0.0, 7)


@pytest.mark.parametrize("delta", [-0.1, 1.1, float("nan")])
def test_a_delta_that_is_not_a_probability_is_an_error(delta):
    with pytest.raises(DistilleakError, match="between 0 and 1"):
        p_value(10, 5, 3, 0.0, delta)
    with pytest.raises(DistilleakError, match="between 0 and 1"):
        at_threshold(np.zeros(8), np.arange(8) < 4, delta, seed=0)


@pytest.mark.parametrize(("m", "r", "v"), [(10, 11, 3), (10, 5, 6), (10, 5, -1)])
def test_impossible_counts_are_an_error(m, r, v):
    with pytest.raises(DistilleakError, match="allowed"):
        p_value(m, r, v, 0.0, 0.0)


def test_guesses_that_cannot_be_made_are_an_error():
    members = np.arange(10) < 5
    with pytest.raises(DistilleakError, match=r"6 \+ 5 guesses on 10"):
        correct_guesses(np.zeros(10), members, 6, 5, seed=0)
    with pytest.raises(DistilleakError, match="1 scores are NaN"):
        correct_guesses(np.append(np.zeros(9), np.nan), members, 1, 1, seed=0)


def test_two_halves_need_two_records_of_each_class():
    with pytest.raises(DistilleakError, match="1 records of a class"):
        at_threshold(np.zeros(5), np.arange(5) < 1, 0.0, seed=0)
