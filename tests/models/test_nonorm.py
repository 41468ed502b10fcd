"""NoNorm: which norms go in every family, and where their maps start."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from tiny_families import CAUSAL, NAMES, batch_of, block, fresh, logits, no_norm, tiny
from torch import nn
from transformers import PreTrainedModel
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from distilleak.models.batches import Batch
from distilleak.models.surgery import nonorm
from distilleak.models.surgery.base import Changes, operate

NORMS = (nn.LayerNorm, LlamaRMSNorm, Qwen2RMSNorm, GemmaRMSNorm)
every_family = pytest.mark.parametrize("name", NAMES)


@pytest.mark.parametrize(("norm", "offset"), [(nn.LayerNorm(3), 0.0), (GemmaRMSNorm(3), 1.0)])
def test_no_norm_is_an_elementwise_map(norm: nn.Module, offset: float) -> None:
    """Gemma's norms add 1 to their weights, and so does what takes their place."""
    site = nonorm.NoNorm(norm)  # type: ignore[arg-type]
    rows = torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    assert torch.equal(site(rows), rows)
    with torch.no_grad():
        site.weight.copy_(torch.tensor([1.0, 2.0, -1.0]) - offset)
        site.bias.copy_(torch.tensor([0.0, 1.0, 5.0]))
    assert site(rows).tolist() == [[1.0, 5.0, 2.0], [10.0, 41.0, -25.0]]


def met_in_order(model: PreTrainedModel, kinds: tuple[type, ...], now: Batch) -> dict[str, Any]:
    """Path -> inputs of the modules of these kinds in the base model, as the data meet them."""
    found: dict[str, list[torch.Tensor]] = {}
    handles = [
        part.register_forward_pre_hook(
            lambda _, inputs, path=path: found.setdefault(path, []).append(inputs[0])
        )
        for path, part in model.base_model.named_modules()
        if isinstance(part, kinds)
    ]
    with torch.no_grad():
        now.hidden_states(model)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("keep_final", [False, True])
@pytest.mark.parametrize("narrow", [False, True])
@every_family
def test_every_norm_goes_but_the_last_one_if_asked(
    name: str, narrow: bool, keep_final: bool
) -> None:
    before: Changes = block(name) if narrow else {}
    now = batch_of(name)
    norms = list(met_in_order(operate(tiny(name), before), NORMS, now))
    model = operate(tiny(name), {**before, **no_norm(keep_final)})
    left = list(met_in_order(model, NORMS, now))
    maps = list(met_in_order(model, (nonorm.NoNorm,), now))
    last = norms[-1:] if keep_final else []
    if name == "albert" and not narrow:
        last = last and [path for path in norms if path.endswith("full_layer_layer_norm")]
    assert left == last
    assert maps == [path for path in norms if path not in last]
    assert bool(norms) == (name != "mobilebert")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in CAUSAL])
def test_the_norm_in_the_head_of_a_masked_model_stays(name: str) -> None:
    model = operate(tiny(name), no_norm())
    assert [type(part) for part in model.modules() if isinstance(part, NORMS)] == [nn.LayerNorm]


def test_the_final_norm_of_an_opt_that_normalises_after_its_blocks_stays() -> None:
    model = fresh("opt", options={"do_layer_norm_before": False})
    left = met_in_order(operate(model, no_norm(keep_final=True)), NORMS, batch_of("opt"))
    assert list(left) == ["decoder.layers.1.final_layer_norm"]


@pytest.mark.parametrize(
    ("name", "layers"), [(name, 1 if name == "albert" else 2) for name in NAMES]
)
def test_a_fold_divides_by_the_mean_deviation_and_takes_the_mean_away(
    name: str, layers: int
) -> None:
    """Slowly, in float64: what a site reads has passed the folded maps before it and no other.

    Of ALBERT one layer: of several that share a map, the first hands on what it made.
    """
    plain = fresh(name, layers=layers)
    model = operate(plain, no_norm())
    copied = {key: value.double() for key, value in model.base_model.state_dict().items()}
    batches = [batch_of(name, range(3)), batch_of(name, range(3, 6))]
    nonorm.fold_statistics(model, batches)
    folded = model.base_model.state_dict()
    sites = [met_in_order(model, (nonorm.NoNorm,), now) for now in batches]
    for path in sites[0]:
        norm = plain.base_model.get_submodule(path)
        centred = isinstance(norm, nn.LayerNorm)
        eps = getattr(norm, "variance_epsilon", None) or norm.eps
        means, deviations = [], []
        for met, now in zip(sites, batches, strict=True):
            read = met[path][0].reshape(*now.input_ids.shape, -1).double().numpy()
            tokens = now.mask if now.visible is None else now.visible
            for values in read[tokens.numpy()]:
                means.append(values.mean() if centred else 0.0)
                deviations.append(np.sqrt(((values - means[-1]) ** 2).mean() + eps))
        mean, deviation = float(np.mean(means)), float(np.mean(deviations))
        offset = 1.0 if name == "gemma" else 0.0
        gamma, beta = copied[f"{path}.weight"] + offset, copied[f"{path}.bias"]
        torch.testing.assert_close(
            folded[f"{path}.weight"].double(), gamma / deviation - offset, rtol=1e-3, atol=1e-4
        )
        torch.testing.assert_close(
            folded[f"{path}.bias"].double(), beta - gamma * mean / deviation, rtol=1e-3, atol=1e-4
        )


@every_family
def test_the_folded_model_starts_nearer_to_the_normalised_one(name: str) -> None:
    model, now = fresh(name, layers=3), batch_of(name)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(10.0)
    copied = operate(model, no_norm())
    folded = copy.deepcopy(copied)
    nonorm.fold_statistics(folded, [now])
    badly, well = ((logits(one, now) - logits(model, now)).abs().mean() for one in (copied, folded))
    assert well < 0.5 * badly or name == "mobilebert"


def test_shared_maps_are_folded_over_all_their_visits() -> None:
    """The first map inside ALBERT's layer, while what comes after it still normalises."""
    plain, now = fresh("albert", layers=3), batch_of("albert")
    model = operate(plain, no_norm())
    nonorm.fold_statistics(model, [now])
    half: Any = copy.deepcopy(plain)
    half.albert.embeddings.LayerNorm = model.albert.embeddings.LayerNorm  # type: ignore[union-attr]
    inside = "encoder.albert_layer_groups.0.albert_layers.0.attention.LayerNorm"
    visits = met_in_order(half, NORMS, now)[inside]
    assert len(visits) == 3
    read = torch.cat([states[now.visible].double() for states in visits])
    deviation = (read.var(-1, correction=0) + 1e-12).sqrt().mean()
    torch.testing.assert_close(
        model.base_model.get_submodule(inside).weight.double(),
        plain.base_model.get_submodule(inside).weight.double() / deviation,
        rtol=1e-4,
        atol=1e-6,
    )


def test_folding_leaves_no_hook_behind() -> None:
    model = operate(tiny("albert"), no_norm())
    nonorm.fold_statistics(model, [batch_of("albert")])
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in model.modules())
