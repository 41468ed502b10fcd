"""Speed of what a study spends its time on: `python benchmarks/speed.py`.

Evidence and the step of distillation have benchmarks of their own beside this one.

Times on a shared machine vary; compare the ratios within one run.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from distillation import steps

from distilleak import catalogue
from distilleak.evidence.table import FLOAT_COLUMNS, Evidence, Shadow, View
from distilleak.models import families
from distilleak.models.batches import batch
from distilleak.ragged import Ragged
from distilleak.records.framing import Framing
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.objective import ObjectiveSettings
from distilleak.training.objective import accumulate
from distilleak.training.targets import Lesson

VOCABULARY, LENGTH = 2048, 64


def seconds(action: Callable[[], object], repeats: int = 20) -> float:
    """The median time of one call."""
    action()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def large_vocabulary(step: str) -> tuple[float, float]:
    """Seconds of a step of distillation with 50,257 words, and GB of peak memory beyond the models;
    run it in a separate process."""
    torch.set_num_threads(1)
    shape = ArchitectureSettings(layers=1, width=768, heads=24, positions=128)
    student, teacher = (families.build(shape, 50257, 0) for _ in range(2))
    rng = np.random.default_rng(0)
    records = [rng.integers(50257, size=128) for _ in range(16)]
    now = batch(records, range(len(records)), Framing(0), "cpu")
    action = steps(student, teacher, now, ["forward_kl"])[step]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = seconds(action, 2)
    return taken, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024**2


def loss() -> None:
    """Time and memory of the distillation loss with its gradient, and of torch's own functions."""
    for step in ("forward_kl", "torch's own"):
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            taken, memory = alone.apply(large_vocabulary, (step,))
        print(f"50,257 words, {step:11s} {taken:6.1f} s, {memory:.2f} GB")


def student() -> None:
    """One update of a student."""
    shape = ArchitectureSettings(layers=2, width=128, heads=4, positions=192)
    model = families.build(shape, VOCABULARY, 0)
    rng = np.random.default_rng(0)
    tokens = [rng.integers(VOCABULARY, size=LENGTH) for _ in range(16)]
    teacher = torch.randn(16 * LENGTH, VOCABULARY)
    lesson = Lesson(lambda part: teacher[part], None)

    def update() -> None:
        now = batch(tokens, range(16), Framing(0), "cpu")
        accumulate(model, now, ObjectiveSettings(), lesson, len(teacher))
        model.zero_grad()

    print(f"training   {16 * LENGTH / seconds(update):8.0f} tokens/s")


def attacks() -> None:
    """Every attack on random evidence; each token of a record counts once, however often read."""
    rng = np.random.default_rng(0)
    records = 8192
    offsets = np.arange(records + 1) * LENGTH
    tokens = rng.integers(0, VOCABULARY, offsets[-1]).astype(np.int32)

    def view() -> View:
        columns = {
            name: Ragged(-rng.exponential(3, offsets[-1]).astype(np.float32), offsets)
            for name in FLOAT_COLUMNS
        }
        columns["std_logp"] = Ragged(np.abs(columns["std_logp"].values), offsets)
        rank = Ragged(rng.integers(1, 50, offsets[-1]).astype(np.int32), offsets)
        return View(record_id=ids, token_id=Ragged(tokens, offsets), rank=rank, **columns)

    ids = [str(record) for record in range(records)]
    views = {name: view() for name in ("plain", "lower", "prefix_nonmember", "prefix_member")}
    population = view()
    evidence = Evidence(
        ids,
        ["some text of a record " * 12] * records,
        views,
        references=[view() for _ in range(4)],
        neighbours=[view() for _ in range(4)],
        population=population,
        reference_population=[population] * 4,
        shadows=[
            Shadow(view(), np.arange(records) % 2 == number % 2, population) for number in range(4)
        ],
        base=view(),
        teacher=view(),
        teacher_population=population,
        unigram=np.bincount(tokens, minlength=VOCABULARY),
    )
    for name in catalogue.names("attacks"):
        attack = catalogue.load("attacks", name)
        taken = seconds(partial(attack.score, evidence, attack.Parameters()), 3)
        print(f"{name:14s} {offsets[-1] / taken / 1e6:8.1f} million tokens/s")


if __name__ == "__main__":
    torch.set_num_threads(1)
    loss()
    student()
    attacks()
