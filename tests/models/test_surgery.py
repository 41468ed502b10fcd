"""Surgery: what it changes, and that it survives saving, loading, copying and generating."""

import copy
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors import safe_open
from tiny_study import (
    SHAPE,
    START,
    VOCABULARY,
    one_batch,
    random_tokens,
    tiny_model,
    training_settings,
)
from transformers import GPT2LMHeadModel, PreTrainedModel

import distilleak
from distilleak import models, training
from distilleak.objective import distillation_loss
from distilleak.surgery import bottleneck, nonorm, output_map
from distilleak.surgery.base import Changes, operate

TOKENS = random_tokens(12, seed=4)
IDS = one_batch(TOKENS).input_ids
RED = 17  # the token whose logit the output maps lower

HEAD: Changes = {"bottleneck": {"place": "head", "rank": 8}}
BLOCK: Changes = {"bottleneck": {"place": "block", "rank": 16}}
NONORM: Changes = {"nonorm": {"keep_final": False}}
NONORM_BUT_FINAL: Changes = {"nonorm": {"keep_final": True}}
MAP_MEAN: Changes = {"output_map": {"centre": "mean"}}
MAP_ZERO: Changes = {"output_map": {"centre": "zero"}}
SURGERIES: dict[str, Changes] = {
    "head": HEAD,
    "block": BLOCK,
    "nonorm": NONORM,
    "nonorm_but_final": NONORM_BUT_FINAL,
    "map_mean": MAP_MEAN,
    "map_zero": MAP_ZERO,
    "head_map": {**HEAD, **MAP_MEAN},
    "block_nonorm": {**BLOCK, **NONORM},
    "nonorm_head_map": {**NONORM, **HEAD, **MAP_ZERO},
}
every_surgery = pytest.mark.parametrize("name", SURGERIES)


def buffers() -> tuple[np.ndarray[Any, np.dtype[np.float32]], ...]:
    scale, shift = np.ones(VOCABULARY, np.float32), np.zeros(VOCABULARY, np.float32)
    scale[5], shift[RED] = 0.5, -100.0
    return scale, shift


@cache
def operated(name: str) -> PreTrainedModel:
    """A model after surgery, every weight away from the start that surgery gives it."""
    model = operate(tiny_model(), SURGERIES[name])
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=generator))
    if "output_map" in SURGERIES[name]:
        output_map.set_buffers(model, *buffers())
    return model


@torch.no_grad()
def logits(model: PreTrainedModel) -> torch.Tensor:
    return model(input_ids=IDS).logits  # type: ignore[no-any-return]


def loss_of(model: PreTrainedModel, rows: range = range(12)) -> torch.Tensor:
    now = one_batch(TOKENS, rows)
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return F.cross_entropy(head(now.hidden_states(model)), now.labels)


# Saving and loading


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("surgered")
    for name in SURGERIES:
        operated(name).save_pretrained(root / name)
    np.save(root / "ids.npy", IDS.numpy())
    return root


def in_a_new_process(program: str, root: Path, with_distilleak: bool) -> Any:
    """What a program prints as JSON; it finds `root` as its working directory."""
    source = str(Path(distilleak.__file__).parents[1])
    program = f"import sys\nsys.path.insert(0, {source!r})\n" * with_distilleak + program
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


LOAD = """
import json, pathlib
import distilleak
import numpy as np, torch
from transformers import AutoModelForCausalLM, GPT2LMHeadModel
torch.set_num_threads(1)
ids = torch.from_numpy(np.load("ids.npy"))
found = {}
for path in sorted(path for path in pathlib.Path().iterdir() if path.is_dir()):
    model = AutoModelForCausalLM.from_pretrained(path).eval()
    with torch.no_grad():
        np.save(f"{path}.npy", model(input_ids=ids).logits.numpy())
    written = model.generate(ids[:1, :3], max_new_tokens=8, do_sample=False, pad_token_id=0)
    found[str(path)] = {
        "gpt2": isinstance(model, GPT2LMHeadModel),
        "tied": model.lm_head.weight is model.transformer.wte.weight,
        "written": written[0].tolist(),
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def loaded(saved: Path) -> dict[str, Any]:
    found: dict[str, Any] = in_a_new_process(LOAD, saved, with_distilleak=True)
    return found


@every_surgery
def test_a_new_process_loads_the_same_model_bit_by_bit(
    name: str, saved: Path, loaded: dict[str, Any]
) -> None:
    assert np.array_equal(np.load(saved / f"{name}.npy"), logits(operated(name)).numpy())
    assert loaded[name]["gpt2"]
    assert loaded[name]["tied"]
    assert loaded[name]["written"] == generated(operated(name))


UNAWARE = """
import json, pathlib
from transformers import AutoModelForCausalLM
found = {}
for path in sorted(path for path in pathlib.Path().iterdir() if path.is_dir()):
    try:
        AutoModelForCausalLM.from_pretrained(path)
        found[str(path)] = "loaded"
    except ValueError as error:
        found[str(path)] = str(error)
