"""What an attack does where its formula leaves room: ties, nothing to divide by, nothing to count.

Every example is small enough to be worked out by hand.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_evidence import from_probabilities, of_logp, plain
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError
from scipy.special import rel_entr
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from synthetic_evidence import random_evidence, softmax_view

from distilleak import catalogue
from distilleak.attacks import (
    attack_p,
    attack_r,
    con_recall,
    dc_pdd,
    ez_mia,
    informia,
    joint,
    lira_offline,
    lira_online,
    neighbour,
    recall,
    reference,
    rmia,
    rmia_online,
    surp,
    wbc,
)
from distilleak.attacks.base import RESOLUTION, Needs
from distilleak.errors import DistilleakError
from distilleak.evidence.table import Evidence, Shadow, View

FLAT = [0.1] * 10  # entropy log 10 = 2.30
CERTAIN = [0.91, *[0.01] * 9]  # entropy 0.5


def score(module: Any, evidence: Evidence, **parameters: Any) -> Any:
    return module.score(evidence, module.Parameters(**parameters))


def logit(p: float) -> float:
    return math.log(p) - math.log(1 - p)


def of_p(*p: float) -> View:
    """One-token records whose true token has these probabilities."""
    return of_logp(*([math.log(value)] for value in p))


@pytest.mark.parametrize("name", catalogue.names("attacks"))
def test_an_attack_reads_no_more_than_it_declares(name: str) -> None:
    evidence = random_evidence(8, seed=2)
    module = catalogue.load("attacks", name)
    needs: Needs = module.NEEDS
    with_population = needs.references if needs.population else 0
    # Among the first few random shadow models, none might have trained on a given record.
    shadows = [
        replace(shadow, member=np.arange(8) % 2 == number % 2)
        for number, shadow in enumerate(evidence.shadows)
    ]
    declared = replace(
        evidence,
        views={view: evidence.views[view] for view in needs.views if view != "neighbour"},
        references=evidence.references[: needs.references],
        neighbours=evidence.neighbours if "neighbour" in needs.views else (),
        population=evidence.population if needs.population else None,
        reference_population=evidence.reference_population[:with_population],
        shadows=shadows[: needs.shadows],
        base=evidence.base if needs.base else None,
        teacher=evidence.teacher if needs.teacher else None,
        teacher_population=evidence.teacher_population if needs.teacher else None,
        unigram=evidence.unigram if needs.frequencies else None,
    )
    assert np.isfinite(score(module, declared)).all()


# SURP


def test_surp_averages_the_unlikely_tokens_where_the_model_is_certain() -> None:
    record = [(CERTAIN, 1), (FLAT, 0), (CERTAIN, 0), (CERTAIN, 2), (CERTAIN, 0)]
    view = from_probabilities(record)
    # The lowest two of five are the two improbable tokens. Of all five, the flat one is left out.
    assert_allclose(score(surp, plain(view)), [math.log(0.01)], rtol=1e-6)
    of_all = (2 * math.log(0.01) + 2 * math.log(0.91)) / 4
    assert_allclose(score(surp, plain(view), k=1.0), [of_all], rtol=1e-6)


def test_surp_looks_for_certainty_among_the_unlikely_tokens_not_the_reverse() -> None:
    # The lowest 40 % is the flat token alone; the certain ones, which are all likelier, are not
    # taken instead.
    view = from_probabilities([(FLAT, 0), (CERTAIN, 0), (CERTAIN, 0)])
    assert_allclose(score(surp, plain(view)), [math.log(0.1)], rtol=1e-6)


def test_surp_without_a_surprising_token_is_the_lowest_log_p() -> None:
    view = from_probabilities([([0.3, *[0.7 / 9] * 9], 0), (FLAT, 0), (FLAT, 1)], [(FLAT, 3)])
    assert_allclose(score(surp, plain(view)), [math.log(0.1)] * 2, rtol=1e-6)


def test_surp_takes_the_earlier_of_equally_likely_tokens() -> None:
    ten_percent = [0.1, 0.9, *[1e-30] * 8]  # as likely as in FLAT, but certain
    first = from_probabilities([(ten_percent, 0), (FLAT, 0), (CERTAIN, 0), (CERTAIN, 1)])
    last = from_probabilities([(FLAT, 0), (ten_percent, 0), (CERTAIN, 0), (CERTAIN, 1)])
    low, tenth = math.log(0.01), math.log(0.1)
    assert first.logp.values[0] == last.logp.values[0] == last.logp.values[1]
    assert_allclose(score(surp, plain(first), k=0.5), [(low + tenth) / 2], rtol=1e-6)
    assert_allclose(score(surp, plain(last), k=0.5), [low], rtol=1e-6)


# DC-PDD

COUNTS = np.array([7, 1, 0])  # smoothed: 8/11, 2/11, 1/11


def test_dc_pdd_counts_only_the_first_occurrence_of_a_token_in_a_record() -> None:
    p = [0.2, 0.3, 0.5]
    view = from_probabilities([(p, 0), (p, 2), (p[::-1], 0), (p[::-1], 2)], [(p, 2), (p, 2)])
    evidence = plain(view, unigram=COUNTS)
    rare = 0.5 * math.log(11)
    common = 0.2 * math.log(11 / 8)
    # The tokens of another record do not matter.
    assert_allclose(score(dc_pdd, evidence, a=9.0), [(common + rare) / 2, rare], rtol=1e-6)


def test_dc_pdd_clips_the_contribution_of_one_token() -> None:
    view = from_probabilities([([0.2, 0.3, 0.5], 0), ([0.997, 0.001, 0.002], 2)])
    clipped = (0.01 + 0.002 * math.log(11)) / 2
    assert_allclose(score(dc_pdd, plain(view, unigram=COUNTS)), [clipped], rtol=1e-6)


def test_dc_pdd_without_the_count_of_a_token_is_an_error() -> None:
    view = from_probabilities([([0.2, 0.3, 0.5], 2)])
    with pytest.raises(DistilleakError, match="needs the token counts"):
        score(dc_pdd, plain(view))
    with pytest.raises(DistilleakError, match="token 2, but only the tokens below 2"):
        score(dc_pdd, plain(view, unigram=COUNTS[:2]))


# Con-ReCaLL and the neighbourhood


def test_con_recall_subtracts_the_cost_of_the_member_prefix() -> None:
    views = {
        "plain": of_logp([-1.0, -3.0]),
        "prefix_nonmember": of_logp([-4.0, -4.0]),
        "prefix_member": of_logp([-1.0, -1.0]),
    }
    evidence = Evidence(["r0"], ["text"], views, [])
    assert_allclose(score(con_recall, evidence), [(4 - 0.5 * 1) / 2], rtol=1e-6)
    assert_allclose(score(con_recall, evidence, gamma=2.0), [(4 - 2 * 1) / 2], rtol=1e-6)
    assert_array_equal(score(con_recall, evidence, gamma=0.0), score(recall, evidence))


def test_neighbour_compares_the_mean_loss_of_the_copies() -> None:
    copies = [of_logp([-4.0], [-1.0]), of_logp([-2.0, -6.0, -4.0], [-3.0])]  # lengths may differ
    evidence = plain(of_logp([-1.0, -2.0], [-5.0]), neighbours=copies)
    assert_allclose(score(neighbour, evidence), [4.0 - 1.5, 2.0 - 5.0], rtol=1e-6)


# The error zone


def test_ez_mia_weighs_what_was_raised_against_what_was_lowered_at_wrong_tokens() -> None:
    target = [([0.3, 0.7], 0), ([0.2, 0.8], 0), ([0.9, 0.1], 0)]
    reference = [([0.1, 0.9], 0), ([0.4, 0.6], 0), ([0.1, 0.9], 0)]  # the last does not count
    evidence = plain(from_probabilities(target), references=[from_probabilities(reference)])
    assert_allclose(score(ez_mia, evidence), [math.log(3) / math.log(2)], rtol=1e-6)


def test_ez_mia_with_nothing_lowered_is_large_and_finite_and_grows_with_what_was_raised() -> None:
    evidence = plain(of_p(0.1, 0.2, 0.4), references=[of_p(0.1, 0.1, 0.1)])
    scores = score(ez_mia, evidence)
    assert_allclose(scores[0], 1.0)  # nothing was raised either
    assert_allclose(scores[1:], np.log([2, 4]) / RESOLUTION, rtol=1e-6)


def test_ez_mia_with_very_little_lowered_has_the_same_limit() -> None:
    raised, shrinking = 0.2, np.logspace(-1, -12, 12)
    scores = [
        score(
            ez_mia,
            plain(
                of_logp([math.log(0.2), -2.0]),
                references=[of_logp([math.log(0.2) - raised, -2.0 + lowered])],
            ),
        )[0]
        for lowered in shrinking
    ]
    assert (np.diff(scores) >= 0).all()
    assert_allclose(scores[-1], raised / RESOLUTION, rtol=1e-5)


def test_ez_mia_ranks_a_record_without_wrong_tokens_as_known_by_heart() -> None:
    evidence = plain(of_p(0.9, 0.2, 0.3), references=[of_p(0.95, 0.1, 0.4)])
    right, raised, lowered = score(ez_mia, evidence)
    assert right == 1 / RESOLUTION
    assert right > lowered
    assert raised > lowered


def test_ez_mia_does_not_count_a_tied_first_choice_as_wrong() -> None:
    evidence = plain(of_p(0.5), references=[of_p(0.9)])
    assert score(ez_mia, evidence) == [1 / RESOLUTION]


# Windows


def test_wbc_has_ten_windows_from_2_to_40() -> None:
    lengths = wbc.window_lengths(wbc.Parameters())
    assert lengths.tolist() == [2, 3, 4, 5, 8, 11, 15, 21, 29, 40]


def shifted(*records: list[float]) -> Evidence:
    """Evidence with these values of l_T - l_R; floats hold them exactly."""
    ids, lengths = [f"r{n}" for n in range(len(records))], [len(record) for record in records]
    view = softmax_view(ids, lengths, np.zeros((sum(lengths), 2)), np.zeros(sum(lengths)))
    logp = replace(view.logp, values=np.concatenate(records).astype(np.float32) - 8)
    return plain(
        replace(view, logp=logp),
        references=[replace(view, logp=replace(logp, values=np.full_like(logp.values, -8.0)))],
    )


def test_wbc_is_the_mean_over_lengths_of_the_share_of_windows_above_0() -> None:
    evidence = shifted([1.0, -2.0, 3.0, 1.0])
    # Of length 2: -1, 1, 4; of length 3: 2, 2; of length 4: 3.
    assert_allclose(score(wbc, evidence), [(2 / 3 + 1 + 1) / 3])


def test_wbc_treats_a_record_shorter_than_every_window_as_one_window() -> None:
    evidence = shifted([1.0], [-1.0], [2.0, -1.0, 3.0])
    assert_allclose(score(wbc, evidence, shortest=5), [1.0, 0.0, 1.0])
    assert_allclose(score(wbc, evidence), [1.0, 0.0, 1.0])


def test_wbc_windows_end_with_the_record() -> None:
    evidence = shifted([-1.0, -1.0, -1.0], [9.0, 9.0], [-1.0, -1.0])
    assert_allclose(score(wbc, evidence), [0.0, 1.0, 0.0])


def test_wbc_does_not_count_a_tie() -> None:
    evidence = shifted([0.1, 0.2, 0.3], [0.5, -0.5, 0.5, -0.5], [0.0] * 50)
    assert_allclose(score(wbc, evidence)[1:], [np.mean([0, 0.5, 0]), 0.0])


def test_wbc_counts_a_length_that_occurs_twice_twice() -> None:
    evidence = shifted([1.0, -2.0, 3.0, 1.0])
    both = score(wbc, evidence, shortest=2, longest=3, lengths=4)  # 2, 2, 3, 3
    assert_allclose(both, [(2 / 3 + 1) / 2])
    unequal = score(wbc, evidence, shortest=2, longest=4, lengths=5)  # 2, 2, 3, 3, 4
    assert_allclose(unequal, [(2 * 2 / 3 + 2 + 1) / 5])


def test_wbc_refuses_a_longest_window_below_the_shortest() -> None:
    with pytest.raises(ValidationError, match="longest, 3, is below shortest, 4"):
        wbc.Parameters(shortest=4, longest=3)


@pytest.mark.parametrize("module", [wbc, ez_mia, informia])
def test_a_reference_model_with_other_tokens_is_an_error(module: Any) -> None:
    target = from_probabilities([([0.5, 0.5], 0), ([0.5, 0.5], 1)])
    for other in (
        from_probabilities([([0.5, 0.5], 1), ([0.5, 0.5], 0)]),
        from_probabilities([([0.5, 0.5], 0)]),
    ):
        with pytest.raises(DistilleakError, match="scored different tokens from the target"):
            score(module, plain(target, references=[target, other]))


# Ranks in a population and among reference models


def test_attack_p_is_the_share_of_the_population_with_a_strictly_higher_loss() -> None:
    evidence = plain(of_p(0.05, 0.1, 0.3, 0.9), population=of_p(0.6, 0.1, 0.1, 0.4))
    assert_array_equal(score(attack_p, evidence), [0.0, 0.0, 0.5, 1.0])


def test_attack_r_is_the_share_of_reference_models_with_a_strictly_higher_loss() -> None:
    references = [of_p(0.2, 0.9), of_p(0.5, 0.9), of_p(0.6, 0.9), of_p(0.1, 0.9)]
    evidence = plain(of_p(0.5, 0.9), references=references)
    assert_array_equal(score(attack_r, evidence), [0.5, 0.0])


@pytest.mark.parametrize("module", [attack_p, rmia, rmia_online, joint])
def test_a_nan_in_the_population_names_the_population_record(module: Any) -> None:
    evidence = random_evidence(5, seed=0)
    assert evidence.population is not None
    logp = evidence.population.logp
    values = logp.values.copy()
    values[logp.offsets[3]] = np.nan
    broken = replace(evidence.population, logp=replace(logp, values=values))
    with pytest.raises(DistilleakError, match=r"population record 'population-3'.*nan"):
        score(module, replace(evidence, population=broken))
    with pytest.raises(DistilleakError, match="there is none"):
        score(module, replace(evidence, population=None))


# Likelihood ratios


def test_lira_offline_is_the_one_sided_probability_of_the_reference_models() -> None:
    references = [of_p(0.4), of_p(0.5), of_p(0.6)]
    out = [logit(0.4), 0.0, logit(0.6)]
    z = (logit(0.8) - np.mean(out)) / np.std(out, ddof=1)
    evidence = plain(of_p(0.8), references=references)
    for variance in ("pooled", "per_record"):  # the same for one record
        found = score(lira_offline, evidence, variance=variance)
        assert_allclose(found, [math.log(norm.cdf(z))], rtol=1e-5)


def test_lira_offline_ranks_lowest_what_the_target_knows_less_unlike_a_two_sided_density() -> None:
    spread = [of_p(*[p] * 3) for p in (0.4, 0.5, 0.6)]
    worse, same, better = score(lira_offline, plain(of_p(0.001, 0.5, 0.95), references=spread))
    assert worse < same < better
    unlikely = -norm.logpdf([logit(0.001), 0.0, logit(0.95)])
    assert unlikely[0] > unlikely[2] > unlikely[1]


def test_lira_offline_stays_finite_and_ordered_far_below_the_reference_models() -> None:
    p = np.logspace(-3, -35, 9)
    references = [of_p(*[value] * 9) for value in (0.499, 0.5, 0.501)]
    scores = score(lira_offline, plain(of_p(*p), references=references))
    assert np.isfinite(scores).all()
    assert (np.diff(scores) < 0).all()
    assert scores[-1] < -1e6  # where Phi itself is 0


def test_lira_pools_the_variance_about_the_mean_of_each_record() -> None:
    # By hand: deviations of 1 about means far apart; unbiased over (3 - 1) + (3 - 1).
    references = [of_logit([level - 1, -5.0]) for level in (0, 1, 2)]
    target = of_logit([2.0, -4.0])
    pooled = math.sqrt((2 * 1.0 + 0.0) / 4)
    found = score(lira_offline, plain(target, references=references))
    assert_allclose(found, norm.logcdf([2 / pooled, 1 / pooled]), rtol=1e-4)
    own = score(lira_offline, plain(target, references=references), variance="per_record")
    assert_allclose(own[0], norm.logcdf(2.0), rtol=1e-4)


def of_logit(values: list[float]) -> View:
    """One-token records with this confidence phi."""
    zeros, ids = np.zeros(len(values)), [f"r{n}" for n in range(len(values))]
    return softmax_view(ids, [1] * len(values), np.stack([values, zeros], axis=1), zeros)


def test_lira_of_reference_models_that_agree_is_decided_by_the_side_of_the_target() -> None:
    agreed = of_logit([1.0, 1.0, 1.0])
    evidence = plain(of_logit([0.9, 1.0, 1.1]), references=[agreed, agreed])
    for variance in ("pooled", "per_record"):
        low, same, high = score(lira_offline, evidence, variance=variance)
        assert -np.inf < low < same
        assert_allclose(same, math.log(0.5), rtol=1e-5)
        assert high == 0.0


def test_lira_distinguishes_texts_that_are_equally_certain_by_log_p() -> None:
    certain = of_logit([20.0, 30.0, 40.0])
    assert (certain.logp.values[1:] > -1e-12).all()
    references = [of_logit([19.0, 19.0, 19.0]), of_logit([21.0, 21.0, 21.0])]
    scores = score(lira_offline, plain(certain, references=references))
    assert scores[0] < scores[1] < scores[2] <= 0
    assert_allclose(scores[0], math.log(0.5), rtol=1e-4)


def shadowed(target: list[float], *shadows: tuple[list[float], list[bool]]) -> Evidence:
    return plain(
        of_logit(target),
        shadows=[Shadow(of_logit(phi), np.array(member)) for phi, member in shadows],
    )


def test_lira_online_is_the_log_ratio_of_two_normal_densities() -> None:
    evidence = shadowed(
        [2.0],
        *(([phi], [True]) for phi in (1.0, 3.0, 5.0)),
        *(([phi], [False]) for phi in (-1.0, 0.0)),
    )
    density = norm.logpdf(2.0, 3.0, 2.0) - norm.logpdf(2.0, -0.5, math.sqrt(0.5))
    for variance in ("pooled", "per_record"):  # the same for one record
        assert_allclose(score(lira_online, evidence, variance=variance), [density], rtol=1e-5)


def test_lira_online_pools_the_two_sides_separately() -> None:
    yes, no = [True, False], [False, True]  # of two records
    evidence = shadowed(
        [0.5, 0.5],
        ([1.0, 0.0], yes),
        ([3.0, 4.0], yes),
        ([0.0, 7.0], no),
        ([1.0, 7.0], no),
    )
    # With: deviations of 1 about 2 and of 0 about 7. Without: 0.5 about 0.5 and 2 about 2.
    with_x, without_x = math.sqrt(2 / 2), math.sqrt((0.5 + 8) / 2)
    expected = [
        norm.logpdf(0.5, 2.0, with_x) - norm.logpdf(0.5, 0.5, without_x),
        norm.logpdf(0.5, 7.0, with_x) - norm.logpdf(0.5, 2.0, without_x),
    ]
    assert_allclose(score(lira_online, evidence), expected, rtol=1e-4)


def test_lira_with_too_few_models_on_one_side_names_the_record() -> None:
    lopsided = shadowed([0.0, 0.0], *(([0.0, 0.0], [True, n < 1]) for n in range(4)))
    with pytest.raises(DistilleakError, match=r"record 'r0': 0 models.*'pooled' needs at least 1"):
        score(lira_online, lopsided)
    with pytest.raises(DistilleakError, match=r"record 'r1': 1 models.*'per_record'.*at least 2"):
        score(lira_online, lopsided, variance="per_record")
    with pytest.raises(DistilleakError, match="a variance needs two or more models"):
        score(lira_offline, plain(of_logit([0.0]), references=[of_logit([0.0])]))


# RMIA


def test_rmia_is_the_share_of_the_population_that_x_beats_by_the_factor_gamma() -> None:
    evidence = plain(
        of_p(0.4),
        references=[of_p(0.1), of_p(0.3)],
        population=of_p(0.2, 0.3, 0.8),
        reference_population=[of_p(0.2, 0.1, 0.9), of_p(0.2, 0.3, 0.7)],
    )
    # Without an assumption, p / pbar is 2 for x, and 1, 1.5 and 1 for the population.
    assert_allclose(score(rmia, evidence, a=1.0), [1.0])
    assert_allclose(score(rmia, evidence, a=1.0, gamma=1.5), [2 / 3])
    assert_allclose(score(rmia, evidence, a=1.0, gamma=2.5), [0.0])
    # With a = 0 all models with a record are sure of it: 0.4 / 0.6 = 0.67 for x; 0.2 / 0.6 = 0.33,
    # 0.3 / 0.6 = 0.5, 0.8 / 0.9 = 0.89 for the population.
    assert_allclose(score(rmia, evidence, a=0.0), [2 / 3])
    assert_allclose(score(rmia, evidence, a=0.0, gamma=1.5), [1 / 3])


@pytest.mark.parametrize("a", [0.0, 0.3, 0.9, 1.0])
def test_rmia_does_not_count_a_record_of_the_population_that_is_like_x(a: float) -> None:
    view, reference = of_p(0.4, 1e-20, 0.999), of_p(0.2, 1e-10, 0.5)
    for record in range(3):
        x, r = (of_logp([float(v.logp.values[record])]) for v in (view, reference))
        evidence = plain(x, references=[r], population=x, reference_population=[r])
        assert_array_equal(score(rmia, evidence, a=a), [0.0])


def test_rmia_online_measures_models_with_x() -> None:
    evidence = plain(
        of_p(0.4, 0.4),
        references=[of_p(0.9, 0.9)],  # of x, only the shadow models count
        population=of_p(0.2, 0.3, 0.8),
        reference_population=[of_p(0.9, 0.9, 0.9)],  # nor of the population
        shadows=[
            Shadow(of_p(0.5, 0.1), np.array([True, False]), of_p(0.1, 0.1, 0.999)),
            Shadow(of_p(0.7, 0.1), np.array([True, False]), of_p(0.2, 0.3, 0.999)),
            Shadow(of_p(0.1, 0.4), np.array([False, True]), of_p(0.3, 0.2, 0.999)),
        ],
    )
    # The population: p / pbar is 0.2 / 0.2 = 1, 0.3 / 0.2 = 1.5 and 0.8 / 0.999 = 0.8.
    # x: 0.4 / ((0.6 + 0.1) / 2) = 1.14 and 0.4 / ((0.4 + 0.1) / 2) = 1.6; each side counts half.
    assert_allclose(score(rmia_online, evidence), [2 / 3, 1.0])
    assert_allclose(score(rmia_online, evidence, gamma=1.2), [1 / 3, 2 / 3])


def test_rmia_online_needs_models_with_and_without_every_record() -> None:
    evidence = random_evidence(5, seed=0)
    member = np.array([True, False, True, True, False])
    shadows = [replace(shadow, member=member) for shadow in evidence.shadows]
    with pytest.raises(
        DistilleakError, match=r"record 'record-0': all shadow models trained on it"
    ):
        score(rmia_online, replace(evidence, shadows=shadows))


# InfoRMIA

Distribution = list[float]


def gained(target: Distribution, *references: Distribution, true: int = 0) -> tuple[float, float]:
    """The score of a record of one token, and the paper's, over the complete vocabulary."""
    evidence = plain(
        from_probabilities([(target, true)]),
        references=[from_probabilities([(p, true)]) for p in references],
    )
    p = np.mean(references, axis=0)
    paper = np.log(target[true] / p[true]) + rel_entr(p, target).sum()
    return float(score(informia, evidence)[0]), float(paper)


