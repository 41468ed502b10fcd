"""What the start of a job takes: `python benchmarks/start_up.py [--against CHECKOUT]`.

Runs each stage that needs a model on a study of one layer and a few records, and prints the CPU
seconds of the process, user and system: those of its start, but for a few tenths. Beside them stand
those of an interpreter that only imports torch, below which none can go. The last row is the sum
over the jobs of the default study.

With `--against` another checkout of this package runs the same jobs in turn, so that what else the
machine does falls on both. Medians over the turns.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SHAPE = json.dumps({"type": "gpt2", "layers": 1, "width": 16, "heads": 2, "positions": 48})
POOLS = json.dumps({"member": 40, "nonmember": 40, "holdout": 20, "auxiliary": 60})
TRAINING = json.dumps({"epochs": 1, "batch_size": 40, "learning_rate": 0.001})
KD = json.dumps({"method": "kd", "parameters": {}})
DATA = {
    "load_corpus": "--corpus {SOTU} --output passages.parquet",
    "split_records": "--passages passages.parquet --pools {POOLS} --seed 0 --output split.parquet",
    "train_tokenizer": "--passages passages.parquet --split split.parquet --context 24"
    " --settings {WORDS} --output tokenizer",
    "encode_records": "--passages passages.parquet --split split.parquet --tokenizer tokenizer"
    " --context 24 --seed 0 --output records.parquet",
}
"""Stages that make the data -> their command lines."""
STAGES = {
    "train_model": "--records records.parquet --tokenizer tokenizer --role teacher --model {SHAPE}"
    " --training {TRAINING} --seed 0 --output teacher --facts teacher.json",
    "store_targets": "--records records.parquet --teacher teacher --output targets.npy",
    "train_student": "--records records.parquet --tokenizer tokenizer --method {KD}"
    " --student {SHAPE} --training {TRAINING} --targets targets.npy --seed 0 --output student"
    " --selection selection.parquet --facts student.json",
    "compute_evidence": "--records records.parquet --model teacher --seed 0 --output evidence",
}
"""Stages that need a model -> their command lines."""
JOBS = {"train_model": 3, "store_targets": 1, "train_student": 10, "compute_evidence": 19}
"""How many of them the default study runs."""
WORDS = {
    "SOTU": '{"source": "sotu", "parameters": {}}',
    "POOLS": POOLS,
    "WORDS": '{"vocabulary": 320}',
    "SHAPE": SHAPE,
    "TRAINING": TRAINING,
    "KD": KD,
}


def words(line: str) -> list[str]:
    """The words of a command line, in which names in braces stand for JSON."""
    return [WORDS[word[1:-1]] if word.startswith("{") else word for word in line.split()]


def seconds(command: list[str], checkout: Path, directory: str) -> float:
    """CPU seconds of a command with the package of `checkout`, in a directory.

    Raises:
        SystemExit: it failed; its last lines are printed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(checkout / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"error: {' '.join(command)}\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(checkouts: list[Path], turns: int, directory: str) -> dict[str, list[float]]:
    """Stage -> median CPU seconds with each checkout, taken in turns after one not counted."""
    for stage, line in DATA.items():
        seconds(["-m", "distilleak", stage, *words(line)], ROOT, directory)
    commands = {"import torch": ["-c", "import torch"]} | {
        stage: ["-m", "distilleak", stage, *words(line)] for stage, line in STAGES.items()
    }
    taken: dict[str, list[list[float]]] = {name: [] for name in commands}
    for turn in range(turns + 1):
        for name, command in commands.items():
            row = [seconds(command, checkout, directory) for checkout in checkouts]
            if turn:
                taken[name].append(row)
    return {name: np.median(rows, axis=0).tolist() for name, rows in taken.items()}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--turns", type=int, default=5, help="(default: 5)")
    given = parser.parse_args()
    checkouts = [ROOT] if given.against is None else [given.against.resolve(), ROOT]
    with tempfile.TemporaryDirectory() as directory:
        found = measured(checkouts, given.turns, directory)
    total = [
        sum(JOBS[stage] * found[stage][column] for stage in JOBS)
        for column in range(len(checkouts))
    ]
    rows = {**found, f"the {sum(JOBS.values())} jobs of the default study": total}
    compared = len(checkouts) > 1
    print("| job |" + (" before (CPU s) |" if compared else "") + " CPU s |")
    print("|---|---|" + ("---|" if compared else ""))
    for name, figures in rows.items():
        print(f"| {name} |" + "".join(f" {figure:,.2f} |" for figure in figures))


if __name__ == "__main__":
    main()
