"""A file of another version: other columns, other types, nulls. One line says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from command_line import as_words

from distilleak.blind import reading as blind
from distilleak.errors import DistilleakError
from distilleak.evidence import joining
from distilleak.evidence.table import SCHEMA, read_view, schema
from distilleak.files import NUMBER, check_object, read_object, read_range, read_table, write_table
from distilleak.records.table import extent, iterate_records, read_records, read_training_set
from distilleak.scoring.measuring import read_facts, read_seen
from distilleak.scoring.scores import Scores, read_scores
from distilleak.settings.pools import PoolSettings
from distilleak.stages import draw_shadow, encode_records, split_records, train_tokenizer

IDS = [f"r{number}" for number in range(8)]
RECORDS = pa.table(
    {
        "record_id": IDS,
        "pool": ["member", "nonmember", "holdout", "auxiliary"] * 2,
        "teacher_member": [True, False, False, False] * 2,
        "student_member": [True, False, False, False] * 2,
        "source": [""] * 8,
        "date": [""] * 8,
        "text": ["a text of some words"] * 8,
        "token_ids": pa.array([[1, 2, 3]] * 8, pa.list_(pa.int32())),
    }
)
PASSAGES = pa.table({"passage_id": IDS, "source": [""] * 8, "date": [""] * 8, "text": ["a b"] * 8})
SPLIT = RECORDS.drop_columns(["text", "token_ids"])
EVIDENCE = pa.table(
    {
        field.name: IDS if field.name == "record_id" else pa.array([[1, 2]] * 8, field.type)
        for field in SCHEMA
    }
)
MASKED = pa.table(
    {
        field.name: EVIDENCE[field.name]
        if field.name in EVIDENCE.column_names
        else pa.array([[0, 1]] * 8 if pa.types.is_list(field.type) else [0] * 8, field.type)
        for field in schema(masked=True, copies=False)
    }
)
SCORES = SPLIT.drop_columns(["source", "date"]).append_column("loss", pa.array([0.5] * 8))
SEEN = pa.table({"record_id": IDS, "seen": [True] * 8})
POOLS = PoolSettings(member=1, nonmember=1, holdout=1, auxiliary=1).model_dump_json()
NO_SCORES = Scores(np.array([]), np.array([]), np.array([], bool), np.array([], bool), {})


def stage(main: Callable[[list[str]], None], **options: Any) -> Callable[[Path], None]:
    """A reader: this stage, run on the file."""

    def run(path: Path) -> None:
        given = {key: path if value is None else value for key, value in options.items()}
        main(as_words(**given, output=path.with_name("made")))

    return run


def joined(path: Path) -> None:
    joining.join([path, path], path.with_name("made"))


READERS: dict[str, tuple[pa.Table, list[str], Callable[[Path], Any]]] = {
    "records": (
        RECORDS,
        ["record_id", "pool", "teacher_member", "student_member", "text", "token_ids"],
        lambda path: read_records(path, ["member"]),
    ),
    "training set": (
        RECORDS,
        ["record_id", "teacher_member", "text", "token_ids"],
        lambda path: read_training_set(path, "teacher"),
    ),
    "records by windows": (
        RECORDS,
        ["record_id", "pool", "text", "token_ids"],
        lambda path: list(iterate_records(path, ["member"], 4)),
    ),
    "extent": (RECORDS, ["pool", "token_ids"], lambda path: extent(path, ["member"])),
    "blind records": (
        RECORDS,
        ["record_id", "pool", "source", "date", "text"],
        blind.read_records,
    ),
    "evidence": (EVIDENCE, EVIDENCE.column_names, read_view),
    "some evidence": (EVIDENCE, EVIDENCE.column_names, lambda path: read_view(path, IDS[:3])),
    "masked evidence": (MASKED, ["logp", "rank"], read_view),
    "joined evidence": (EVIDENCE, EVIDENCE.column_names, joined),
    "scores": (SCORES, ["record_id", "pool", "teacher_member", "student_member"], read_scores),
    "selection": (SEEN, ["record_id", "seen"], lambda path: read_seen(path, NO_SCORES)),
    "passages": (
        PASSAGES,
        ["passage_id", "source", "date"],
        stage(split_records.main, passages=None, pools=POOLS, seed=0),
    ),
    "records of a study": (
        RECORDS,
        ["pool", "teacher_member", "student_member"],
        stage(draw_shadow.main, records=None, number=0, seed=0),
    ),
}


def broken(table: pa.Table, column: str, how: str) -> pa.Table:
    """The table as another version might have written this column."""
    at = table.column_names.index(column)
    kind = table.schema.field(column).type
    if how == "missing":
        return table.drop_columns([column])
    if how == "null":
        values = pa.array([None, *table[column].to_pylist()[1:]], kind)
    elif how == "null in a list":
        values = pa.array([[None, 1]] * len(table), kind)
    else:
        values = pa.array([1 if pa.types.is_string(kind) else "x"] * len(table))
    return table.set_column(at, column, values)


CASES = [
    pytest.param(name, column, how, id=f"{name}-{column}-{how}")
    for name, (table, columns, _) in READERS.items()
    for column in columns
    for how in ("missing", "type", "null", "null in a list")
    if how != "null in a list" or pa.types.is_list(table.schema.field(column).type)
]


@pytest.mark.parametrize(("name", "column", "how"), CASES)
def test_another_schema_is_one_line_with_file_and_column(
    name: str, column: str, how: str, tmp_path: Path
) -> None:
    table, _, read = READERS[name]
    path = tmp_path / "x.parquet"
    write_table(broken(table, column, how), path)
    with pytest.raises(DistilleakError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert repr(column) in message
    assert message.isprintable()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", READERS)
def test_the_schema_of_this_version_is_read(name: str, tmp_path: Path) -> None:
    table, _, read = READERS[name]
    path = tmp_path / "x.parquet"
    write_table(table, path)
    if name == "selection":
        assert read(path).shape == (0,)
    else:
        read(path)


@pytest.mark.parametrize("column", ["record_id", "pool", "source"])
def test_a_split_of_another_schema_is_one_line(column: str, tmp_path: Path) -> None:
    passages, split = tmp_path / "passages.parquet", tmp_path / "split.parquet"
    write_table(PASSAGES, passages)
    write_table(broken(SPLIT, column, "type"), split)
    shared = {"passages": passages, "split": split, "output": tmp_path / "made", "context": 8}
    with pytest.raises(DistilleakError, match=rf"split\.parquet: column '{column}' holds whole"):
        encode_records.main(as_words(**shared, tokenizer=_tokenizer(tmp_path)))
    if column != "source":
        with pytest.raises(DistilleakError, match=rf"split\.parquet: column '{column}' holds"):
            train_tokenizer.main(as_words(**shared, settings='{"vocabulary":300}'))


def _tokenizer(directory: Path) -> Path:
    from distilleak.records import tokenizer as tokenization

    tokenization.save(tokenization.train(["a b"], 258), directory / "tokenizer", 8)
    return directory / "tokenizer"


def test_types_of_one_kind_are_equal(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"a": pa.array([1], pa.int32()), "b": pa.array(["x"], pa.large_string())})
    write_table(table, path)
    wanted = pa.schema({"a": pa.int64(), "b": pa.string()})
    assert read_table(path, wanted).to_pylist() == [{"a": 1, "b": "x"}]
    assert read_range(path, wanted, "b", "a", "z").num_rows == 1
    with pytest.raises(
        DistilleakError, match="column 'a' holds whole numbers, not text; another v"
    ):
        read_table(path, pa.schema({"a": pa.string()}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "holds list, not an object with keys"),
        ("null", "holds NoneType, not an object with keys"),
        ("{}", "no key 'passed'; its keys are none"),
        ('{"passed": 1, "auc": 1}', "'passed' is int, not bool; another version"),
        ('{"passed": true, "auc": true}', "'auc' is bool, not int or float"),
        ('{"passed": true, "auc": "0.5"}', "'auc' is str, not int or float"),
    ],
)
def test_an_object_of_another_form_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "blind.json"
    path.write_text(text)
    keys = {"passed": bool, "auc": NUMBER}
    with pytest.raises(DistilleakError) as caught:
        read_object(path, keys)
    assert str(caught.value).startswith(f"{path}: {message}")
    with pytest.raises(DistilleakError, match=r"^here: "):
        check_object(json.loads(text), keys, "here")


def test_facts_of_another_form_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text("[1]")
    with pytest.raises(DistilleakError, match=r"facts\.json: holds list, not an object"):
        read_facts(path)
