"""The texts of an audit: read, compared, and drawn into pools."""

import json
from pathlib import Path

import pytest

from distilleak.audit import texts
from distilleak.audit.configuration import AuditTexts
from distilleak.errors import DistilleakError
from distilleak.settings.deduplication import DeduplicationSettings

WORDS = ["apple", "river", "stone", "cloud", "table", "window", "garden", "copper", "silver"]


def lines(prefix: str, count: int) -> list[str]:
    """Texts that share no five words."""
    return [" ".join(f"{prefix}{number}{word}" for word in WORDS) for number in range(count)]


def written(place: Path, rows: list[str]) -> str:
    place.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    return str(place)


def given(tmp_path: Path, **rows: list[str]) -> AuditTexts:
    files = {side: written(tmp_path / f"{side}.jsonl", each) for side, each in rows.items()}
    return AuditTexts.model_validate(files)


def test_every_text_is_in_the_pool_of_its_side(tmp_path: Path) -> None:
    section = given(
        tmp_path,
        members=lines("m", 12),
        nonmembers=lines("n", 11),
        auxiliary=lines("a", 21),
    )
    found = texts.read(section)
    passages, split, removed = texts.distinct(found, DeduplicationSettings())
    pools = split["pool"].to_pylist()
    assert {pool: pools.count(pool) for pool in set(pools)} == {
        "member": 12,
        "nonmember": 11,
        "auxiliary": 11,
        "population": 10,
    }
    assert removed == {"members": 0, "nonmembers": 0, "auxiliary": 0}
    assert split["teacher_member"].to_pylist() == [pool == "member" for pool in pools]
    text = dict(zip(passages["passage_id"].to_pylist(), passages["text"].to_pylist(), strict=True))
    # The number of a record is that of its text in the file.
    assert text["member-03"] == lines("m", 12)[2]
    assert text["nonmember-11"] == lines("n", 11)[10]


def test_a_near_copy_of_a_member_is_no_nonmember(tmp_path: Path) -> None:
    members, others = lines("m", 12), lines("n", 12)
    others[4] = members[7] + " end"
    others[5] = others[6]
    section = given(tmp_path, members=members, nonmembers=others)
    _, split, removed = texts.distinct(texts.read(section), DeduplicationSettings())
    assert removed == {"members": 0, "nonmembers": 2}
    records = split["record_id"].to_pylist()
    assert "member-08" in records
    assert "nonmember-05" not in records
    assert len({"nonmember-06", "nonmember-07"} & {*records}) == 1


def test_texts_on_both_sides_are_refused_with_their_numbers(tmp_path: Path) -> None:
    members, others = lines("m", 20), lines("n", 20)
    for number in range(7):
        others[2 * number] = members[number].replace(" ", "  ")
    section = given(tmp_path, members=members, nonmembers=others)
    with pytest.raises(DistilleakError) as refused:
        texts.read(section)
    assert str(refused.value) == (
        f"audit.nonmembers: {tmp_path}/nonmembers.jsonl: 7 of its texts stand in audit.members "
        f"({tmp_path}/members.jsonl), too: numbers 1, 3, 5, 7, 9 and 2 more here, "
        "1, 2, 3, 4, 5 and 2 more there; a text can be on one side only"
    )


@pytest.mark.parametrize("count", [0, 9])
def test_too_few_texts_are_refused(tmp_path: Path, count: int) -> None:
    section = given(tmp_path, members=lines("m", 12), nonmembers=lines("n", count))
    message = f"audit.nonmembers: {tmp_path}/nonmembers.jsonl: {count} texts; an audit needs"
    with pytest.raises(DistilleakError, match=message):
        texts.check(section)


def test_too_few_distinct_texts_are_refused(tmp_path: Path) -> None:
    section = given(tmp_path, members=lines("m", 12), nonmembers=["the same words again"] * 20)
    with pytest.raises(DistilleakError, match=r"audit\.nonmembers: 19 of 20 texts are copies"):
        texts.distinct(texts.read(section), DeduplicationSettings())


def test_what_is_wrong_with_a_file_names_its_key(tmp_path: Path) -> None:
    section = given(tmp_path, members=lines("m", 12), nonmembers=lines("n", 12))
    (tmp_path / "members.jsonl").unlink()
    with pytest.raises(DistilleakError, match=r"audit\.members.*members.jsonl: no such file"):
        texts.check(section)
    (tmp_path / "members.jsonl").write_text('{"words": "no text"}\n')
    with pytest.raises(DistilleakError, match=r"audit\.members: .*jsonl:1: no column 'text'"):
        texts.check(section)
