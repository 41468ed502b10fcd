"""The bottleneck: in the head and around the blocks of every family."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from tiny_families import (
    NAMES,
    ROTARY,
    WIDTH,
    batch_of,
    block,
    fresh,
    head,
    logits,
    randomise,
    tiny,
)
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models import families
from distilleak.models.surgery import bottleneck
from distilleak.models.surgery.base import operate

every_family = pytest.mark.parametrize("name", NAMES)

# Bottleneck in the head

TRANSFORMED: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "gpt2": lambda model, hidden: hidden,
    "llama": lambda model, hidden: hidden,
    "bert": lambda model, hidden: model.cls.predictions.transform(hidden),
    "mobilebert": lambda model, hidden: model.cls.predictions.transform(hidden),
    "albert": lambda model, hidden: model.predictions.LayerNorm(
        model.predictions.activation(model.predictions.dense(hidden))
    ),
    "roberta": lambda model, hidden: model.lm_head.layer_norm(F.gelu(model.lm_head.dense(hidden))),
}
"""What the last linear map of a family reads."""


def projection_of(model: PreTrainedModel) -> bottleneck.Projection:
    (found,) = [part for part in model.modules() if isinstance(part, bottleneck.Projection)]
    return found


@pytest.mark.parametrize("rank", [1, 4])
@pytest.mark.parametrize("name", TRANSFORMED)
def test_the_projection_starts_on_the_principal_components(name: str, rank: int) -> None:
    """Against V V^T of the first right singular vectors of what the last linear map reads."""
    model = operate(tiny(name), head(rank))
    batches = [batch_of(name, range(3)), batch_of(name, range(3, 6))]
    bottleneck.start_from_principal_components(model, batches)
    projection = projection_of(model)
    down, up = projection.down.weight.detach(), projection.up.weight.detach()
    with torch.no_grad():
        states = torch.cat([now.hidden_states(tiny(name)) for now in batches])
        read = TRANSFORMED[name](tiny(name), states).double().numpy()
    _, _, directions = np.linalg.svd(read, full_matrices=False)
    expected = directions[:rank].T @ directions[:rank]
    torch.testing.assert_close(down @ up, torch.eye(rank), rtol=0, atol=1e-5)
    np.testing.assert_allclose((up @ down).numpy(), expected, atol=1e-4)


@every_family
def test_at_full_rank_the_projected_model_is_the_model(name: str) -> None:
    model = operate(tiny(name), head(families.head_width(tiny(name))))
    now = batch_of(name)
    bottleneck.start_from_principal_components(model, [now])
    assert not any(part._forward_pre_hooks for part in model.modules())
    torch.testing.assert_close(logits(model, now), logits(tiny(name), now), rtol=0, atol=1e-4)


@every_family
def test_all_logits_pass_through_the_projection(name: str) -> None:
    """In float64 the matrix of all logits, less the bias, has the rank of the projection."""
    model = operate(tiny(name), head(3)).double()
    values = logits(model, batch_of(name))
    decoder: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if decoder.bias is not None:
        values = values - decoder.bias.detach()
    values = torch.linalg.svdvals(values)
    assert values[2] > 1e-6 * values[0]
    assert values[3] < 1e-10 * values[0]


# Bottleneck around the blocks


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mobilebert"])
def test_narrow_blocks_work_at_the_rank_and_keep_the_width_outside(name: str) -> None:
    model = operate(tiny(name), block(name))
    for narrow in families.blocks(model):
        assert isinstance(narrow, bottleneck.NarrowBlock)
        assert narrow.down.weight.shape == (8, WIDTH)
        assert narrow.up.weight.shape == (WIDTH, 8)
        sizes = {size for weight in narrow.block.parameters() for size in weight.shape}
        assert sizes <= {8, 24, 32}  # rank, three of it in one matrix, four inside


def test_key_heads_stay_shared_in_narrow_blocks() -> None:
    model = operate(fresh("llama", options={"num_key_value_heads": 1}), block("llama"))
    attention: Any = families.blocks(model)[0].block.self_attn  # type: ignore[union-attr]
    assert attention.q_proj.weight.shape == (8, 8)
    assert attention.k_proj.weight.shape == (4, 8)


def test_mobilebert_becomes_narrower_by_its_own_projections() -> None:
    model = operate(tiny("mobilebert"), block("mobilebert"))
    for layer in families.blocks(model):
        inner: Any = layer
        assert inner.bottleneck.input.dense.weight.shape == (2, WIDTH)
        assert inner.output.bottleneck.dense.weight.shape == (WIDTH, 2)
        assert inner.attention.self.query.weight.shape == (2, 2)


@pytest.mark.parametrize("name", ROTARY)
def test_narrow_heads_are_told_positions(name: str) -> None:
    """One layer of causal attention takes the tokens before the last one as a set without them."""
    model = operate(fresh(name, layers=1), block(name))
    randomise(model, 0.3)
    with torch.no_grad():
        one, other = (model(torch.tensor([ids])).logits[0, -1] for ids in ([3, 4, 5], [4, 3, 5]))
    assert (one - other).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("name", "rank", "message"),
    [
        ("gpt2", 5, "a width of 5 inside the blocks is not a multiple of 2 attention heads"),
        ("bert", 5, "a width of 5 inside the blocks is not a multiple of 2 attention heads"),
        ("llama", 6, "attention heads of size 3; .* an even size of at least 2"),
        ("gpt_neox", 4, "attention heads of size 2; .* an even size of at least 4"),
        ("mobilebert", 4, "its blocks work at 4 dimensions already; choose a rank below that"),
    ],
)
def test_a_rank_that_blocks_cannot_have_is_refused(name: str, rank: int, message: str) -> None:
    with pytest.raises(DistilleakError, match=f"^{name}: {message}"):
        operate(tiny(name), {"bottleneck": {"place": "block", "rank": rank}})
