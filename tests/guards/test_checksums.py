"""A file that has changed since it was written is refused, and named."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tiny_study import VOCABULARY, sentences, tiny_model

from distilleak.errors import DistilleakError
from distilleak.guards import checksums, sealed_json
from distilleak.models import checkpoints, making
from distilleak.records import tokenizer as tokenization
from distilleak.settings.architecture import CheckpointSettings


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and its tokenizer, as stages write them."""
    root = tmp_path_factory.mktemp("saved")
    tokenizer = tokenization.train(sentences(100, seed=0), VOCABULARY)
    tokenization.save(tokenizer, root / "tokenizer", 64)
    making.save(tiny_model(), root / "tokenizer", root / "model")
    return root


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved, tmp_path / "copy")
    return tmp_path / "copy"


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


@pytest.mark.parametrize("seed", range(6))
def test_a_flipped_bit_in_the_weights_is_found(seed: int, copy: Path) -> None:
    """They would be read without a complaint and give other evidence."""
    weights = copy / "model" / "model.safetensors"
    header = 8 + int.from_bytes(weights.read_bytes()[:8], "little")
    bits = np.random.default_rng(seed).integers(8 * header, 8 * weights.stat().st_size)
    flip(weights, int(bits))
    with pytest.raises(DistilleakError, match=rf"^{weights}: damaged .*: rm -r {copy}/model$"):
        making.load(copy / "model", "cpu")


@pytest.mark.parametrize("place", ["model", "tokenizer"])
def test_every_file_of_a_directory_is_compared(place: str, copy: Path) -> None:
    def read() -> None:
        if place == "model":
            making.load(copy / place, "cpu")
        else:
            tokenization.load(copy / place)

    files = [file for file in (copy / place).iterdir() if file.name != checksums.SUMS]
    assert len(files) >= 2
    for file in files:
        whole = file.read_bytes()
        flip(file, 8 * (len(whole) // 2))
        with pytest.raises(DistilleakError, match=rf"^{file}: damaged "):
            read()
        file.unlink()
        with pytest.raises(DistilleakError, match=rf"^{file}: no such file; "):
            read()
        file.write_bytes(whole)
    read()


def test_a_changed_tokenizer_is_not_copied_into_a_model(copy: Path) -> None:
    flip(copy / "tokenizer" / "tokenizer_config.json", 50)
    with pytest.raises(DistilleakError, match=r"tokenizer_config\.json: damaged "):
        making.save(tiny_model(), copy / "tokenizer", copy / "other")
    assert not (copy / "other").exists()


def test_a_damaged_list_of_checksums_is_found(copy: Path) -> None:
    sums = copy / "model" / checksums.SUMS
    for content in (b"", b"\xff\xfe", sums.read_bytes()[:30]):
        sums.write_bytes(content)
        with pytest.raises(DistilleakError, match=rf"^{sums}: damaged "):
            making.load(copy / "model", "cpu")


@pytest.mark.parametrize("place", ["model", "tokenizer"])
def test_the_usual_program_reads_the_checksums(place: str, saved: Path) -> None:
    command = ["sha256sum", "--check", "--strict", checksums.SUMS]
    done = subprocess.run(command, cwd=saved / place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = {line.partition(": ")[0] for line in done.stdout.splitlines()}
    assert listed | {checksums.SUMS} == {file.name for file in (saved / place).iterdir()}


def test_a_directory_without_checksums_is_read_without(copy: Path) -> None:
    """As a checkpoint of the user's, or a model of an earlier version."""
    (copy / "model" / checksums.SUMS).unlink()
    making.load(copy / "model", "cpu")
    checkpoints.load(CheckpointSettings(directory=str(copy / "model")))


def test_the_path_to_delete_can_be_pasted(copy: Path) -> None:
    odd = copy / "it's a model; $HOME"
    (copy / "model").rename(odd)
    flip(odd / "model.safetensors", 8000)
    with pytest.raises(DistilleakError) as caught:
        making.load(odd, "cpu")
    command = re.search(r": (rm -r .*)$", str(caught.value))
    assert command is not None
    subprocess.run(command[1], shell=True, check=True)
    assert not odd.exists()


def test_a_json_file_has_its_checksum_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    sealed_json.write({"loss": [2.5], "updates": 30}, path)
    assert sealed_json.read(path) == {"loss": [2.5], "updates": 30}
    command = ["sha256sum", "--check", "--strict", "facts.json.sha256"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    # Still JSON, and still plausible.
    path.write_text(path.read_text().replace("30", "31"))
    with pytest.raises(DistilleakError, match=rf"^{path}: damaged .* rm -r {path}$"):
        sealed_json.read(path)
    with pytest.raises(DistilleakError, match=r" rm -r epochs$"):
        sealed_json.read(path, output="epochs")
    sealed_json.write({"updates": 32}, path)
    assert sealed_json.read(path) == {"updates": 32}
    path.unlink()
    with pytest.raises(DistilleakError, match=rf"^{path}: no such file$"):
        sealed_json.read(path)
    with pytest.raises(DistilleakError, match=rf"^{path}: no such file; .* rm -r epochs$"):
        sealed_json.read(path, output="epochs")


def test_a_json_file_without_a_checksum_is_read_without(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps({"updates": 30}))
    assert sealed_json.read(path) == {"updates": 30}


def test_a_list_that_was_cut_off_at_the_end_of_a_line_is_damaged(copy: Path) -> None:
    sums = copy / "model" / checksums.SUMS
    lines = sums.read_text().splitlines(keepends=True)
    for kept in range(len(lines)):
        sums.write_text("".join(lines[:kept]))
        with pytest.raises(DistilleakError, match=rf"^{sums}: damaged .*rm -r {copy}/model$"):
            checksums.verify(copy / "model")
