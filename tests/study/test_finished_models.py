"""The models of an audit are checked before anything is loaded: one line that names the key."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_adapters
from architecture import PACKAGE
from model_heads import BERT, write, write_tokenizer
from pydantic import ValidationError

from distilleak.records import tokenizer
from distilleak.settings.finished import FinishedSettings
from distilleak.settings.problems import ConfigurationError
from distilleak.study import finished

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
MODULE = "model.layers.0.w"

KEY = "audit.models.v1"


def settings(**given: Any) -> FinishedSettings:
    return FinishedSettings.model_validate(given)


def problem(context: int = 32, prefix: int = 0, **given: Any) -> str:
    """The problem with a model, which is reported at its key in one line."""
    with pytest.raises(ConfigurationError) as found:
        finished.check(settings(**given), KEY, context, prefix)
    assert found.value.key == KEY
    assert "\n" not in str(found.value)
    return found.value.problem


def adapter(path: Path, **changes: Any) -> str:
    tiny_adapters.write(path, {MODULE: (2, 2)}, **changes)
    return str(path)


def test_models_that_can_be_queried(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    base = write(tmp_path / "m")
    finished.check(settings(directory=base), KEY, 63)
    finished.check(settings(directory=write(tmp_path / "b", BERT)), KEY, 40, 22)
    finished.check(
        settings(directory=adapter(tmp_path / "a"), adapts={"directory": base}),
        KEY,
        63,
    )
    finished.check(settings(hub="nobody/has-this"), KEY, 10**6)
    finished.check(settings(directory=str(tmp_path / "a"), adapts={"hub": "some/one"}), KEY, 63)


def no_config(place: Path) -> None:
    (place / "config.json").unlink()


def pickled(place: Path) -> None:
    (place / "model.safetensors").rename(place / "pytorch_model.bin")


def pointer(place: Path) -> None:
    (place / "model.safetensors").write_text(POINTER)


def other_family(place: Path) -> None:
    (place / "config.json").write_text('{"model_type": "t5"}')


def with_adapter(place: Path) -> None:
    (place / "adapter_config.json").write_text("{}")


def no_tokenizer(place: Path) -> None:
    (place / "tokenizer.json").unlink()


def larger_tokenizer(place: Path) -> None:
    write_tokenizer(place, {"one": 0}, 40)


def quantised(place: Path) -> None:
    config = json.loads((place / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq"}
    (place / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_config, "no model here (config.json is missing)"),
        (pickled, "weights in pickle files are not read"),
        (pointer, "model.safetensors: only a pointer of git-lfs"),
        (other_family, "model type 't5' is not supported; supported are gpt2, "),
        (with_adapter, "adapters are not read, and without them this is another model"),
        (no_tokenizer, "no tokenizer here (tokenizer.json is missing)"),
        (larger_tokenizer, "a vocabulary of 30 tokens, but its tokenizer has 41"),
        (quantised, "weights quantised by 'awq' are not read back into full precision"),
    ],
)
def test_what_is_wrong_with_a_directory(
    damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    place = Path(write(tmp_path / "m"))
    damage(place)
    found = problem(directory=str(place))
    assert message in found
    assert str(place) in found


def test_there_is_nothing(tmp_path: Path) -> None:
    assert "no such directory" in problem(directory=str(tmp_path / "m"))
    assert "no such file" in problem(gguf=str(tmp_path / "m.gguf"))
    assert "cannot be read" in problem(directory=f"{tmp_path}/{'m' * 300}")


def test_records_need_positions(tmp_path: Path) -> None:
    place = write(tmp_path / "m")
    assert problem(64, directory=place) == (
        f"{place}: 64 positions are too few: start token, evidence.prefix_tokens (0) and "
        "encoding.context (64) need 65"
    )
    assert "(16) and encoding.context (48) need 65" in problem(48, 16, directory=place)
    masked = write(tmp_path / "b", BERT)
    assert "start and end token" in problem(63, directory=masked)


def test_a_package_that_reads_quantised_weights_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = write(tmp_path / "m", quantization_config={"load_in_4bit": True})
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    assert problem(directory=place).endswith(
        "reading weights quantised by bitsandbytes needs bitsandbytes accelerate: pip install "
        "bitsandbytes accelerate"
    )


# Adapters


def test_an_adapter_without_its_base(tmp_path: Path) -> None:
    place = adapter(tmp_path / "a")
    assert problem(directory=place) == (
        f"{place}: an adapter, not a model; name the model that it changes, too: "
        f"{{directory: {place}, adapts: {{directory: ...}}}}"
    )


def test_an_adapter_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"directory": adapter(tmp_path / "a"), "adapts": {"directory": write(tmp_path / "m")}}
    monkeypatch.setitem(sys.modules, "peft", None)
    assert problem(**given).endswith("needs the package peft: pip install '.[lora]'")


def unpickled(place: Path) -> None:
    (place / "adapter_model.safetensors").rename(place / "adapter_model.bin")


def cut_off(place: Path) -> None:
    file = place / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-3])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (unpickled, "weights in pickle files (adapter_model.bin) are not read"),
        (cut_off, "adapter_model.safetensors: its weights cannot be read"),
        (lambda place: (place / "adapter_config.json").unlink(), "no adapter here"),
        (lambda place: (place / "adapter_config.json").write_text("{"), "damaged (not JSON)"),
        (lambda place: (place / "adapter_config.json").write_text("[]"), "damaged (not a mapping)"),
        (
            lambda place: (place / "adapter_config.json").write_text(POINTER),
            "only a pointer of git-lfs",
        ),
    ],
)
def test_what_is_wrong_with_an_adapter(
    damage: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    place = Path(adapter(tmp_path / "a"))
    damage(place)
    assert message in problem(directory=str(place), adapts={"directory": write(tmp_path / "m")})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'; only LORA is read"),
        ({"peft_type": None}, "peft_type is None; only LORA is read"),
        ({"init_lora_weights": "pissa"}, "is 'pissa', which changes the weights of the base, too"),
        ({"init_lora_weights": ["pissa"]}, "changes the weights of the base, too"),
        ({"megatron_config": {"a": 1}}, "'megatron_config' is {'a': 1}, which is not read"),
        ({"layer_replication": [[0, 2]]}, "'layer_replication' is [[0, 2]], which is not read"),
        ({"alora_invocation_tokens": [3]}, "'alora_invocation_tokens' is [3], which is not read"),
        ({"trainable_token_indices": [3]}, "'trainable_token_indices' is [3], which is not read"),
        ({"some_new_field": True}, "'some_new_field' is True, which is not read"),
    ],
)
def test_adapters_that_do_more_than_change_weights(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    given = adapter(tmp_path / "a", **changes)
    found = problem(directory=given, adapts={"directory": write(tmp_path / "m")})
    assert f"{given}/adapter_config.json: " in found
    assert message in found


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (MODULE, (2, 3), "is for a weight of the shape [2, 3], but that of the base is [2, 2]"),
        ("model.layers.2.w", (2, 2), "is for block 3 of 2"),
    ],
)
def test_an_adapter_for_another_base(
    module: str, shape: tuple[int, int], message: str, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    base = write(tmp_path / "m")
    tiny_adapters.write(tmp_path / "a", {module: shape})
    found = problem(directory=str(tmp_path / "a"), adapts={"directory": base})
    assert found == (
        f"{tmp_path}/a: no adapter for {base}: base_model.model.{module}.lora_A.weight {message}"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hub": "a/b", "adapts": {"directory": "m"}}, "adapts needs a directory"),
        ({"directory": "m", "adapts": {"directory": "m"}}, "must lie in different ones"),
        ({"directory": "m", "adapts": {}}, "give exactly one of directory, hub, gguf"),
        ({"directory": "m", "init": "random"}, "Input should be 'checkpoint'"),
    ],
)
def test_what_settings_may_say(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**given)


def test_the_files_that_a_model_is_read_from(tmp_path: Path) -> None:
    base = write(tmp_path / "m")
    own = [f"{base}/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json")]
    assert settings(directory=base).local_files() == own
    given = adapter(tmp_path / "a")
    (tmp_path / "a" / "README.md").write_text("what it is")
    read = [f"{given}/adapter_config.json", f"{given}/adapter_model.safetensors"]
    assert settings(directory=given, adapts={"directory": base}).local_files() == [*read, *own]


def test_tokenizers_are_compared_by_their_files(tmp_path: Path) -> None:
    one = settings(directory=write(tmp_path / "one"))
    same = settings(directory=write(tmp_path / "same"))
    other = settings(directory=write(tmp_path / "other", tokens=20))
    changed = settings(directory=adapter(tmp_path / "a"), adapts={"directory": one.directory})
    assert finished.same_tokenizer(one, same) is True
    assert finished.same_tokenizer(changed, same) is True
    assert finished.same_tokenizer(one, other) is False
    assert finished.same_tokenizer(one, settings(hub="a/b")) is None


def test_models_read_alike_if_their_special_tokens_are_the_same_too(tmp_path: Path) -> None:
    one, same, other = (settings(directory=write(tmp_path / n)) for n in ("one", "same", "other"))
    changed = settings(directory=adapter(tmp_path / "a"), adapts={"directory": one.directory})
    file = tmp_path / "other" / "tokenizer_config.json"
    given = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**given, "bos_token": "another"}))
    assert finished.same_reading(one, same)
    assert finished.same_reading(changed, same)
    assert finished.same_tokenizer(one, other)
    assert not finished.same_reading(one, other)
    # However a token is written.
    file.write_text(json.dumps({**given, "bos_token": {"content": given.get("bos_token")}}))
    assert finished.same_reading(one, other)
    (tmp_path / "other" / "special_tokens_map.json").write_text('{"eos_token": "another"}')
    assert not finished.same_reading(one, other)
    # One source is like itself, wherever it lies; of two only loading can tell.
    assert finished.same_reading(settings(hub="a/b"), settings(hub="a/b"))
    assert not finished.same_reading(settings(hub="a/b"), settings(hub="a/b", revision="0" * 40))
    assert not finished.same_reading(settings(gguf="x.gguf"), one)


def test_every_special_token_that_a_model_reads_is_compared() -> None:
    read = {name for kinds in tokenizer.NEEDED.values() for names in kinds for name in names}
    assert {*finished.SPECIAL} == read


def test_nothing_is_loaded_for_a_check(tmp_path: Path) -> None:
    write(tmp_path / "m")
    adapter(tmp_path / "a")
    pytest.importorskip("peft")
    program = """
import sys
from distilleak.settings.finished import FinishedSettings
from distilleak.study import finished
given = FinishedSettings.model_validate({"directory": "a", "adapts": {"directory": "m"}})
finished.check(given, "v1", 32)
print(sorted({"torch", "transformers", "tokenizers", "safetensors", "peft"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