@pytest.mark.parametrize(
    ("target", "references"),
    [
        ([0.8, 0.2], ([0.5, 0.5],)),
        ([0.2, 0.8], ([0.5, 0.5], [0.9, 0.1])),
        ([0.5, 0.5], ([0.2, 0.8], [0.3, 0.7], [0.7, 0.3])),
        ([1 - 1e-6, 1e-6], ([0.3, 0.7],)),
        ([1e-6, 1 - 1e-6], ([1 - 1e-6, 1e-6],)),
    ],
)
def test_informia_of_two_outcomes_is_that_of_the_paper(
    target: Distribution, references: tuple[Distribution, ...]
) -> None:
    found, paper = gained(target, *references)
    assert_allclose(found, paper, rtol=1e-5)


def test_informia_adds_no_more_than_the_divergence_over_the_vocabulary() -> None:
    generator = np.random.default_rng(0)
    differ = 0
    for p, q in generator.dirichlet([0.3] * 6, (200, 2)):
        found, paper = gained(list(p), list(q))
        alone = math.log(p[0] / q[0])
        assert alone - 1e-5 <= found <= paper + 1e-5
        differ += paper - found > 0.1
    assert differ > 100  # the bound is not the formula itself


def test_informia_counts_a_token_by_how_surprising_it_is_without_training() -> None:
    # (1 - p) (logit p_T - logit p): the logits of 0.5, 0.8 and 16 / 17 are log 4 apart.
    assert_allclose(gained([0.8, 0.2], [0.5, 0.5])[0], 0.5 * math.log(4), rtol=1e-6)
    assert_allclose(gained([16 / 17, 1 / 17], [0.8, 0.2])[0], 0.2 * math.log(4), rtol=1e-6)
    assert_allclose(gained([0.5, 0.5], [0.8, 0.2])[0], -0.2 * math.log(4), rtol=1e-6)


