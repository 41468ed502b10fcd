"""What is known of a model without loading it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from architecture import PACKAGE
from model_heads import BERT, write, write_tokenizer
from safetensors.numpy import load_file, save_file

from distilleak.errors import DistilleakError
from distilleak.models import family_fields, heads
from distilleak.models.family_table import FAMILIES


def test_a_head_says_what_the_files_say(tmp_path: Path) -> None:
    head = heads.read(write(tmp_path / "m"))
    assert (head.family, head.kind, head.layers) == ("llama", "causal", 2)
    assert (head.positions, head.vocabulary, head.needed_rows) == (64, 30, 28)
    heads.check_weights(head)
    assert heads.read(write(tmp_path / "b", BERT)).kind == "masked"


def test_what_a_configuration_leaves_to_its_family_is_not_known(tmp_path: Path) -> None:
    head = heads.read(write(tmp_path / "m", max_position_embeddings=None, vocab_size=None))
    assert head.positions is None
    assert head.vocabulary is None
    heads.check_weights(head)


def test_the_names_are_those_of_the_configurations() -> None:
    for name, family in FAMILIES.items():
        known = family.config()
        for ours in ("layers", "width", "heads", "positions", "inner", "scale", "head_width"):
            assert hasattr(known, family_fields.field(name, ours)), (name, ours)


def test_roberta_counts_positions_from_its_padding_token(tmp_path: Path) -> None:
    assert heads.read(write(tmp_path / "m", BERT, model_type="roberta")).positions == 62
    padded = heads.read(write(tmp_path / "p", BERT, model_type="roberta", pad_token_id=3))
    assert padded.positions == 60


def test_a_changed_architecture_is_of_the_family_that_was_changed(tmp_path: Path) -> None:
    assert heads.read(write(tmp_path / "m", model_type="distilleak_llama")).family == "llama"


@pytest.mark.parametrize("value", [0, -3, 2.5, "two", True, [2], {}])
@pytest.mark.parametrize("field", ["num_hidden_layers", "vocab_size", "max_position_embeddings"])
def test_a_size_that_is_none_is_named(tmp_path: Path, field: str, value: Any) -> None:
    head = heads.read(write(tmp_path / "m", **{field: value}))
    with pytest.raises(DistilleakError, match=rf"m/config\.json: {field} should be a whole number"):
        _ = head.layers, head.vocabulary, head.positions


@pytest.mark.parametrize("size", [0, 5, 40, 200, -1])
def test_weights_that_were_cut_off_are_found_by_their_size(tmp_path: Path, size: int) -> None:
    head = heads.read(write(tmp_path / "m"))
    file = tmp_path / "m" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(DistilleakError, match=r"model\.safetensors: its weights cannot be read"):
        heads.check_weights(head)


@pytest.mark.parametrize(
    "head",
    [b"{}", b"[]", b'{"w": 1}', b'{"w": {"data_offsets": [0, 4]}}', b"\xff\xfe", b"[" * 9999],
)
def test_the_head_of_a_file_of_weights_may_be_anything(tmp_path: Path, head: bytes) -> None:
    found = heads.read(write(tmp_path / "m"))
    file = tmp_path / "m" / "model.safetensors"
    file.write_bytes(len(head).to_bytes(8, "little") + head + b"1")
    with pytest.raises(DistilleakError, match=r"model\.safetensors: its weights cannot be read"):
        heads.check_weights(found)


def shard(directory: Path) -> None:
    weights = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    files = {name: f"model-{number}-of-3.safetensors" for number, name in enumerate(weights)}
    for name, file in files.items():
        save_file({name: weights[name]}, directory / file)
    index = directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": files}))


def test_weights_may_lie_in_several_files(tmp_path: Path) -> None:
    head = heads.read(write(tmp_path / "m"))
    shard(tmp_path / "m")
    heads.check_weights(head)
    (tmp_path / "m" / "model-1-of-3.safetensors").unlink()
    with pytest.raises(DistilleakError, match=r"\(model-1-of-3\.safetensors is missing\)"):
        heads.check_weights(head)
    (tmp_path / "m" / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(DistilleakError, match=r"index\.json: damaged"):
        heads.check_weights(head)
    write(tmp_path / "whole")
    shutil.copy(tmp_path / "whole" / "model.safetensors", tmp_path / "m")
    heads.check_weights(head)


def test_weights_in_several_files_have_the_names_that_the_index_says(tmp_path: Path) -> None:
    write(tmp_path / "m")
    shard(tmp_path / "m")
    (tmp_path / "m" / "model-1-of-3.safetensors").rename(tmp_path / "m" / "first.safetensors")
    with pytest.raises(
        DistilleakError, match=r"first\.safetensors: only model\.safetensors is rea"
    ):
        heads.read(tmp_path / "m")
    index = tmp_path / "m" / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-1-of-3.safetensors", "first.safetensors"))
    heads.check_weights(heads.read(tmp_path / "m"))


def test_weights_under_another_name_are_not_left_out(tmp_path: Path) -> None:
    head = heads.read(write(tmp_path / "m", transformers_weights="other.safetensors"))
    with pytest.raises(DistilleakError, match=r"transformers_weights in .* names another file"):
        heads.check_weights(head)


@pytest.mark.parametrize("blocks", [1, 3, 12])
def test_blocks_are_counted(tmp_path: Path, blocks: int) -> None:
    head = heads.read(write(tmp_path / "m", num_hidden_layers=blocks))
    with pytest.raises(DistilleakError, match=rf"of 2 blocks, but num_hidden_layers .* {blocks}$"):
        heads.check_weights(head)


def test_the_embeddings_have_the_rows_that_the_configuration_says(tmp_path: Path) -> None:
    head = heads.read(write(tmp_path / "m", vocab_size=31))
    with pytest.raises(DistilleakError, match=r"embed_tokens\.weight has 30 rows, .* is 31$"):
        heads.check_weights(head)


def test_the_embeddings_have_the_width_that_the_configuration_says(tmp_path: Path) -> None:
    head = heads.read(write(tmp_path / "m", hidden_size=24))
    with pytest.raises(DistilleakError, match=r"embed_tokens\.weight has 8 columns, .* is 24$"):
        heads.check_weights(head)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [float("inf"), 8], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": []},
        {"dtype": "F32", "shape": [1], "data_offsets": [4]},
        {"dtype": "F32", "shape": "ab", "data_offsets": [0, 4]},
    ],
)
def test_a_head_of_weights_that_holds_something_else_is_one_line(
    entry: dict[str, object], tmp_path: Path
) -> None:
    place = Path(write(tmp_path / "m"))
    head = json.dumps({"w": entry}).encode()
    (place / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(4))
    with pytest.raises(DistilleakError, match=r"model\.safetensors: its weights cannot be read \("):
        heads.check_weights(heads.read(place))


def test_attention_heads_that_do_not_divide_the_width_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DistilleakError, match=r"3 attention heads .* do not divide the width 8$"):
        heads.read(write(tmp_path / "m", num_attention_heads=3))
    with pytest.raises(DistilleakError, match=r"num_attention_heads should be a whole number"):
        heads.read(write(tmp_path / "none", num_attention_heads=0))
    heads.read(write(tmp_path / "own", num_attention_heads=3, head_dim=4))


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    place = write(tmp_path / "m", quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(DistilleakError, match=r"quantization_config .* model in full precision$"):
        heads.check_weights(heads.read(place))
    # Of them alone: what `init: random` and a tokenizer are taken from may have such weights.
    assert len(heads.check_weights(heads.read(place), may_be_quantised=True)) == 3


def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    place = Path(write(tmp_path / "m"))
    heads.check_tokenizer(place)
    for file in place.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(DistilleakError, match=r"no tokenizer here \(tokenizer\.json is missing\)"):
        heads.check_tokenizer(place)


def test_a_named_pipe_in_a_directory_is_not_waited_for(tmp_path: Path) -> None:
    place = Path(write(tmp_path / "m"))
    os.mkfifo(place / "extra.json")
    (place / "folder.json").mkdir()
    heads.read(place)


@pytest.mark.parametrize("family", FAMILIES)
def test_real_models_of_every_family_fit_their_heads(family: str, tmp_path: Path) -> None:
    import tiny_families

    tiny_families.tiny(family).save_pretrained(tmp_path / "m")
    head = heads.read(tmp_path / "m")
    heads.check_weights(head)
    assert (head.family, head.kind) == (family, FAMILIES[family].kind)
    assert head.layers == 2
    assert head.vocabulary == tiny_families.VOCABULARY
    assert head.positions == tiny_families.POSITIONS


def test_a_tokenizer_needs_rows_up_to_its_largest_id(tmp_path: Path) -> None:
    directory = write(tmp_path / "m")
    write_tokenizer(tmp_path / "m", {"one": 0, "two": 40}, 7)
    assert heads.read(directory).needed_rows == 41
    (tmp_path / "m" / "tokenizer.json").write_text(
        json.dumps({"model": {"type": "Unigram", "vocab": [["one", -1.0], ["two", -2.0]]}})
    )
    assert heads.read(directory).needed_rows == 2
    (tmp_path / "m" / "tokenizer.json").unlink()
    assert heads.read(directory).needed_rows == 0
    assert heads.read(directory).tokens is None


@pytest.mark.parametrize("text", ["", "[]", '{"model": 1}', '{"model": {"vocab": {"a": "b"}}}'])
def test_a_damaged_tokenizer_is_named(tmp_path: Path, text: str) -> None:
    directory = write(tmp_path / "m")
    (tmp_path / "m" / "tokenizer.json").write_text(text)
    with pytest.raises(DistilleakError, match=r"tokenizer\.json: no tokenizer \(the file is damag"):
        _ = heads.read(directory).needed_rows


def test_looking_into_a_model_imports_neither_torch_nor_transformers(tmp_path: Path) -> None:
    write(tmp_path / "m")
    program = """
import sys
from distilleak.models import heads
import distilleak.study.reading
heads.check_weights(heads.read("m"))
assert heads.read("m").needed_rows == 28
print(sorted({"torch", "transformers", "tokenizers", "safetensors"} & sys.modules.keys()))
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


def test_a_weight_without_dimensions_has_no_rows(tmp_path: Path) -> None:
    head = heads.read(write(tmp_path / "m"))
    file = tmp_path / "m" / "model.safetensors"
    save_file({**load_file(file), "scale": np.zeros((), np.float32)}, file)
    heads.check_weights(head)
    shutil.rmtree(tmp_path / "m")
    with pytest.raises(DistilleakError, match="no such directory"):
        heads.read(tmp_path / "m")
