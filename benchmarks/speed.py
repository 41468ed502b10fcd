"""Speed of what a study spends its time on: `python benchmarks/speed.py`.

Times on a shared machine vary; compare the ratios within one run.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from distilleak import catalogue
from distilleak.evidence import passes, probing
from distilleak.evidence.table import FLOAT_COLUMNS, Evidence, Shadow, View
from distilleak.models import families
from distilleak.models.batches import batch, by_length
from distilleak.ragged import Ragged
from distilleak.records.framing import Framing
from distilleak.scoring import attacking
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.objective import ObjectiveSettings
from distilleak.training.objective import accumulate
from distilleak.training.targets import Lesson, OnlineTargets

VOCABULARY, TOKENS, RECORDS, LENGTH = 2048, 1024, 256, 64


def seconds(action: Callable[[], object], repeats: int = 20) -> float:
    """The median time of one call."""
    action()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def losses(
    hidden: int, tokens: int, vocabulary: int
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Forward and backward pass of a one-layer student, including its teacher's head: ours, and
    with torch's own functions on all logits at once."""
    length = 128
    shape = ArchitectureSettings(layers=1, width=hidden, heads=hidden // 32, positions=length)
    model = families.build(shape, vocabulary, 0)
    teacher = OnlineTargets(families.build(shape, vocabulary, 0))
    rng = np.random.default_rng(0)
    records = [rng.integers(vocabulary, size=length) for _ in range(tokens // length)]
    now = batch(records, range(len(records)), Framing(0), "cpu")

    def ours() -> None:
        accumulate(model, now, ObjectiveSettings(), teacher.lesson(now), tokens)
        model.zero_grad()

    def torchs() -> None:
        logits = families.logits(model, now.hidden_states(model))
        soft = teacher.lesson(now).logits(slice(None)) / 2
        soft_loss = F.kl_div(F.log_softmax(logits / 2, -1), F.softmax(soft, -1), reduction="none")
        hard_loss = F.cross_entropy(logits, now.labels)
        (0.5 * hard_loss + 2 * soft_loss.sum(-1).mean()).backward()
        model.zero_grad()

    return ours, torchs


def large_vocabulary(which: int) -> tuple[float, float]:
    """Seconds of one pass and GB of peak memory beyond the models; run it in a separate process."""
    torch.set_num_threads(1)
    action = losses(768, 2048, 50257)[which]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = seconds(action, 2)
    return taken, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024**2


def loss() -> None:
    """Distillation loss with its gradient: ours compared with torch's own functions."""
    mine, plain = (seconds(action) for action in losses(128, TOKENS, VOCABULARY))
    print(
        f"loss       {mine * 1e3:8.1f} ms, torch's own {plain * 1e3:.1f} ms: {plain / mine:.2f} x"
    )
    for which, name in enumerate(("ours", "torch's own")):
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            taken, memory = alone.apply(large_vocabulary, (which,))
        print(f"  50,257 words, {name:11s} {taken:6.1f} s, {memory:.2f} GB")


def student() -> None:
    """One update of a student, and evidence of it on the plain view."""
    shape = ArchitectureSettings(layers=2, width=128, heads=4, positions=192)
    model = families.build(shape, VOCABULARY, 0)
    rng = np.random.default_rng(0)
    tokens = [rng.integers(VOCABULARY, size=LENGTH) for _ in range(RECORDS)]
    teacher = torch.randn(16 * LENGTH, VOCABULARY)
    lesson = Lesson(lambda part: teacher[part], None)

    def update() -> None:
        now = batch(tokens, range(16), Framing(0), "cpu")
        accumulate(model, now, ObjectiveSettings(), lesson, len(teacher))
        model.zero_grad()

    def forward() -> None:
        with torch.no_grad():
            for rows in by_length(np.full(RECORDS, LENGTH), 1024):
                families.logits(model, batch(tokens, rows, Framing(0), "cpu").hidden_states(model))

    def evidence() -> None:
        plan = passes.causal(np.full(RECORDS, LENGTH))
        context = probing.read_context([model], Framing(0))
        probing.probe([model], {"": [0]}, tokens, plan, context, probing.Budget(1024))

    print(f"training   {16 * LENGTH / seconds(update):8.0f} tokens/s")
    bare, full = seconds(forward, 5), seconds(evidence, 5)
    print(
        f"evidence   {RECORDS * LENGTH / full:8.0f} tokens/s, the bare forward pass "
        f"{RECORDS * LENGTH / bare:.0f}: {full / bare:.2f} x its time"
    )


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
        unigram=np.bincount(tokens, minlength=VOCABULARY),
    )
    for name in catalogue.names("attacks"):
        entry = {"attack": name, "parameters": {}}
        taken = seconds(lambda entry=entry: attacking.score(entry["attack"], entry, evidence), 3)
        print(f"{name:12s} {offsets[-1] / taken / 1e6:8.1f} million tokens/s")


if __name__ == "__main__":
    torch.set_num_threads(1)
    loss()
    student()
    attacks()
