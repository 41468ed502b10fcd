"""Bad evidence is an error that names what is bad; good evidence joins by record id."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from synthetic_evidence import random_evidence, random_view, table

from distilleak import catalogue
from distilleak.attacks.base import checked
from distilleak.errors import DistilleakError
from distilleak.evidence import SCHEMA, Evidence, View, read_view
from distilleak.files import write_table

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
        checked(module.score(evidence, module.Parameters()), name, evidence)
    assert repr(name) in str(raised.value)
    assert f"'record-{record}'" in str(raised.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_names_its_record(bad: float) -> None:
    evidence = random_evidence(3, seed=0)
    with pytest.raises(DistilleakError, match=r"'some attack'.*'record-1'"):
        checked(np.array([0.0, bad, 1.0]), "some attack", evidence)


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

    read = Evidence(
        evidence.record_id,
        evidence.texts,
        {key: stored(view, f"{key}.parquet") for key, view in evidence.views.items()},
        [stored(view, f"{number}.parquet") for number, view in enumerate(evidence.references)],
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
