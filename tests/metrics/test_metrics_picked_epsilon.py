"""The lower bound on epsilon of the strongest attack, picked on records of its own."""

import numpy as np
from scipy import stats

from distilleak.metrics.epsilon import one_run
from distilleak.metrics.picked_epsilon import bound
from distilleak.metrics.thresholds import folds

RECORDS = 400
LABELS = np.arange(2 * RECORDS) < RECORDS
FOLDS = folds(LABELS, 5, 0)


def test_only_records_that_did_not_pick_are_guessed():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3, len(LABELS)))
    # The second attack finds every member, but the other way round, in the folds that pick;
    # in the others it knows all members but four of those that it is most sure of.
    picking = FOLDS < 2
    scores[1] = -1.0 * LABELS + 0.1 * rng.random(len(LABELS))
    judged = np.flatnonzero(~picking & LABELS)
    wrong = judged[np.argsort(scores[1, judged])[:4]]
    scores[1, wrong] = 5.0
    found = bound(scores, LABELS, FOLDS, 1e-5, 0.1, 0, 0.99)
    assert (found.attack, found.turned) == (1, True)
    records = int((~picking).sum())
    guesses = 2 * round(0.1 * records / 2)
    assert found.epsilon == one_run(records, guesses, guesses - 4, 1e-5, 0.99)
    assert found.epsilon > 0.5


def test_picking_among_many_attacks_refutes_no_privacy_that_holds():
    """Randomised response of epsilon 1 is refuted in 5 % of the cases, whatever is picked."""
    epsilon, runs = 1.0, 300
    truthful = stats.logistic.cdf(epsilon)
    rng, refuted = np.random.default_rng(1), 0
    for seed in range(runs):
        # The membership of all records is drawn by coins, and so is the one bit that leaks.
        labels = rng.random(2 * RECORDS) < 0.5
        leak = labels == (rng.random(2 * RECORDS) < truthful)
        scores = np.where(leak, 1.0, 0.0) + rng.random((8, 2 * RECORDS))
        refuted += bound(scores, labels, folds(labels, 5, seed), 0, 0.1, seed, 0.95).epsilon > 1
    assert refuted <= stats.binom.ppf(0.99, runs, 0.05)
    assert refuted > 0


def test_a_model_that_reveals_nothing_is_not_accused():
    scores = np.random.default_rng(3).normal(size=(4, len(LABELS)))
    assert bound(scores, LABELS, FOLDS, 1e-5, 0.1, 0, 0.99).epsilon == 0


def test_one_that_reveals_everything_is():
    found = bound(LABELS[None].astype(float), LABELS, FOLDS, 1e-5, 0.1, 0, 0.99)
    records = int((FOLDS >= 2).sum())
    guesses = 2 * round(0.1 * records / 2)
    assert found.epsilon == one_run(records, guesses, guesses, 1e-5, 0.99)
    assert found.epsilon > 2
