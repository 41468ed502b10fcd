"""The stage that judges an audit."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distilleak.files import write_table
from distilleak.guards import sealed_json
from distilleak.stages import judge_audit

BLIND = {
    "passed": True,
    "auc": 0.51,
    "classifier": "length",
    "p_value": 0.4,
    "classifiers": {"length": {"auc": 0.51, "low": 0.46, "high": 0.56}},
    "separates": {},
}


def write_model(path, shift, seed):
    rng = np.random.default_rng(seed)
    pool = rng.permutation(np.repeat(["member", "nonmember", "holdout"], [150, 150, 40]))
    member = pool == "member"
    columns = {
        "record_id": [f"r{number:03d}" for number in range(len(pool))],
        "pool": pool,
        "teacher_member": member,
        "student_member": member,
        "loss": rng.normal(size=len(pool)) + shift * member,
        "zlib": rng.normal(size=len(pool)),
    }
    write_table(pa.table(columns), path)


@pytest.fixture
def run(tmp_path):
    sealed_json.write(BLIND, tmp_path / "blind.json")

    def judge(*models, **options):
        arguments = {
            "blind": tmp_path / "blind.json",
            "policy": "{}",
            "evaluation": '{"replicates": 100}',
            "threats": '{"loss": "query", "zlib": "query"}',
            "left-out": '{"rmia": "needs reference models, and none are trained in an audit"}',
            "study": "release",
            "seed": 0,
            "verdict": tmp_path / "verdict.json",
            "exposed": tmp_path / "exposed.parquet",
        } | options
        given = [text for model in models for text in ("--model", *map(str, model))]
        for name, value in arguments.items():
            given += [f"--{name}", str(value)]
        judge_audit.main(given)
        return json.loads((tmp_path / "verdict.json").read_text())

    return judge


def test_writes_the_verdict_and_the_exposed_members(run, tmp_path):
    write_model(tmp_path / "v1.parquet", 3.0, 0)
    write_model(tmp_path / "teacher.parquet", 4.0, 0)
    found = run(
        ("teacher", "teacher", tmp_path / "teacher.parquet"),
        ("v1", "student", tmp_path / "v1.parquet"),
    )
    assert set(found) == {
        "schema",
        "study",
        "verdict",
        "reasons",
        "next",
        "records",
        "blind",
        "policy",
        "models",
        "left_out",
        "versions",
    }
    assert (found["schema"], found["study"], found["verdict"]) == (1, "release", "fail")
    # The hold-out pool is no part of an audit.
    assert found["records"] == {"members": 150, "nonmembers": 150}
    assert list(found["left_out"]) == ["rmia"]
    assert found["policy"]["max_auc"] == 0.6
    assert set(found["versions"]) >= {"distilleak", "python", "numpy"}
    teacher, student = found["models"]
    assert (teacher["verdict"], student["verdict"]) == (None, "fail")
    assert student["versus"]["teacher"]["high"] < 0
    exposed = pq.read_table(tmp_path / "exposed.parquet")
    assert exposed.column_names == [
        "record_id",
        "model",
        "rank",
        "attack",
        "turned",
        "score",
        "nonmembers_as_high",
    ]
    assert exposed["model"].to_pylist() == ["teacher"] * 100 + ["v1"] * 100
    assert sealed_json.read(tmp_path / "verdict.json") == found


def test_the_same_files_give_the_same_bytes(run, tmp_path):
    write_model(tmp_path / "v1.parquet", 0.5, 1)
    model = ("v1", "student", tmp_path / "v1.parquet")
    names = ("verdict.json", "exposed.parquet")
    run(model, policy='{"exposed": 7}')
    first = [(tmp_path / name).read_bytes() for name in names]
    table = pq.read_table(tmp_path / "v1.parquet")
    write_table(table.take(np.arange(len(table))[::-1]), tmp_path / "v1.parquet")
    run(model, policy='{"exposed": 7}')
    assert [(tmp_path / name).read_bytes() for name in names] == first
    assert len(pq.read_table(tmp_path / "exposed.parquet")) == 7


def test_a_policy_with_an_unknown_key_is_refused_before_anything_is_read(run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(("v1", "student", tmp_path / "missing.parquet"), policy='{"max_acu": 0.5}')
    assert "max_acu" in capsys.readouterr().err
