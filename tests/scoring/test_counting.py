"""Count models as they are measured: useful by the held-out loss, and blind without the members."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from distilleak.floors import kneser_ney
from distilleak.floors.floor import FLOORS, worse_than
from distilleak.metrics.measure import Measurement
from distilleak.records.table import Records
from distilleak.scoring.counting import Counted, as_table, floors
from distilleak.settings.evaluation import EvaluationSettings

VOCABULARY = 60
SETTINGS = EvaluationSettings(replicates=200)
Found = dict[tuple[str, str, str], Measurement]


def texts(rng: np.random.Generator, count: int) -> list[NDArray[np.int32]]:
    """Records of a language in which a token says much about the next one."""
    found = []
    for _ in range(count):
        tokens = [int(rng.integers(VOCABULARY))]
        for _ in range(19):
            near = (7 * tokens[-1] + int(rng.integers(6))) % VOCABULARY
            tokens.append(near if rng.random() < 0.8 else int(rng.integers(VOCABULARY)))
        found.append(np.array(tokens, dtype=np.int32))
    return found


@pytest.fixture(scope="module")
def counted() -> Counted:
    rng = np.random.default_rng(0)
    evaluated = texts(rng, 400)
    member = np.arange(400) % 2 == 0
    records = Records(
        [f"r{row:03d}" for row in range(400)],
        np.where(member, "member", "nonmember"),
        member,
        member,
        [""] * 400,
        evaluated,
    )
    members = [evaluated[row] for row in np.flatnonzero(member)]
    return Counted(texts(rng, 300), members, texts(rng, 80), records, VOCABULARY)


@pytest.fixture(scope="module")
def found(counted: Counted) -> Found:
    each = floors(counted, SETTINGS, seed=3)
    return {(floor, attack, m.metric): m for floor, attack, m in each if m.threshold != "oracle"}


def test_every_count_model_has_its_own_held_out_loss(counted: Counted, found: Found) -> None:
    for name, floor in FLOORS.items():
        text = [*counted.public, *(counted.members if floor.members else [])]
        logp, correct = kneser_ney.fit(text, floor.order, VOCABULARY).score(counted.holdout)
        assert found[name, "", "heldout_loss"].value == pytest.approx(-logp.mean())
        assert found[name, "", "top1_accuracy"].value == pytest.approx(correct.mean())
        assert found[name, "", "perplexity"].value == pytest.approx(math.exp(-logp.mean()))
        assert len(found[name, "", "heldout_loss"].replicates) == SETTINGS.replicates


def test_what_never_counted_a_member_does_not_know_it(found: Found) -> None:
    for name in ("unigram", "bigram", "trigram"):
        auc = found[name, "loss", "auc"]
        low, high = np.quantile(auc.replicates, [0.025, 0.975])
        assert low < 0.5 < high
        assert (name, "reference", "auc") not in found


def test_what_counted_the_members_gives_them_away(found: Found) -> None:
    assert found["trigram_of_members", "reference", "auc"].value > 0.95
    assert found["bigram_of_members", "loss", "auc"].value > 0.55
    assert (
        found["bigram_of_members", "reference", "auc"].value
        > found["bigram_of_members", "loss", "auc"].value
    )


def test_the_table_holds_every_metric_with_an_interval_from_its_replicates(
    counted: Counted, found: Found
) -> None:
    table = as_table(floors(counted, SETTINGS, seed=3)).to_pylist()
    rows = {(row["floor"], row["attack"], row["metric"]): row for row in table}
    row = rows["bigram", "", "heldout_loss"]
    assert row["value"] == found["bigram", "", "heldout_loss"].value
    assert row["low"] < row["value"] < row["high"]
    assert row["replicates"] == pytest.approx(
        found["bigram", "", "heldout_loss"].replicates.tolist(), rel=1e-6
    )


def test_the_floor_that_a_model_lies_above_is_the_first_of_bigram_and_trigram() -> None:
    known = {"bigram": 4.5, "trigram": 4.2, "unigram": 6.4}
    assert [worse_than(loss, known) for loss in (4.6, 4.5, 4.3, 4.2, 4.0)] == [
        *("bigram", "trigram", "trigram"),
        *("", ""),
    ]
    assert worse_than(9.0, {}) == ""
