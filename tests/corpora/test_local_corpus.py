"""The user's own files: four formats, one passage per row, and one-line errors."""

import csv
import datetime
import gzip
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from distilleak.corpora import local
from distilleak.corpora.base import Passage
from distilleak.errors import DistilleakError
from distilleak.settings.problems import explained


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write the rows in the format of the file's extension."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        cells = [list(rows[0]), *(list(row.values()) for row in rows)]
        with path.open("w", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows(cells)
    else:
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def read(*paths: Path, **parameters: Any) -> list[Passage]:
    names = [str(path) for path in paths]
    return list(local.passages(local.Parameters(path=names, **parameters)))


def refusal(path: Path, **parameters: Any) -> str:
    """The one-line error about this file, starting at its name."""
    with pytest.raises(DistilleakError) as caught:
        read(path, **parameters)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(str(path), path.name)


def mistake(**parameters: Any) -> str:
    """The one-line error about these settings."""
    with pytest.raises(ValidationError) as caught:
        local.Parameters(**parameters)
    return str(explained(caught.value, local.Parameters, "corpus"))


TABLES = ("mine.jsonl", "mine.csv", "mine.parquet")
SPECIAL = 'one, "two"\n\nthree  zwö 😀'


@pytest.mark.parametrize("name", TABLES)
def test_every_format_gives_the_same_passages(name: str, tmp_path: Path) -> None:
    rows = [
        {"text": SPECIAL, "source": "s", "date": "1999"},
        {"text": "b", "source": "", "date": ""},
    ]
    path = write(tmp_path / name, rows)
    assert read(path) == [Passage(SPECIAL, "s", "1999"), Passage("b", "", "")]


@pytest.mark.parametrize("name", TABLES)
def test_columns_have_the_names_that_the_user_gives(name: str, tmp_path: Path) -> None:
    row = {"body": "a", "source": "no", "by": "me", "when": "2001-02-03", "text": "no"}
    path = write(tmp_path / name, [row])
    found = read(path, text_column="body", source_column="by", date_column="when")
    assert found == [Passage("a", "me", "2001-02-03")]


@pytest.mark.parametrize("name", TABLES)
def test_source_and_date_may_be_missing_unless_they_were_named(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, [{"text": "a", "author": "me"}])
    assert read(path) == [Passage("a", "", "")]
    for column in ("source_column", "date_column", "label_column"):
        assert "no column 'source'; the columns are text, author" in refusal(
            path, **{column: "source"}
        )


@pytest.mark.parametrize("name", TABLES)
def test_the_error_about_a_missing_text_column_lists_the_columns(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, [{"body": "a", "source": "s"}])
    assert refusal(path).endswith(": no column 'text'; the columns are body, source")


def test_one_column_may_serve_two_purposes(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.parquet", [{"text": "a", "year": "1999"}])
    found = read(path, source_column="year", date_column="year")
    assert found == [Passage("a", "1999", "1999")]


def test_several_files_are_read_in_the_order_given(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, [{"text": name}]) for name in reversed(TABLES)]
    assert [passage.text for passage in read(*paths)] == list(reversed(TABLES))
    parameters = local.Parameters(path=[str(path) for path in paths])
    assert local.files(parameters) == [str(path) for path in paths]
    assert local.files(local.Parameters(path="one.txt")) == ["one.txt"]


def test_the_extension_may_be_in_upper_case(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"text": "a"}]).rename(tmp_path / "MINE.JSONL")
    assert read(path) == [Passage("a", "", "")]


def test_settings_survive_being_written_out_with_every_default() -> None:
    for parameters in (
        local.Parameters(path="a.txt"),
        local.Parameters(path=["a.csv"], label_column="label", member_value=True),
    ):
        assert local.Parameters.model_validate(parameters.model_dump(mode="json")) == parameters


# Plain text.


def test_blank_lines_separate_paragraphs_of_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes(
        b"\xef\xbb\xbf\n\nfirst  line\nsecond\tline\n \t\n\r\nanother\r\none\r\n\r\nlast"
    )
    texts = ["first line second line", "another one", "last"]
    assert read(path) == [Passage(text, str(path), "") for text in texts]


ENDS = {
    "line feed": "\n",
    "carriage return": "\r",
    "both": "\r\n",
    "next line": "\x85",
    "line separator": "\N{LINE SEPARATOR}",
}


