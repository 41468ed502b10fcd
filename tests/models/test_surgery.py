"""Surgery: what it changes in every family, and that it survives saving, loading and copying."""

import copy
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors import safe_open
from tiny_families import (
    CAUSAL,
    NAMES,
    VOCABULARY,
    batch_of,
    block,
    buffers,
    fresh,
    generated,
    head,
    logits,
    mapped,
    no_norm,
    randomise,
    records,
    tiny,
)
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedModel

import distilleak
from distilleak.errors import DistilleakError
from distilleak.models import families
from distilleak.models.batches import Batch
from distilleak.models.surgery import output_map
from distilleak.models.surgery.base import Changes, operate
from distilleak.settings.architecture import ArchitectureSettings

KINDS = ("head_nonorm_map", "block", "block_final_map")

every_family = pytest.mark.parametrize("name", NAMES)
every_causal = pytest.mark.parametrize("name", CAUSAL)
every_kind = pytest.mark.parametrize("kind", KINDS)


def changes(name: str, kind: str) -> Changes:
    return {
        "head_nonorm_map": {**head(4), **no_norm(), **mapped("zero")},
        "block": block(name),
        "block_final_map": {**block(name), **no_norm(keep_final=True), **mapped()},
    }[kind]


@cache
def operated(name: str, kind: str) -> PreTrainedModel:
    """A model after surgery, every weight away from the start that surgery gives it."""
    torch.manual_seed(0)
    model = operate(tiny(name), changes(name, kind))
    randomise(model, 0.02, seed=1)
    if "map" in kind:
        output_map.set_buffers(model, *buffers())
    return model


def loss_of(model: PreTrainedModel, now: Batch) -> torch.Tensor:
    return F.cross_entropy(families.logits(model, now.hidden_states(model)).float(), now.labels)


def loaded(name: str, path: Path) -> PreTrainedModel:
    auto = AutoModelForCausalLM if name in CAUSAL else AutoModelForMaskedLM
    return auto.from_pretrained(path).eval()  # type: ignore[no-any-return]


# Every surgery on every family


@every_kind
@every_family
def test_saving_and_loading_give_the_same_model_bit_by_bit(
    name: str, kind: str, tmp_path: Path
) -> None:
    model = operated(name, kind)
    model.save_pretrained(tmp_path)
    again = loaded(name, tmp_path)
    assert type(again) is type(model)
    assert isinstance(again, families.of(tiny(name)).model)
    assert torch.equal(logits(again, batch_of(name)), logits(model, batch_of(name)))
    for one in (model, again):
        tied = (
            one.get_input_embeddings().weight is one.get_output_embeddings().weight  # type: ignore[no-untyped-call]
        )
        assert tied == tiny(name).config.tie_word_embeddings
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        stored = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118
    tables = sum(VOCABULARY in weight.shape for weight in set(model.parameters()))
    assert sum(VOCABULARY in size for size in stored) == tables + 2 * ("map" in kind)


@every_kind
@every_family
def test_a_deep_copy_is_equal_and_independent(name: str, kind: str) -> None:
    model = operated(name, kind)
    twin = copy.deepcopy(model)
    before = logits(model, batch_of(name))
    assert torch.equal(logits(twin, batch_of(name)), before)
    with torch.no_grad():
        for weight in twin.parameters():
            weight.mul_(0.5)
    assert not torch.equal(logits(twin, batch_of(name)), before)
    assert torch.equal(logits(model, batch_of(name)), before)


@every_kind
@every_causal
def test_greedy_generation_takes_the_most_likely_token_each_time(name: str, kind: str) -> None:
    model = operated(name, kind)
    found = generated(model)
    for end in range(3, len(found)):
        with torch.no_grad():
            assert model(input_ids=torch.tensor([found[:end]])).logits[0, -1].argmax() == found[end]


@every_kind
@every_causal
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_no_position_sees_what_follows_it(name: str, kind: str, attention: str) -> None:
    model = copy.deepcopy(operated(name, kind))
    model.set_attn_implementation(attention)
    first = torch.arange(1, 13)[None]
    second = first.clone()
    second[:, 8:] += 20
    with torch.no_grad():
        difference = (model(first).logits - model(second).logits).abs().amax((0, 2))
    assert difference[:8].max() < 1e-5
    assert difference[8:].min() > 1e-4


@every_kind
@every_family
def test_a_padded_record_reads_as_it_does_alone(name: str, kind: str) -> None:
    model = operated(name, kind)
    alone = torch.cat([logits(model, batch_of(name, [row])) for row in range(len(records()))])
    torch.testing.assert_close(logits(model, batch_of(name)), alone, rtol=0, atol=1e-5)


@every_kind
@every_family
def test_every_new_weight_is_trained_and_autocast_works(name: str, kind: str) -> None:
    model = copy.deepcopy(operated(name, kind))
    now = batch_of(name)
    loss = loss_of(model, now)
    loss.backward()  # type: ignore[no-untyped-call]
    before = dict(tiny(name).named_parameters())
    for key, weight in model.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.isfinite().all(), key
        if key not in before:
            assert weight.grad.abs().max() > 0, key
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = loss_of(model, now)
        rounded.backward()  # type: ignore[no-untyped-call]
    assert rounded.item() == pytest.approx(loss.item(), rel=0.1)


