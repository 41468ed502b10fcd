"""Finished models are read where they lie: whole, in shards, quantised, an adapter on its base."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_adapters
import tiny_families
import torch
from safetensors.torch import load_file, save_file
from tiny_families import NAMES
from tiny_study import sentences
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models import families, finished, making
from distilleak.records import tokenizer as tokenization
from distilleak.settings.finished import FinishedSettings
from distilleak.stages import copy_tokenizer

VOCABULARY, WIDTH = 300, 16
IDS = torch.tensor([[0, 7, 9, 4]])
ATTENTION = {
    "gpt2": ("transformer.h.{}.attn.c_attn", (3 * WIDTH, WIDTH)),
    "llama": ("model.layers.{}.self_attn.q_proj", (WIDTH, WIDTH)),
    "bert": ("bert.encoder.layer.{}.attention.self.query", (WIDTH, WIDTH)),
}
"""Family -> a matrix of each block: its name, and its outputs and inputs."""


def settings(directory: Path | str, base: Path | str | None = None) -> FinishedSettings:
    adapts = {} if base is None else {"adapts": {"directory": str(base)}}
    return FinishedSettings.model_validate({"directory": str(directory), **adapts})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    made = tokenization.train(sentences(200, seed=1), VOCABULARY, masked=True)
    tokenization.save(made, path, 64)
    return path


@pytest.fixture(scope="module")
def places(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of a model of each family, which no test changes."""
    root = tmp_path_factory.mktemp("models")

    def place(family: str) -> Path:
        if not (root / family).exists():
            making.save(model_of(family), plain, root / family)
        return root / family

    return place


