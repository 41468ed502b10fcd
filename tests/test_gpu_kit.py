"""The scripts of benchmarks/gpu that need no GPU."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

KIT = Path(__file__).parents[1] / "benchmarks" / "gpu"
ROW = "0,small,kd,loss,auc,,{auc},0.4,0.7\n0,small,kd,,heldout_loss,,{loss},3.0,5.0\n"
HEAD = "seed,pair,model,attack,metric,threshold,value,low,high\n"


def script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(KIT / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def results(place: Path, auc: float, loss: float) -> Path:
    (place / "tables").mkdir(parents=True)
    (place / "tables" / "metrics.csv").write_text(HEAD + ROW.format(auc=auc, loss=loss))
    return place


@pytest.mark.parametrize(
    ("auc", "loss", "wrong"),
    [(0.51, 4.001, ""), (0.51, 4.03, "heldout_loss"), (0.6, 4.03, "heldout_loss, auc")],
)
def test_studies_are_compared_within_what_is_allowed(
    tmp_path: Path, auc: float, loss: float, wrong: str
) -> None:
    pairs = results(tmp_path / "a", 0.5, 4.0), results(tmp_path / "b", auc, loss)
    done = script("compare.py", *pairs, "--output", tmp_path / "compared.csv")
    assert f"auc: {abs(auc - 0.5):.4f} (allowed: 0.05)" in done.stdout
    message = f"error: {wrong} differ by more than is allowed\n" if wrong else ""
    assert done.stderr == message
    assert done.returncode == (1 if wrong else 0)
    assert len(pd.read_csv(tmp_path / "compared.csv")) == 2


def test_studies_of_other_models_are_not_compared(tmp_path: Path) -> None:
    first, second = results(tmp_path / "a", 0.5, 4.0), results(tmp_path / "b", 0.5, 4.0)
    file = second / "tables" / "metrics.csv"
    file.write_text(file.read_text().replace("kd", "public"))
    done = script("compare.py", first, second)
    assert done.returncode == 1
    assert "2 and 2 rows, of which 0 are the same" in done.stderr


def test_results_are_written_between_the_marks_of_the_page(tmp_path: Path) -> None:
    page, found = tmp_path / "page.md", tmp_path / "found"
    found.mkdir()
    begin, end = (f"<!-- benchmarks/gpu/results.py: {word} -->" for word in ("begin", "end"))
    page.write_text(f"before\n\n{begin}\nold\n{end}\n\nafter\n")
    versions = {"gpu": "Some GPU", "python": "3.12.3", "torch": "2.11.0", "transformers": "5.17.0"}
    (found / "machine.json").write_text(json.dumps(versions))
    (found / "steps.txt").write_text("smoke: status 0 after 61 s\n")
    speed = {"teacher": "1B", "what": "distillation", "precision": "bfloat16"}
    measured = {"tokens per second": 51234.5, "share of the measured peak": 0.42}
    rates = {"device": versions, "matrix products (TFLOP/s)": {"bfloat16": 612.3}}
    lines = [rates, {**speed, **measured, "peak memory (GiB)": 33.33}]
    (found / "bench.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert script("results.py", found, "--page", page).returncode == 0
    text = page.read_text()
    assert text.startswith(f"before\n\n{begin}\n")
    assert text.endswith(f"{end}\n\nafter\n")
    assert "old" not in text
    assert "on one Some GPU, with Python 3.12.3, torch 2.11.0" in text
    assert "- smoke: status 0 after 61 s" in text
    assert "| 1B | distillation | bfloat16 | 51,234 | 42 % | 33.3 |" in text
    again = script("results.py", found, "--page", page)
    assert again.returncode == 0
    assert page.read_text() == text


def test_a_measurement_without_a_gpu_and_a_page_without_marks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "machine.json").write_text(json.dumps({"gpu": None}))
    page = tmp_path / "page.md"
    page.write_text("no marks")
    done = script("results.py", tmp_path, "--page", page)
    assert "should hold the two marks" in done.stderr
    done = script("results.py", tmp_path)
    assert "measured on a machine without a GPU" in done.stderr


def test_the_list_of_wheels_names_packages_whose_version_is_fixed() -> None:
    fixed = {
        line.partition("==")[0].lower()
        for line in (KIT.parents[1] / "constraints.txt").read_text().splitlines()
    }
    wanted = (KIT / "missing.txt").read_text().split()
    assert len(wanted) > 40
    assert {name.lower() for name in wanted} <= fixed