def test_informia_takes_the_mean_of_probabilities_over_models_and_of_scores_over_tokens() -> None:
    evidence = plain(
        of_logp([math.log(0.8), math.log(0.5)]),
        references=[
            of_logp([math.log(0.1), math.log(0.5)]),
            of_logp([math.log(0.9), math.log(0.5)]),
        ],
    )
    assert_allclose(score(informia, evidence), [0.5 * math.log(4) / 2], rtol=1e-6)


@pytest.mark.parametrize("rest", [1e-30, 1e-200])
def test_informia_of_a_token_that_is_certain_anyway_is_close_to_0(rest: float) -> None:
    # By log p alone the models are equal.
    view, other = (
        softmax_view(["r"], [1], np.array([[0.0, math.log(value)]]), np.zeros(1))
        for value in (rest, rest * 1e3)
    )
    found = score(informia, plain(view, references=[other]))
    assert view.logp.values[0] == other.logp.values[0] == 0.0
    assert_allclose(found, [rest * 1e3 * math.log(1e3)], rtol=1e-4)
    assert found[0] > 0


# Of informia the order of tokens and models does not matter, of joint that of the records


@pytest.mark.parametrize("module", [informia, joint])
def test_the_order_of_reference_models_does_not_matter(module: Any) -> None:
    evidence = random_evidence(20, seed=9)
    order = [2, 0, 1]
    turned = replace(
        evidence,
        references=[evidence.references[number] for number in order],
        reference_population=[evidence.reference_population[number] for number in order],
    )
    assert_allclose(score(module, turned), score(module, evidence), rtol=1e-9, atol=1e-12)


