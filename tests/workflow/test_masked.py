"""config/masked.yaml: the chain with masked models, on fewer records and epochs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from workflow_project import Project

ATTACKS = {"loss", "zlib", "lowercase", "min_k", "min_k_pp", "reference", "recall"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.new(tmp_path_factory.mktemp("masked") / "project")
    study = yaml.safe_load(project.file("config/masked.yaml").read_text())
    study["pools"] = {"member": 48, "nonmember": 48, "holdout": 32, "auxiliary": 100}
    study["tokenizer"] = {"vocabulary": 300}
    study["encoding"] = {"context": 16}
    for role, epochs in (("teacher", 60), ("student", 10), ("reference", 2)):
        study["training"][role] |= {"epochs": epochs, "batch_size": 8, "mask_share": 0.4}
    shape = {"type": "bert", "width": 32, "heads": 2, "positions": 64}
    study["pairs"] = {
        "bert_2_1": {"teacher": {**shape, "layers": 2}, "student": {**shape, "layers": 1}}
    }
    study["methods"] = {name: study["methods"][name] for name in ("kd", "bottleneck", "red_list")}
    study["ensembles"]["subsets"] = {"two": ["bottleneck", "red_list"]}
    study["vulnerability"]["fpr"] = 0.2
    study["evaluation"] = {"replicates": 200}
    project.file("masked.yaml").write_text(yaml.safe_dump(study))
    done = project.snakemake("--cores", "2", "--configfile", "masked.yaml")
    logs = "".join(path.read_text() for path in project.file("results").rglob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    return project


def test_every_attack_runs_on_every_model(finished: Project) -> None:
    metrics = pd.read_csv(finished.file("results/masked/tables/metrics.csv"))
    auc = metrics[(metrics["metric"] == "auc") & (metrics["seed"].astype(str) == "0")]
    measured = auc.groupby("model")["attack"].agg(set)
    models = {"teacher", "kd", "bottleneck", "red_list", "vote-two", "mixture-two"}
    assert set(measured.index) == models | {"red_list-undone", "mixture-two-undone"}
    assert all(attacks == ATTACKS for attacks in measured)
    assert np.isfinite(auc["value"]).all()
    by_attack = auc.set_index(["model", "attack"])["value"]
    assert by_attack["red_list-undone"].to_dict() == by_attack["kd"].to_dict()


def test_a_teacher_that_memorises_leaks(finished: Project) -> None:
    metrics = pd.read_csv(finished.file("results/masked/tables/metrics.csv"))
    teacher = metrics[(metrics["model"] == "teacher") & (metrics["metric"] == "auc")]
    assert teacher.set_index("attack")["value"]["loss"].max() > 0.8


def test_every_token_is_scored_once_under_masks_that_all_models_share(finished: Project) -> None:
    seed = finished.file("results/masked/seed-0")
    records = pd.read_parquet(seed / "masked" / "records.parquet").set_index("record_id")
    hidden = {}
    for model in ("teacher", "kd"):
        rows = pd.read_parquet(seed / "bert_2_1" / model / "evidence" / "plain.parquet")
        for record, passes in rows.groupby("record_id"):
            positions = np.concatenate(list(passes["position"]))
            order = np.argsort(positions)
            tokens = np.concatenate(list(passes["token_id"]))[order]
            assert tokens.tolist() == list(records.loc[record, "token_ids"])
        hidden[model] = rows[["record_id", "pass", "position"]].map(str)
    assert hidden["teacher"].equals(hidden["kd"])


def test_students_fill_masks_as_ordinary_models(finished: Project) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    import distilleak  # noqa: F401  # makes the changed architectures known

    for student in ("kd", "bottleneck", "red_list"):
        path = finished.file(f"results/masked/seed-0/bert_2_1/{student}/model")
        tokenizer = AutoTokenizer.from_pretrained(path)
        model = AutoModelForMaskedLM.from_pretrained(path)
        text = tokenizer.mask_token + " the"
        encoded = tokenizer(text, return_tensors="pt", split_special_tokens=False)
        assert (encoded["input_ids"] == tokenizer.mask_token_id).any()
        logits = model(encoded["input_ids"]).logits
        assert logits.shape[-1] == 300
        assert torch.isfinite(logits).all()


def test_the_report_is_there(finished: Project) -> None:
    assert finished.file("results/masked/report.html").stat().st_size > 100_000


@pytest.mark.slow
def test_the_whole_study(tmp_path: Path) -> None:
    """Unchanged: takes some minutes on two cores."""
    project = Project.new(tmp_path / "project")
    done = project.snakemake("--cores", "2", "--configfile", "config/masked.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = pd.read_csv(project.file("results/masked/tables/metrics.csv"))
    loss = metrics[(metrics["metric"] == "auc") & (metrics["attack"] == "loss")]
    auc = loss[loss["seed"].astype(str) == "0"].set_index("model")["value"]
    assert auc["teacher"] > 0.8
    assert auc["nonvulnerable"] < auc["kd"]
