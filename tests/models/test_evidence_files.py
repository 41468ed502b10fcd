"""The stage that computes evidence: its files, and the search for vulnerable members after it."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from tiny_study import START, VIEWS, Study, log_p_of, tiny_model

from distilleak import compute_evidence, models, tokenization
from distilleak.errors import DistilleakError
from distilleak.evidence import SCHEMA, read_view
from distilleak.metrics.thresholds import at_fpr
from distilleak.records import EVALUATED, read_records


def rows(path: Path) -> pd.DataFrame:
    return pq.read_table(path).to_pandas()  # type: ignore[no-any-return]


@pytest.mark.parametrize("view", VIEWS)
def test_a_file_has_the_schema_the_records_in_order_and_its_origin(view: str, study: Study) -> None:
    table = pq.read_table(study.path(f"teacher/evidence/{view}.parquet"))
    records = read_records(study.path("records.parquet"), EVALUATED)
    assert table.schema.equals(SCHEMA)
    assert table["record_id"].to_pylist() == records.record_id
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert metadata["view"] == view
    assert metadata["model"] == study.path("teacher/model")
    assert metadata["dtype"] == "float32"


@pytest.mark.parametrize("view", ["plain", "prefix_nonmember"])
def test_every_token_of_every_record_is_scored(view: str, study: Study) -> None:
    found = rows(study.root / f"teacher/evidence/{view}.parquet")
    records = read_records(study.path("records.parquet"), EVALUATED)
    for scored, tokens in zip(found.token_id, records.tokens, strict=True):
        assert scored.tolist() == tokens.tolist()


def test_the_lower_view_scores_the_lower_cased_text(study: Study) -> None:
    found = rows(study.root / "teacher/evidence/lower.parquet")
    records = read_records(study.path("records.parquet"), EVALUATED)
    tokenizer = tokenization.load(study.path("tokenizer"))
    for scored, text in zip(found.token_id, records.text, strict=True):
        assert text != text.lower()
        assert tokenizer.decode(scored.tolist()) == text.lower()


def test_the_prefix_is_made_of_auxiliary_records_and_fixed_by_the_seed(study: Study) -> None:
    """The prefix view is the model's after the start token and these tokens."""
    path = study.path("records.parquet")
    prefix = compute_evidence._prefix(path, 16, 0)
    auxiliary = [tokens.tolist() for tokens in read_records(path, ["auxiliary"]).tokens]
    assert len(prefix) == 16
    assert prefix in [record[:16] for record in auxiliary]
    assert compute_evidence._prefix(path, 16, 1) != prefix
    long = compute_evidence._prefix(path, 100, 0)
    assert long[:16] == prefix
    model = models.load(study.path("teacher/model"), "cpu")
    found = rows(study.root / "teacher/evidence/prefix_nonmember.parquet")
    records = read_records(path, EVALUATED)
    for row in (0, 40, 79):
        tokens = records.tokens[row]
        expected = log_p_of(model, [START, *prefix], tokens)[range(len(tokens)), tokens.tolist()]
        np.testing.assert_allclose(found.logp[row], expected, rtol=0, atol=1e-4)


def test_a_prefix_longer_than_the_auxiliary_pool_is_an_error(study: Study) -> None:
    with pytest.raises(DistilleakError, match=r"evidence\.prefix_tokens: the auxiliary pool holds"):
        compute_evidence._prefix(study.path("records.parquet"), 10_000, 0)


@pytest.mark.parametrize("window", [1, 7, 80])
def test_records_held_at_a_time_change_nothing(
    window: int, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute_evidence, "WINDOW", window)
    study.compute_evidence("teacher", output=str(tmp_path), views=["plain"])
    found, expected = (
        read_view(path, [f"r{number:03}" for number in range(80)])
        for path in (tmp_path / "plain.parquet", study.path("teacher/evidence/plain.parquet"))
    )
    assert np.array_equal(found.token_id.values, expected.token_id.values)
    np.testing.assert_allclose(found.logp.sum(), expected.logp.sum(), rtol=0, atol=1e-4)


