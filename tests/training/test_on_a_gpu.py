"""What only a GPU shows: reduced precision, memory that runs out, snapshots, compiled models."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_families
import torch
from tiny_training import FINGERPRINT, cross_entropy, records, settings, tiny, train, weights
from transformers import PreTrainedModel

from distilleak.evidence import passes, probing
from distilleak.evidence.table import FLOAT_COLUMNS, INTEGER_COLUMNS
from distilleak.models import families
from distilleak.models.batches import Batch, batch
from distilleak.records.framing import Framing
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.evidence import EvidenceSettings
from distilleak.settings.training import HardwareSettings
from distilleak.training import hardware
from distilleak.training.snapshots import Snapshots

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
DEVICE = "cuda"
BOTH = pytest.mark.parametrize("family", ["gpt2", "bert"])


def evidence(model: PreTrainedModel, family: str, tokens: list[Any], budget: int) -> Any:
    lengths = np.array([len(record) for record in tokens])
    framing = tiny_families.framing(family)
    plan = passes.causal(lengths)
    if framing.masked:
        plan = passes.masked(lengths, [f"r{n}" for n in range(len(tokens))], EvidenceSettings(), 0)
    context = probing.read_context([model], framing)
    return probing.probe([model], {"": [0]}, tokens, plan, context, probing.Budget(budget))[""]


@BOTH
def test_evidence_in_float32_is_that_of_float64(family: str) -> None:
    tokens = tiny_families.records(20)
    model = tiny_families.fresh(family)
    exact = copy.deepcopy(model).double()
    with torch.no_grad():
        expected = evidence(exact, family, tokens, 10**6)
        found = evidence(model.to(DEVICE), family, tokens, 64)
    for name in INTEGER_COLUMNS:
        assert np.array_equal(found[name], expected[name]), name
    for name in FLOAT_COLUMNS:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-4)


@BOTH
def test_a_gradient_in_bfloat16_is_that_of_float64_to_two_digits(family: str) -> None:
    gradients = []
    for double in (False, True):
        model, framing = tiny(family, double=double)
        model.to(DEVICE)
        tokens = records(40)
        hidden = [np.arange(len(record)) % 2 == 0 for record in tokens] if framing.masked else None
        now = batch(tokens, range(len(tokens)), framing, DEVICE, hidden)
        precision = "float32" if double else "bfloat16"
        given = HardwareSettings(precision=precision)
        with hardware.training_mode(model, given) as reduced, reduced:
            cross_entropy(model)(now, len(now.labels))
        found = [weight.grad.flatten().double() for weight in model.parameters()]
        gradients.append(torch.cat(found))
    error = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert 1e-5 < error < 0.05  # it is bfloat16, and it is right


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Two hundredths of the GPU's memory."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.02)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.mark.usefixtures("little_memory")
def test_evidence_is_halved_until_it_fits_and_stays_the_same() -> None:
    shape = ArchitectureSettings(layers=2, width=256, heads=4, positions=512)
    model = families.build(shape, 5000, 0).to(DEVICE)
    rng = np.random.default_rng(0)
    tokens = [rng.integers(5000, size=length) for length in rng.integers(400, 500, 4000)]
    lengths = np.array([len(record) for record in tokens])
    context = probing.read_context([model], Framing(0))
    large, small = probing.Budget(10**7), probing.Budget(4096)
    plan = passes.causal(lengths)
    found, expected = (
        probing.probe([model], {"": [0]}, tokens, plan, context, budget)[""]
        for budget in (large, small)
    )
    assert large.tokens < 10**7
    assert small.tokens == 4096
    for name in FLOAT_COLUMNS:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-4)


@pytest.mark.usefixtures("little_memory")
def test_an_update_is_halved_until_it_fits_and_stays_the_same() -> None:
    shape = ArchitectureSettings(layers=2, width=256, heads=4, positions=512)
    tokens = [np.random.default_rng(row).integers(1000, size=500) for row in range(1024)]
    given = settings(batch_size=1024, epochs=1, learning_rate=1e-3)
    found = []
    for options in ({}, {"micro_batch": 4}):
        model = families.build(shape, 1000, 0).to(DEVICE)
        facts = train(model, Framing(0), steps=1, given=given, tokens=tokens, **options)
        found.append((weights(model), facts["loss"]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=3e-3)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-3)


@BOTH
def test_an_interrupted_training_ends_where_the_other_one_does(family: str, tmp_path: Path) -> None:
    def go_on(directory: Path, stop: int | None = None) -> tuple[torch.Tensor, list[float]]:
        model, framing = tiny(family, dropout=True)
        plain, calls = cross_entropy(model.to(DEVICE)), []

        def accumulate(now: Batch, tokens: int) -> torch.Tensor:
            calls.append(now)
            if len(calls) == stop:
                raise KeyboardInterrupt
            return plain(now, tokens)

        facts = train(model, framing, accumulate, kept=Snapshots(directory, FINGERPRINT, 1e-9))
        return weights(model), facts["loss"]

    whole = go_on(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go_on(tmp_path / "broken", stop=7)
    resumed = go_on(tmp_path / "broken")
    torch.testing.assert_close(whole[0], resumed[0], rtol=0, atol=1e-3)
    assert whole[1] == pytest.approx(resumed[1], rel=1e-3)


def test_a_compiled_model_learns_the_same() -> None:
    losses = []
    for compiled in (False, True):
        model, framing = tiny("gpt2")
        facts = train(model.to(DEVICE), framing, compile=compiled, precision="float32")
        losses.append(facts["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