@pytest.mark.parametrize(
    "blank",
    [
        "",
        " \t",
        "\N{ZERO WIDTH SPACE}",
        "\N{NO-BREAK SPACE}",
        "\ufeff",
        "\N{HANGUL FILLER}",
        "\N{BRAILLE PATTERN BLANK}",
        "\N{VARIATION SELECTOR-16}",
    ],
)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_lines_end_as_unicode_says_and_blank_ones_show_nothing(
    end: str, blank: str, tmp_path: Path
) -> None:
    text = end.join(["first", "goes on", blank, "\ufeffsecond", blank, blank, "third one", ""])
    path = tmp_path / "mine.txt"
    path.write_bytes(text.encode())
    cells = write(tmp_path / "mine.jsonl", [{"text": text}])
    expected = ["first goes on", "second", "third one"]
    assert [passage.text for passage in read(path)] == expected
    assert [passage.text for passage in read(cells, split_paragraphs=True)] == expected


def test_marks_inside_a_word_stay(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("zero\N{ZERO WIDTH NON-JOINER}width and soft\N{SOFT HYPHEN}ly\n")
    (passage,) = read(path)
    assert passage.text == "zero\N{ZERO WIDTH NON-JOINER}width and soft\N{SOFT HYPHEN}ly"


@pytest.mark.parametrize("name", ["mine.txt", "mine.jsonl"])
def test_passages_of_another_length_are_left_out(name: str, tmp_path: Path) -> None:
    texts = [" ".join(["word"] * count) for count in range(1, 7)]
    path = tmp_path / name
    if name == "mine.txt":
        path.write_text("\n\n".join(texts))
    else:
        write(path, [{"text": text} for text in texts])
    assert [passage.text for passage in read(path, min_words=2, max_words=4)] == texts[1:4]
    assert [passage.text for passage in read(path)] == texts


def test_documents_are_cut_into_paragraphs_on_request(tmp_path: Path) -> None:
    text = "\n\nfirst\n  paragraph\n \n\nsecond\n\n"
    path = write(tmp_path / "mine.jsonl", [{"text": text, "source": "s", "date": "1999"}])
    assert [passage.text for passage in read(path)] == [text]
    found = read(path, split_paragraphs=True)
    assert found == [Passage("first paragraph", "s", "1999"), Passage("second", "s", "1999")]
    assert read(path, split_paragraphs=True, min_words=2) == found[:1]


# Sources, dates and labels.


def test_sources_and_dates_may_be_numbers_dates_or_unknown(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "source": 7, "date": datetime.date(1999, 1, 2)},
        {"text": "b", "source": None, "date": None},
    ]
    path = write(tmp_path / "mine.parquet", rows)
    assert read(path) == [Passage("a", "7", "1999-01-02"), Passage("b", "", "")]
    rows = [{"text": "a", "source": "s", "date": datetime.datetime(1999, 1, 2, 3, 4)}]
    assert read(write(path, rows)) == [Passage("a", "s", "1999-01-02")]
    path = write(tmp_path / "mine.jsonl", [{"text": "a", "source": None, "date": 1999}])
    assert read(path) == [Passage("a", "", "1999")]


@pytest.mark.parametrize(
    ("labels", "member_value"),
    [
        ([1, 0, 1], 1),
        (["1", "0", "1"], 1),
        ([1.0, 0.0, 1.0], "1"),
        ([True, False, True], True),
        (["True", "False", "TRUE"], True),
        ([True, False, True], "true"),
        (["member", "nonmember", "member "], "member"),
        ([0, 3, 0], 0),
    ],
)
@pytest.mark.parametrize("name", TABLES)
def test_labels_are_compared_as_text(
    name: str, labels: list[Any], member_value: Any, tmp_path: Path
) -> None:
    rows = [{"text": "a", "label": label} for label in labels]
    path = write(tmp_path / name, rows)
    found = read(path, label_column="label", member_value=member_value)
    assert [passage.label for passage in found] == ["member", "nonmember", "member"]


@pytest.mark.parametrize("name", TABLES)
def test_members_and_non_members_may_be_in_two_columns(name: str, tmp_path: Path) -> None:
    rows = [
        {"member": "in", "nonmember": "out", "source": "s"},
        {"member": "in too", "nonmember": "out too", "source": "t"},
    ]
    path = write(tmp_path / name, rows)
    assert read(path, member_column="member", nonmember_column="nonmember") == [
        Passage("in", "s", "", "member"),
        Passage("out", "s", "", "nonmember"),
        Passage("in too", "t", "", "member"),
        Passage("out too", "t", "", "nonmember"),
    ]
    assert refusal(path, member_column="member", nonmember_column="other").endswith(
        ": no column 'other'; the columns are member, nonmember, source"
    )