@every_kind
@every_family
def test_the_original_stays_and_what_both_sides_have_is_copied(name: str, kind: str) -> None:
    model = tiny(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    after = operate(model, changes(name, kind)).state_dict()
    assert type(model) is families.of(model).model
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    shared = [key for key in after if key in before and after[key].shape == before[key].shape]
    assert len(shared) == len(before) or "block" in kind
    assert all(torch.equal(after[key], before[key]) for key in shared)


# Loading in another process


def in_a_new_process(program: str, root: Path) -> list[Any]:
    """What a program that runs in `root` prints, lines of JSON."""
    source = str(Path(distilleak.__file__).parents[1])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": source}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


LOAD = """
import json, pathlib, torch
from transformers import BertForMaskedLM, AutoModelForCausalLM, AutoModelForMaskedLM
torch.set_num_threads(1)

def read(path):
    auto = AutoModelForCausalLM if (path / "causal").exists() else AutoModelForMaskedLM
    try:
        model = auto.from_pretrained(path).eval()
    except ValueError as error:
        return str(error)
    with torch.no_grad():
        z = model(input_ids=torch.tensor([[2, 3, 4]]), position_ids=torch.arange(3)[None]).logits
    return z.double().sum().item()

def read_all():
    print(json.dumps({path.name: read(path) for path in pathlib.Path().iterdir()}))

read_all()
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("surgered")
    for name in NAMES:
        operated(name, "block_final_map").save_pretrained(root / name)
        if name in CAUSAL:
            (root / name / "causal").touch()
    return root


def expected(name: str) -> float:
    ids, positions = torch.tensor([[2, 3, 4]]), torch.arange(3)[None]
    with torch.no_grad():
        z = operated(name, "block_final_map")(input_ids=ids, position_ids=positions).logits
    return z.double().sum().item()  # type: ignore[no-any-return]


def test_a_new_process_loads_the_same_models(saved: Path) -> None:
    """Though the package is imported before transformers, whose imports run in circles."""
    (found,) = in_a_new_process(f"import distilleak\n{LOAD}", saved)
    assert found == {name: expected(name) for name in NAMES}


def test_a_process_refuses_every_directory_until_it_knows_the_package(saved: Path) -> None:
    before, after = in_a_new_process(f"{LOAD}\nimport distilleak\nread_all()", saved)
    assert set(before) == set(NAMES)
    for name, answer in before.items():
        assert f"distilleak_{name}" in answer
    assert after == {name: expected(name) for name in NAMES}


# One after the other


def test_surgeries_one_by_one_are_those_at_once() -> None:
    both = {**no_norm(), **mapped()}
    at_once = operate(tiny("gpt2"), both)
    one_by_one = operate(operate(tiny("gpt2"), mapped()), no_norm())
    assert one_by_one.config.surgery == at_once.config.surgery
    now = batch_of("gpt2")
    assert torch.equal(logits(one_by_one, now), logits(at_once, now))


def test_new_weights_are_drawn_from_the_current_generator() -> None:
    def down(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        state = operate(tiny("gpt2"), block("gpt2")).state_dict()
        weight: torch.Tensor = state["transformer.h.0.down.weight"]
        return weight

    assert torch.equal(down(0), down(0))
    assert not torch.equal(down(0), down(1))


def test_mode_attention_and_way_of_generating_are_kept() -> None:
    model = fresh("gpt2").train()
    model.set_attn_implementation("eager")
    model.generation_config.max_new_tokens = 3  # type: ignore[union-attr]
    changed = operate(model, mapped())
    assert changed.training
    assert changed.config._attn_implementation == "eager"
    assert changed.generation_config.max_new_tokens == 3  # type: ignore[union-attr]


def test_an_unknown_surgery_is_refused() -> None:
    with pytest.raises(DistilleakError, match="unknown surgery 'nonrom'; did you mean"):
        operate(tiny("gpt2"), {"nonrom": {}})


@pytest.mark.parametrize("name", ["bert", "albert", "roberta", "distilbert", "mobilebert", "gpt2"])
def test_a_model_whose_embeddings_are_not_tied_survives_too(name: str, tmp_path: Path) -> None:
    shape = {"type": name, "layers": 1, "width": 16, "heads": 2, "positions": 64}
    options: dict[str, Any] = {"tie_word_embeddings": False}
    if name == "roberta":
        options["pad_token_id"] = 2
    torch.manual_seed(0)
    plain = families.build(
        ArchitectureSettings.model_validate({**shape, "options": options}), VOCABULARY, 0
    )
    model = operate(plain, {**head(4), **mapped()})
    randomise(model, 0.02, seed=1)
    output_map.set_buffers(model, *buffers())
    model.eval()  # type: ignore[no-untyped-call]
    model.save_pretrained(tmp_path)
    auto = AutoModelForCausalLM if name in CAUSAL else AutoModelForMaskedLM
    found = auto.from_pretrained(tmp_path)
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        assert torch.equal(found(input_ids=ids).logits, model(input_ids=ids).logits)
