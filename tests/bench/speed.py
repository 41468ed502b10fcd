"""Speed of what a study spends its time on: `python tests/bench/speed.py`.

Times on a shared machine move; the ratios inside one run are what to compare.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from distilleak import attacking, catalogue, models, probing
from distilleak.batches import batch, by_length
from distilleak.evidence import FLOAT_COLUMNS, Evidence, View
from distilleak.objective import distillation_loss
from distilleak.ragged import Ragged
from distilleak.settings.architecture import ArchitectureSettings

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


def loss() -> None:
    """Distillation loss with its gradient: ours against torch's own functions."""
    student = (torch.randn(TOKENS, VOCABULARY) * 3).requires_grad_()
    teacher = torch.randn(TOKENS, VOCABULARY) * 3
    labels = torch.randint(VOCABULARY, (TOKENS,))

    def ours() -> None:
        distillation_loss(student, labels, teacher, 0.5, 2.0).backward()

    def torchs() -> None:
        soft = F.kl_div(
            F.log_softmax(student / 2, -1), F.softmax(teacher / 2, -1), reduction="none"
        )
        (0.5 * F.cross_entropy(student, labels) + 2 * soft.sum(-1).mean()).backward()

    mine, plain = seconds(ours), seconds(torchs)
    print(
        f"loss       {mine * 1e3:8.1f} ms, torch's own {plain * 1e3:.1f} ms: {plain / mine:.2f} x"
    )


def student() -> None:
    """One update of a student, and evidence of it on the plain view."""
    shape = ArchitectureSettings(layers=2, width=128, heads=4, positions=192)
    model = models.build(shape, VOCABULARY, 0, 0)
    rng = np.random.default_rng(0)
    tokens = [rng.integers(VOCABULARY, size=LENGTH) for _ in range(RECORDS)]
    teacher = torch.randn(16 * LENGTH, VOCABULARY)

    def update() -> None:
        now = batch(tokens, range(16), 0, "cpu")
        logits = model.get_output_embeddings()(now.hidden_states(model))
        distillation_loss(logits, now.labels, teacher, 0.5, 2.0).backward()
        model.zero_grad()

    def forward() -> None:
        with torch.no_grad():
            for rows in by_length(tokens, 1024):
                now = batch(tokens, rows, 0, "cpu")
                model.get_output_embeddings()(now.hidden_states(model))

    def evidence() -> None:
        probing.probe([model], {"": [0]}, tokens, start=0, prefix=None, batch_tokens=1024)

    print(f"training   {16 * LENGTH / seconds(update):8.0f} tokens/s")
    bare, full = seconds(forward, 5), seconds(evidence, 5)
    print(
        f"evidence   {RECORDS * LENGTH / full:8.0f} tokens/s, the bare forward pass "
        f"{RECORDS * LENGTH / bare:.0f}: {full / bare:.2f} x its time"
    )


def attacks() -> None:
    """Every attack on random evidence."""
    rng = np.random.default_rng(0)
    records = 8192
    offsets = np.arange(records + 1) * LENGTH

    def view() -> View:
        columns = {
            name: Ragged(-rng.exponential(3, offsets[-1]).astype(np.float32), offsets)
            for name in FLOAT_COLUMNS
        }
        columns["std_logp"] = Ragged(np.abs(columns["std_logp"].values), offsets)
        whole = Ragged(np.zeros(offsets[-1], np.int32), offsets)
        return View(record_id=ids, token_id=whole, rank=whole, **columns)

    ids = [str(record) for record in range(records)]
    views = {name: view() for name in ("plain", "lower", "prefix_nonmember")}
    evidence = Evidence(ids, ["some text of a record " * 12] * records, views, [view()])
    for name in catalogue.names("attacks"):
        entry = {"attack": name, "parameters": {}}
        taken = seconds(lambda entry=entry: attacking.score(entry["attack"], entry, evidence), 3)
        print(f"{name:10s} {offsets[-1] / taken / 1e6:8.1f} million tokens/s")


if __name__ == "__main__":
    torch.set_num_threads(1)
    loss()
    student()
    attacks()