@pytest.mark.parametrize("name", ["mine.jsonl", "mine.parquet"])
@pytest.mark.parametrize("label", [None, "", float("nan")])
def test_a_missing_label_is_an_error(name: str, label: Any, tmp_path: Path) -> None:
    path = write(tmp_path / name, [{"text": "a", "label": label}])
    assert refusal(path, label_column="label").endswith(
        "1: column 'label' is empty; every text needs a label"
        if name == "mine.jsonl"
        else "row 1: column 'label' is empty; every text needs a label"
    )


def test_a_value_that_is_not_a_label_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"text": "a", "label": [1]}])
    assert refusal(path, label_column="label") == (
        "mine.jsonl:1: column 'label' holds a list, not a label"
    )


# What is wrong with a file.


@pytest.mark.parametrize("name", ["mine.txt", *TABLES])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / name) == f"corpus.path: {name}: no such file"
    (tmp_path / name).mkdir()
    assert refusal(tmp_path / name) == f"corpus.path: {name}: no file is there"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
@pytest.mark.parametrize("name", ["mine.txt", "mine.jsonl", "mine.csv"])
def test_a_file_that_may_not_be_read_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch(mode=0o000)
    assert refusal(tmp_path / name) == f"{name}: cannot be read (Permission denied)"


@pytest.mark.parametrize("name", ["mine.txt", "mine.jsonl", "mine.csv"])
def test_utf_16_that_happens_to_be_utf_8_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes("text\nan english paragraph\n".encode("utf-16-le"))
    assert refusal(tmp_path / name).startswith(f"{name}:1: holds a character of value 0, as texts")


@pytest.mark.parametrize("name", ["mine.txt", *TABLES, "mine.jsonl.gz", "mine.txt.zst"])
def test_a_text_of_which_only_the_pointer_was_cloned_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 9\n"
    )
    assert refusal(tmp_path / name).startswith(f"{name}: only a pointer of git-lfs, not the file")


def test_a_csv_file_with_the_line_ends_of_old_macs_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(b"text\rone\rtwo\r")
    assert "a line ends in a carriage return alone" in refusal(tmp_path / "mine.csv")


def test_json_lines_with_the_line_ends_of_old_macs_say_so(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes(b'{"text": "one"}\r{"text": "two"}\r')
    assert refusal(tmp_path / "mine.jsonl") == (
        "mine.jsonl:1: not JSON; a line ends in a carriage return alone; save the file with line "
        "feeds"
    )


@pytest.mark.parametrize("name", ["mine.txt", *TABLES])
def test_a_name_that_the_system_does_not_take_is_one_line(name: str, tmp_path: Path) -> None:
    long = "x" * 300 + name
    assert refusal(tmp_path / long) == f"{long}: cannot be read (File name too long)"


@pytest.mark.parametrize("name", ["mine.txt", "mine.jsonl", "mine.csv"])
def test_a_file_that_is_not_utf_8_is_named_with_the_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b'{"text": "a"}\n\xff\n')
    if name == "mine.csv":
        (tmp_path / name).write_bytes(b"text\n\xff\n")
    assert refusal(tmp_path / name) == f"{name}:2: not UTF-8 (invalid start byte)"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"text": ""}, "column 'text' is empty"),
        ({"text": " \n"}, "column 'text' is empty"),
        ({"text": "\N{ZERO WIDTH SPACE}\ufeff"}, "column 'text' is empty"),
        ({"text": None}, "column 'text' is null"),
        ({"text": 3}, "column 'text' holds a number, not text"),
        ({"text": True}, "column 'text' holds true or false, not text"),
        ({"text": ["a"]}, "column 'text' holds a list, not text"),
        ({"text": "\ud800"}, "column 'text' holds half of a surrogate pair, which is not text"),
        (
            {"text": "a", "date": 1999.5},
            "column 'date' holds a number, not text, a whole number or a date",
        ),
        (
            {"text": "a", "source": ["s"]},
            "column 'source' holds a list, not text, a whole number or a date",
        ),
        ({}, "no column 'text'; the columns are "),
        ([], "not a JSON object with a text; every line must be one"),
        ("text", "not a JSON object with a text; every line must be one"),
    ],
)
def test_a_line_that_is_not_a_passage_is_named(value: Any, problem: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"text": "a"}, value])
    assert refusal(path) == f"mine.jsonl:2: {problem}"


