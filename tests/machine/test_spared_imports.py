"""What stages do not use of torch and transformers is not imported, and changes nothing when it is.

Each test runs a program of its own, since what one imports the next would see.
"""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers

from distilleak.machine import imports

UNUSED = [
    "torch._dynamo.utils",
    "torch._inductor",
    "torch.distributed.tensor.placement_types",
    "torch.fx.experimental.symbolic_shapes",
    "sympy",
    "scipy",
    "sklearn",
]
STUDY = """
import json, sys
from pathlib import Path
import numpy as np
from distilleak.machine import imports
# As where it is not installed: it imports the compiler by itself.
sys.modules["accelerate"] = None
if json.loads(sys.argv[1]):
    imports.spare()
import torch
from distilleak.models import checkpoints, families, making
from distilleak.models.batches import batch
from distilleak.records.framing import Framing
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.objective import ObjectiveSettings
from distilleak.settings.training import HardwareSettings, TrainingSettings
from distilleak.training import loop, objective
"""
TRAINING = f"""{STUDY}
making.prepare(1)
torch.manual_seed(0)
shape = ArchitectureSettings(layers=2, width=16, heads=2, positions=16)
model = families.build(shape, 50, 0)
tokens = [np.random.default_rng(row).integers(50, size=12) for row in range(24)]
def accumulate(now, count):
    return objective.accumulate(model, now, ObjectiveSettings(alpha=1), None, count)
facts = loop.train(
    model, tokens, Framing(0), accumulate,
    TrainingSettings(epochs=2, batch_size=8, learning_rate=0.01),
    HardwareSettings(), steps=6, seed=0, snapshots=None,
)
model.save_pretrained(sys.argv[2])
read = checkpoints.read(sys.argv[2], torch.float32).eval()
with torch.no_grad():
    logits = families.logits(read, batch(tokens, range(24), Framing(0), "cpu").hidden_states(read))
print(json.dumps([facts, logits.sum().item().hex(), sorted(sys.modules)]))
"""


def run(program: str, *arguments: object) -> Any:
    """What a program prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_the_installed_versions_are_among_those_that_have_been_tested() -> None:
    assert imports.known(torch)
    assert imports.known(transformers)


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("2.10.1", False),
        ("2.11.0", True),
        ("2.13.0+cpu", True),
        ("2.14.0a0", False),
        ("2.13rc1", True),
        ("3.0", False),
        ("unknown", False),
    ],
)
def test_versions_are_compared_as_numbers(version: str, known: bool) -> None:
    library = ModuleType("torch")
    library.__version__ = version  # type: ignore[attr-defined]
    assert imports.known(library) is known


def test_a_model_is_the_same_and_unused_modules_stay_away(tmp_path: Path) -> None:
    found = {}
    for spared in (True, False):
        facts, logits, modules = run(TRAINING, json.dumps(spared), tmp_path / str(spared))
        weights = (tmp_path / str(spared) / "model.safetensors").read_bytes()
        found[spared] = (facts, logits, weights)
        # Some of them are not installed everywhere.
        there = {name for name in UNUSED if name in modules}
        assert there == set() if spared else {"torch._dynamo.utils", "sympy", "scipy"} <= there
    assert found[True] == found[False]


def test_any_other_use_runs_a_waiting_package_once() -> None:
    """Parts of both are asked for first, and what the packages hold comes from the same parts."""
    program = f"""{STUDY}
import importlib
from transformers import GPT2LMHeadModel
names = "torch.distributed.tensor", "torch._dynamo"
states = [[type(sys.modules[name]).__name__ for name in names]]
types = importlib.import_module("torch.distributed.tensor.placement_types")
states.append([type(sys.modules[name]).__name__ for name in names])
registry = importlib.import_module("torch._dynamo.backends.registry")
states.append([type(sys.modules[name]).__name__ for name in names])
from torch.distributed.tensor import DTensor
print(json.dumps([
    states,
    types.Shard is torch.distributed.tensor.Shard,
    registry.lookup_backend is torch._dynamo.lookup_backend,
    [Path(part.__spec__.origin).name for part in (types, registry)],
    issubclass(DTensor, torch.Tensor),
]))
"""
    assert run(program, "true") == [
        [["_Waiting", "_Waiting"], ["module", "_Waiting"], ["module", "module"]],
        True,
        True,
        ["placement_types.py", "registry.py"],
        True,
    ]


def test_marks_are_put_on_when_the_compiler_comes() -> None:
    """Before, an optimiser works without it; afterwards a function that it must leave alone is left
    alone, whether it was called before or not."""
    program = f"""{STUDY}
from transformers import GPT2LMHeadModel
waiting = type(torch._dynamo).__name__
seen = []
@torch.compiler.disable
def early(x):
    seen.append(torch.compiler.is_compiling())
    return x * 2
@torch.compiler.disable
def late(x):
    seen.append(torch.compiler.is_compiling())
    return x * 3
@torch._dynamo.assume_constant_result
def constant():
    return 4
@torch._dynamo.allow_in_graph
def whole(x):
    return x + 5
early(torch.ones(1))
weight = torch.nn.Parameter(torch.ones(3))
optimiser = torch.optim.AdamW([weight], fused=True)
weight.grad = torch.ones(3)
optimiser.step()
optimiser.zero_grad()
still = type(torch._dynamo).__name__
graphs = []
def backend(graph, _):
    graphs.append(str(graph.graph))
    return graph.forward
compiled = torch.compile(lambda x: whole(late(early(x.sin()))) + constant(), backend=backend)
result = compiled(torch.zeros(2)).tolist()
print(json.dumps([waiting, still, type(torch._dynamo).__name__, result, seen, len(graphs),
                  "whole" in graphs[-1]]))
"""
    assert run(program, "true") == [
        "_Waiting",
        "_Waiting",
        "module",
        [9.0, 9.0],
        [False, False, False],
        2,
        True,
    ]


def test_the_compiler_hears_that_it_must_be_deterministic() -> None:
    program = f"""{STUDY}
from distilleak.training.hardware import training_mode
making.prepare(1)
model = families.build(ArchitectureSettings(layers=1, width=16, heads=2, positions=16), 50, 0)
waiting = type(torch._dynamo).__name__
with training_mode(model, HardwareSettings(compile=True)):
    pass
print(json.dumps([waiting, torch._inductor.config.deterministic,
                  torch.are_deterministic_algorithms_enabled(),
                  torch.is_deterministic_algorithms_warn_only_enabled()]))
"""
    assert run(program, "true") == ["_Waiting", True, True, False]


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_another_version_is_imported_as_it_is(library: str) -> None:
    older = f"    imports.VERSIONS[{library!r}] = ((1, 0), (1, 1))\n    imports.spare()\n"
    program = f"""{STUDY.replace("    imports.spare()", older)}
from transformers import GPT2LMHeadModel
from transformers.utils import is_scipy_available
print(json.dumps([type(torch._dynamo).__name__, is_scipy_available()]))
"""
    assert run(program, "true") == ["module", True]


def test_several_processes_import_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    program = f"""{STUDY}
from transformers import GPT2LMHeadModel
print(json.dumps([type(sys.modules["torch._dynamo"]).__name__, "sympy" in sys.modules]))
"""
    assert run(program, "true") == ["module", True]
