"""Building, saving and loading models: what is damaged is refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_study import SHAPE, VOCABULARY, built, one_batch, random_tokens, sentences, tiny_model
from transformers import AutoTokenizer

from distilleak.errors import DistilleakError
from distilleak.guards.checksums import SUMS
from distilleak.models import making
from distilleak.records import tokenizer as tokenization

IDS = one_batch(random_tokens(4, seed=3)).input_ids


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("saved")
    tokenizer = tokenization.train(sentences(100, seed=0), VOCABULARY)
    tokenization.save(tokenizer, root / "tokenizer", 64)
    making.save(tiny_model(), root / "tokenizer", root / "model")
    return root / "model"


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """A copy of the saved model to damage; without checksums, which would find it first."""
    for file in saved.iterdir():
        if file.name != SUMS:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_a_saved_model_is_loaded_bit_by_bit_in_evaluation_mode(saved: Path) -> None:
    loaded = making.load(saved, "cpu")
    assert not loaded.training
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded(input_ids=IDS).logits, tiny_model()(input_ids=IDS).logits)


def test_the_directory_holds_safetensors_and_the_tokenizer_and_no_pickle(saved: Path) -> None:
    names = {file.name for file in saved.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert AutoTokenizer.from_pretrained(saved)("Rain").input_ids


def test_tied_embeddings_are_stored_once(saved: Path) -> None:
    with safe_open(saved / "model.safetensors", "pt") as file:
        wide = [name for name in file.keys() if VOCABULARY in file.get_slice(name).get_shape()]  # noqa: SIM118
    assert len(wide) == 1


def truncate(path: Path) -> None:
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


def break_header(path: Path) -> None:
    weights = path / "model.safetensors"
    weights.write_bytes(b"\xff" * 100 + weights.read_bytes()[100:])


def empty_weights(path: Path) -> None:
    (path / "model.safetensors").write_bytes(b"")


def remove_weights(path: Path) -> None:
    (path / "model.safetensors").unlink()


def drop_a_key(path: Path) -> None:
    weights = load_file(path / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, path / "model.safetensors", {"format": "pt"})


def add_a_key(path: Path) -> None:
    weights = load_file(path / "model.safetensors")
    weights["transformer.h.7.mlp.c_fc.bias"] = torch.zeros(3)
    save_file(weights, path / "model.safetensors", {"format": "pt"})


def resize(path: Path) -> None:
    weights = load_file(path / "model.safetensors")
    weights["transformer.ln_f.weight"] = torch.zeros(7)
    save_file(weights, path / "model.safetensors", {"format": "pt"})


def break_config(path: Path) -> None:
    (path / "config.json").write_text('{"model_type": "gpt2"')


def unknown_type(path: Path) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "model_type": "nothing_known"}))


def unknown_surgery(path: Path) -> None:
    config = json.loads((path / "config.json").read_text())
    changed = {**config, "model_type": "distilleak_gpt2", "surgery": {"lobotomy": {}}}
    (path / "config.json").write_text(json.dumps(changed))


def only_pickle(path: Path) -> None:
    weights = load_file(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    torch.save(weights, path / "pytorch_model.bin")


def remove_all(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        break_header,
        empty_weights,
        remove_weights,
        drop_a_key,
        add_a_key,
        resize,
        break_config,
        unknown_type,
        unknown_surgery,
        only_pickle,
        remove_all,
    ],
)
def test_a_damaged_model_is_refused_in_one_line(damage: Callable[[Path], None], copy: Path) -> None:
    damage(copy)
    with pytest.raises(DistilleakError) as caught:
        making.load(copy, "cpu")
    assert "\n" not in str(caught.value)
    if damage is not unknown_surgery:  # the class that refuses it does not know its directory
        assert str(caught.value).startswith(f"{copy}: ")


def test_a_missing_directory_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DistilleakError, match=r"no model here \(config.json is missing\)"):
        making.load(tmp_path / "nowhere", "cpu")


def test_the_missing_weight_is_named(copy: Path) -> None:
    drop_a_key(copy)
    with pytest.raises(DistilleakError, match=r"transformer\.h\.1\.mlp\.c_fc\.weight"):
        making.load(copy, "cpu")


def test_a_built_model_is_a_function_of_its_arguments_and_disturbs_no_generator() -> None:
    def weights(seed: int) -> torch.Tensor:
        model = built(seed)
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = weights(0)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def test_a_built_model_has_the_asked_shape_and_no_dropout() -> None:
    model = built()
    assert model.config.n_positions == SHAPE.positions
    assert model.get_input_embeddings().weight.shape == (VOCABULARY, SHAPE.width)
    assert len(model.base_model.h) == SHAPE.layers  # type: ignore[arg-type]
    model.train()
    assert torch.equal(model(input_ids=IDS).logits, model(input_ids=IDS).logits)


def test_the_weights_start_at_gpt2s_scale_for_their_width() -> None:
    model = built()
    spread = model.state_dict()["transformer.wte.weight"].std().item()
    assert spread == pytest.approx(0.02 * (768 / SHAPE.width) ** 0.5, rel=0.05)
