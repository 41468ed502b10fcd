"""A step of distillation against its bare parts: `python benchmarks/distillation.py`.

The bare parts are the teacher's forward pass to its logits, and forward and backward pass of the
student with torch's cross-entropy, both as transformers builds them. Prints what a step of ours,
with the default objective or another divergence, and one with torch's own functions take of CPU
time in the time of the bare parts, on one thread, at equal batch. All are taken in turns, so that
what else the machine does falls on all; medians over the turns. Where TRL is installed, its loss is
measured, too.
"""

import argparse
import importlib.util
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from evidence import SHAPES, START, interleaved, spelled_out
from transformers import PreTrainedModel

from distilleak.models import families
from distilleak.models.batches import Batch, batch
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.objective import ObjectiveSettings
from distilleak.training.objective import accumulate
from distilleak.training.targets import OnlineTargets

DIVERGENCES = ("forward_kl", "reverse_kl", "jensen_shannon", "hard_labels")
TEACHERS = {
    "4 x 128": ({"layers": 4, "width": 128, "heads": 4}, 2048, 64, 0),
    "4 x 256": (SHAPES["4 x 256"][0], 8192, 128, 0),
    **{name: SHAPES[name] for name in ("12 x 768", "30 x 576")},
}
"""The teacher's shape, as in `SHAPES`; students have half the layers."""
Step = Callable[[], None]


def steps(
    architectures: list[ArchitectureSettings], words: int, now: Batch, divergences: list[str]
) -> dict[str, Step]:
    """Name -> an update without its optimizer, for the shapes of a teacher and a student."""
    teacher, student = (families.build(shape, words, 0) for shape in architectures)
    plain_teacher, plain = (spelled_out(families.build(a, words, 0)) for a in architectures)
    targets, plain_targets = OnlineTargets(teacher), OnlineTargets(plain_teacher)

    def bare(student: PreTrainedModel, targets: OnlineTargets) -> None:
        targets.lesson(now).logits(slice(None))
        logits = families.logits(student, now.hidden_states(student))
        F.cross_entropy(logits, now.labels).backward()
        student.zero_grad()

    def own(divergence: str) -> Step:
        objective = ObjectiveSettings(divergence=divergence)

        def step() -> None:
            accumulate(student, now, objective, targets.lesson(now), len(now.labels))
            student.zero_grad()

        return step

    def torchs() -> None:
        soft = plain_targets.lesson(now).logits(slice(None)) / 2
        logits = families.logits(plain, now.hidden_states(plain))
        loss = 4 * F.kl_div(F.log_softmax(logits / 2, -1), F.softmax(soft, -1), reduction="sum")
        ((loss / len(now.labels) + F.cross_entropy(logits, now.labels)) / 2).backward()
        plain.zero_grad()

    found = {
        "bare": partial(bare, plain, plain_targets),
        "bare, our models": partial(bare, student, targets),
        **{name: own(name) for name in divergences},
        "torch's own": torchs,
    }
    if importlib.util.find_spec("trl") is not None:
        found["TRL's GKD"] = _trl(plain, plain_targets, now)
    return found


def _trl(student: PreTrainedModel, targets: OnlineTargets, now: Batch) -> Step:
    try:
        from trl.experimental.gkd import GKDTrainer
    except ImportError:
        from trl import GKDTrainer

    def step() -> None:
        soft = targets.lesson(now).logits(slice(None))
        logits = families.logits(student, now.hidden_states(student))
        loss = 4 * GKDTrainer.generalized_jsd_loss(logits, soft, beta=0.0, temperature=2.0)
        ((loss + F.cross_entropy(logits, now.labels)) / 2).backward()
        student.zero_grad()

    return step


def measured(
    name: str, budget: int, turns: int, divergences: list[str]
) -> tuple[float, dict[str, float]]:
    """CPU seconds of the bare parts for a token, and name -> how many times that a step takes."""
    shape, words, length, _ = TEACHERS[name]
    architectures = [
        ArchitectureSettings(positions=2 * length, **{**shape, "layers": shape["layers"] // share})
        for share in (1, 2)
    ]
    rng = np.random.default_rng(0)
    records = [rng.integers(words, size=length) for _ in range(budget // length)]
    now = batch(records, range(len(records)), START, "cpu")
    taken = interleaved(steps(architectures, words, now, divergences), turns)
    bare = taken.pop("bare")
    return bare / len(now.labels), {step: seconds / bare for step, seconds in taken.items()}


def main() -> None:
    """Measure the shapes that the command line names, by default all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "teachers", nargs="*", help=f"default: all of {', '.join(map(repr, TEACHERS))}"
    )
    parser.add_argument("--turns", type=int, default=9, help="(default: 9)")
    parser.add_argument("--batch-tokens", type=int, default=1024, help="(default: 1024)")
    parser.add_argument(
        "--divergences",
        nargs="*",
        default=list(DIVERGENCES),
        help=f"of {', '.join(DIVERGENCES)} (default: all)",
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    for number, name in enumerate(given.teachers or TEACHERS):
        bare, ratios = measured(name, given.batch_tokens, given.turns, given.divergences)
        if not number:
            print(f"| teacher | words | bare (ms per 1,000 tokens) | {' | '.join(ratios)} |")
            print("|---|---|---|" + "---|" * len(ratios))
        times = " | ".join(f"{ratio:.2f}" for ratio in ratios.values())
        print(f"| {name} | {TEACHERS[name][1]:,} | {1e6 * bare:,.0f} | {times} |", flush=True)


if __name__ == "__main__":
    main()
