"""Running configured attacks: what they need, and what is said when it is not there."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_study import Study

from distilleak.errors import DistilleakError
from distilleak.evidence.table import read_view
from distilleak.files import write_table
from distilleak.records.pools import EVIDENCE_POOLS
from distilleak.records.table import read_records
from distilleak.scoring import attacking, needs

LOSS = {"attack": "loss", "parameters": {}}
LOWERCASE = {"attack": "lowercase", "parameters": {}}
RECALL = {"attack": "recall", "parameters": {}}
REFERENCE = {"attack": "reference", "parameters": {}}
ATTACK_P = {"attack": "attack_p", "parameters": {}}
RMIA = {"attack": "rmia", "parameters": {}}
LIRA_ONLINE = {"attack": "lira_online", "parameters": {}}
NEIGHBOUR = {"attack": "neighbour", "parameters": {}}
JOINT = {"attack": "joint", "parameters": {}}
DC_PDD = {"attack": "dc_pdd", "parameters": {}}


def test_the_views_are_those_that_the_attacks_read_and_plain() -> None:
    assert needs.views_of([]) == ["plain"]
    assert needs.views_of([LOSS]) == ["plain"]
    assert needs.views_of([RECALL, LOWERCASE]) == ["lower", "plain", "prefix_nonmember"]
    assert needs.views_of([NEIGHBOUR]) == ["neighbour", "plain"]


def test_references_are_asked_for_by_the_attack_that_needs_most() -> None:
    assert needs.references_of([]) == 0
    assert needs.references_of([LOSS]) == 0
    assert needs.references_of([LOSS, REFERENCE]) == 1


def test_the_population_is_asked_for_where_an_attack_uses_it() -> None:
    assert not needs.population_of([LOSS, REFERENCE])
    assert needs.population_of([LOSS, ATTACK_P])
    # Of the reference models only if the attack that uses the population needs them.
    assert not needs.reference_population_of([REFERENCE, ATTACK_P])
    assert needs.reference_population_of([ATTACK_P, RMIA])


def test_shadow_models_and_frequencies_are_asked_for_where_an_attack_uses_them() -> None:
    assert needs.shadows_of([]) == needs.shadows_of([RMIA]) == 0
    assert needs.shadows_of([LOSS, LIRA_ONLINE]) == 4
    assert not needs.frequencies_of([LOSS, RMIA])
    assert needs.frequencies_of([LOSS, DC_PDD])


def test_the_teacher_is_asked_for_where_an_attack_holds_it() -> None:
    assert not needs.teacher_of([LOSS, RMIA])
    assert needs.teacher_of([LOSS, JOINT])
    assert needs.teacher_population_of([JOINT])


def test_evidence_is_read_in_the_order_of_the_records(study: Study) -> None:
    records = read_records(study.path("records.parquet"), ["holdout", "member"])
    found = attacking.Reader(study.path("teacher/evidence"), [], [LOSS]).read(records)
    assert list(found.views) == ["plain"]
    assert found.references == []
    assert found.record_id == records.record_id
    assert found.texts == records.text
    lengths = [len(tokens) for tokens in records.tokens]
    assert found.views["plain"].logp.lengths.tolist() == lengths


def test_references_are_read_only_where_an_attack_uses_them(study: Study) -> None:
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    directories = [study.path("reference/evidence")] * 2
    for entries, count in (([LOSS], 0), ([LOSS, REFERENCE], 2)):
        found = attacking.Reader(study.path("teacher/evidence"), directories, entries).read(records)
        assert len(found.references) == count


def test_too_few_references_are_an_error(study: Study) -> None:
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    with pytest.raises(DistilleakError, match="need 1 reference models, got 0"):
        attacking.Reader(study.path("teacher/evidence"), [], [REFERENCE]).read(records)


def test_a_view_that_is_not_there_is_an_error_that_names_the_file(
    study: Study, tmp_path: Path
) -> None:
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    with pytest.raises(DistilleakError, match=r"plain\.parquet: no such file"):
        attacking.Reader(tmp_path, [], [LOSS]).read(records)


def test_the_parameters_of_an_entry_reach_the_attack(study: Study) -> None:
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    evidence = attacking.Reader(study.path("teacher/evidence"), [], [LOSS]).read(records)
    all_tokens = {"attack": "min_k", "parameters": {"k": 1.0}}
    np.testing.assert_allclose(
        attacking.score_windows({"every": all_tokens}, [evidence])["every"],
        attacking.score_windows({"loss": LOSS}, [evidence])["loss"],
    )


@pytest.fixture
def files(study: Study, tmp_path: Path) -> Path:
    """Evidence of one model under the names of others, and on some records as a population."""
    plain = pq.read_table(study.path("teacher/evidence/plain.parquet"))
    for name in ("target", "reference", *(f"shadow-{number}" for number in range(4))):
        write_table(plain, tmp_path / name / "plain.parquet")
    for name in ("target", "reference"):
        some = plain.slice(0, 7).take(pa.array(np.random.default_rng(len(name)).permutation(7)))
        write_table(some, tmp_path / name / "population.parquet")
    return tmp_path


def test_the_population_is_read_in_one_order_for_all_models(study: Study, files: Path) -> None:
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    found = attacking.Reader(files / "target", [files / "reference"], [RMIA]).read(records)
    assert found.population is not None
    assert len(found.population.record_id) == 7
    (reference,) = found.reference_population
    assert reference.record_id == found.population.record_id
    np.testing.assert_array_equal(reference.logp.mean(), found.population.logp.mean())


def test_what_no_attack_uses_is_not_read(study: Study, files: Path) -> None:
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    found = attacking.Reader(
        files / "target",
        [files / "nothing here"],
        [LOSS],
        shadows={files / "nor here": []},
        unigram=np.ones(300, np.int64),
    ).read(records)
    assert found.population is None
    assert found.unigram is None
    counts = len(found.references), len(found.reference_population), len(found.shadows)
    assert counts == (0, 0, 0)


def test_shadow_models_come_with_the_records_that_they_trained_on(
    study: Study, files: Path
) -> None:
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    trained = {files / f"shadow-{number}": records.record_id[number::2] for number in range(4)}
    found = attacking.Reader(files / "target", [], [LIRA_ONLINE], shadows=trained).read(records)
    for shadow, ids in zip(found.shadows, trained.values(), strict=True):
        assert [
            i for i, member in zip(records.record_id, shadow.member, strict=True) if member
        ] == ids
        assert shadow.view.record_id == records.record_id


def test_shadow_models_come_with_the_population_only_where_an_attack_compares_with_it(
    study: Study, files: Path
) -> None:
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    trained = {files / f"shadow-{number}": records.record_id[number::2] for number in range(2)}
    online = {"attack": "rmia_online", "parameters": {}}
    with pytest.raises(DistilleakError, match=r"shadow-0/population\.parquet: no such file"):
        attacking.Reader(files / "target", [], [online], shadows=trained).read(records)
    own = pq.read_table(files / "target/population.parquet")
    for directory in trained:
        write_table(own.take(pa.array(range(6, -1, -1))), directory / "population.parquet")
    found = attacking.Reader(files / "target", [], [online], shadows=trained).read(records)
    assert found.population is not None
    for shadow in found.shadows:
        assert shadow.population is not None
        assert shadow.population.record_id == found.population.record_id


def test_the_evidence_of_a_teacher_is_read_in_the_order_of_that_of_the_target(
    study: Study, files: Path, tmp_path: Path
) -> None:
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    order = pa.array(np.random.default_rng(0).permutation(len(records.record_id)))
    own = pq.read_table(study.path("reference/evidence/plain.parquet"))
    write_table(own.take(order), tmp_path / "teacher/plain.parquet")
    write_table(
        own.slice(0, 7).take(pa.array(range(6, -1, -1))), tmp_path / "teacher/population.parquet"
    )
    found = attacking.Reader(
        files / "target", [files / "reference"], [JOINT], teacher=tmp_path / "teacher"
    ).read(records)
    assert found.teacher is not None
    assert found.teacher.record_id == records.record_id
    expected = read_view(study.path("reference/evidence/plain.parquet"), records.record_id)
    np.testing.assert_array_equal(found.teacher.logp.mean(), expected.logp.mean())
    assert found.population is not None
    assert found.teacher_population is not None
    assert found.teacher_population.record_id == found.population.record_id
    (tmp_path / "teacher/population.parquet").unlink()
    with pytest.raises(DistilleakError, match=r"teacher/population\.parquet: no such file"):
        attacking.Reader(
            files / "target", [files / "reference"], [JOINT], teacher=tmp_path / "teacher"
        )


def test_a_target_without_a_teacher_stands_in_for_it(study: Study, files: Path) -> None:
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    found = attacking.Reader(files / "target", [files / "reference"], [JOINT]).read(records)
    assert found.teacher is not None
    assert found.teacher_population is not None
    assert found.population is not None
    np.testing.assert_array_equal(found.teacher.logp.mean(), found.views["plain"].logp.mean())
    np.testing.assert_array_equal(
        found.teacher_population.logp.mean(), found.population.logp.mean()
    )
    # Where no attack holds a teacher, a directory that is given is not read.
    reader = attacking.Reader(files / "target", [], [LOSS], teacher=files / "nothing here")
    assert reader.read(records).teacher is None


def test_too_few_shadow_models_and_missing_counts_are_errors(study: Study, files: Path) -> None:
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    with pytest.raises(DistilleakError, match="need 4 shadow models, got 0"):
        attacking.Reader(files / "target", [], [LIRA_ONLINE]).read(records)
    with pytest.raises(DistilleakError, match="need the token counts of the auxiliary pool"):
        attacking.Reader(files / "target", [], [DC_PDD]).read(records)