def model_of(family: str, **changes: int) -> PreTrainedModel:
    with making.seeded(0):
        model = families.build(tiny_families.shape(family, **changes), VOCABULARY, 0)
    tiny_families.randomise(model, 0.1)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def read(found: FinishedSettings, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The model with the tokenizer that the stage before has copied."""
    copied = Path(str(found.directory)).parent / "copied"
    if not copied.exists():
        given = f"[{found.tokenizer.model_dump_json()}]"
        copy_tokenizer.main(["--checkpoints", given, "--output", str(copied)])
    return finished.load(found, str(copied), "cpu", dtype)


def weight(model: torch.nn.Module, module: str) -> torch.Tensor:
    return model.get_submodule(module).weight.detach()  # type: ignore[union-attr, return-value, operator]


@torch.no_grad()
def logits(model: PreTrainedModel) -> torch.Tensor:
    visible = torch.ones_like(IDS, dtype=torch.bool)
    masked = families.of(model).kind == "masked"
    return families.logits(
        model, families.final_states(model, IDS, visible if masked else None, None)
    )


def assert_same_weights(found: torch.nn.Module, expected: torch.nn.Module) -> None:
    mine, other = dict(found.named_parameters()), dict(expected.named_parameters())
    assert mine.keys() == other.keys()
    for name, tensor in other.items():
        assert mine[name].dtype == tensor.dtype, name
        assert torch.equal(mine[name], tensor), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", NAMES)
def test_a_directory_is_read_as_a_model_that_a_stage_wrote(
    family: str, dtype: torch.dtype, places: Callable[[str], Path], tmp_path: Path
) -> None:
    place = Path(shutil.copytree(places(family), tmp_path / "m"))
    before = {file: file.stat().st_mtime_ns for file in place.iterdir()}
    found = read(settings(place), dtype)
    assert not found.training
    expected = making.load(place, "cpu", dtype)
    assert_same_weights(found, expected)
    # To the last bit: what is worked out when a model is built is not rounded, either.
    assert torch.equal(logits(found), logits(expected))
    assert {file: file.stat().st_mtime_ns for file in place.iterdir()} == before


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert"])
def test_a_bfloat16_checkpoint_in_several_files(family: str, plain: Path, tmp_path: Path) -> None:
    model = model_of(family).to(torch.bfloat16)  # type: ignore[arg-type]
    model.save_pretrained(tmp_path / "m", max_shard_size="10KB")
    tokenization.copy_tokenizer(plain, tmp_path / "m")
    assert len([*(tmp_path / "m").glob("*.safetensors")]) > 1
    assert_same_weights(read(settings(tmp_path / "m")), model.to(torch.float32))  # type: ignore[arg-type]
    assert_same_weights(
        read(settings(tmp_path / "m"), torch.bfloat16),
        model.to(torch.bfloat16),  # type: ignore[arg-type]
    )


# Adapters


@pytest.mark.parametrize("rank", [1, 2, 5])
@pytest.mark.parametrize("rooted", [False, True])
@pytest.mark.parametrize("family", ATTENTION)
def test_an_adapter_is_merged_into_its_base(
    family: str, rooted: bool, rank: int, places: Callable[[str], Path], tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    base = Path(shutil.copytree(places(family), tmp_path / "base"))
    name, shape = ATTENTION[family]
    changes = {"fan_in_fan_out": family == "gpt2", "use_rslora": rooted}
    made = tiny_adapters.write(
        tmp_path / "a", {name.format(block): shape for block in range(2)}, rank, **changes
    )
    found, before = read(settings(tmp_path / "a", base)), model_of(family)
    scale = 6 / (rank**0.5 if rooted else rank)
    for module, (down, up) in made.items():
        turned = (up @ down).T if family == "gpt2" else up @ down
        expected = weight(before, module).numpy().astype(np.float64) + scale * turned
        np.testing.assert_allclose(weight(found, module).numpy(), expected, rtol=0, atol=1e-6)
    names = {f"{module}.weight" for module in made}
    kept = dict(before.named_parameters())
    assert {name for name, _ in found.named_parameters()} >= names
    for other, tensor in found.named_parameters():
        assert other in names or torch.equal(tensor, kept[other])
    assert not found.training
    assert type(found) is type(before)


def test_ranks_and_scales_may_differ_between_modules(
    places: Callable[[str], Path], tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    base = Path(shutil.copytree(places("llama"), tmp_path / "base"))
    name, shape = ATTENTION["llama"]
    modules = {name.format(block): shape for block in range(2)}
    made = tiny_adapters.write(
        tmp_path / "a", modules, rank=2, alpha_pattern={"layers.1.self_attn.q_proj": 10}
    )
    found, before = read(settings(tmp_path / "a", base)), model_of("llama")
    for (module, (down, up)), alpha in zip(made.items(), (6, 10), strict=True):
        expected = weight(before, module).double() + alpha / 2 * torch.tensor(up @ down)
        torch.testing.assert_close(weight(found, module).double(), expected, rtol=0, atol=1e-6)


def test_an_adapter_predicts_what_it_does_unmerged(
    places: Callable[[str], Path], tmp_path: Path
) -> None:
    """An adapter that peft itself wrote, of matrices, a tied head, and a part of its own."""
    peft = pytest.importorskip("peft")
    base = Path(shutil.copytree(places("gpt2"), tmp_path / "base"))
    wanted = peft.LoraConfig(
        r=3,
        lora_alpha=5,
        target_modules=["c_attn", "lm_head"],
        modules_to_save=["ln_f"],
        fan_in_fan_out=False,
        init_lora_weights=False,
    )
    changed = peft.get_peft_model(model_of("gpt2"), wanted)
    tiny_families.randomise(changed.base_model.model.transformer.ln_f, 0.1, seed=4)
    changed.eval()
    changed.save_pretrained(tmp_path / "a", save_embedding_layers=False)
    with torch.no_grad():
        expected = changed(input_ids=IDS).logits
    found = read(settings(tmp_path / "a", base))
    torch.testing.assert_close(logits(found), expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(expected, logits(model_of("gpt2")), atol=0.1)
    # An adapter of the head leaves the embeddings, although the base has one matrix for both.
    embeddings = weight(found, "transformer.wte")
    assert torch.equal(embeddings, weight(model_of("gpt2"), "transformer.wte"))


def damage_value(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    next(iter(weights.values()))[0, 0] = float("nan")
    save_file(weights, adapter / "adapter_model.safetensors")


def drop_half(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    kept = {name: value for name, value in weights.items() if "lora_B" not in name}
    save_file(kept, adapter / "adapter_model.safetensors")


def add_stranger(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    more = {"base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight": torch.ones(2, WIDTH)}
    save_file({**weights, **more}, adapter / "adapter_model.safetensors")


def change(adapter: Path, **entries: object) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_value, r"adapter_model\.safetensors: .*q_proj.* values that are not finite$"),
        (drop_half, r"no adapter for .*base: .*lora_B\.weight is missing$"),
        (add_stranger, r"no adapter for .*base: .*layers\.7\.\S+ has no place in it"),
        (lambda a: change(a, r=3), r"lora_A\.weight has the shape \[2, 16\] instead of \[3, 16\]$"),
        (lambda a: change(a, target_modules=["c_attn"]), r"no adapter for .*base: Target modules"),
        (lambda a: change(a, r=0), r"no adapter for .*base: "),
        (lambda a: change(a, r="many"), r"no adapter for .*base: "),
    ],
)
def test_an_adapter_that_does_not_fit_gets_one_line(
    damage: Callable[[Path], None],
    message: str,
    places: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    pytest.importorskip("peft")
    base = Path(shutil.copytree(places("llama"), tmp_path / "base"))
    name, shape = ATTENTION["llama"]
    tiny_adapters.write(tmp_path / "a", {name.format(0): shape}, layers_to_transform=[0])
    damage(tmp_path / "a")
    with pytest.raises(DistilleakError, match=message) as found:
        read(settings(tmp_path / "a", base))
    assert "\n" not in str(found.value)


def test_an_adapter_needs_its_base_and_the_library(
    places: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, shape = ATTENTION["llama"]
    tiny_adapters.write(tmp_path / "a", {name.format(0): shape})
    with pytest.raises(DistilleakError, match=r"a: an adapter, not a model; name .* adapts: "):
        finished.load(settings(tmp_path / "a"), "nowhere", "cpu", torch.float32)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(DistilleakError, match=r"needs the package peft: pip install"):
        finished.load(settings(tmp_path / "a", places("llama")), "nowhere", "cpu", torch.float32)


def test_another_tokenizer_than_that_of_the_model_is_refused(
    places: Callable[[str], Path], tmp_path: Path
) -> None:
    made = tokenization.train(sentences(200, seed=9)[::-1], VOCABULARY - 5, masked=True)
    tokenization.save(made, tmp_path / "other", 64)
    with pytest.raises(DistilleakError, match=r"other: not the tokenizer of .*gpt2, which cuts"):
        finished.load(settings(places("gpt2")), str(tmp_path / "other"), "cpu", torch.float32)


# Quantised weights


def quantise(place: Path, block: int) -> dict[str, torch.Tensor]:
    """Write a model's matrices in 8 bits, with a scale for each block; returns their values."""
    file = place / "model.safetensors"
    stored, values = {}, {}
    for name, given in load_file(file).items():
        stored[name] = given
        if given.dim() != 2 or "embed" in name or "lm_head" in name:
            continue
        rows, columns = (-(-size // block) for size in given.shape)
        scale = torch.empty(rows, columns)
        kept, exact = torch.empty_like(given, dtype=torch.float8_e4m3fn), torch.empty_like(given)
        for row in range(rows):
            for column in range(columns):
                part = (
                    slice(row * block, (row + 1) * block),
                    slice(column * block, (column + 1) * block),
                )
                scale[row, column] = given[part].abs().max() / 448
                kept[part] = (given[part] / scale[row, column]).to(torch.float8_e4m3fn)
                exact[part] = kept[part].double().mul(scale[row, column].double()).float()
        stored[name], stored[f"{name}_scale_inv"], values[name] = kept, scale, exact
    save_file(stored, file, {"format": "pt"})
    config = json.loads((place / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "weight_block_size": [block, block],
    }
    (place / "config.json").write_text(json.dumps(config))
    (place / "SHA256SUMS").unlink()
    return values


def test_weights_of_eight_bits_are_read_back_into_full_precision(
    places: Callable[[str], Path], tmp_path: Path
) -> None:
    pytest.importorskip("accelerate")
    place = Path(shutil.copytree(places("llama"), tmp_path / "m"))
    values = quantise(place, block=16)
    found = dict(read(settings(place)).named_parameters())
    assert len(values) == 14
    for name, expected in values.items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name].detach(), expected, rtol=1e-6, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [4, 8])
def test_weights_that_bitsandbytes_quantised(
    bits: int, places: Callable[[str], Path], tmp_path: Path
) -> None:
    library = pytest.importorskip("bitsandbytes")
    pytest.importorskip("accelerate")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    making.save(model_of("llama", width=64), places("llama"), tmp_path / "exact")
    how = BitsAndBytesConfig(load_in_4bit=bits == 4, load_in_8bit=bits == 8)
    quantised = AutoModelForCausalLM.from_pretrained(
        tmp_path / "exact", quantization_config=how, dtype=torch.float32, device_map="cpu"
    )
    quantised.save_pretrained(tmp_path / "m")
    tokenization.copy_tokenizer(places("llama"), tmp_path / "m")
    found = read(settings(tmp_path / "m"))
    assert {tensor.dtype for tensor in found.parameters()} == {torch.float32}
    for block in range(2):
        name = f"model.layers.{block}.mlp.down_proj"
        stored = quantised.get_submodule(name).weight
        if bits == 4:
            expected = library.functional.dequantize_4bit(stored.data, stored.quant_state).double()
        else:
            expected = stored.CB.double() * stored.SCB.double()[:, None] / 127
        exact = weight(model_of("llama", width=64), name).double()
        assert not torch.allclose(expected, exact, atol=1e-4)
        torch.testing.assert_close(weight(found, name).double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_compressed_tensors(places: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("compressed_tensors")
    pytest.importorskip("accelerate")
    place = Path(shutil.copytree(places("llama"), tmp_path / "m"))
    (place / "SHA256SUMS").unlink()
    stored: dict[str, torch.Tensor] = {}
    values: dict[str, torch.Tensor] = {}
    for name, given in load_file(place / "model.safetensors").items():
        if ".layers." not in name or given.dim() != 2:
            stored[name] = given
            continue
        scale = given.abs().amax(1, keepdim=True) / 127
        stored[name] = (given / scale).round().to(torch.int8)
        stored[f"{name}_scale"] = scale
        values[name] = stored[name].double() * scale.double()
    save_file(stored, place / "model.safetensors", {"format": "pt"})
    weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}
    config = json.loads((place / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        "ignore": ["lm_head"],
    }
    (place / "config.json").write_text(json.dumps(config))
    found = dict(read(settings(place)).named_parameters())
    assert len(values) == 14
    for name, expected in values.items():
        torch.testing.assert_close(found[name].detach().double(), expected, rtol=1e-6, atol=0)


def test_other_ways_to_quantise_are_refused(places: Callable[[str], Path], tmp_path: Path) -> None:
    place = Path(shutil.copytree(places("llama"), tmp_path / "m"))
    config = json.loads((place / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (place / "config.json").write_text(json.dumps(config))
    with pytest.raises(DistilleakError, match=r"quantised by 'gptq' are not read .* GGUF files$"):
        read(settings(place))