def test_informia_does_not_depend_on_the_order_of_tokens() -> None:
    p, q = [0.2, 0.9, 0.6, 0.01], [0.3, 0.5, 0.7, 0.2]

    def of(order: list[int]) -> Any:
        target, other = (of_logp([math.log(each[at]) for at in order]) for each in (p, q))
        return score(informia, plain(target, references=[other]))

    assert_allclose(of([3, 1, 0, 2]), of([0, 1, 2, 3]), rtol=1e-12)


# Student and teacher


def together(teacher: View | None, population: View | None) -> Evidence:
    """A student, its population and a reference model on both; with them a teacher."""
    return plain(
        of_logp([-1.0], [-3.0]),
        references=[of_logp([-2.0], [-2.0])],
        population=of_logp([-2.0], [-3.0], [-4.0]),
        reference_population=[of_logp([-2.0], [-2.0], [-2.0])],
        teacher=teacher,
        teacher_population=population,
    )


def test_joint_is_the_mean_of_two_z_scores() -> None:
    evidence = together(of_logp([-1.0], [-1.0]), of_logp([-2.0], [-4.0], [-6.0]))
    # The student gains 1 and -1, on the population 0, -1 and -2 (mean -1, deviation 1): z = 2, 0.
    # The teacher gains 1 and 1, on the population 0, -2 and -4 (mean -2, deviation 2): z = 1.5.
    assert_allclose(score(joint, evidence), [1.75, 0.75], rtol=1e-6)


