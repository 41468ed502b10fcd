"""Measure the exposure of every canary to every model, against how often it was inserted.

Writes exposure.csv with a row per pair, model and number of repetitions, and the same as Markdown
and LaTeX.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from distilleak import canaries, stage
from distilleak.errors import DistilleakError
from distilleak.evidence import read_view
from distilleak.files import write_text
from distilleak.layout import model_directory
from distilleak.metrics.exposure import exposure, mean_exposure
from distilleak.metrics.rates import Floats
from distilleak.settings.canaries import CanarySettings
from distilleak.tables import readable
from distilleak.tables.base import Layout

COLUMNS = ["pair", "model", "repetitions", "canaries", "exposure", "low", "high", "most"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    layout: Layout = arguments.layout
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
    shown = _readable(table, layout)
    write_text(readable.markdown(shown), arguments.output / "exposure.md")
    write_text(readable.latex(shown, "exposure"), arguments.output / "exposure.tex")


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


def _readable(table: pd.DataFrame, layout: Layout) -> readable.Readable:
    label = {(pair, model.model): model.label for pair, model in layout.models()}
    rows = []
    for (pair, model), of_model in table.groupby(["pair", "model"], sort=False):
        cells = {
            f"× {row.repetitions}": f"{row.exposure:.2f} [{row.low:.2f}, {row.high:.2f}]"
            for row in of_model.itertuples()
        }
        rows.append({"pair": pair, "model": label[str(pair), str(model)], **cells})
    return readable.Readable(
        pd.DataFrame(rows),
        "Mean exposure in bits of canaries that were inserted so many times; a secret that no "
        f"model has seen has {1 / np.log(2):.2f} on average, the first of all candidates "
        f"{table['most'].iloc[0]:.2f}. In brackets: 95 % intervals over canaries and, where "
        "there are several, seeds.",
    )


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
    parser.add_argument("--results", type=Path, required=True, help="results/<study>")
    parser.add_argument(
        "--layout", type=stage.settings_argument(Layout), required=True, help="JSON: the models"
    )
    parser.add_argument(
        "--canaries",
        type=stage.settings_argument(CanarySettings),
        required=True,
        help="the section `canaries` of the configuration, as JSON",
    )
    parser.add_argument("--output", type=Path, required=True, help="directory of tables to write")
    return parser
