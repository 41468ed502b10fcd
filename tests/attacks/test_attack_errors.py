"""Bad evidence is an error that names the problem; good evidence is joined by record id."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_evidence import copies_table, random_evidence, random_view, table

from distilleak import catalogue
from distilleak.attacks.base import Needs, checked
from distilleak.errors import DistilleakError
from distilleak.evidence.table import SCHEMA, View, read_copies, read_view
from distilleak.files import read_range, write_table

ATTACKS = catalogue.names("attacks")


def with_nan(view: View, record: int, token: int) -> View:
    values = view.logp.values.copy()
    values[view.logp.offsets[record] + token] = np.nan
    return replace(view, logp=replace(view.logp, values=values))


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("token", [0, -1])
def test_a_nan_in_one_token_is_an_error_that_names_record_and_attack(name: str, token: int) -> None:
    evidence = random_evidence(12, seed=3)
    lengths = evidence.views["plain"].logp.lengths
    record = int(np.argmax(lengths))
    bad = with_nan(evidence.views["plain"], record, token % int(lengths[record]))
    evidence = replace(evidence, views={**evidence.views, "plain": bad})
    module = catalogue.load("attacks", name)
    with pytest.raises(DistilleakError) as raised:
        checked(module.score(evidence, module.Parameters()), name, evidence.record_id)
    assert repr(name) in str(raised.value)
    assert f"'record-{record}'" in str(raised.value)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_nan_in_any_evidence_that_an_attack_reads_names_the_record(name: str) -> None:
    evidence = random_evidence(12, seed=3)
    module = catalogue.load("attacks", name)
    needs: Needs = module.NEEDS
    record = 5

    def broken(view: View) -> View:
        return with_nan(view, record, int(view.logp.lengths[record]) - 1)

    cases = [
        replace(evidence, views={**evidence.views, view: broken(evidence.views[view])})
        for view in needs.views
        if view != "neighbour"
    ]
    if "neighbour" in needs.views:
        cases.append(replace(evidence, neighbours=[broken(v) for v in evidence.neighbours]))
    if needs.references:
        cases.append(replace(evidence, references=[broken(v) for v in evidence.references]))
    if needs.shadows:
        shadows = [replace(shadow, view=broken(shadow.view)) for shadow in evidence.shadows]
        cases.append(replace(evidence, shadows=shadows))
    if needs.base and evidence.base is not None:
        cases.append(replace(evidence, base=broken(evidence.base)))
    if needs.teacher and evidence.teacher is not None:
        cases.append(replace(evidence, teacher=broken(evidence.teacher)))
    for case in cases:
        with pytest.raises(DistilleakError, match=rf"{name!r}.*'record-5' is nan"):
            checked(module.score(case, module.Parameters()), name, case.record_id)


@pytest.mark.parametrize("name", ["surp", "min_k_pp"])
def test_a_nan_in_the_mean_of_log_p_names_the_record(name: str) -> None:
    evidence = random_evidence(12, seed=3)
    plain = evidence.views["plain"]
    values = plain.mean_logp.values.copy()
    values[plain.mean_logp.offsets[5]] = np.nan
    bad = replace(plain, mean_logp=replace(plain.mean_logp, values=values))
    evidence = replace(evidence, views={**evidence.views, "plain": bad})
    module = catalogue.load("attacks", name)
    with pytest.raises(DistilleakError, match="'record-5' is nan"):
        checked(module.score(evidence, module.Parameters()), name, evidence.record_id)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_names_its_record(bad: float) -> None:
    evidence = random_evidence(3, seed=0)
    with pytest.raises(DistilleakError, match=r"'some attack'.*'record-1'"):
        checked(np.array([0.0, bad, 1.0]), "some attack", evidence.record_id)


def test_finite_scores_pass_unchanged() -> None:
    scores = np.array([-1e300, 0.0, 1e300])
    assert checked(scores, "some attack", random_evidence(3, seed=0)) is scores


@pytest.mark.parametrize("name", ATTACKS)
def test_scores_join_by_record_id_whatever_the_order_of_the_files(
    name: str, tmp_path: Path
) -> None:
    evidence = random_evidence(25, seed=4)
    generator = np.random.default_rng(5)

    def stored(view: View, file: str) -> View:
        shuffled = table(view).take(generator.permutation(25))
        write_table(shuffled, tmp_path / file)
        return read_view(tmp_path / file, evidence.record_id)

    def stored_copies(views: Sequence[View]) -> list[View]:
        copies = copies_table(views)
        write_table(
            copies.take(generator.permutation(copies.num_rows)), tmp_path / "neighbour.parquet"
        )
        return read_copies(tmp_path / "neighbour.parquet", evidence.record_id)

    read = replace(
        evidence,
        views={key: stored(view, f"{key}.parquet") for key, view in evidence.views.items()},
        references=[
            stored(view, f"{number}.parquet") for number, view in enumerate(evidence.references)
        ],
        shadows=[
            replace(shadow, view=stored(shadow.view, f"shadow-{number}.parquet"))
            for number, shadow in enumerate(evidence.shadows)
        ],
        neighbours=stored_copies(evidence.neighbours),
        base=evidence.base and stored(evidence.base, "base.parquet"),
        teacher=evidence.teacher and stored(evidence.teacher, "teacher.parquet"),
    )
    module = catalogue.load("attacks", name)
    parameters = module.Parameters()
    np.testing.assert_array_equal(
        module.score(read, parameters), module.score(evidence, parameters)
    )


def test_a_view_can_be_read_for_some_of_its_records(tmp_path: Path) -> None:
    evidence = random_evidence(10, seed=6)
    view = evidence.views["plain"]
    write_table(table(view), tmp_path / "plain.parquet")
    some = read_view(tmp_path / "plain.parquet", ["record-8", "record-2"])
    np.testing.assert_array_equal(some.logp.mean(), view.logp.mean()[[8, 2]])


@pytest.fixture
def stored_view(tmp_path: Path) -> Path:
    ids = [f"record-{number}" for number in range(50)]
    write_table(table(random_view(ids, np.random.default_rng(7))), tmp_path / "plain.parquet")
    return tmp_path / "plain.parquet"


def test_a_view_can_be_read_without_naming_its_records(stored_view: Path) -> None:
    found = read_view(stored_view)
    assert list(found.record_id) == [f"record-{number}" for number in range(50)]
    np.testing.assert_array_equal(
        found.logp.mean(), read_view(stored_view, found.record_id).logp.mean()
    )


def test_copies_are_read_as_one_view_per_copy(tmp_path: Path) -> None:
    views = random_evidence(10, seed=6).neighbours
    write_table(copies_table(views), tmp_path / "neighbour.parquet")
    found = read_copies(tmp_path / "neighbour.parquet", ["record-8", "record-2"])
    assert len(found) == len(views) == 3
    for copy, view in zip(found, views, strict=True):
        np.testing.assert_array_equal(copy.logp.mean(), view.logp.mean()[[8, 2]])


def test_a_missing_copy_is_an_error_that_names_copy_and_record(tmp_path: Path) -> None:
    copies = copies_table(random_evidence(4, seed=6).neighbours)
    write_table(copies.slice(0, 11), tmp_path / "neighbour.parquet")  # all but the last
    with pytest.raises(DistilleakError, match=r"neighbour\.parquet: copy 2: .*'record-3'"):
        read_copies(tmp_path / "neighbour.parquet", ["record-1", "record-3"])


def test_a_view_without_copies_is_an_error(stored_view: Path) -> None:
    with pytest.raises(DistilleakError, match=r"plain\.parquet: no column 'copy'"):
        read_copies(stored_view, ["record-1"])


def test_a_missing_record_is_named(stored_view: Path) -> None:
    with pytest.raises(DistilleakError, match=r"plain\.parquet.*'record-77'"):
        read_view(stored_view, ["record-1", "record-77"])


def test_a_missing_column_is_named(stored_view: Path, tmp_path: Path) -> None:
    view = random_view(["a"], np.random.default_rng(0))
    write_table(table(view).drop_columns(["std_logp"]), tmp_path / "old.parquet")
    with pytest.raises(DistilleakError, match=r"old\.parquet.*'std_logp'"):
        read_view(tmp_path / "old.parquet", ["a"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DistilleakError, match=r"none\.parquet: no such file"):
        read_view(tmp_path / "none.parquet", ["a"])


def test_a_record_without_a_scored_token_is_an_error(tmp_path: Path) -> None:
    empty = SCHEMA.empty_table().to_pydict() | {"record_id": ["a"]}
    empty = {name: column or [[]] for name, column in empty.items()}
    write_table(pa.table(empty, schema=SCHEMA), tmp_path / "plain.parquet")
    with pytest.raises(DistilleakError, match=r"plain\.parquet.*without a scored token"):
        read_view(tmp_path / "plain.parquet", ["a"])


@pytest.mark.parametrize("keep", [0, 3, 200, -1])
def test_a_truncated_file_is_named(stored_view: Path, keep: int) -> None:
    stored_view.write_bytes(stored_view.read_bytes()[:keep])
    with pytest.raises(DistilleakError, match=r"plain\.parquet: damaged Parquet file"):
        read_view(stored_view, ["record-1"])


def test_a_file_with_overwritten_pages_is_named(stored_view: Path) -> None:
    content = bytearray(stored_view.read_bytes())
    content[4:2000] = b"\xff" * 1996
    stored_view.write_bytes(content)
    with pytest.raises(DistilleakError, match=r"plain\.parquet: damaged Parquet file"):
        read_view(stored_view, ["record-1"])


def test_only_the_part_of_a_file_with_the_records_is_read(tmp_path: Path) -> None:
    ids = [f"{number:02}" for number in range(20)]
    numbered = pa.table({"record_id": ids, "value": range(20)})
    pq.write_table(numbered, tmp_path / "a.parquet", row_group_size=5)
    found = read_range(tmp_path / "a.parquet", ["value"], "record_id", "06", "11")
    assert found["value"].to_pylist() == list(range(5, 15))
    pq.write_table(numbered, tmp_path / "b.parquet", row_group_size=5, write_statistics=False)
    found = read_range(tmp_path / "b.parquet", ["value"], "record_id", "06", "11")
    assert found["value"].to_pylist() == list(range(20))


def test_a_record_in_two_parts_of_a_file_is_found_in_both(
    stored_view: Path, tmp_path: Path
) -> None:
    once = pq.read_table(stored_view)
    twice = pa.concat_tables([once, once.slice(1, 1)])
    pq.write_table(twice, tmp_path / "twice.parquet", row_group_size=1)
    record = once["record_id"][1].as_py()
    with pytest.raises(DistilleakError, match=f"two rows of record '{record}'"):
        read_view(tmp_path / "twice.parquet", [record])
