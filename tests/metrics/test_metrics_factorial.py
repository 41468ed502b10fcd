"""Contrasts of AUCs between records of the teacher, the student, both and neither."""

import numpy as np
import pytest
from replicates import resampled, stratified
from scipy import stats

from distilleak.errors import DistilleakError
from distilleak.metrics.bootstrap import interval
from distilleak.metrics.factorial import GROUPS, effects, groups


def example(rng, shifts, each=100, noise="normal"):
    """Scores of four groups of records, shifted by membership: (teacher, student, interaction)."""
    teacher = np.tile([False, True, False, True], each)
    student = np.tile([False, False, True, True], each)
    drawn = {"normal": rng.normal, "laplace": rng.laplace, "exponential": rng.standard_exponential}
    scores = drawn[noise](size=4 * each)
    scores = scores + shifts[0] * teacher + shifts[1] * student + shifts[2] * (teacher & student)
    return scores, teacher, student


def measured(scores, teacher, student, replicates=1, seed=0):
    w = stratified(groups(teacher, student), replicates, seed)
    return {m.metric: m for m in resampled(effects(scores, teacher, student), w)}


def slow_auc(higher, lower):
    wins = sum((a > b) + 0.5 * (a == b) for a in higher for b in lower)
    return wins / (len(higher) * len(lower))


def test_groups_are_numbered_in_the_order_of_their_names():
    teacher, student = np.array([False, True, False, True]), np.array([False, False, True, True])
    assert [GROUPS[g] for g in groups(teacher, student)] == [
        "neither",
        "teacher_only",
        "student_only",
        "both",
    ]


def test_contrasts_are_counts_of_pairs_between_the_groups():
    scores, teacher, student = example(np.random.default_rng(0), (0.5, 1.0, 0.5), each=15)
    scores = np.round(scores, 1)
    neither, t = scores[~teacher & ~student], scores[teacher & ~student]
    s, both = scores[~teacher & student], scores[teacher & student]
    found = measured(scores, teacher, student)
    expected = {
        "auc_teacher": slow_auc(t, neither),
        "auc_student": slow_auc(s, neither),
        "auc_both": slow_auc(both, neither),
        "auc_teacher_given_student": slow_auc(both, s),
        "auc_student_given_teacher": slow_auc(both, t),
    }
    expected["interaction"] = (
        expected["auc_teacher_given_student"]
        - expected["auc_teacher"]
        + expected["auc_student_given_teacher"]
        - expected["auc_student"]
    ) / 2
    assert {name: m.value for name, m in found.items()} == pytest.approx(expected)


def test_replicates_are_the_contrasts_of_the_drawn_records_written_out():
    scores, teacher, student = example(np.random.default_rng(1), (1.0, 0.3, 0.0), each=12)
    w = stratified(groups(teacher, student), 8, seed=3)
    found = {m.metric: m for m in resampled(effects(scores, teacher, student), w)}
    for b, row in enumerate(w):
        drawn = np.repeat(np.arange(48), row)
        again = measured(scores[drawn], teacher[drawn], student[drawn])
        for name, m in found.items():
            assert m.replicates[b] == pytest.approx(again[name].value)


@pytest.mark.parametrize("noise", ["normal", "laplace", "exponential"])
def test_there_is_no_interaction_where_effects_add_up_even_near_perfect_separation(noise):
    found = measured(*example(np.random.default_rng(2), (2.0, 3.0, 0.0), 4000, noise))
    assert found["interaction"].value == pytest.approx(0, abs=0.01)
    plain = sum(found[f"auc_{x}"].value * c for x, c in [("both", 1), ("teacher", -1)])
    plain = plain - found["auc_student"].value + 0.5
    assert plain < -0.25  # the rejected contrast: the AUC cannot exceed 1


@pytest.mark.parametrize(("extra", "sign"), [(1.0, 1), (-1.0, -1)])
def test_the_interaction_has_the_sign_of_what_both_memberships_add(extra, sign):
    found = measured(*example(np.random.default_rng(3), (1.0, 1.0, extra), 500), replicates=200)
    low, high = interval(found["interaction"].replicates)
    assert sign * found["interaction"].value > 0.1
    assert low > 0 if sign > 0 else high < 0


def test_teacher_and_student_change_places_with_their_columns():
    scores, teacher, student = example(np.random.default_rng(4), (1.0, 0.2, 0.4))
    one, other = measured(scores, teacher, student), measured(scores, student, teacher)
    assert one["auc_teacher"].value == other["auc_student"].value
    assert one["auc_teacher_given_student"].value == other["auc_student_given_teacher"].value
    assert one["interaction"].value == pytest.approx(other["interaction"].value)


def test_intervals_cover_the_truth_in_93_to_97_percent_of_data_sets():
    rng = np.random.default_rng(5)
    truth = {
        "auc_teacher": stats.norm.cdf(1.0 / np.sqrt(2)),
        "auc_student": stats.norm.cdf(0.5 / np.sqrt(2)),
        "auc_both": stats.norm.cdf(1.5 / np.sqrt(2)),
        "interaction": 0.0,
    }
    covered = dict.fromkeys(truth, 0)
    # One set of draws for all data sets, to save time; the data sets are independent anyway.
    w = stratified(np.tile(np.arange(4), 100), 300, seed=0)
    for _ in range(1000):
        found = {m.metric: m for m in resampled(effects(*example(rng, (1.0, 0.5, 0.0))), w)}
        for name, value in truth.items():
            low, high = interval(found[name].replicates)
            covered[name] += low <= value <= high
    for name, count in covered.items():
        assert 0.93 <= count / 1000 <= 0.97, (name, count)


def test_an_empty_group_is_an_error_that_names_it():
    teacher, student = np.array([True, True, False]), np.array([True, False, False])
    with pytest.raises(DistilleakError, match="no record in group 'student_only'"):
        effects(np.zeros(3), teacher, student)
