"""A temperature that is fitted on other records, against scipy on the logits themselves."""

import numpy as np
import pytest
from replicates import resampled, weights
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from distilleak.evidence.tempered import SCALES
from distilleak.metrics.calibration import calibrated, dealt

RECORDS, LENGTH, VOCABULARY = 120, 7, 30


class Model:
    """Logits of a model that is `sharpness` times too sure of itself, and tokens drawn from it."""

    def __init__(self, sharpness, seed=0):
        rng = np.random.default_rng(seed)
        honest = 2 * rng.normal(size=(RECORDS, LENGTH, VOCABULARY))
        p = np.exp(log_softmax(honest, -1)).reshape(-1, VOCABULARY)
        drawn = np.array([rng.choice(VOCABULARY, p=row) for row in p])
        self.true = drawn.reshape(RECORDS, LENGTH)
        self.logits = sharpness * honest

    def logp(self, scale, records=slice(None)):
        """Sums of log p of each record, in float64."""
        scaled = log_softmax(scale * self.logits[records], -1)
        return np.take_along_axis(scaled, self.true[records][..., None], -1)[..., 0].sum(-1)

    def measured(self, folds, drawn):
        sums = np.stack([self.logp(scale) for scale in SCALES], 1)
        tokens = np.full(RECORDS, LENGTH)
        return {m.metric: m for m in resampled(calibrated(sums, tokens, SCALES, folds), drawn)}

    def best(self, records):
        found = minimize_scalar(
            lambda log: -self.logp(np.exp(log), records).sum(),
            bounds=np.log([SCALES[0], SCALES[-1]]),
            method="bounded",
            options={"xatol": 1e-9},
        )
        return float(np.exp(found.x))


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.2, 3.5])
def test_temperature_and_loss_are_those_of_a_direct_fit(sharpness):
    model, folds = Model(sharpness), dealt(RECORDS, 5, seed=3)
    found = model.measured(folds, weights(np.zeros(RECORDS, bool), 100, 0))
    scale = model.best(np.arange(RECORDS))
    assert found["temperature"].value == pytest.approx(1 / scale, rel=0.01)
    total = 0.0
    for fold in range(5):
        own, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        total -= model.logp(model.best(others), own).sum()
    assert found["calibrated_loss"].value == pytest.approx(total / RECORDS / LENGTH, abs=2e-4)


def test_an_overconfident_model_loses_its_overconfidence_and_an_honest_one_nothing():
    drawn = weights(np.zeros(RECORDS, bool), 100, 0)
    folds = dealt(RECORDS, 5, seed=0)
    honest, sure = Model(1.0), Model(3.0)
    tokens = RECORDS * LENGTH
    assert -sure.logp(1.0).sum() / tokens > -honest.logp(1.0).sum() / tokens + 0.5
    # One divided by a constant knows what the other knows.
    assert sure.measured(folds, drawn)["calibrated_loss"].value == pytest.approx(
        honest.measured(folds, drawn)["calibrated_loss"].value, abs=1e-3
    )


def test_replicates_are_the_loss_of_the_records_that_they_draw():
    model, folds = Model(2.0), dealt(RECORDS, 4, seed=1)
    drawn = weights(np.zeros(RECORDS, bool), 100, 5)
    found = model.measured(folds, drawn)["calibrated_loss"]
    assert found.replicates.shape == (100,)
    assert found.replicates.std() > 0
    rows = np.repeat(np.arange(RECORDS), drawn[7])
    total = 0.0
    for fold in range(4):
        own, others = rows[folds[rows] == fold], rows[folds[rows] != fold]
        total -= model.logp(model.best(others), own).sum()
    assert found.replicates[7] == pytest.approx(total / len(rows) / LENGTH, abs=2e-4)


def test_folds_are_as_equal_as_can_be_and_no_more_than_there_are_records():
    assert sorted(np.bincount(dealt(11, 5, 0))) == [2, 2, 2, 2, 3]
    assert sorted(dealt(3, 5, 0)) == [0, 1, 2]
    assert list(dealt(9, 3, 1)) == list(dealt(9, 3, 1))
    assert list(dealt(90, 3, 1)) != list(dealt(90, 3, 2))
