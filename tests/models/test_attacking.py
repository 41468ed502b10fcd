"""Running configured attacks: what they need, and what is said when it is not there."""

from pathlib import Path

import numpy as np
import pytest
from tiny_study import Study

from distilleak import attacking
from distilleak.errors import DistilleakError
from distilleak.records import EVALUATED, read_records

LOSS = {"attack": "loss", "parameters": {}}
LOWERCASE = {"attack": "lowercase", "parameters": {}}
RECALL = {"attack": "recall", "parameters": {}}
REFERENCE = {"attack": "reference", "parameters": {}}


def test_the_views_are_those_that_the_attacks_read_and_plain() -> None:
    assert attacking.views_of([]) == ["plain"]
    assert attacking.views_of([LOSS]) == ["plain"]
    assert attacking.views_of([RECALL, LOWERCASE]) == ["lower", "plain", "prefix_nonmember"]


def test_references_are_asked_for_by_the_attack_that_needs_most() -> None:
    assert attacking.references_of([]) == 0
    assert attacking.references_of([LOSS]) == 0
    assert attacking.references_of([LOSS, REFERENCE]) == 1


def test_evidence_is_read_in_the_order_of_the_records(study: Study) -> None:
    records = read_records(study.path("records.parquet"), ["holdout", "member"])
    found = attacking.read_evidence(study.path("teacher/evidence"), [], records, [LOSS])
    assert list(found.views) == ["plain"]
    assert found.references == []
    assert found.record_id == records.record_id
    assert found.texts == records.text
    lengths = [len(tokens) for tokens in records.tokens]
    assert found.views["plain"].logp.lengths.tolist() == lengths


def test_references_are_read_only_where_an_attack_uses_them(study: Study) -> None:
    records = read_records(study.path("records.parquet"), EVALUATED)
    directories = [study.path("reference/evidence")] * 2
    for entries, count in (([LOSS], 0), ([LOSS, REFERENCE], 2)):
        found = attacking.read_evidence(
            study.path("teacher/evidence"), directories, records, entries
        )
        assert len(found.references) == count


def test_too_few_references_are_an_error(study: Study) -> None:
    records = read_records(study.path("records.parquet"), EVALUATED)
    with pytest.raises(DistilleakError, match="need 1 reference models, got 0"):
        attacking.read_evidence(study.path("teacher/evidence"), [], records, [REFERENCE])


def test_a_view_that_is_not_there_is_an_error_that_names_the_file(
    study: Study, tmp_path: Path
) -> None:
    records = read_records(study.path("records.parquet"), EVALUATED)
    with pytest.raises(DistilleakError, match=r"plain\.parquet: no such file"):
        attacking.read_evidence(tmp_path, [], records, [LOSS])


def test_the_parameters_of_an_entry_reach_the_attack(study: Study) -> None:
    records = read_records(study.path("records.parquet"), EVALUATED)
    evidence = attacking.read_evidence(study.path("teacher/evidence"), [], records, [LOSS])
    all_tokens = {"attack": "min_k", "parameters": {"k": 1.0}}
    np.testing.assert_allclose(
        attacking.score("every", all_tokens, evidence), attacking.score("loss", LOSS, evidence)
    )
