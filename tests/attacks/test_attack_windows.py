"""Scores of records do not depend on how many of them are read at a time."""

from dataclasses import fields, replace

import numpy as np
import pytest
from synthetic_evidence import random_evidence

from distilleak import catalogue
from distilleak.evidence.table import Evidence, View
from distilleak.ragged import Ragged
from distilleak.scoring import attacking


def rows_of(view: View, rows: slice) -> View:
    ids = view.record_id[rows]
    offsets = view.logp.offsets[rows.start : rows.start + len(ids) + 1]
    columns = {
        field.name: Ragged(
            getattr(view, field.name).values[offsets[0] : offsets[-1]], offsets - offsets[0]
        )
        for field in fields(View)
        if field.name != "record_id"
    }
    return View(record_id=ids, **columns)


def part(evidence: Evidence, rows: slice) -> Evidence:
    return replace(
        evidence,
        record_id=evidence.record_id[rows],
        texts=evidence.texts[rows],
        views={name: rows_of(view, rows) for name, view in evidence.views.items()},
        references=[rows_of(view, rows) for view in evidence.references],
        neighbours=[rows_of(view, rows) for view in evidence.neighbours],
        shadows=[
            replace(shadow, view=rows_of(shadow.view, rows), member=shadow.member[rows])
            for shadow in evidence.shadows
        ],
        base=evidence.base and rows_of(evidence.base, rows),
        teacher=evidence.teacher and rows_of(evidence.teacher, rows),
    )


@pytest.mark.parametrize("name", catalogue.names("attacks"))
def test_an_attack_scores_windows_as_it_scores_all_records_at_once(name: str) -> None:
    evidence = random_evidence(41, seed=3)
    entry = {"attack": name, "parameters": {}}
    windows = [part(evidence, slice(start, start + 7)) for start in range(0, 41, 7)]
    assert sum(len(window.record_id) for window in windows) == 41
    found = attacking.score_windows({"some": entry}, windows)["some"]
    np.testing.assert_array_equal(
        found, attacking.score_windows({"some": entry}, [evidence])["some"]
    )
