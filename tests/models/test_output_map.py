"""The output map: a change of logits in the head of every family."""

import numpy as np
import pytest
import torch
from tiny_families import NAMES, RED, VOCABULARY, batch_of, buffers, generated, logits, mapped, tiny

from distilleak.models.surgery import output_map
from distilleak.models.surgery.base import operate

every_family = pytest.mark.parametrize("name", NAMES)


@pytest.mark.parametrize("centre", ["mean", "zero"])
@every_family
def test_a_new_output_map_changes_nothing(name: str, centre: str) -> None:
    model, now = operate(tiny(name), mapped(centre)), batch_of(name)
    torch.testing.assert_close(logits(model, now), logits(tiny(name), now), rtol=0, atol=1e-5)


@pytest.mark.parametrize("centre", ["mean", "zero"])
@every_family
def test_logits_are_mapped_where_they_stand(name: str, centre: str) -> None:
    """Token by token in float64; the logits at a position stay those at it."""
    model, now = operate(tiny(name), mapped(centre)), batch_of(name)
    output_map.set_buffers(model, *buffers())
    expected = logits(tiny(name), now).double()
    middle = expected.mean(-1) if centre == "mean" else torch.zeros(expected.shape[:-1])
    expected[..., 5] = middle + 0.5 * (expected[..., 5] - middle)
    expected[..., RED] -= 100.0
    torch.testing.assert_close(logits(model, now).double(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("centre", "invariant"), [("mean", True), ("zero", False)])
def test_only_a_map_about_the_mean_ignores_a_constant(centre: str, invariant: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(6, 50, generator=generator, dtype=torch.float64)
    scale = torch.ones(50, dtype=torch.float64)
    scale[:7] = 0.5
    shift = torch.randn(50, generator=generator, dtype=torch.float64)
    one, moved = (
        torch.softmax(output_map.map_logits(values, scale, shift, centre), -1)
        for values in (z, z + 13.0)
    )
    assert torch.allclose(one, moved, rtol=0, atol=1e-12) == invariant


def test_generation_avoids_a_red_listed_token() -> None:
    model = operate(tiny("gpt2"), mapped("zero"))
    shift = np.zeros(VOCABULARY, np.float32)
    preferred = generated(model)[3:]
    shift[preferred] = -1000.0
    output_map.set_buffers(model, np.ones(VOCABULARY, np.float32), shift)
    assert not set(generated(model)[3:]) & set(preferred)


@every_family
def test_the_buffers_are_saved_and_not_trained(name: str) -> None:
    model = operate(tiny(name), mapped())
    buffered = {key for key, _ in model.named_buffers() if "after.0" in key}
    assert {key.rpartition(".")[2] for key in buffered} == {"scale", "shift"}
    assert buffered <= set(model.state_dict())
    assert not [key for key, _ in model.named_parameters() if "after.0" in key]
