"""Evidence of a finished model that is read where it lies, beside that of one a stage wrote."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_adapters
import torch
from command_line import as_words
from safetensors.torch import load_file, save_file
from tiny_evidence import START, VIEWS, Site, log_p_of, make_site, model_of

from distilleak.errors import DistilleakError
from distilleak.evidence.shards import Shards
from distilleak.evidence.table import read_view
from distilleak.records import pools, window
from distilleak.records.table import read_records
from distilleak.stages import compute_evidence, copy_tokenizer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


def arguments(
    site: Site, given: Mapping[str, object], output: Path, *options: str, dtype: str = "float32"
) -> list[str]:
    """The command line for a finished model, after its tokenizer has been copied."""
    whole = given.get("adapts", given)
    copied = output.parent / "tokenizer"
    if not copied.exists():
        copy_tokenizer.main(as_words(checkpoints=json.dumps([whole]), output=copied))
    return [
        *as_words(
            checkpoint=json.dumps(given),
            tokenizer=copied,
            records=site.path("records.parquet"),
            views=VIEWS,
            settings=json.dumps({"prefix_tokens": 16, "batch_tokens": 200, "dtype": dtype}),
            seed=0,
            output=output,
        ),
        *options,
    ]


def origin(file: Path) -> dict[str, str]:
    metadata = pq.read_schema(file).metadata
    return {key.decode(): value.decode() for key, value in metadata.items()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_a_checkpoint_leaves_the_evidence_of_the_model_that_a_stage_wrote(
    family: str, dtype: str, site: Site, tmp_path: Path
) -> None:
    site.compute(family, output=tmp_path / "stage", dtype=dtype)
    given = {"directory": site.path(family)}
    compute_evidence.main(arguments(site, given, tmp_path / "checkpoint", dtype=dtype))
    for view in VIEWS:
        mine, other = (tmp_path / name / f"{view}.parquet" for name in ("checkpoint", "stage"))
        assert mine.read_bytes() == other.read_bytes()
        assert origin(mine)["model"] == site.path(family)
        assert origin(mine)["dtype"] == dtype


def test_an_adapter_leaves_the_evidence_of_its_merged_weights(site: Site, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    module = "transformer.h.0.mlp.c_fc"
    changes = tiny_adapters.write(tmp_path / "a", {module: (64, 16)}, fan_in_fan_out=True)
    given = {"directory": str(tmp_path / "a"), "adapts": {"directory": site.path("gpt2")}}
    compute_evidence.main(arguments(site, given, tmp_path / "evidence"))
    merged = model_of("gpt2", seed=1).double()
    down, up = changes[module]
    with torch.no_grad():
        merged.get_submodule(module).weight.add_(torch.tensor(3 * (up @ down).T))  # type: ignore[union-attr, operator]
    records = read_records(site.path("records.parquet"), pools.EVIDENCE_POOLS)
    file = tmp_path / "evidence" / "plain.parquet"
    view = read_view(file, records.record_id)
    found = np.split(view.logp.values, view.logp.offsets[1:-1])
    for values, tokens in zip(found, records.tokens, strict=True):
        expected = log_p_of(merged, [START], tokens)
        rows = torch.arange(len(tokens))
        np.testing.assert_allclose(
            values, expected[rows, torch.tensor(tokens.astype(np.int64))], rtol=0, atol=1e-4
        )
    assert origin(file)["model"] == f"{tmp_path / 'a'} on {site.path('gpt2')}"


def interrupted(monkeypatch: pytest.MonkeyPatch, words: list[str], after: int) -> None:
    """Run the stage until so many shards are written."""
    made = 0
    write = Shards.write

    def counted(self: Shards, tables: Mapping[str, pa.Table], view: str, number: int) -> None:
        nonlocal made
        if made == after:
            raise KeyboardInterrupt
        made += 1
        write(self, tables, view, number)

    with monkeypatch.context() as patch:
        patch.setattr(Shards, "write", counted)
        with pytest.raises(KeyboardInterrupt):
            compute_evidence.main(words)


def written(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> int:
    """Run the stage to its end; returns how many shards it still had to write."""
    made = []
    write = Shards.write

    def noted(self: Shards, tables: Mapping[str, pa.Table], view: str, number: int) -> None:
        made.append(number)
        write(self, tables, view, number)

    with monkeypatch.context() as patch:
        patch.setattr(Shards, "write", noted)
        compute_evidence.main(words)
    return len(made)


def test_an_interrupted_job_is_resumed_to_the_same_bytes(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "SIZE", 8)
    given = {"directory": site.path("gpt2")}
    compute_evidence.main(arguments(site, given, tmp_path / "once"))
    words = arguments(site, given, tmp_path / "twice", "--shards", str(tmp_path / "shards"))
    interrupted(monkeypatch, words, after=5)
    assert written(monkeypatch, words) == 9 - 5
    for view in VIEWS:
        mine, other = (tmp_path / name / f"{view}.parquet" for name in ("twice", "once"))
        assert mine.read_bytes() == other.read_bytes()
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize("changed", ["base", "adapter", "alpha", "nothing"])
def test_shards_of_a_model_whose_files_have_changed_are_not_used(
    changed: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    monkeypatch.setattr(window, "SIZE", 8)
    base = Path(shutil.copytree(site.path("gpt2"), tmp_path / "base"))
    place = tmp_path / "a"
    tiny_adapters.write(place, {"transformer.h.0.mlp.c_fc": (64, 16)})
    given = {"directory": str(place), "adapts": {"directory": str(base)}}
    words = arguments(site, given, tmp_path / "e", "--shards", str(tmp_path / "shards"))
    interrupted(monkeypatch, words, after=5)
    if changed == "alpha":
        file = place / "adapter_config.json"
        file.write_text(file.read_text().replace('"lora_alpha": 6', '"lora_alpha": 7'))
    elif changed != "nothing":
        name = "base/model.safetensors" if changed == "base" else "a/adapter_model.safetensors"
        weights = load_file(tmp_path / name)
        first = min(weights)
        save_file({**weights, first: weights[first] + 1}, tmp_path / name, {"format": "pt"})
    assert written(monkeypatch, words) == (4 if changed == "nothing" else 9)


def test_a_finished_model_needs_a_tokenizer_and_is_queried_alone(
    site: Site, tmp_path: Path
) -> None:
    words = arguments(site, {"directory": site.path("gpt2")}, tmp_path / "e")
    place = words.index("--tokenizer")
    with pytest.raises(DistilleakError, match="--checkpoint and --tokenizer need each other"):
        compute_evidence.main([*words[:place], *words[place + 2 :]])
    with pytest.raises(DistilleakError, match="--mixture: a finished model is queried alone"):
        compute_evidence.main([*words, "--mixture", "both=0"])
    with pytest.raises(SystemExit):
        compute_evidence.main([*words, "--model", site.path("gpt2")])
