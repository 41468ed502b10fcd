"""Shadows, canaries, bases and a factorial split together: all attacks on tiny models."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from workflow_project import Project

from distilleak import catalogue

SHADOWS = [f"shadow-{number}" for number in range(4)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.new(tmp_path_factory.mktemp("games") / "project")
    study = yaml.safe_load(project.file("study.yaml").read_text())
    study["study"] = "games"
    study["pools"] |= {"member": 60, "population": 20, "shown": 4, "design": "factorial"}
    study["encoding"] = {"context": 64}
    for role, epochs in (("teacher", 12), ("student", 2), ("reference", 2)):
        study["training"][role]["epochs"] = epochs
    shape = {"layers": 1, "width": 16, "heads": 2, "positions": 96}
    base = {
        "model": shape,
        "corpus": {"source": "sotu", "only": {"before": 1800}},
        "training": {"epochs": 1, "row": 64, "holdout": 20},
    }
    study["corpus"] = {"source": "sotu", "only": {"since": 1950}}
    study["bases"] = {"large": base, "small": {**base, "seed": 1}}
    study["pairs"] = {"tiny": {"teacher": {"base": "large"}, "student": {"base": "small"}}}
    study["methods"] = {"kd": {}}
    study["ensembles"] = {"subsets": {}}
    study["references"] = 2
    study["shadows"] = len(SHADOWS)
    study["attacks"] = {name: {} for name in catalogue.names("attacks")}
    study["canaries"] = {"repetitions": [0, 8], "each": 4, "candidates": 15}
    project.file("games.yaml").write_text(yaml.safe_dump(study))
    done = project.snakemake("--cores", "2", "--configfile", "games.yaml")
    logs = "".join(path.read_text() for path in project.file("results").rglob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    return project


@pytest.fixture(scope="module")
def seed(finished: Project) -> Path:
    return finished.file("results/games/seed-0")


def test_every_attack_scores_every_model(seed: Path) -> None:
    records = pd.read_parquet(seed / "tiny/records.parquet")
    evaluated = records[records["pool"].isin(["member", "nonmember"])]
    for model in ("teacher", "kd"):
        scores = pd.read_parquet(seed / "tiny" / model / "scores.parquet")
        assert set(catalogue.names("attacks")) <= set(scores.columns)
        assert set(scores["record_id"]) == set(evaluated["record_id"])
        assert np.isfinite(scores[catalogue.names("attacks")]).all(axis=None)


def test_every_record_is_a_member_of_half_of_the_shadows(seed: Path) -> None:
    records = pd.read_parquet(seed / "tiny/records.parquet").set_index("record_id")
    evaluated = records.index[records["pool"].isin(["member", "nonmember"])]
    member = [
        pd.read_parquet(seed / shadow / "tiny/records.parquet").set_index("record_id")[
            "teacher_member"
        ]
        for shadow in SHADOWS
    ]
    assert (sum(each[evaluated].astype(int) for each in member) == len(SHADOWS) / 2).all()


def test_shadows_fit_what_they_trained_on_and_start_from_other_weights(seed: Path) -> None:
    """On average over the records, the shadow teachers find their own members likelier."""
    gains, losses = [], []
    for shadow in SHADOWS:
        records = pd.read_parquet(seed / shadow / "tiny/records.parquet").set_index("record_id")
        evidence = pd.read_parquet(seed / shadow / "tiny/teacher/evidence/plain.parquet")
        logp = evidence.set_index("record_id")["logp"].map(np.mean)
        pool = records.loc[logp.index, "pool"]
        gains.append(logp[pool == "member"].mean() - logp[pool == "nonmember"].mean())
        losses.append(logp.mean())
    assert min(gains) > 0.05
    assert len(set(losses)) == len(SHADOWS)


def test_students_learn_from_half_of_either_side(seed: Path) -> None:
    selection = pd.read_parquet(seed / "tiny/kd/selection.parquet")
    records = pd.read_parquet(seed / "tiny/records.parquet").set_index("record_id")
    pools = records.loc[selection["record_id"], "pool"].value_counts().to_dict()
    assert pools == {"member": 30, "nonmember": 30, "shown": 4, "canary": 32}


def test_the_tables_and_figures_of_the_games_are_there(finished: Project) -> None:
    results = finished.file("results/games")
    effects = pd.read_csv(results / "tables/effects.csv")
    assert set(effects["model"]) == {"teacher", "kd"}
    alone = effects[(effects["model"] == "teacher") & (effects["attack"] == "reference")]
    alone = alone.set_index("effect")["value"]
    assert alone["auc_teacher"] > 0.7
    assert abs(alone["auc_student"] - 0.5) < 0.25
    exposure = pd.read_csv(results / "tables/exposure.csv").set_index(["model", "repetitions"])
    assert exposure.loc[("teacher", 8), "exposure"] > exposure.loc[("teacher", 0), "exposure"]
    epsilon = pd.read_csv(results / "tables/epsilon.csv")
    assert set(epsilon["audit"]) == {"held_out", "one_run"}
    for name in ("effects", "exposure"):
        assert (results / f"figures/tiny/{name}.png").stat().st_size > 0
