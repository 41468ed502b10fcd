"""Speed and memory of training and evidence on a GPU: `python benchmarks/gpu.py`.

Measures the card's matrix product rate, the training of a student for `--steps` updates, and
evidence of teacher and student on `--evidence-tokens`. The teacher is of the 1B class with random
weights, and the student has a quarter of its layers. Prints JSON: tokens per second, share of the
measured peak (model FLOPs over the matrix product rate) and peak memory. Exits with an error on a
machine without a GPU; `--small` runs a tiny model on the CPU, to check that the script works.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
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
LARGE = ArchitectureSettings(type="llama", layers=16, width=2048, heads=32, positions=2048)
SMALL = ArchitectureSettings(type="llama", layers=4, width=64, heads=4, positions=128)


def main() -> None:
    arguments = _parser().parse_args()
    if not arguments.small and not torch.cuda.is_available():
        sys.exit("error: no GPU here; --small runs a tiny model on the CPU instead")
    device = making.prepare(torch.get_num_threads())
    shape, vocabulary = (SMALL, 512) if arguments.small else (LARGE, 50_304)
    length = 64 if arguments.small else 512
    batch_size = 8 if arguments.small else arguments.batch_size
    rng = np.random.default_rng(0)

    def records(tokens: int) -> list[np.ndarray]:
        return list(rng.integers(1, vocabulary, (max(1, tokens // length), length)))

    with making.seeded(0):
        teacher = families.build(shape, vocabulary, 0).to(device).eval()
        student = families.copy_layers(teacher, shape.layers // 4)
    peak = product_rate(device)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device != "cpu" else "cpu",
        "matrix product rate (TFLOP/s)": peak / 1e12,
        "teacher parameters": teacher.num_parameters(),
        "student parameters": student.num_parameters(),
    }

    lessons = OnlineTargets(teacher)
    settings = TrainingSettings(epochs=1, batch_size=batch_size, learning_rate=1e-4)

    def distil(steps: int) -> None:
        def learn(now: Batch, tokens: int) -> torch.Tensor:
            return accumulate(student, now, ObjectiveSettings(), lessons.lesson(now), tokens)

        loop.train(
            student,
            records(steps * batch_size * length),
            FRAMING,
            learn,
            settings,
            HardwareSettings(micro_batch=arguments.micro_batch),
            steps=steps,
            seed=0,
            snapshots=None,
        )

    distil(3)
    seen = arguments.steps * batch_size * length
    flops = seen * (6 * matrices(student) + 2 * matrices(teacher))
    found["distillation"] = measured(lambda: distil(arguments.steps), seen, flops, peak)
    for name, model in (("teacher", teacher), ("student", student)):
        tokens = records(arguments.evidence_tokens)
        plan = passes.causal(np.full(len(tokens), length))
        context = probing.read_context([model], FRAMING)

        def evidence(model: PreTrainedModel = model, tokens: Any = tokens, **kept: Any) -> None:
            probing.probe(
                [model], {"": [0]}, tokens, kept["plan"], kept["context"], probing.Budget(32_768)
            )

        seen = len(tokens) * length
        found[f"evidence of the {name}, float32"] = measured(
            lambda evidence=evidence, plan=plan, context=context: evidence(
                plan=plan, context=context
            ),
            seen,
            2 * seen * matrices(model),
            peak,
        )
    print(json.dumps(found, indent=2))


def matrices(model: PreTrainedModel) -> int:
    """Weights that multiply every token: all but the table of input embeddings."""
    table = model.get_input_embeddings().weight.numel()
    tied = model.config.tie_word_embeddings
    return int(model.num_parameters()) - (0 if tied else table)


def product_rate(device: str) -> float:
    """FLOP/s of a large matrix product, in bfloat16 on a GPU and float32 on a CPU."""
    size, dtype = (8192, torch.bfloat16) if device != "cpu" else (1024, torch.float32)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 10 * 2 * size**3 / seconds(lambda: [a @ b for _ in range(10)])


def measured(action: Callable[[], object], tokens: int, flops: float, peak: float) -> Any:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    taken = seconds(action, warm=False)
    memory = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    return {
        "tokens": tokens,
        "tokens per second": tokens / taken,
        "share of the measured peak": flops / taken / peak,
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
    parser.add_argument("--small", action="store_true", help="a tiny model, on any machine")
    parser.add_argument("--steps", type=int, default=300, help="updates (default: 300)")
    parser.add_argument("--batch-size", type=int, default=32, help="records of 512 tokens")
    parser.add_argument("--micro-batch", type=int, help="records per forward pass")
    parser.add_argument(
        "--evidence-tokens", type=int, default=2_000_000, help="tokens (default: 2 million)"
    )
    return parser


if __name__ == "__main__":
    main()