print(json.dumps(found))
"""


def test_a_process_that_does_not_know_the_package_refuses_every_directory(saved: Path) -> None:
    found = in_a_new_process(UNAWARE, saved, with_distilleak=False)
    assert set(found) == set(SURGERIES)
    for name, answer in found.items():
        assert "distilleak_gpt2" in answer, name


def test_the_package_may_be_imported_after_the_auto_classes(saved: Path) -> None:
    program = (
        "import json\nfrom transformers import AutoModelForCausalLM\nimport distilleak\n"
        'print(json.dumps(type(AutoModelForCausalLM.from_pretrained("block")).__name__))'
    )
    assert in_a_new_process(program, saved, True) == "SurgeredGPT2LMHeadModel"


@every_surgery
def test_the_tied_matrix_is_stored_once_and_stays_tied(name: str, saved: Path) -> None:
    with safe_open(saved / name / "model.safetensors", "pt") as file:
        stored = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    assert sum(shape == [VOCABULARY, 32] for shape in stored.values()) == 1
    model = operated(name)
    assert model.lm_head.weight is model.transformer.wte.weight  # type: ignore[union-attr]


@every_surgery
def test_models_load_accepts_it_with_nothing_missing(name: str, saved: Path) -> None:
    assert torch.equal(logits(models.load(saved / name, "cpu")), logits(operated(name)))


@every_surgery
def test_a_deep_copy_is_equal_and_independent(name: str) -> None:
    model = operated(name)
    twin = copy.deepcopy(model)
    before = logits(model)
    assert torch.equal(logits(twin), before)
    with torch.no_grad():
        for value in [*twin.parameters(), *twin.buffers()]:
            value.add_(1.0)
    assert not torch.equal(logits(twin), before)
    assert torch.equal(logits(model), before)


def generated(model: PreTrainedModel) -> list[int]:
    written = model.generate(IDS[:1, :3], max_new_tokens=8, do_sample=False, pad_token_id=0)  # type: ignore[operator]
    return written[0].tolist()  # type: ignore[no-any-return]


@every_surgery
def test_greedy_generation_takes_the_most_likely_token_each_time(name: str) -> None:
    model = operated(name)
    ids = IDS[:1, :3]
    for _ in range(8):
        with torch.no_grad():
            likely = model(input_ids=ids).logits[:, -1:].argmax(-1)
        ids = torch.cat([ids, likely], 1)
    assert generated(model) == ids[0].tolist()


@every_surgery
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_no_position_sees_what_follows_it(name: str, attention: str) -> None:
    model = copy.deepcopy(operated(name))
    model.set_attn_implementation(attention)
    first = torch.arange(1, 13)[None]
    second = first.clone()
    second[:, 8:] += 100
    with torch.no_grad():
        difference = (model(first).logits - model(second).logits).abs().amax((0, 2))
    assert difference[:8].max() < 1e-5
    assert difference[8:].min() > 1e-3


@every_surgery
def test_every_weight_gets_a_gradient(name: str) -> None:
    model = copy.deepcopy(operated(name))
    loss_of(model).backward()  # type: ignore[no-untyped-call]
    for key, weight in model.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().max() > 0, key


@every_surgery
def test_the_original_model_stays_as_it_is(name: str) -> None:
    model = tiny_model()
    before = logits(model)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    operate(model, SURGERIES[name])
    assert type(model) is GPT2LMHeadModel
    assert torch.equal(logits(model), before)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_what_both_sides_have_is_copied() -> None:
    model = tiny_model()
    before = model.state_dict()
    for name, changes in SURGERIES.items():
        after = operate(model, changes).state_dict()
        shared = [key for key in after if key in before and after[key].shape == before[key].shape]
        assert "transformer.wte.weight" in shared
        assert len(shared) == len(before) or "bottleneck" in changes
        assert all(torch.equal(after[key], before[key]) for key in shared), name


def test_surgeries_one_by_one_are_those_at_once() -> None:
    at_once = operate(tiny_model(), {**NONORM, **MAP_ZERO})
    one_by_one = operate(operate(tiny_model(), MAP_ZERO), NONORM)
    assert one_by_one.config.surgery == at_once.config.surgery
    assert torch.equal(logits(one_by_one), logits(at_once))


def test_new_weights_are_a_function_of_the_seed() -> None:
    def down(seed: int) -> torch.Tensor:
        state = models.change(tiny_model(), BLOCK, seed).state_dict()
        weight: torch.Tensor = state["transformer.h.0.down.weight"]
        return weight

    assert torch.equal(down(0), down(0))
    assert not torch.equal(down(0), down(1))


def test_no_surgery_is_the_model_itself() -> None:
    model = tiny_model()
    assert models.change(model, {}, 0) is model


# Bottleneck


def principal_projector(hidden: np.ndarray[Any, np.dtype[np.float64]], rank: int) -> Any:
    """V V^T of the first right singular vectors of the hidden states."""
    _, _, directions = np.linalg.svd(hidden, full_matrices=False)
    return directions[:rank].T @ directions[:rank]


@pytest.mark.parametrize("rank", [1, 8, 32])
def test_the_projection_starts_on_the_principal_components(rank: int) -> None:
    model = operate(tiny_model(), {"bottleneck": {"place": "head", "rank": rank}})
    batches = [one_batch(TOKENS, range(5)), one_batch(TOKENS, range(5, 12))]
    bottleneck.start_from_principal_components(model, batches)
    down, up = (model.state_dict()[f"lm_head.before.0.{side}.weight"] for side in ("down", "up"))
    hidden = torch.cat([now.hidden_states(tiny_model()) for now in batches]).detach().double()
    torch.testing.assert_close(down @ up, torch.eye(rank), rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        (up @ down).numpy(), principal_projector(hidden.numpy(), rank), atol=1e-4
    )


def test_at_full_rank_the_projected_model_is_the_model() -> None:
    model = operate(tiny_model(), {"bottleneck": {"place": "head", "rank": 32}})
    bottleneck.start_from_principal_components(model, [one_batch(TOKENS)])
    torch.testing.assert_close(logits(model), logits(tiny_model()), rtol=0, atol=1e-4)


@pytest.mark.parametrize("rank", [1, 8])
def test_all_logits_pass_through_the_projection(rank: int) -> None:
    """In float64 the matrix of all logits has the rank of the projection."""
    model = operate(tiny_model(), {"bottleneck": {"place": "head", "rank": rank}}).double()
    ids = torch.randint(0, VOCABULARY, (4, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        values = torch.linalg.svdvals(model(input_ids=ids).logits.flatten(0, 1))
    assert values[rank - 1] > 1e-6 * values[0]
    assert values[rank] < 1e-10 * values[0]


def test_narrow_blocks_work_at_the_rank_and_keep_the_width_outside() -> None:
    state = operate(tiny_model(), BLOCK).state_dict()
    for layer in range(2):
        assert state[f"transformer.h.{layer}.down.weight"].shape == (16, 32)
        assert state[f"transformer.h.{layer}.up.weight"].shape == (32, 16)
        assert state[f"transformer.h.{layer}.block.attn.c_attn.weight"].shape == (16, 48)
        assert state[f"transformer.h.{layer}.block.mlp.c_fc.weight"].shape == (16, 64)


# NoNorm


def test_no_norm_is_an_elementwise_map() -> None:
    site = nonorm.NoNorm(3, 1e-5)
    with torch.no_grad():
        site.weight.copy_(torch.tensor([1.0, 2.0, -1.0]))
        site.bias.copy_(torch.tensor([0.0, 1.0, 5.0]))
    found = site(torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]))
    assert found.tolist() == [[1.0, 5.0, 2.0], [10.0, 41.0, -25.0]]


@pytest.mark.parametrize(("keep_final", "left"), [(False, 0), (True, 1)])
def test_every_norm_goes_but_the_final_one_if_asked(keep_final: bool, left: int) -> None:
    model = operate(tiny_model(), {"nonorm": {"keep_final": keep_final}})
    kinds = [type(part) for part in model.modules()]
    assert kinds.count(torch.nn.LayerNorm) == left
    assert kinds.count(nonorm.NoNorm) == 5 - left
    assert (type(model.transformer.ln_f) is torch.nn.LayerNorm) == keep_final  # type: ignore[union-attr]


def test_the_norms_inside_narrow_blocks_go_as_well() -> None:
    kinds = [type(part) for part in operate(tiny_model(), {**BLOCK, **NONORM}).modules()]
    assert kinds.count(torch.nn.LayerNorm) == 0
    assert kinds.count(nonorm.NoNorm) == 9


def test_the_fold_divides_by_the_mean_deviation_and_takes_the_mean_away() -> None:
    """The first site against a slow computation over its own inputs."""
    model = operate(tiny_model(), NONORM)
    plain = tiny_model()
    gamma, beta = (plain.state_dict()[f"transformer.h.0.ln_1.{key}"] for key in ("weight", "bias"))
    means, deviations = [], []
    for record in TOKENS:
        for position, token in enumerate([START, *record.tolist()[:-1]]):
            embedded = plain.transformer.wte.weight[token] + plain.transformer.wpe.weight[position]  # type: ignore[union-attr, index]
            values = embedded.detach().double().numpy()
            means.append(values.mean())
            deviations.append(np.sqrt(values.var() + 1e-5))
    nonorm.fold_statistics(model, [one_batch(TOKENS, range(5)), one_batch(TOKENS, range(5, 12))])
    state = model.state_dict()
    mean, deviation = np.mean(means), np.mean(deviations)
    torch.testing.assert_close(state["transformer.h.0.ln_1.weight"], gamma / float(deviation))
    torch.testing.assert_close(
        state["transformer.h.0.ln_1.bias"], beta - gamma * float(mean / deviation)
    )


@pytest.fixture(scope="module")
def trained() -> PreTrainedModel:
    model = models.build(SHAPE, VOCABULARY, START, 0)
    training.train(
        model,
        TOKENS,
        lambda now, z: distillation_loss(z, now.labels, None, 1.0, 1.0),
        training_settings(batch_size=4),
        steps=30,
        start=START,
        seed=0,
    )
    return model


@pytest.mark.parametrize("keep_final", [False, True])
def test_the_folded_model_starts_near_the_loss_of_the_normalised_one(
    keep_final: bool, trained: PreTrainedModel
) -> None:
    copied = operate(trained, {"nonorm": {"keep_final": keep_final}})
    folded = copy.deepcopy(copied)
    nonorm.fold_statistics(folded, [one_batch(TOKENS)])
    before, badly, well = (loss_of(model).item() for model in (trained, copied, folded))
    assert abs(well - before) < 0.15 * before
    assert abs(well - before) < 0.15 * abs(badly - before)


def test_folding_leaves_no_hook_behind() -> None:
    model = operate(tiny_model(), NONORM)
    nonorm.fold_statistics(model, [one_batch(TOKENS)])
    assert not any(part._forward_pre_hooks for part in model.modules())


# Output map


@pytest.mark.parametrize("centre", ["mean", "zero"])
def test_a_new_output_map_changes_nothing(centre: str) -> None:
    model = operate(tiny_model(), {"output_map": {"centre": centre}})
    torch.testing.assert_close(logits(model), logits(tiny_model()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("centre", ["mean", "zero"])
def test_logits_are_mapped_where_they_stand(centre: str) -> None:
    """Token by token in float64; the logits at t stay those at t."""
    model = operate(tiny_model(), {"output_map": {"centre": centre}})
    output_map.set_buffers(model, *buffers())
    expected = logits(tiny_model()).double()
    middle = expected.mean(-1) if centre == "mean" else torch.zeros(expected.shape[:-1])
    expected[..., 5] = middle + 0.5 * (expected[..., 5] - middle)
    expected[..., RED] -= 100.0
    torch.testing.assert_close(logits(model).double(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("centre", "invariant"), [("mean", True), ("zero", False)])
def test_only_a_map_about_the_mean_ignores_a_constant(centre: str, invariant: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(6, 50, generator=generator, dtype=torch.float64)
    scale = torch.ones(50, dtype=torch.float64)
    scale[:7] = 0.5
    shift = torch.randn(50, generator=generator, dtype=torch.float64)
    mapped, moved = (
        torch.softmax(output_map.map_logits(values, scale, shift, centre), -1)
        for values in (z, z + 13.0)
    )
    assert torch.allclose(mapped, moved, rtol=0, atol=1e-12) == invariant


def test_generation_avoids_a_red_listed_token() -> None:
    plain = operate(tiny_model(), MAP_ZERO)
    shift = np.zeros(VOCABULARY, np.float32)
    preferred = generated(plain)[3:]
    shift[preferred] = -1000.0
    output_map.set_buffers(plain, np.ones(VOCABULARY, np.float32), shift)
    assert not set(generated(plain)[3:]) & set(preferred)


def test_the_buffers_are_not_trained() -> None:
    model = operated("map_mean")
    assert {"lm_head.after.0.scale", "lm_head.after.0.shift"} <= set(model.state_dict())
    assert not [key for key, _ in model.named_parameters() if "after" in key]
