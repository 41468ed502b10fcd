"""Exposure of canaries from the evidence on their candidates."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from distilleak.errors import DistilleakError
from distilleak.evidence.table import SCHEMA
from distilleak.files import write_table
from distilleak.metrics.exposure import mean_exposure
from distilleak.paths import model_directory
from distilleak.records import canaries
from distilleak.settings.base import canonical_json
from distilleak.settings.canaries import CanarySettings
from distilleak.stages import measure_exposure
from distilleak.tables import exposure
from distilleak.tables.roster import Roster

SETTINGS = CanarySettings(repetitions=[0, 4], each=5, candidates=15)
STUDENT = {"kind": "student", "method": "kd", "label": "kd"}
ROSTER = Roster.model_validate(
    {
        "seeds": [0],
        "headline_attack": "loss",
        "attacks": ["loss"],
        "threats": {"loss": "query"},
        "pairs": {
            "small": {
                "models": [
                    {
                        "model": "teacher",
                        "kind": "teacher",
                        "method": "teacher",
                        "label": "teacher",
                    },
                    {"model": "kd", **STUDENT},
                    {
                        **{"model": "red_list-undone", "kind": "undone", "method": "red_list"},
                        **{"label": "red list without map", "of": "kd"},
                        **{"undoing": "without map", "attacked": "kd"},
                    },
                    {"model": "vote-two", "kind": "vote", "method": "vote", "label": "vote two"},
                ]
            }
        },
    }
)


def write_evidence(path: Path, gain: float, seed: int = 0) -> pd.DataFrame:
    """Likelihoods in which the secrets of inserted canaries have so many nats more, shuffled."""
    rng = np.random.default_rng(seed)
    made = list(canaries.candidates(SETTINGS, 0))
    logp = rng.normal(-20, 1, len(made))
    logp += [gain * (c.repetitions > 0) * (c.number == canaries.TRUE) for c in made]
    order = rng.permutation(len(made))
    numbers = [[0] * 2] * len(made)
    columns = {
        name: numbers if name in ("token_id", "rank") else [[x / 2, x / 2] for x in logp[order]]
        for name in SCHEMA.names
    }
    columns["record_id"] = [made[row].record_id for row in order]
    write_table(pa.table(columns, schema=SCHEMA), path)
    return pd.DataFrame(
        [(c.canary, c.repetitions, c.number, value) for c, value in zip(made, logp, strict=True)],
        columns=["canary", "repetitions", "number", "logp"],
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for model, gain in (("teacher", 50.0), ("kd", 1.0)):
        path = model_directory(tmp_path, 0, "small", model) / "evidence" / "candidates.parquet"
        write_evidence(path, gain)
    return tmp_path


def test_exposure_is_the_rank_of_the_secret_among_its_own_candidates(tmp_path: Path) -> None:
    path = tmp_path / "candidates.parquet"
    frame = write_evidence(path, 1.0)
    found = measure_exposure.exposures(path, SETTINGS)
    expected: dict[int, list[float]] = {0: [], 4: []}
    for _, own in frame.groupby("canary"):
        secret = own.loc[own["number"] == canaries.TRUE, "logp"].iloc[0]
        rank = 1 + int((own["logp"] > secret).sum())
        expected[int(own["repetitions"].iloc[0])].append(4 - np.log2(rank))
    # Evidence is float32, whose rounding decides no rank here.
    np.testing.assert_allclose(found, [expected[0], expected[4]])


def test_the_stage_writes_a_row_for_each_model_that_has_likelihoods(root: Path) -> None:
    output = root / "tables"
    measure_exposure.main(
        [
            "--results",
            str(root),
            "--roster",
            canonical_json(ROSTER),
            "--canaries",
            canonical_json(SETTINGS),
            "--output",
            str(output),
        ]
    )
    table = pd.read_csv(output / "exposure.csv")
    assert list(table) == list(exposure.COLUMNS)
    assert set(table["model"]) == {"teacher", "kd", "red_list-undone"}
    # An attacker who undoes the red list reads the secrets from the model that is left.
    kd, undone = (table[table["model"] == model] for model in ("kd", "red_list-undone"))
    assert kd["exposure"].tolist() == undone["exposure"].tolist()
    teacher = table[table["model"] == "teacher"].set_index("repetitions")
    assert teacher.loc[4, "exposure"] == teacher.loc[4, "most"] == 4
    assert teacher.loc[0, "exposure"] < 3
    assert (table["canaries"] == 5).all()
    assert {path.name for path in output.iterdir()} == {
        "exposure.csv",
        "exposure.md",
        "exposure.tex",
    }


def test_evidence_on_other_candidates_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "candidates.parquet"
    write_evidence(path, 1.0)
    other = SETTINGS.model_copy(update={"each": 6})
    with pytest.raises(DistilleakError, match="160 candidates, not 12 canaries with 16"):
        measure_exposure.exposures(path, other)


def test_means_have_intervals_over_canaries_and_over_seeds() -> None:
    values = np.array([[1.0, 3.0, 4.0], [2.0, 2.0, 8.0], [0.0, 3.0, 3.0]])
    for sample, found in (
        (values[0], mean_exposure(values[:1], 9.0)),
        (values.mean(axis=1), mean_exposure(values, 9.0)),
    ):
        low, high = stats.t.interval(0.95, 2, loc=sample.mean(), scale=stats.sem(sample))
        np.testing.assert_allclose(found, (sample.mean(), max(0, low), min(9, high)))
