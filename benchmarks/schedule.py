"""How busy the scheduler keeps GPUs: a large study whose jobs only sleep.

`python benchmarks/schedule.py` plans 6 pairs x 5 seeds x all methods and times the dry run. Then it
runs the study with jobs that sleep instead of working, in the proportions of the default study. It
prints the share of the time in which the GPUs were held, and the largest share that any order of
the jobs could reach.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "workflow", "config", "profiles", "envs", "src")
FAMILIES = ("gpt2", "gpt_neox", "opt", "llama", "qwen2", "gemma")
# Seconds of the default study's jobs on one core (docs/performance.md); other jobs take none.
SECONDS = {
    "train_teacher": 58,
    "train_student": 32,
    "train_reference": 19,
    "store_targets": 8,
    "compute_evidence": 40,
    "compute_reference_evidence": 12,
    "compute_mixture_evidence": 161,
}
SIMULATED = """
include: "Snakefile"

import json
import time
from pathlib import Path

SECONDS = json.loads(Path("seconds.json").read_text())
HELD = open("held.txt", "a", buffering=1)


def sleep_instead(one):
    seconds = SECONDS.get(one.name, 0)

    def run(input, output, *others, **more):
        began = time.time()
        time.sleep(seconds)
        for name in output:
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.name in ("model", "tokenizer"):
                path.mkdir(exist_ok=True)
            else:
                path.touch()
        if seconds:
            HELD.write(f"{began} {time.time()}\\n")

    one.run_func = run
    one._benchmark = None  # there is no process to sample


for one in workflow.rules:
    if one.name != "all":
        sleep_instead(one)
"""


def main() -> None:
    """Print the time of the dry run, the number of jobs and the busy share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=8, help="simulated GPUs (default: 8)")
    parser.add_argument("--seeds", type=int, default=5, help="seeds (default: 5)")
    parser.add_argument(
        "--pace",
        type=float,
        default=0.03,
        help="seconds slept per second of a real job (default: 0.03)",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
            copy(ROOT / part, place / part)
        study = yaml.safe_load((place / "config/config.yaml").read_text())
        shape = {"layers": 4, "width": 128, "heads": 4, "positions": 192}
        study["seeds"] = list(range(arguments.seeds))
        study["pairs"] = {
            name: {
                "teacher": {"type": name, **shape},
                "student": {"type": name, **shape, "layers": 2},
            }
            for name in FAMILIES
        }
        (place / "study.yaml").write_text(yaml.safe_dump(study))
        paced = {rule: seconds * arguments.pace for rule, seconds in SECONDS.items()}
        (place / "seconds.json").write_text(json.dumps(paced))
        (place / "Snakefile.simulated").write_text(SIMULATED)
        began = time.perf_counter()
        planned = snakemake(place, "--dry-run", "--quiet", "rules")
        print(f"dry run: {time.perf_counter() - began:.1f} s")
        table = [line.split() for line in planned.splitlines() if line[:1].isalpha()]
        counts = {line[0]: int(line[1]) for line in table if len(line) == 2 and line[1].isdigit()}
        print(f"jobs: {counts['total']}")
        if (place / "held.txt").exists():
            (place / "held.txt").unlink()
        began = time.perf_counter()
        snakemake(
            place,
            "all",
            "--snakefile",
            "Snakefile.simulated",
            "--cores",
            str(8 * arguments.gpus),
            "--resources",
            f"gpu={arguments.gpus}",
            "--quiet",
            "rules",
        )
        lasted = time.perf_counter() - began
        held = [
            [float(word) for word in line.split()]
            for line in (place / "held.txt").read_text().splitlines()
        ]
    wanted = sum(counts.get(rule, 0) for rule in SECONDS)
    assert len(held) == wanted, f"{len(held)} of {wanted} jobs slept"
    total = sum(end - begin for begin, end in held)
    span = max(end for _, end in held) - min(begin for begin, _ in held)
    chain = sum(
        paced[rule]
        for rule in (
            "train_teacher",
            "compute_evidence",
            "train_student",
            "compute_mixture_evidence",
        )
    )
    shortest = max(total / arguments.gpus, chain)
    busy, ideal = total / arguments.gpus / span, total / arguments.gpus / shortest
    print(f"GPU jobs: {len(held)}, {total:.0f} GPU s in {span:.0f} s, {lasted:.0f} s in all")
    print(f"busy share {busy:.3f}, at best {ideal:.3f}: {busy / ideal:.3f} of it")


def snakemake(place: Path, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *options, "--configfile", "study.yaml"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
