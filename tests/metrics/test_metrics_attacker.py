"""The attacker who picks on other folds: against a slow reference, with ties and weights."""

import numpy as np
import pytest

from distilleak.errors import DistilleakError
from distilleak.metrics.attacker import FPR, attack, attack_all
from distilleak.metrics.bootstrap import weights
from distilleak.metrics.thresholds import at_fpr, folds


def slow_auc(members, nonmembers):
    wins = (members[:, None] > nonmembers) + (members[:, None] == nonmembers) / 2
    return wins.mean()


def slow_attack(scores, labels, fold):
    """Record by record, with copies as records of their own: (picked, turned, auc, tpr, fpr)."""
    picked, turned, won, pairs, found, accused = [], [], 0.0, 0, 0, 0
    for k in sorted(set(fold.tolist())):
        others, held = fold != k, fold == k
        aucs = [slow_auc(row[others & labels], row[others & ~labels]) for row in scores]
        best = max(range(len(aucs)), key=lambda a: abs(aucs[a] - 0.5))
        sign = -1 if aucs[best] < 0.5 else 1
        score = sign * scores[best]
        threshold = at_fpr(score[others & ~labels], FPR)
        members, nonmembers = score[held & labels], score[held & ~labels]
        won += slow_auc(members, nonmembers) * len(members) * len(nonmembers)
        pairs += len(members) * len(nonmembers)
        found += (members > threshold).sum()
        accused += (nonmembers > threshold).sum()
        picked.append(best)
        turned.append(sign < 0)
    return picked, turned, won / pairs, found / labels.sum(), accused / (~labels).sum()


def game(seed, members=70, nonmembers=230, attacks=4):
    """Scores of which some tie, one is turned, and none finds much."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(members + nonmembers) < members)
    scores = rng.normal(size=(attacks, len(labels))) + 0.4 * labels * rng.normal(size=(attacks, 1))
    scores[1] = np.round(scores[1])
    scores[2] -= 0.6 * labels
    return scores, labels, folds(labels, 4, seed)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_slow_reference(seed):
    scores, labels, fold = game(seed)
    found = attack(scores, labels, fold, np.ones((1, len(labels)), np.int16))
    picked, turned, *rates = slow_attack(scores, labels, fold)
    assert found.picked[0].tolist() == picked
    assert found.turned[0].tolist() == turned
    assert [found.auc[0], found.tpr[0], found.fpr[0]] == pytest.approx(rates, abs=1e-12)


def test_a_replicate_is_the_attack_on_the_records_that_it_draws():
    scores, labels, fold = game(7)
    (drawn,) = weights(labels, 12, 3)
    found = attack(scores, labels, fold, drawn)
    for replicate, row in enumerate(drawn):
        copies = np.repeat(np.arange(len(labels)), row)
        picked, turned, *rates = slow_attack(scores[:, copies], labels[copies], fold[copies])
        assert found.picked[replicate].tolist() == picked
        assert found.turned[replicate].tolist() == turned
        measured = [values[replicate] for values in (found.auc, found.tpr, found.fpr)]
        assert measured == pytest.approx(rates, abs=1e-12)
    assert len({tuple(row) for row in found.picked.tolist()}) > 1, "no replicate picks another"


def test_picking_on_the_judged_records_would_be_optimistic():
    """The best of twenty attacks that find nothing seems to find something."""
    labels = np.arange(200) < 100
    rng, honest, optimistic = np.random.default_rng(0), [], []
    ones = np.ones((1, 200), np.int16)
    for seed in range(40):
        scores = rng.normal(size=(20, 200))
        honest.append(attack(scores, labels, folds(labels, 5, seed), ones).auc[0])
        aucs = [slow_auc(row[labels], row[~labels]) for row in scores]
        optimistic.append(max(max(auc, 1 - auc) for auc in aucs))
    error = np.std(honest, ddof=1) / np.sqrt(40)
    assert abs(np.mean(honest) - 0.5) < 3 * error
    assert np.mean(optimistic) > 0.57


def test_an_attack_that_finds_members_at_the_low_end_is_turned():
    labels = np.arange(100) < 50
    scores = np.stack([np.zeros(100), -labels.astype(float)])
    found = attack(scores, labels, folds(labels, 5, 0), np.ones((1, 100), np.int16))
    assert found.picked.tolist() == [[1] * 5]
    assert found.turned.all()
    assert (found.auc[0], found.tpr[0], found.fpr[0]) == (1, 1, 0)


def test_a_constant_attack_finds_nobody_and_accuses_nobody():
    labels = np.arange(100) < 50
    found = attack_all(np.zeros((1, 100)), labels, folds(labels, 5, 0), weights(labels, 50, 0))
    assert (found.auc == 0.5).all()
    assert not found.tpr.any()
    assert not found.fpr.any()


@pytest.mark.parametrize(
    ("scores", "fold", "message"),
    [
        (np.zeros((0, 8)), np.arange(8) % 2, "one attack or more"),
        (np.zeros((1, 8)), np.zeros(8, np.int64), "1 fold; an attack is picked on others"),
        (np.full((1, 8), np.nan), np.arange(8) % 2, "score nan of record number 0"),
        (np.zeros((1, 8)), np.arange(8) // 4, "no members among 4 records"),
    ],
)
def test_unusable_input_is_refused(scores, fold, message):
    labels = np.arange(8) < 4
    with pytest.raises(DistilleakError, match=message):
        attack(scores, labels, fold, np.ones((1, 8), np.int16))