@pytest.mark.parametrize("line", ["{", "{'text': 'a'}", "[" * 100_000])
def test_a_line_that_is_not_json_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"text": "a"}\n\n' + line)
    assert refusal(path) == "mine.jsonl:3: not JSON; every line must be an object with a text"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["mine.jsonl", "mine.csv"])
def test_empty_lines_and_a_byte_order_mark_are_skipped(
    name: str, mark: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path / name, [{"text": "one"}])
    path.write_bytes(mark + path.read_bytes() + b"\r\n\n" + path.read_bytes().splitlines()[-1])
    assert [passage.text for passage in read(path)] == ["one", "one"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("text,source\na,b\nc\n", "3: 1 fields, but the header names 2 columns"),
        ('text,source\n"a\nb\n\nc",b\nd\n', "6: 1 fields, but the header names 2 columns"),
        ('text\n"a\nb"\n""\n', "4: column 'text' is empty"),
        ('text\na\n"b\nc\n', "3: not CSV (unexpected end of data)"),
        ('text\n"a"b\n', "2: not CSV (',' expected after '\"')"),
        ("text,text\na,b\n", "1: column 'text' occurs twice"),
        ("\nbody\na\n", "2: no column 'text'; the columns are body"),
    ],
)
def test_a_csv_row_that_is_not_a_passage_is_named(
    content: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(content)
    assert refusal(path) == f"mine.csv:{problem}"


@pytest.mark.parametrize("name", ["mine.txt", "mine.jsonl", "mine.csv"])
def test_byte_order_marks_inside_a_file_are_skipped(name: str, tmp_path: Path) -> None:
    """As in a file that was put together from several."""
    lines = {
        "mine.txt": ["one\n", "\n", "two\n"],
        "mine.jsonl": ['{"text": "one"}\n', '{"text": "two"}\n'],
        "mine.csv": ["text\n", "one\n", "two\n"],
    }
    path = tmp_path / name
    path.write_bytes(b"".join(b"\xef\xbb\xbf" + line.encode() for line in lines[name]))
    assert [passage.text for passage in read(path)] == ["one", "two"]


# Compressed files, directories and patterns.


PLAIN = ("mine.txt", "mine.jsonl", "mine.ndjson", "mine.csv")


def compressed(path: Path, content: bytes) -> Path:
    """A file with this content, compressed as its extension says."""
    codec = {".gz": "gzip", ".zst": "zstd"}[path.suffix]
    with path.open("wb") as file, pa.CompressedOutputStream(file, codec) as stream:
        stream.write(content)
    return path


def passages_file(name: str) -> bytes:
    texts = [f"passage {row}" for row in range(1000)]
    if name.endswith(".txt"):
        return "\n\n".join(texts).encode()
    if name.endswith(".csv"):
        return "\n".join(["text", *texts]).encode()
    return "\n".join(json.dumps({"text": text}) for text in texts).encode()


@pytest.mark.parametrize("extension", [".gz", ".zst"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_compressed_file_holds_the_same_passages(
    name: str, extension: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(passages_file(name))
    expected = [passage.text for passage in read(tmp_path / name)]
    assert len(expected) == 1000
    path = compressed(tmp_path / f"{name}{extension}", passages_file(name))
    assert [passage.text for passage in read(path)] == expected
    if name != "mine.csv":
        # Two of them in a row, as from `cat`.
        whole = compressed(path, passages_file(name) + b"\n\n").read_bytes()
        path.write_bytes(2 * whole)
        assert [passage.text for passage in read(path)] == 2 * expected


def test_python_and_the_command_line_compress_alike(tmp_path: Path) -> None:
    (tmp_path / "mine.txt.gz").write_bytes(gzip.compress(b"one\n\ntwo\n"))
    assert [passage.text for passage in read(tmp_path / "mine.txt.gz")] == ["one", "two"]


@pytest.mark.parametrize("name", ["mine.txt.gz", "mine.jsonl.zst", "mine.csv.gz"])
def test_a_damaged_compressed_file_is_reported_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    whole = compressed(path, passages_file(path.stem)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    wanted = f"{name}: damaged {path.suffix} file (Truncated compressed stream)"
    assert refusal(path) == wanted
    path.write_bytes(b"")
    assert refusal(path) == f"{name}: damaged {path.suffix} file (it has no bytes)"
    path.write_bytes(b"not compressed at all" * 10)
    assert refusal(path).startswith(f"{name}: damaged {path.suffix} file (")


def test_flipped_bits_in_a_compressed_file_are_found(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt.gz"
    whole = compressed(path, passages_file("mine.txt")).read_bytes()
    for place in (len(whole) // 3, len(whole) // 2, len(whole) - 6):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert refusal(path).startswith("mine.txt.gz: damaged .gz file (")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A directory with files of three formats, one of them deeper, and hidden ones."""
    directory = tmp_path / "texts"
    (directory / "more").mkdir(parents=True)
    (directory / ".git").mkdir()
    (directory / "b.txt").write_text("b\n\nb too\n")
    write(directory / "a.jsonl", [{"text": "a"}])
    compressed(directory / "more" / "c.txt.gz", b"c\n")
    (directory / ".DS_Store").write_bytes(b"\xff")
    (directory / ".git" / "x").write_text("hidden")
    return directory


def test_a_directory_stands_for_its_files_in_the_order_of_their_names(texts: Path) -> None:
    assert [passage.text for passage in read(texts)] == ["a", "b", "b too", "c"]
    names = [f"{texts}/a.jsonl", f"{texts}/b.txt", f"{texts}/more/c.txt.gz"]
    assert local.files(local.Parameters(path=str(texts))) == names
    # Each file once, those of a name that stands before another first.
    again = [f"{texts}/b.txt", str(texts), f"{texts}/*.txt"]
    assert local.files(local.Parameters(path=again)) == [names[1], names[0], names[2]]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("*.txt", ["b"]), ("*.*", ["a", "b"]), ("**/*.gz", ["c"]), ("[ab].*", ["a", "b"])],
)
def test_a_pattern_stands_for_the_files_that_fit(
    pattern: str, found: list[str], texts: Path
) -> None:
    (texts / "b.txt").write_text("b\n")
    assert [passage.text for passage in read(texts / pattern)] == found


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes[1].txt").write_text("this one\n")
    (tmp_path / "notes1.txt").write_text("another\n")
    assert [passage.text for passage in read(tmp_path / "notes[1].txt")] == ["this one"]


def test_what_in_a_directory_cannot_be_read_is_named(texts: Path) -> None:
    (texts / "more" / "LIESMICH.md").write_text("# notes")
    with pytest.raises(DistilleakError) as caught:
        read(texts)
    assert str(caught.value) == (
        f"corpus.path: {texts}/more/LIESMICH.md, in {texts}, should end in .csv, .jsonl, .ndjson, "
        ".parquet, .txt; remove it, or choose files by a pattern such as *.txt"
    )
    assert [passage.text for passage in read(texts / "**" / "*.txt")] == ["b", "b too"]


def test_plain_text_in_a_directory_has_no_columns(texts: Path) -> None:
    with pytest.raises(DistilleakError) as caught:
        read(texts, date_column="when")
    assert str(caught.value) == (
        f"corpus.date_column: {texts}/b.txt is plain text, which has no columns"
    )


def test_a_pattern_that_no_file_fits_and_an_empty_directory_are_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "*.txt") == "corpus.path: *.txt: no file is there"
    (tmp_path / "none").mkdir()
    assert refusal(tmp_path / "none") == "corpus.path: none: no file is there"


def test_a_file_name_that_is_not_text_is_shown_and_refused(texts: Path) -> None:
    Path(os.fsdecode(os.fsencode(texts) + b"/\xff.txt")).write_text("x")
    with pytest.raises(DistilleakError, match=r"texts/\\udcff\.txt: the file's name is not UTF-8"):
        read(texts)


def test_a_csv_field_may_be_long(tmp_path: Path) -> None:
    text = "word " * 100_000
    assert [passage.text for passage in read(write(tmp_path / "mine.csv", [{"text": text}]))] == [
        text
    ]


def test_a_parquet_row_that_is_not_a_passage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    rows: list[dict[str, Any]] = [{"text": "a"}] * 3000
    assert refusal(write(path, [*rows, {"text": None}])) == (
        "mine.parquet: row 3001: column 'text' is null"
    )
    assert refusal(write(path, [{"text": b"a"}])) == (
        "mine.parquet: row 1: column 'text' holds bytes, not text"
    )


def test_unrequested_columns_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    table = pa.table({"text": ["a"], "other": ["x" * 100]})
    pq.write_table(table, path, compression="none", write_page_checksum=True)
    whole = path.read_bytes()
    place = whole.index(b"x" * 8)
    path.write_bytes(whole[:place] + b"\0" * 8 + whole[place + 8 :])
    assert read(path) == [Passage("a", "", "")]
    assert "damaged" in refusal(path, source_column="other")


def test_a_damaged_parquet_file_is_reported_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    table = pa.table({"text": [f"text {row}" for row in range(500)]})
    pq.write_table(table, path, compression="none", write_page_checksum=True)
    whole = path.read_bytes()
    for share in (0.0, 0.3, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        assert refusal(path).startswith("mine.parquet: damaged Parquet file (")
    place = whole.index(b"text 100")
    path.write_bytes(whole[:place] + b"\xff" * 8 + whole[place + 8 :])
    assert refusal(path).startswith("mine.parquet: damaged Parquet file (")


def test_only_the_current_rows_are_in_memory(tmp_path: Path) -> None:
    """A bad line is reached only after all the lines before it were yielded."""
    for name in ("mine.jsonl", "mine.csv", "mine.txt"):
        path = tmp_path / name
        path.write_bytes(
            {"mine.jsonl": b'{"text": "a"}\n', "mine.csv": b"text\na\n", "mine.txt": b"a\n\n"}[name]
        )
        with path.open("ab") as file:
            file.write(b"\xff\n")
        found = local.passages(local.Parameters(path=str(path)))
        assert next(found).text == "a"
        with pytest.raises(DistilleakError, match="not UTF-8"):
            next(found)


# What is wrong with the settings.


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        (
            {"path": "mine.doc"},
            "corpus.path: should end in .csv, .jsonl, .ndjson, .parquet or .txt, or be a "
            "directory, not 'mine.doc'",
        ),
        (
            {"path": ["a.txt", "b"]},
            "corpus.path: 'b' should end in .csv, .jsonl, .ndjson, .parquet or .txt, or be a "
            "directory",
        ),
        (
            {"path": ["a.txt.bz2"]},
            "corpus.path: 'a.txt.bz2' should end in .csv, .jsonl, .ndjson, .parquet or .txt, or be "
            "a directory",
        ),
        (
            {"path": "a.parquet.gz"},
            "corpus.path: should end in .parquet: it compresses its columns itself, not "
            "'a.parquet.gz'",
        ),
        ({"path": ""}, "corpus.path: should be the name of a file or a list of such names, not ''"),
        ({"path": []}, "corpus.path: should be the name of a file or a list of such names"),
        ({"path": 3}, "corpus.path: should be the name of a file or a list of such names, not 3"),
        ({}, "corpus.path: missing"),
        (
            {"path": "a.csv", "member_value": [1]},
            "corpus.member_value: should be text, a whole number, true or false",
        ),
        (
            {"path": "a.csv", "member_column": "in"},
            "corpus: give member_column and nonmember_column together or not at all",
        ),
        (
            {
                "path": "a.csv",
                "member_column": "in",
                "nonmember_column": "out",
                "label_column": "is",
            },
            "corpus: label_column: not allowed with member_column, which already labels the texts",
        ),
        (
            {"path": "a.csv", "min_words": 5, "max_words": 4},
            "corpus: min_words 5 is above max_words 4",
        ),
        (
            {"path": ["a.csv", "b.txt"], "label_column": "label"},
            "corpus: label_column: b.txt is plain text, which has no columns",
        ),
    ],
)
def test_contradictory_settings_are_refused(parameters: Any, problem: str) -> None:
    assert mistake(**parameters) == problem


def test_no_text_appears_in_an_error(tmp_path: Path) -> None:
    secret = "correct horse battery staple"
    for content in (
        f'{{"text": "{secret}", "date": ["{secret}"]}}',
        f'{{"text": ["{secret}"]}}',
        f'{{"text": "{secret}',
        f'["{secret}"]',
    ):
        (tmp_path / "mine.jsonl").write_text(content)
        assert secret not in refusal(tmp_path / "mine.jsonl")
    (tmp_path / "mine.csv").write_text(f'text\n"{secret}"{secret}\n')
    assert secret not in refusal(tmp_path / "mine.csv")


def test_wrong_bytes_anywhere_give_passages_or_one_line(tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [{"text": f"a text {row}", "source": "s", "date": "1999"} for row in range(20)]
    for name in TABLES:
        path = write(tmp_path / name, rows)
        whole = path.read_bytes()
        refusals = []
        for _ in range(60):
            damaged = bytearray(whole)
            damaged[draw.randrange(len(whole))] ^= 0xFF
            path.write_bytes(damaged)
            try:
                read(path)
            except DistilleakError as error:
                refusals.append(str(error))
        assert len(refusals) > 10
        assert not any("\n" in line for line in refusals)
