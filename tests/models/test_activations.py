"""Activations: torch's own functions, wherever transformers spells them out."""

import math

import pytest
import torch
from tiny_families import fresh
from torch.nn.functional import gelu
from transformers.activations import ACT2FN, NewGELUActivation

from distilleak.models import activations, families

X = torch.linspace(-12, 12, 4801, dtype=torch.float64)


def phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


@pytest.mark.parametrize("name", activations.TANH)
def test_the_approximation_is_that_of_the_paper(name: str) -> None:
    cubic = math.sqrt(2 / math.pi) * (X + 0.044715 * X**3)
    expected = 0.5 * X * (1 + torch.tanh(cubic))
    found = ACT2FN[name](X.float())
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=2e-6)
    assert torch.equal(found, gelu(X.float(), approximate="tanh"))


@pytest.mark.parametrize("name", activations.EXACT)
def test_the_exact_function_is_that_of_the_paper(name: str) -> None:
    expected = torch.tensor([x * phi(x) for x in X.tolist()], dtype=torch.float64)
    found = ACT2FN[name](X.float())
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=2e-6)
    assert torch.equal(found, gelu(X.float()))


def test_a_model_says_the_same_as_with_the_formula_spelled_out() -> None:
    model = fresh("gpt2")
    spelled = fresh("gpt2")
    spelled.load_state_dict(model.state_dict())
    for block in families.blocks(spelled):
        assert not isinstance(block.mlp.act, NewGELUActivation)
        block.mlp.act = NewGELUActivation()
    ids = torch.arange(12)[None]
    with torch.no_grad():
        ours, theirs = (each(input_ids=ids).logits for each in (model, spelled))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)
    assert not torch.equal(ours, torch.zeros_like(ours))
