"""config/paper.yaml: the paper's setting is valid, and its jobs are known without the hub."""

from pathlib import Path

from workflow_project import Project

from distilleak.study import reading, yaml_text

FILE = Path(__file__).parents[2] / "config" / "paper.yaml"


def test_it_holds_the_pairs_and_corpora_of_the_paper() -> None:
    raw = yaml_text.read_yaml(FILE)
    study = reading.load(raw, {str(FILE): raw})
    assert set(study.corpora) == {"bookcorpus", "openwebtext", "arxiv", "wikimia"}
    assert set(study.configuration.pairs) == {
        "bert_distilbert",
        "bert_tinybert",
        "bert_mobilebert",
        "gpt2_distilgpt2",
        "pythia_410m_160m",
        "opt_350m_125m",
    }
    assert len(study.arms) == 24
    assert study.uses_hub()
    labelled = {n for n, c in study.corpora.items() if c.pools.assignment == "labels"}
    assert labelled == {"arxiv", "wikimia"}
    assert study.configuration.gate.on_failure == "report"


def test_it_dry_runs(tmp_path: Path) -> None:
    project = Project.new(tmp_path / "project")
    done = project.snakemake(
        "--dry-run", "--configfile", "config/paper.yaml", "--config", "seeds=[0]"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for rule, jobs in (
        ("load_corpus", 4),
        ("copy_tokenizer", 24),
        ("train_student", 24 * 9),
        ("finish_student", 24 * 4),
    ):
        assert f"{rule} " in done.stdout
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"{rule} "))
        assert int(line.split()[1]) == jobs
