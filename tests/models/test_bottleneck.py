"""The bottleneck: in the head and around the blocks of every family."""

from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
from numpy.typing import NDArray
from tiny_families import (
    NAMES,
    ROTARY,
    VOCABULARY,
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
from distilleak.models.surgery._head import head_of
from distilleak.models.surgery.base import operate

every_family = pytest.mark.parametrize("name", NAMES)

# Bottleneck in the head


def projection_of(model: PreTrainedModel) -> bottleneck.Projection:
    (found,) = [part for part in model.modules() if isinstance(part, bottleneck.Projection)]
    return found


def bias_of(model: PreTrainedModel) -> NDArray[np.float64]:
    decoder: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    zeros = torch.zeros(VOCABULARY)
    bias = zeros if decoder.bias is None else decoder.bias.detach()
    return np.asarray(bias.double().numpy())


def weighed(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits without bias, (n, vocabulary), less their mean under the mean probabilities that the
    plain model has on all records, and times the roots of these."""
    plain = logits(tiny(name), batch_of(name)).double().numpy()
    probability = scipy.special.softmax(plain, -1).mean(0)
    return np.asarray((values - values @ probability[:, None]) * np.sqrt(probability))


def of_principal_components(name: str, rank: int) -> NDArray[np.float64]:
    """Logits without bias if the states first go through their principal components."""
    model = fresh(name)
    head = head_of(model)
    seen: list[torch.Tensor] = []
    handle = head.before.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logits(model, batch_of(name))
    handle.remove()
    states = torch.cat(seen).double().numpy()
    directions = np.linalg.svd(states, full_matrices=False)[2][:rank]
    matrix = head.matrix().detach().double().numpy()
    return np.asarray(states @ directions.T @ directions @ matrix.T)


@pytest.mark.parametrize("rank", [1, 4, 9])
@every_family
def test_the_projection_starts_where_it_changes_the_logits_least(name: str, rank: int) -> None:
    """Against the singular value decomposition of the weighted logits, the best of any matrices of
    the rank (Eckart and Young 1936), and against principal components of the states."""
    model = operate(tiny(name), head(rank))
    bottleneck.start_from_logits(model, [batch_of(name, range(3)), batch_of(name, range(3, 6))])
    plain, found = (
        weighed(name, logits(each, batch_of(name)).double().numpy() - bias_of(each))
        for each in (tiny(name), model)
    )
    left, values, right = np.linalg.svd(plain, full_matrices=False)
    best = (left[:, :rank] * values[:rank]) @ right[:rank]
    assert np.linalg.norm(found - best) < 1e-3 * np.linalg.norm(best)
    assert np.linalg.norm(plain - found) == pytest.approx(np.linalg.norm(values[rank:]), rel=1e-4)
    others = weighed(name, of_principal_components(name, rank))
    assert np.linalg.norm(plain - found) < np.linalg.norm(plain - others)


def test_up_and_down_have_equal_shares_of_the_projection() -> None:
    model = operate(tiny("gpt2"), head(4))
    bottleneck.start_from_logits(model, [batch_of("gpt2")])
    projection = projection_of(model)
    down, up = projection.down.weight.detach(), projection.up.weight.detach()
    shares = torch.diag(torch.linalg.svdvals(up).square())
    torch.testing.assert_close(up.T @ up, shares, rtol=0, atol=1e-4)
    torch.testing.assert_close(down @ down.T, shares, rtol=0, atol=1e-4)


@every_family
def test_at_full_rank_the_projected_model_is_the_model(name: str) -> None:
    model = operate(tiny(name), head(families.head_width(tiny(name))))
    now = batch_of(name)
    bottleneck.start_from_logits(model, [now])
    assert not any(part._forward_pre_hooks for part in model.modules())
    torch.testing.assert_close(logits(model, now), logits(tiny(name), now), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "mobilebert"])
def test_directions_without_a_state_are_not_lost_where_the_rank_allows_them(name: str) -> None:
    """A record of few tokens fills few of the dimensions; the projection is for all records."""
    few, others = batch_of(name, [0]), batch_of(name, range(1, 6))
    plain = tiny(name)
    width = families.head_width(plain)
    assert len(few.labels) < width
    full = operate(plain, head(width))
    bottleneck.start_from_logits(full, [few])
    torch.testing.assert_close(logits(full, others), logits(plain, others), rtol=0, atol=1e-3)
    narrow = operate(plain, head(len(few.labels)))
    bottleneck.start_from_logits(narrow, [few])
    torch.testing.assert_close(logits(narrow, few), logits(plain, few), rtol=0, atol=1e-3)


@every_family
def test_what_the_projection_adds_is_what_the_plain_model_lacks(name: str) -> None:
    plain = {name for name, _ in tiny(name).named_parameters()}
    narrow = operate(tiny(name), head(3))
    added = bottleneck.added(narrow, "head")
    assert {name.rsplit(".", 2)[1] for name in added} == {"down", "up"}
    assert len(added) == 2
    assert {name for name, _ in narrow.named_parameters()} - set(added) == plain


@pytest.mark.parametrize("name", NAMES)
def test_of_narrow_blocks_all_is_new(name: str) -> None:
    model = operate(tiny(name), block(name))
    inside = f"{families.of(model).blocks}."
    expected = {name for name, _ in model.named_parameters() if name.startswith(inside)}
    assert expected
    assert set(bottleneck.added(model, "block")) == expected


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
