"""Finished models are read where they lie: whole, in shards, quantised, as an adapter and a base."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_families
import torch
from safetensors.torch import load_file, save_file
from tiny_families import CAUSAL, MASKED, NAMES, fresh, tiny
from tiny_study import sentences
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models import finished, making
from distilleak.records import tokenizer as tokenization
from distilleak.settings.finished import FinishedSettings
from distilleak.stages import copy_tokenizer

VOCABULARY = 300


def settings(directory: Path, base: Path | None = None) -> FinishedSettings:
    adapts = {} if base is None else {"adapts": {"directory": str(base)}}
    return FinishedSettings.model_validate({"directory": str(directory), **adapts})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    made = tokenization.train(sentences(200, seed=1), VOCABULARY, masked=True)
    tokenization.save(made, path, 64)
    return path


def model_of(family: str, seed: int = 0, **changes: object) -> PreTrainedModel:
    from distilleak.models import families

    with making.seeded(seed):
        model = families.build(tiny_families.shape(family, **changes), VOCABULARY, 0)
    tiny_families.randomise(model, 0.1, seed)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def save(model: PreTrainedModel, tokenizer: Path, path: Path) -> Path:
    making.save(model, tokenizer, path)
    return path


def read(found: FinishedSettings, tokenizer: Path, **how: Any) -> PreTrainedModel:
    return finished.load(found, str(tokenizer), "cpu", how.get("dtype", torch.float32))


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def assert_same(found: torch.nn.Module, expected: torch.nn.Module) -> None:
    mine, other = state(found), state(expected)
    assert mine.keys() == other.keys()
    for name, tensor in other.items():
        assert mine[name].dtype == tensor.dtype, name
        assert torch.equal(mine[name], tensor), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", NAMES)
def test_a_directory_is_read_as_a_model_that_a_stage_wrote(
    family: str, dtype: torch.dtype, tokenizer: Path, tmp_path: Path
) -> None:
    place = save(model_of(family), tokenizer, tmp_path / "m")
    found = read(settings(place), tokenizer, dtype=dtype)
    assert not found.training
    assert_same(found, making.load(place, "cpu", dtype))
