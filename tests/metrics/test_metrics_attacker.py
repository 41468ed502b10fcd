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


def slow_finds(attack, sign, scores, labels, others):
    score = sign * scores[attack]
    return (score[others & labels] > at_fpr(score[others & ~labels], FPR)).sum()


def slow_attack(scores, labels, fold):
    """Record by record, with copies as records of their own: the attributes of an outcome."""
    picked, turned, won, pairs, found, accused = [], [], 0.0, 0, 0, 0
    caller, caller_turned = [], []
    for k in sorted(set(fold.tolist())):
        others, held = fold != k, fold == k
        aucs = [slow_auc(row[others & labels], row[others & ~labels]) for row in scores]
        best = max(range(len(aucs)), key=lambda a: abs(aucs[a] - 0.5))
        sign = -1 if aucs[best] < 0.5 else 1
        score = sign * scores[best]
        members, nonmembers = score[held & labels], score[held & ~labels]
        won += slow_auc(members, nonmembers) * len(members) * len(nonmembers)
        pairs += len(members) * len(nonmembers)
        picked.append(best)
        turned.append(sign < 0)
        candidates = [(best, sign)] + [(a, s) for s in (1, -1) for a in range(len(scores))]
        best, sign = max(candidates, key=lambda pair: slow_finds(*pair, scores, labels, others))
        score = sign * scores[best]
        threshold = at_fpr(score[others & ~labels], FPR)
        members, nonmembers = score[held & labels], score[held & ~labels]
        found += (members > threshold).sum()
        accused += (nonmembers > threshold).sum()
        caller.append(best)
        caller_turned.append(sign < 0)
    choices = picked, turned, caller, caller_turned
    return choices, won / pairs, found / labels.sum(), accused / (~labels).sum()


def chosen(found, replicate):
    columns = found.picked, found.turned, found.caller, found.caller_turned
    return tuple(column[replicate].tolist() for column in columns)


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
    choices, *rates = slow_attack(scores, labels, fold)
    assert chosen(found, 0) == choices
    assert [found.auc[0], found.tpr[0], found.fpr[0]] == pytest.approx(rates, abs=1e-12)


def test_a_replicate_is_the_attack_on_the_records_that_it_draws():
    scores, labels, fold = game(7)
    (drawn,) = weights(labels, 12, 3)
    found = attack(scores, labels, fold, drawn)
    for replicate, row in enumerate(drawn):
        copies = np.repeat(np.arange(len(labels)), row)
        choices, *rates = slow_attack(scores[:, copies], labels[copies], fold[copies])
        assert chosen(found, replicate) == choices
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


@pytest.mark.parametrize("sign", [1, -1])
def test_members_that_are_found_for_certain_are_found_whatever_the_auc(sign):
    """One attack shifts all members a little; the other one gives a few of them away."""
    labels = np.arange(2000) < 1000
    rng = np.random.default_rng(0)
    few = rng.normal(size=2000)
    few[:90] += 9
    scores = np.stack([rng.normal(size=2000) + 0.3 * labels, sign * few])
    found = attack(scores, labels, folds(labels, 5, 0), np.ones((1, 2000), np.int16))
    assert found.picked.tolist() == [[0] * 5]
    assert found.caller.tolist() == [[1] * 5]
    assert found.caller_turned.all() == (sign < 0)
    assert found.tpr[0] == pytest.approx(0.1, abs=0.01)
    assert found.fpr[0] == pytest.approx(0.01, abs=0.005)


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
