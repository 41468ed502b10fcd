"""Ensembles by vote."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables_study import EVALUATION, write_scores

from distilleak.errors import DistilleakError
from distilleak.metrics.thresholds import cross_fitted, folds
from distilleak.scoring.voting import MARGIN, vote
from distilleak.stages import score_vote

POOL = np.repeat(["member", "nonmember", "holdout"], [60, 60, 30])
IDS = np.array([f"r{number:03d}" for number in range(150)])


def slow_decision(scores, thresholds):
    """Majority of the students, record by record; ties by the mean standardised margin."""
    decisions = []
    for record in range(scores.shape[1]):
        votes, margins = 0, []
        for student in range(len(scores)):
            score, threshold = scores[student, record], thresholds[student, record]
            votes += score > threshold
            margin = (score - threshold) / (np.std(scores[student]) or 1.0)
            margins.append(min(max(margin, -MARGIN), MARGIN))
        tie = 2 * votes == len(scores) and sum(margins) / len(margins) > 0
        decisions.append(2 * votes > len(scores) or tie)
    return np.array(decisions)


@pytest.mark.parametrize("students", range(1, 9))
def test_score_is_above_one_half_exactly_for_a_majority_or_a_tie_with_positive_margin(students):
    rng = np.random.default_rng(students)
    scores = rng.standard_t(2, size=(students, 500))
    thresholds = rng.normal(size=(students, 500))
    thresholds[rng.random(thresholds.shape) < 0.1] = np.inf
    found = vote(scores, thresholds)
    np.testing.assert_array_equal(found > 0.5, slow_decision(scores, thresholds))


@given(st.integers(1, 8), st.integers(0, 10**6), st.sampled_from([1e-3, 1.0, 1e6]))
@settings(max_examples=50, deadline=None)
def test_votes_come_before_margins_and_scores_stay_between_zero_and_one(students, seed, scale):
    rng = np.random.default_rng(seed)
    scores = scale * rng.standard_cauchy(size=(students, 40))
    thresholds = scale * rng.normal(size=(students, 40))
    found = vote(scores, thresholds)
    assert ((found > 0) & (found < 1)).all()
    order = np.argsort(found)
    assert (np.diff((scores > thresholds).sum(axis=0)[order]) >= 0).all()


def test_students_that_call_nobody_a_member_give_finite_scores_below_one_half():
    scores = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
    found = vote(scores, np.full((2, 3), np.inf))
    assert np.isfinite(found).all()
    assert (found < 0.5).all()


def test_scales_of_the_students_do_not_matter():
    rng = np.random.default_rng(0)
    scores, thresholds = rng.normal(size=(2, 4, 100))
    scale = np.array([[1.0], [100.0], [0.01], [7.0]])
    np.testing.assert_allclose(vote(scores * scale, thresholds * scale), vote(scores, thresholds))


def run(tmp_path, tables, seed=3):
    paths = []
    for number, columns in enumerate(tables):
        paths.append(tmp_path / f"{number}.parquet")
        write_scores(paths[-1], *columns)
    output = tmp_path / "vote.parquet"
    options = ["--scores", *map(str, paths), "--evaluation", json.dumps(EVALUATION)]
    options += ["--seed", str(seed), "--output", str(output)]
    score_vote.main(options)
    return pq.read_table(output).to_pandas()


def students(count, attacks=("loss", "zlib"), n=150):
    rng = np.random.default_rng(count)
    return [
        {attack: rng.normal(size=n) + (POOL[:n] == "member") for attack in attacks}
        for _ in range(count)
    ]


@pytest.mark.parametrize("count", [2, 3])
def test_the_stage_votes_with_each_student_s_cross_fitted_decision(tmp_path, count):
    rng = np.random.default_rng(0)
    made = students(count)
    orders = [rng.permutation(150) for _ in made]
    tables = [
        (IDS[order], POOL[order], {attack: s[order] for attack, s in scores.items()})
        for order, scores in zip(orders, made, strict=True)
    ]
    found = run(tmp_path, tables)
    labels = POOL[:120] == "member"
    fold = folds(labels, EVALUATION["folds"], 3)
    for attack in ("loss", "zlib"):
        scores = np.stack([each[attack][:120] for each in made])
        thresholds = np.stack([cross_fitted(row, labels, fold) for row in scores])
        np.testing.assert_array_equal(found[attack] > 0.5, slow_decision(scores, thresholds))


def test_the_file_has_the_columns_of_scores_and_only_the_evaluation_pools(tmp_path):
    found = run(tmp_path, [(IDS, POOL, scores) for scores in students(2)])
    assert list(found) == ["record_id", "pool", "teacher_member", "student_member", "loss", "zlib"]
    assert list(found["record_id"]) == list(IDS[:120])
    assert set(found["pool"]) == {"member", "nonmember"}
    assert list(found["teacher_member"]) == list(POOL[:120] == "member")


def test_students_with_different_records_are_an_error(tmp_path):
    one, two = students(2)
    other = np.where(IDS == "r007", "x007", IDS)
    with pytest.raises(DistilleakError, match=r"1\.parquet: record 'r007' is in only one"):
        run(tmp_path, [(IDS, POOL, one), (other, POOL, two)])


def test_students_with_different_attacks_are_an_error(tmp_path):
    (one,), (two,) = students(1), students(1, attacks=("loss",))
    with pytest.raises(DistilleakError, match=r"1\.parquet: attacks loss; .* has loss, zlib"):
        run(tmp_path, [(IDS, POOL, one), (IDS, POOL, two)])


def test_students_that_disagree_on_membership_are_an_error(tmp_path):
    one, two = students(2)
    swapped = POOL.copy()
    swapped[[0, 119]] = swapped[[119, 0]]
    with pytest.raises(DistilleakError, match="membership differs"):
        run(tmp_path, [(IDS, POOL, one), (IDS, swapped, two)])
