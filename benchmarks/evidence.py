"""Evidence against the bare forward pass: `python benchmarks/evidence.py`.

Prints what evidence on the plain view takes of CPU time on one thread: per record, in the time of a
batched forward pass that stops at the logits of the model as transformers builds it, and in that of
ours, whose activations are torch's own functions. All are taken in turns, so that what else the
machine does falls on all; medians over the turns. Times on a shared machine vary; compare the
ratios of one run.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel
from transformers.activations import GELUTanh, NewGELUActivation

from distilleak.evidence import passes, probing
from distilleak.models import families
from distilleak.models.batches import batch, by_length
from distilleak.records.framing import Framing
from distilleak.settings.architecture import ArchitectureSettings

START = Framing(0)
SMOLLM2 = {"num_key_value_heads": 3, "intermediate_size": 1536}
SHAPES: dict[str, tuple[dict[str, Any], int, int, int]] = {
    "2 x 128": ({"layers": 2, "width": 128, "heads": 4}, 2048, 64, 256),
    "4 x 256": ({"layers": 4, "width": 256, "heads": 4}, 4096, 128, 64),
    "12 x 768": ({"layers": 12, "width": 768, "heads": 12}, 50257, 128, 16),
    "30 x 576": (
        {"type": "llama", "layers": 30, "width": 576, "heads": 9, "options": SMOLLM2},
        49152,
        128,
        16,
    ),
}
"""Shape -> settings, words of the vocabulary, tokens of a record, records. The last two are shaped
like GPT-2 and SmolLM2-135M."""


def interleaved(actions: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """The median CPU seconds of each action, taken in turns after one that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(turns + 1):
        for name, action in actions.items():
            began = time.process_time()
            action()
            if turn:
                taken[name].append(time.process_time() - began)
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}


def spelled_out(model: PreTrainedModel) -> PreTrainedModel:
    """The model with the activations that transformers gives it (see `models.activations`)."""
    for module in model.modules():
        if isinstance(getattr(module, "act", None), GELUTanh):
            module.act = NewGELUActivation()
    return model


@torch.no_grad()
def forward(model: PreTrainedModel, tokens: list[NDArray[np.int64]], budget: int) -> None:
    """Every batch as far as its logits, all of them at once."""
    for rows in by_length(np.array([len(record) for record in tokens]), budget):
        families.logits(model, batch(tokens, rows, START, "cpu").hidden_states(model))


def evidence(model: PreTrainedModel, tokens: list[NDArray[np.int64]], budget: int) -> None:
    """Evidence on the plain view, in the same batches."""
    plan = passes.causal(np.array([len(record) for record in tokens]))
    context = probing.read_context([model], START)
    probing.probe([model], {"": [0]}, tokens, plan, context, probing.Budget(budget))


def measured(name: str, budget: int, turns: int) -> str:
    """A row of the table."""
    shape, words, length, records = SHAPES[name]
    architecture = ArchitectureSettings(positions=2 * length, **shape)
    model = families.build(architecture, words, 0)
    plain = spelled_out(families.build(architecture, words, 0))
    rng = np.random.default_rng(0)
    tokens = [rng.integers(words, size=length) for _ in range(records)]
    actions: dict[str, Callable[[], object]] = {
        "transformers": lambda: forward(plain, tokens, budget),
        "forward": lambda: forward(model, tokens, budget),
        "evidence": lambda: evidence(model, tokens, budget),
    }
    bare, own, ours = (1e3 * taken / records for taken in interleaved(actions, turns).values())
    times = f"{bare:,.1f} | {own:,.1f} | {ours:,.1f} | {ours / bare:.2f} | {ours / own:.2f}"
    return f"| {name} | {words:,} | {length} | {times} |"


def main() -> None:
    """Measure the shapes that the command line names, by default all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shapes", nargs="*", help=f"default: all of {', '.join(map(repr, SHAPES))}")
    parser.add_argument("--turns", type=int, default=9, help="(default: 9)")
    parser.add_argument("--batch-tokens", type=int, default=1024, help="(default: 1024)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| model | words | tokens | transformers (ms per record) | our forward pass (ms) "
        "| evidence (ms) | evidence / transformers | evidence / our forward pass |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in given.shapes or SHAPES:
        print(measured(name, given.batch_tokens, given.turns), flush=True)


if __name__ == "__main__":
    main()