def test_joint_on_a_model_without_a_teacher_is_its_own_z_score() -> None:
    evidence = random_evidence(30, seed=4)
    alone = replace(
        evidence, teacher=evidence.views["plain"], teacher_population=evidence.population
    )
    found = score(joint, alone)
    assert_array_equal(np.argsort(found), np.argsort(score(reference, evidence)))


def test_joint_finds_more_than_either_model_alone_where_both_know_something() -> None:
    generator = np.random.default_rng(0)
    member = np.arange(4000) % 2 == 0
    for correlation in (0.0, 0.6):
        covariance = [[1.0, correlation], [correlation, 1.0]]
        noise = generator.multivariate_normal([0, 0], covariance, 8000)
        # The teacher's gains are larger and noisier, so that their plain sum would be its own.
        known = (noise[:4000] + member[:, None]) * [0.02, 1.0] - 5.0
        other = noise[4000:] * [0.02, 1.0] - 5.0
        (student, teacher), (s, t) = (
            [of_logp(*gains[:, [side]].tolist()) for side in (0, 1)] for gains in (known, other)
        )
        ids = [of_logp(*([-5.0] for _ in member))]
        evidence = plain(
            student,
            references=ids,
            population=s,
            reference_population=ids,
            teacher=teacher,
            teacher_population=t,
        )
        # The best test of two normal distributions: d' = sqrt((1, 1) inverse(covariance) (1, 1)).
        best = norm.cdf(math.sqrt(2 / (1 + correlation)) / math.sqrt(2))
        found = roc_auc_score(member, score(joint, evidence))
        alone = roc_auc_score(member, score(reference, evidence))
        assert abs(found - best) < 0.015
        assert abs(alone - norm.cdf(1 / math.sqrt(2))) < 0.02
        assert found > alone + 0.02


def test_joint_of_a_population_without_spread_stays_finite() -> None:
    flat = of_logp([-2.0], [-2.0], [-2.0])
    evidence = replace(together(of_logp([-1.0], [-3.0]), flat), population=flat)
    assert_allclose(score(joint, evidence), np.array([1.0, -1.0]) / RESOLUTION, rtol=1e-6)


def test_joint_without_a_teacher_or_a_population_of_two_is_an_error() -> None:
    with pytest.raises(DistilleakError, match="needs evidence of the teacher; there is none"):
        score(joint, together(None, None))
    one = of_logp([-2.0])
    evidence = replace(together(one, one), population=one, reference_population=[one])
    with pytest.raises(DistilleakError, match="two population records or more"):
        score(joint, evidence)
