"""exposure: how exposed canaries are, against how often they were inserted."""

from pathlib import Path

import numpy as np
import pandas as pd

from distilleak.errors import DistilleakError
from distilleak.evidence.table import read_view
from distilleak.metrics.exposure import exposure
from distilleak.metrics.rates import Floats
from distilleak.records import canaries
from distilleak.settings.canaries import CanarySettings
from distilleak.tables import readable
from distilleak.tables.roster import Roster

COLUMNS = ["pair", "model", "repetitions", "canaries", "exposure", "low", "high", "most"]


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


def readable_table(table: pd.DataFrame, layout: Roster) -> readable.Readable:
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
