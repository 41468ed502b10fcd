"""Export a trained base as one that comes with the package: half precision, recipe, card, hashes.

The study that trains it is complete as far as its rule `bases`.
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jinja2
import torch

import distilleak
from distilleak import paths
from distilleak.errors import DistilleakError
from distilleak.files import as_json, atomic
from distilleak.guards import checksums, sealed_json
from distilleak.models import making
from distilleak.records.tokenizer import copy_tokenizer
from distilleak.settings.base import canonical_json
from distilleak.stages import base
from distilleak.study.bases import RECIPE, SHIPPED
from distilleak.study.reading import read_files
from distilleak.training import base_model

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
    model.float()  # type: ignore[no-untyped-call]
    loss = base_model.heldout_loss(replace(begun, model=model))
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
        (temporary / "README.md").write_text(_card(found.name, recipe), encoding="utf-8")
        checksums.seal(temporary)
    log.info("%s: held-out loss %.4f nats per token", arguments.output, loss)


def _card(name: str, recipe: Mapping[str, object]) -> str:
    """The model card: what the base is, what it was made from, and how well it does."""
    template = Path(distilleak.__file__).parent / SHIPPED / "card.md.jinja"
    environment = jinja2.Environment(
        autoescape=False, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    card = environment.from_string(template.read_text(encoding="utf-8"))
    return card.render(name=name, base=recipe["base"], facts=recipe["facts"])


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--configfile", required=True, help="configuration of the study")
    parser.add_argument("--base", required=True, help="which of its bases")
    parser.add_argument("--output", type=Path, required=True, help="directory to write")
    return parser
