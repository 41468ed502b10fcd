"""Speed and memory of training and evidence on a GPU: `python benchmarks/gpu/bench.py`.

Measures the card's matrix product rate, the distillation of a teacher with random weights into a
student with a quarter of its layers, and evidence of both, for teachers of the 124M and the 1B
class, in bfloat16 and float32. Every result is a line of JSON as soon as it is there: tokens per
second, share of the measured peak (model FLOPs over the matrix product rate) and peak memory. Exits
with an error on a machine without a GPU; `--small` runs a tiny model on the CPU, to check that the
script works.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel

from distilleak.evidence import passes, probing
from distilleak.models import families, making
from distilleak.models.batches import Batch
from distilleak.records.framing import Framing
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.objective import ObjectiveSettings
from distilleak.settings.training import HardwareSettings, TrainingSettings
from distilleak.training import loop
from distilleak.training.objective import accumulate
from distilleak.training.targets import OnlineTargets

FRAMING = Framing(0)
PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
WORDS = 50_304
SHAPES = {
    "124M": ArchitectureSettings(layers=12, width=768, heads=12, positions=1024),
    "1B": ArchitectureSettings(type="llama", layers=16, width=2048, heads=32, positions=2048),
}
SMALL = {"small": ArchitectureSettings(type="llama", layers=4, width=64, heads=4, positions=128)}


def main() -> None:
    given = _parser().parse_args()
    if given.machine:
        print(json.dumps(machine()))
        return
    if not given.small and not torch.cuda.is_available():
        sys.exit("error: no GPU here; --small runs a tiny model on the CPU instead")
    device = making.prepare(torch.get_num_threads())
    peaks = {name: product_rate(device, dtype) for name, dtype in PRECISIONS.items()}
    write(given.output, {"device": machine(), "matrix products (TFLOP/s)": peaks})
    for name, shape in (SMALL if given.small else SHAPES).items():
        for found in measurements(name, shape, device, peaks, given):
            write(given.output, found)


def machine() -> dict[str, Any]:
    """Which one, and with which versions."""
    return {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def write(output: Path | None, found: dict[str, Any]) -> None:
    """One line on the screen and in the file."""
    print(json.dumps(found), flush=True)
    if output is not None:
        with output.open("a") as file:
            file.write(json.dumps(found) + "\n")


def measurements(
    name: str,
    shape: ArchitectureSettings,
    device: str,
    peaks: dict[str, float],
    given: argparse.Namespace,
) -> Iterator[dict[str, Any]]:
    """What distillation and evidence of a teacher take, in both precisions."""
    vocabulary, length, batch_size = (512, 64, 8) if given.small else (WORDS, 512, given.batch_size)
    rng = np.random.default_rng(0)

    def records(tokens: int) -> list[np.ndarray]:
        return list(rng.integers(1, vocabulary, (max(1, tokens // length), length)))

    with making.seeded(0):
        teacher = families.build(shape, vocabulary, 0).to(device).eval()
        student = families.copy_layers(teacher, shape.layers // 4)
    lessons = OnlineTargets(teacher)
    settings = TrainingSettings(epochs=1, batch_size=batch_size, learning_rate=1e-4)

    def distil(steps: int, precision: str) -> None:
        def learn(now: Batch, tokens: int) -> torch.Tensor:
            return accumulate(student, now, ObjectiveSettings(), lessons.lesson(now), tokens)

        hardware = HardwareSettings(micro_batch=given.micro_batch, precision=precision)
        tokens = records(steps * batch_size * length)
        loop.train(
            student, tokens, FRAMING, learn, settings, hardware, steps=steps, seed=0, snapshots=None
        )

    for precision in PRECISIONS:
        distil(2, precision)
        seen = given.steps * batch_size * length
        flops = seen * (6 * matrices(student) + 2 * matrices(teacher))
        yield {
            "teacher": name,
            "what": "distillation",
            "precision": precision,
            **measured(partial(distil, given.steps, precision), seen, flops, peaks[precision]),
        }
    for precision, dtype in PRECISIONS.items():
        for role, model in (("teacher", teacher), ("student", student)):
            model.to(dtype)
            tokens = records(given.evidence_tokens)
            plan = passes.causal(np.full(len(tokens), length))
            context = probing.read_context([model], FRAMING)
            query = partial(probing.probe, [model], {"": [0]})
            query(tokens[:64], passes.causal(plan.length[:64]), context, probing.Budget(32_768))
            seen = len(tokens) * length
            yield {
                "teacher": name,
                "what": f"evidence of the {role}",
                "precision": precision,
                **measured(
                    partial(query, tokens, plan, context, probing.Budget(32_768)),
                    seen,
                    2 * seen * matrices(model),
                    peaks[precision],
                ),
            }


def matrices(model: PreTrainedModel) -> int:
    """Weights that multiply every token: all but the table of input embeddings."""
    table = model.get_input_embeddings().weight.numel()
    tied = model.config.tie_word_embeddings
    return int(model.num_parameters()) - (0 if tied else table)


def product_rate(device: str, dtype: torch.dtype) -> float:
    """TFLOP/s of a large matrix product; in float32 with TF32, as in training on a GPU."""
    size = 8192 if device != "cpu" else 512
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    rate = 10 * 2 * size**3 / seconds(lambda: [a @ b for _ in range(10)]) / 1e12
    torch.set_float32_matmul_precision(before)
    return rate


def measured(action: Callable[[], object], tokens: int, flops: float, peak: float) -> Any:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    taken = seconds(action, warm=False)
    memory = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    return {
        "tokens": tokens,
        "tokens per second": tokens / taken,
        "share of the measured peak": flops / taken / peak / 1e12,
        "peak memory (GiB)": memory,
    }


def seconds(action: Callable[[], object], warm: bool = True) -> float:
    def now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    if warm:
        action()
    began = now()
    action()
    return now() - began


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--machine", action="store_true", help="only print which machine it is")
    parser.add_argument("--small", action="store_true", help="a tiny model, on any machine")
    parser.add_argument("--output", type=Path, help="file to which the results are added")
    parser.add_argument("--steps", type=int, default=30, help="updates (default: 30)")
    parser.add_argument(
        "--batch-size", type=int, default=32, help="records of 512 tokens (default: 32)"
    )
    parser.add_argument("--micro-batch", type=int, help="records per forward pass")
    parser.add_argument(
        "--evidence-tokens", type=int, default=400_000, help="tokens (default: 400,000)"
    )
    return parser


if __name__ == "__main__":
    main()
