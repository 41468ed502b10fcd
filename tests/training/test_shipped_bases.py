"""The bases of the package are what their recipes make of public text, and as good as they say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from distilleak.guards import checksums
from distilleak.models import checkpoints
from distilleak.settings.architecture import CheckpointSettings
from distilleak.settings.base import canonical_json
from distilleak.settings.bases import BaseSettings
from distilleak.stages import load_corpus, train_tokenizer
from distilleak.study import bases
from distilleak.training import base_model

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "src" / "distilleak" / bases.SHIPPED
NAMES = sorted(file.parent.name for file in PLACE.glob(f"*/{bases.RECIPE}"))
MIB = 2**20


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """passages.parquet and tokenizer of their texts, made by the stages."""
    place = tmp_path_factory.mktemp("texts")
    made = recipe(NAMES[0])
    (only, source) = (made["base"]["corpus"].pop("only"), made["base"]["corpus"].pop("source"))
    corpus = {"source": source, "parameters": made["base"]["corpus"]}
    passages = str(place / "passages.parquet")
    load_corpus.main(
        ["--corpus", canonical_json(corpus), "--only", canonical_json(only), "--output", passages]
    )
    row, output = str(made["base"]["training"]["row"]), str(place / "tokenizer")
    settings = ["--settings", canonical_json(made["tokenizer"]), "--context", row]
    train_tokenizer.main(["--passages", passages, *settings, "--output", output])
    return place


def recipe(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PLACE / name / bases.RECIPE).read_text())
    return found


def beginning(name: str, texts: Path) -> base_model.Beginning:
    settings = BaseSettings.model_validate(recipe(name)["base"])
    return base_model.begin(
        texts / "passages.parquet",
        texts / "tokenizer",
        settings.model,
        settings.training,
        settings.seed,
    )


def test_there_are_two_and_they_are_small() -> None:
    assert NAMES == ["sotu_large", "sotu_small"]
    files = [file for file in PLACE.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 12 * MIB
    assert not [file for file in files if file.suffix in (".bin", ".pt", ".pkl", ".py")]


@pytest.mark.parametrize("name", NAMES)
def test_its_recipe_is_that_of_the_configuration(name: str) -> None:
    given = yaml.safe_load((ROOT / "config" / "bases.yaml").read_text())
    settings = BaseSettings.model_validate(given["bases"][name])
    made = recipe(name)
    corpus = made["base"].pop("corpus")
    assert made["base"] == json.loads(settings.model_dump_json(exclude={"corpus"})), (
        "run: python -m distilleak export_base"
    )
    assert corpus["only"] == {"before": "1950"}
    assert made["tokenizer"] == given["tokenizer"]


@pytest.mark.parametrize("name", NAMES)
def test_a_short_run_of_the_recipe_gives_what_it_gave(name: str, texts: Path) -> None:
    found = base_model.short_run(beginning(name, texts))
    before = recipe(name)["short_run"]
    assert found["loss"] == pytest.approx(before["loss"], rel=1e-3)
    assert {**found, "loss": None} == {**before, "loss": None}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_as_good_as_its_card_says(name: str, texts: Path) -> None:
    checksums.verify(PLACE / name)
    base = beginning(name, texts)
    start = CheckpointSettings(directory=f"{bases.PACKAGE}:{bases.SHIPPED}/{name}")
    model = checkpoints.load(start).eval()
    facts = recipe(name)["facts"]
    loss = base_model.heldout_loss(replace(base, model=model))
    assert loss == pytest.approx(facts["heldout_loss"], abs=1e-3)
    assert loss < facts["trigram_loss"] < facts["bigram_loss"]
    assert f"{facts['heldout_loss']:.3f} nats per token" in (PLACE / name / "README.md").read_text()