def test_mixtures_are_written_side_by_side(study: Study, tmp_path: Path) -> None:
    study.compute_evidence(
        "teacher",
        "reference",
        output=str(tmp_path),
        views=["plain", "lower"],
        mixtures=["both=0,1", "alone=1"],
    )
    for name in ("both", "alone"):
        assert {file.name for file in (tmp_path / name / "evidence").iterdir()} == {
            "plain.parquet",
            "lower.parquet",
        }
    both, alone, teacher, reference = (
        np.concatenate(rows(path).logp.to_list())
        for path in (
            tmp_path / "both/evidence/plain.parquet",
            tmp_path / "alone/evidence/plain.parquet",
            study.root / "teacher/evidence/plain.parquet",
            study.root / "reference/evidence/plain.parquet",
        )
    )
    np.testing.assert_allclose(alone, reference, rtol=0, atol=1e-5)
    expected = np.logaddexp(teacher.astype(float), reference.astype(float)) - np.log(2)
    np.testing.assert_allclose(both, expected, rtol=0, atol=1e-4)
    metadata = pq.read_schema(tmp_path / "both/evidence/plain.parquet").metadata
    assert metadata[b"model"].decode().split(",") == [
        study.path("teacher/model"),
        study.path("reference/model"),
    ]


@pytest.mark.parametrize("mixtures", [[], ["m=0,2"], ["m=-1,0"]])
def test_mixtures_that_do_not_fit_the_models_are_refused(
    mixtures: list[str], study: Study, tmp_path: Path
) -> None:
    with pytest.raises(DistilleakError, match="mixture"):
        study.compute_evidence("teacher", "reference", output=str(tmp_path), mixtures=mixtures)


def test_a_failure_on_the_way_leaves_no_file(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions run out at the longest records, after others were written."""
    monkeypatch.setattr(compute_evidence, "WINDOW", 10)
    records = read_records(study.path("records.parquet"), EVALUATED)
    lengths = [len(tokens) for tokens in records.tokens]
    assert max(lengths[:10]) < max(lengths)
    short = tiny_model(positions=max(lengths[:10]))
    models.save(short, study.path("tokenizer"), tmp_path / "short/model")
    with pytest.raises(IndexError):
        study.compute_evidence(
            str(tmp_path / "short"), output=str(tmp_path / "evidence"), views=["plain"]
        )
    assert list((tmp_path / "evidence").iterdir()) == []


def test_a_damaged_model_leaves_no_file(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.root / "teacher/model", tmp_path / "broken/model")
    (tmp_path / "broken/model/model.safetensors").write_bytes(b"")
    with pytest.raises(DistilleakError, match="damaged model"):
        study.compute_evidence(str(tmp_path / "broken"), output=str(tmp_path / "evidence"))
    assert not (tmp_path / "evidence").exists()


# Vulnerable members


def test_vulnerable_members_score_above_the_threshold_of_the_holdout(study: Study) -> None:
    table = pq.read_table(study.path("vulnerable.parquet"))
    records = read_records(study.path("records.parquet"), ["member", "holdout"])
    view = read_view(study.path("teacher/evidence/plain.parquet"), records.record_id)
    scores = view.logp.mean()
    member = records.pool == "member"
    threshold = at_fpr(scores[~member], 0.1)
    assert float(table.schema.metadata[b"threshold"]) == threshold
    assert (scores[~member] > threshold).mean() == pytest.approx(0.1)
    assert table["record_id"].to_pylist() == [f"r{number:03}" for number in range(30)]
    np.testing.assert_array_equal(table["score"].to_numpy(), scores[member])
    assert table["vulnerable"].to_pylist() == (scores[member] > threshold).tolist()
    assert all(table["vulnerable"].to_pylist())  # they were memorised


def test_evidence_is_the_same_after_another_model_was_asked(study: Study, tmp_path: Path) -> None:
    torch.manual_seed(123)
    study.compute_evidence("reference", output=str(tmp_path / "other"), views=["plain"])
    study.compute_evidence("teacher", output=str(tmp_path / "again"))
    for view in VIEWS:
        first = (study.root / f"teacher/evidence/{view}.parquet").read_bytes()
        assert (tmp_path / f"again/{view}.parquet").read_bytes() == first
