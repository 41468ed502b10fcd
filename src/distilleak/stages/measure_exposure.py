"""Measure the exposure of every canary to every model, against how often it was inserted.

Writes exposure.csv with a row per pair, model and number of repetitions, and the same as Markdown
and LaTeX.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from distilleak.files import write_text
from distilleak.metrics.exposure import mean_exposure
from distilleak.paths import model_directory
from distilleak.settings.canaries import CanarySettings
from distilleak.stages import base
from distilleak.tables import readable
from distilleak.tables.exposure import COLUMNS, exposures, readable_table
from distilleak.tables.roster import Roster


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    layout: Roster = arguments.layout
    settings: CanarySettings = arguments.canaries
    most = float(np.log2(settings.candidates + 1))
    rows = []
    for pair, model in layout.models():
        if model.kind == "vote":
            continue  # it has no likelihoods
        by_seed = [
            exposures(
                model_directory(arguments.results, seed, pair, model.model)
                / "evidence/candidates.parquet",
                settings,
            )
            for seed in layout.seeds
        ]
        for group, repetitions in enumerate(settings.repetitions):
            found = np.stack([exposed[group] for exposed in by_seed])
            rows.append((pair, model.model, repetitions, found.size, *mean_exposure(found), most))
    table = pd.DataFrame(rows, columns=COLUMNS)
    text = table.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    write_text(text, arguments.output / "exposure.csv")
    shown = readable_table(table, layout)
    write_text(readable.markdown(shown), arguments.output / "exposure.md")
    write_text(readable.latex(shown, "exposure"), arguments.output / "exposure.tex")


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--results", type=Path, required=True, help="results/<study>")
    parser.add_argument(
        "--layout", type=base.settings_argument(Roster), required=True, help="JSON: the models"
    )
    parser.add_argument(
        "--canaries",
        type=base.settings_argument(CanarySettings),
        required=True,
        help="the section `canaries` of the configuration, as JSON",
    )
    parser.add_argument("--output", type=Path, required=True, help="directory of tables to write")
    return parser
