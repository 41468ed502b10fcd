"""Measure the exposure of every canary to every model, against how often it was inserted.

Writes exposure.csv with a row per pair, model and number of repetitions, and the same as Markdown
and LaTeX.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distilleak.errors import DistilleakError
from distilleak.evidence.table import read_view
from distilleak.files import write_text
from distilleak.metrics.exposure import exposure, mean_exposure
from distilleak.metrics.rates import Floats
from distilleak.paths import evidence_file, model_directory
from distilleak.records import canaries
from distilleak.settings.canaries import CanarySettings
from distilleak.stages import base
from distilleak.tables import exposure as table
from distilleak.tables import models, printing
from distilleak.tables.roster import Roster
from distilleak.tables.wording import Interval


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    roster: Roster = arguments.roster
    settings: CanarySettings = arguments.canaries
    measured = {
        # A vote has no likelihoods.
        (pair, model.model): _means(arguments.results, roster.seeds, pair, model.source, settings)
        for pair, model in roster.models()
        if model.kind != "vote"
    }
    found = table.build(measured, settings.each * len(roster.seeds), settings)
    write_text(printing.csv(found), arguments.output / "exposure.csv")
    tables = {"models": models.described(roster), "exposure": found}
    findings = printing.Findings(tables, roster.headline_attack)
    printing.write(table.printed(findings), arguments.output)


def _means(
    root: Path, seeds: Sequence[int], pair: str, model: str, settings: CanarySettings
) -> list[Interval]:
    """Mean exposure of a model, in bits, for each number of repetitions."""
    by_seed = np.stack(
        [
            exposures(
                evidence_file(model_directory(root, seed, pair, model), "candidates"),
                settings,
            )
            for seed in seeds
        ],
        axis=1,
    )
    most = math.log2(settings.candidates + 1)
    return [Interval(*mean_exposure(group, most)) for group in by_seed]


def exposures(path: Path, settings: CanarySettings) -> Floats:
    """Exposure of each canary in bits, (groups, canaries of a group), from evidence on candidates.

    Raises:
        DistilleakError: the evidence is damaged or not on these candidates.
    """
    view = read_view(path)
    order = np.argsort(np.array(view.record_id, dtype=object))
    groups, width = len(settings.repetitions), settings.candidates + 1
    if len(order) != settings.each * groups * width:
        raise DistilleakError(
            f"{path}: {len(order)} candidates, not {settings.each * groups} canaries with {width}"
        )
    logp = view.logp.sum()[order].reshape(settings.each * groups, width)
    others = np.delete(logp, canaries.TRUE, axis=1)
    found = exposure(logp[:, canaries.TRUE], others)
    return np.stack([found[group::groups] for group in range(groups)])


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--results", type=Path, required=True, help="results/<study>")
    parser.add_argument(
        "--roster", type=base.settings_argument(Roster), required=True, help="JSON: the models"
    )
    parser.add_argument(
        "--canaries",
        type=base.settings_argument(CanarySettings),
        required=True,
        help="the section `canaries` of the configuration, as JSON",
    )
    parser.add_argument("--output", type=Path, required=True, help="directory of tables to write")
    return parser
