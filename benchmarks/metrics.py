"""Time and memory of metrics against the number of records: `python benchmarks/metrics.py`.

Measures random scores of as many members as non-members, each number of records in a process of its
own. Prints the peak memory of the process and the CPU time of all metrics that `measure_metrics`
computes from scores; the last column is the share of one attack and replicate.
"""

import argparse
import os
import resource
import subprocess
import sys
import time

import numpy as np

from distilleak.scoring.measuring import privacy
from distilleak.scoring.scores import Scores
from distilleak.settings.evaluation import EvaluationSettings


def made(records: int, attacks: int) -> Scores:
    """Scores of as many members as non-members; each attack finds a little more than the last."""
    rng = np.random.default_rng(0)
    member = rng.permutation(np.arange(records) < records // 2)
    return Scores(
        record_id=np.array([f"{number:08}" for number in range(records)]),
        pool=np.where(member, "member", "nonmember"),
        teacher_member=member,
        student_member=member,
        attacks={
            f"attack_{number}": rng.normal(size=records) + 0.02 * number * member
            for number in range(attacks)
        },
    )


def measure(records: int, attacks: int, replicates: int) -> str:
    """A row of the table."""
    scores, settings = made(records, attacks), EvaluationSettings(replicates=replicates)
    began = time.process_time()
    found = sum(1 for _ in privacy(scores, None, settings, 0, majority=False))
    taken = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = 1e3 * taken / attacks / replicates
    return (
        f"| {records:,} | {attacks} | {replicates:,} | {found} | {peak:,.0f} | {taken:,.1f} "
        f"| {each:.3f} |"
    )


def main() -> None:
    """Measure the numbers of records that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = [2000, 100_000, 1_000_000]
    parser.add_argument(
        "records", nargs="*", type=int, default=default, help="(default: 2000 100000 1000000)"
    )
    parser.add_argument("--attacks", type=int, default=16, help="(default: 16)")
    parser.add_argument("--replicates", type=int, default=1000, help="(default: 1000)")
    parser.add_argument("--here", action="store_true", help="in this process, without a heading")
    given = parser.parse_args()
    if given.here:
        for records in given.records:
            print(measure(records, given.attacks, given.replicates), flush=True)
        return
    print("| records | attacks | replicates | metrics | peak (MiB) | CPU (s) | each (ms) |")
    print("|---|---|---|---|---|---|---|", flush=True)
    options = ["--attacks", str(given.attacks), "--replicates", str(given.replicates), "--here"]
    for records in given.records:
        command = [sys.executable, os.path.abspath(__file__), str(records), *options]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
