"""An audit from the command line: finished models, a verdict, its exit status."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import served_model
import torch
import torch.nn.functional as F  # noqa: N812
import yaml

from distilleak.models import families, making
from distilleak.records import tokenizer as tokenization
from distilleak.settings.architecture import ArchitectureSettings

COUNT = 140
SHAPE = ArchitectureSettings(layers=1, width=32, heads=2, positions=96)
POLICY = {
    "max_auc": 0.75,
    "max_tpr": 0.4,
    "no_leakier_than_base": False,
    "no_better_than_blind": False,
}


def halves() -> tuple[list[str], list[str], list[str]]:
    """Members, non-members and further texts, all of one vocabulary of words."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghilmnorstu"), 5)) for _ in range(90)]
    every = [" ".join(rng.choice(words, 12)) for _ in range(3 * COUNT)]
    return every[:COUNT], every[COUNT : 2 * COUNT], every[2 * COUNT :]


def write(path: Path, rows: Sequence[str]) -> str:
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    return str(path)


def trained(rows: Sequence[str], tokenizer: Path, steps: int) -> torch.nn.Module:
    """A tiny model that has read these texts over and over."""
    with making.seeded(0):
        model = families.build(SHAPE, tokenization.rows(tokenization.load(tokenizer)), 0)
    encoded = [tokenization.cut(tokenization.load(tokenizer), row, 64)[1] for row in rows]
    width = max(map(len, encoded))
    ids = torch.tensor([[0, *row, *[0] * (width - len(row))] for row in encoded])
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(steps):
        logits = model(input_ids=ids).logits[:, :-1]
        loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with texts, a policy and finished models; two tokenizers."""
    root = tmp_path_factory.mktemp("audit")
    members, nonmembers, further = halves()
    write(root / "members.jsonl", members)
    write(root / "nonmembers.jsonl", nonmembers)
    write(root / "few.jsonl", nonmembers[:50])
    write(root / "shifted.jsonl", [f"tomorrow {row} yesterday" for row in nonmembers])
    (root / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    for name, size in (("one", 400), ("two", 300)):
        made = tokenization.train([*members, *further], size, masked=False)
        tokenization.save(made, root / f"tokenizer-{name}", 96)
    for name, rows, tokenizer, steps in (
        ("leaky", members, "one", 150),
        ("clean", further, "one", 30),
        ("other", further, "two", 30),
        ("base", further, "one", 5),
    ):
        directory = root / f"tokenizer-{tokenizer}"
        making.save(trained(rows, directory, steps), directory, root / name)  # type: ignore[arg-type]
    return root


def audit(place: Path, *words: str, nonmembers: str = "nonmembers.jsonl") -> tuple[int, str, str]:
    """Exit status, what it printed, and its errors."""
    given = ["--members", "members.jsonl", "--nonmembers", nonmembers, "--context", "64"]
    command = [sys.executable, "-m", "distilleak", "audit", *words, *given, "--cores", "2"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def verdict(place: Path, name: str) -> dict[str, dict[str, object]]:
    found = json.loads((place / "results" / name / "verdict.json").read_text())
    return {each["name"]: each for each in found["models"]} | {"": found}


def test_three_candidates_stand_in_one_verdict(place: Path) -> None:
    students = [word for name in ("leaky", "clean", "other") for word in ("--student", name)]
    words = [*students, "--base", "base", "--policy", "policy.yaml", "--name", "three", "--texts"]
    status, printed, errors = audit(place, *words)
    assert status == 3, errors
    found = verdict(place, "three")
    assert {name: each["verdict"] for name, each in found.items() if name} == {
        "leaky": "fail",
        "clean": "pass",
        "other": "pass",
        "base": None,
    }
    assert found["leaky"]["auc"]["low"] > 0.9  # type: ignore[index]
    # One that reads other tokens than the base is attacked by itself.
    assert "reference_base" in {row["attack"] for row in found["clean"]["attacks"]}  # type: ignore[attr-defined]
    assert "reference_base" not in {row["attack"] for row in found["other"]["attacks"]}  # type: ignore[attr-defined]
    assert "on other: compares token by token" in found[""]["left_out"]["reference_base"]  # type: ignore[operator]
    assert "✗ FAIL: leaky" in printed
    assert "✓ PASS: clean" in printed
    root = place / "results" / "three"
    # Where tokenizers are the same, the base is queried once for all.
    assert not [*root.glob("models/*/base")]
    page = (root / "report.html").read_text()
    exposed = pd.read_csv(root / "exposed_texts.csv")
    assert {*exposed["text"]} <= {*halves()[0]}
    assert halves()[0][0] not in page + printed + errors
    # The same command finds nothing to compute, and answers alike.
    again = audit(place, *words)
    assert (again[0], again[1]) == (status, printed)
    assert "Nothing to be done" in again[2]


def test_the_base_says_the_same_whoever_cut_the_texts(place: Path, tmp_path: Path) -> None:
    words = ["--student", "clean", "--base", "base", "--name", "shared"]
    status, _, errors = audit(place, *words)
    assert status in (0, 3, 4), errors
    models = place / "results" / "shared" / "models"
    checkpoint = json.dumps({"directory": "base"})
    command = [sys.executable, "-m", "distilleak", "compute_evidence", "--checkpoint", checkpoint]
    command += ["--tokenizer", models / "clean/tokenizer", "--seed", "0", "--output", tmp_path]
    command += ["--records", models / "clean/records.parquet"]
    subprocess.run(command, cwd=place, check=True)
    own = pq.read_table(tmp_path / "plain.parquet")
    assert own.equals(pq.read_table(models / "base/evidence/plain.parquet"))
    assert own.num_rows == 2 * COUNT


def test_a_clean_student_passes(place: Path) -> None:
    status, printed, errors = audit(
        place, "--student", "clean", "--policy", "policy.yaml", "--name", "clean", "--model-card"
    )
    assert status == 0, errors
    assert printed.startswith("✓ PASS: clean\n")
    assert "## Membership inference: clean" in printed


@pytest.mark.parametrize(
    ("nonmembers", "reason"),
    [("few.jsonl", "50"), ("shifted.jsonl", "words")],
)
def test_few_or_shifted_nonmembers_decide_nothing(
    place: Path, nonmembers: str, reason: str
) -> None:
    name = nonmembers.removesuffix(".jsonl")
    status, _, errors = audit(place, "--student", "leaky", "--name", name, nonmembers=nonmembers)
    assert status == 4, errors
    found = verdict(place, name)
    assert found["leaky"]["verdict"] == "investigate"
    assert any(reason in text for text in found[""]["reasons"])  # type: ignore[attr-defined]


def test_what_is_wrong_is_one_line_before_anything_runs(place: Path) -> None:
    status, _, errors = audit(place, "--student", "leaky", nonmembers="members.jsonl")
    assert status == 1
    assert errors == (
        "error: audit.nonmembers: members.jsonl: 140 of its texts stand in audit.members "
        "(members.jsonl), too: numbers 1, 2, 3, 4, 5 and 135 more here, 1, 2, 3, 4, 5 and 135 more "
        "there; a text can be on one side only\n"
    )
    status, _, errors = audit(place, "--student", "absent")
    assert status == 1
    assert errors.startswith("error: audit.models.absent: absent: ")
    assert errors.count("\n") == 1
    (place / "wrong.yaml").write_text("max_tprr: 0.1\n")
    status, _, errors = audit(place, "--student", "clean", "--policy", "wrong.yaml")
    assert status == 1
    assert errors.startswith("error: wrong.yaml: policy.max_tprr: unknown key; did you mean")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--base", "leaky"], "audit.base: the same model as audit.models.leaky"),
        (["--base", "again"], "audit.base: the same model as audit.models.leaky"),
        (["--teacher", "again"], "audit.models.teacher: the same model as audit.models.leaky"),
        (
            ["--teacher", "clean", "--base", "clean"],
            "audit.base: the same model as audit.models.teacher",
        ),
    ],
)
def test_a_reference_that_is_the_model_itself_is_refused(
    place: Path, words: list[str], message: str
) -> None:
    shutil.copytree(place / "leaky", place / "again", dirs_exist_ok=True)
    status, _, errors = audit(place, "--student", "leaky", *words)
    assert status == 1
    assert errors == f"error: {message}, which it is compared with\n"
    assert not (place / "results" / "audit").exists()


def test_an_interrupted_audit_ends_its_jobs_and_resumes_to_the_same_bytes(place: Path) -> None:
    texts = ["--members", "members.jsonl", "--nonmembers", "nonmembers.jsonl", "--context", "64"]
    command = [sys.executable, "-m", "distilleak", "audit", "--student", "leaky", *texts]
    found = []
    for name in ("plain", "interrupted"):
        run = [*command, "--name", name, "--cores", "2"]
        if name == "interrupted":
            with (place / "out").open("w") as out:
                started = subprocess.Popen(run, cwd=place, stderr=out, start_new_session=True)
            tokenizer = place / "results" / name / "models" / "leaky" / "tokenizer"
            for _ in range(1200):
                if tokenizer.exists():
                    break
                time.sleep(0.1)
            # By itself, as a pipeline ends a job: the workflow hears of it, too.
            started.send_signal(signal.SIGTERM)
            assert started.wait(120) == 75
            assert "interrupted; run again" in (place / "out").read_text()
            assert not any((place / ".snakemake" / "locks").glob("*"))
            assert not (place / "results" / name / "verdict.json").exists()
        assert subprocess.run(run, cwd=place, capture_output=True, check=False).returncode == 3
        written = (place / "results" / name / "verdict.json").read_text()
        found.append(written.replace(f'"{name}"', '"name"'))
    assert found[0] == found[1]


def test_paths_may_hold_any_letter(place: Path) -> None:
    odd = place / "an {odd} d'ir $HOME"
    odd.mkdir()
    for name in ("clean", "base"):
        shutil.copytree(place / name, odd / f"{name} {{x}}'y")
    for name in ("members", "nonmembers"):
        shutil.copy(place / f"{name}.jsonl", odd / f"{name} {{a}}.jsonl")
    words = ["--student", f"v1={odd.name}/clean {{x}}'y", "--base", f"{odd.name}/base {{x}}'y"]
    words += ["--teacher", "leaky", "--name", "odd", "--cores", "2", "--context", "64"]
    words += [f"--{side}={odd.name}/{side} {{a}}.jsonl" for side in ("members", "nonmembers")]
    command = [sys.executable, "-m", "distilleak", "audit", *words]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 3, 4), done.stderr
    assert {*verdict(place, "odd")} == {"v1", "teacher", "base", ""}


def test_a_directory_that_is_locked_is_explained(place: Path) -> None:
    run = [*["--student", "clean", "--name", "locked"]]
    status, _, errors = audit(place, *run)
    locks = place / ".snakemake" / "locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.output.lock").write_text("results/locked/verdict.json\n")
    (place / "results" / "locked" / "verdict.json").unlink()
    status, _, errors = audit(place, *run)
    assert status == 1
    (last,) = errors.splitlines()[-1:]
    assert last.startswith("error: the audit is not finished; another Snakemake runs in this")
    (unlock,) = re.findall("or run (snakemake .*?); then", last)
    subprocess.run([sys.executable, "-m", *unlock.split()], cwd=place, check=True)
    assert audit(place, *run)[0] in (0, 3, 4)


def test_what_only_another_tokenizer_reads_closes_the_gate(place: Path) -> None:
    """Letters are cut after 64 of them; words reach the end of the text, where the files differ."""
    rows = {side: halves()[number] for number, side in enumerate(("members", "nonmembers"))}
    marked = [f"{row} tomorrow" for row in rows["nonmembers"]]
    write(place / "marked.jsonl", marked)
    made = tokenization.train(["a b"], 258, masked=False)
    tokenization.save(made, place / "tokenizer-letters", 96)
    directory = place / "tokenizer-letters"
    model = trained(rows["members"][:4], directory, 1)
    making.save(model, directory, place / "letters")  # type: ignore[arg-type]
    words = ["--student", "letters", "--student", "leaky", "--name", "cuts"]
    status, _, errors = audit(place, *words, nonmembers="marked.jsonl")
    assert status == 4, errors
    found = verdict(place, "cuts")
    assert found[""]["blind"]["passed"] is False  # type: ignore[index]
    # Of the letters every text is cut, and none of the words.
    assert [found[name]["records"]["cut"] for name in ("letters", "leaky")] == [280, 0]  # type: ignore[index]
    assert not (place / "results" / "cuts" / "models" / "base").exists()
    assert json.loads((place / "results/cuts/models/letters/blind.json").read_text())["passed"]


def test_a_model_behind_an_api_is_judged_by_what_it_shows(place: Path) -> None:
    tokenizer = tokenization.load(place / "tokenizer-one")
    service = served_model.Service(making.load(place / "leaky", "cpu"), tokenizer, 0)
    with served_model.served(service):
        student = f"v1=api:{served_model.NAME}@{service.url}"
        words = ["--student", student, "--base", "base", "--name", "api"]
        status, _, errors = audit(place, *words, "--policy", "policy.yaml")
    assert status == 3, errors
    found = verdict(place, "api")
    assert {row["attack"] for row in found["v1"]["attacks"]} == {  # type: ignore[attr-defined]
        "loss",
        "lowercase",
        "min_k",
        "zlib",
    }
    assert "the probabilities of all tokens" in found[""]["left_out"]["min_k_pp"]  # type: ignore[operator]
    # The server was asked for every text, in both views, and once for a sentence of our own.
    assert {*halves()[0], *halves()[1]} <= {*service.seen}
    status, _, errors = audit(place, *words)
    assert status == 1
    assert errors.startswith("error: audit.models.v1: http://127.0.0.1")
    assert errors.count("\n") == 1
