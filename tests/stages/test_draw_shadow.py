"""A shadow draws anew which of the evaluated records its teacher and students train on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import as_words

from distilleak.errors import DistilleakError
from distilleak.stages import draw_shadow

POOLS = {"member": 51, "nonmember": 50, "holdout": 10, "auxiliary": 20, "population": 5, "shown": 3}


def records(path: Path, factorial: bool = False) -> pd.DataFrame:
    pool = np.repeat([*POOLS], [*POOLS.values()])
    pool = np.random.default_rng(0).permutation(pool)
    teacher = np.isin(pool, ["member", "shown"])
    student = teacher.copy()
    if factorial:
        for name in ("member", "nonmember"):
            rows = np.flatnonzero(pool == name)
            student[rows] = np.arange(len(rows)) % 2 == 0
    frame = pd.DataFrame(
        {
            "record_id": [f"r{row:03d}" for row in range(len(pool))],
            "pool": pool,
            "teacher_member": teacher,
            "student_member": student,
            "text": "text",
        }
    )
    frame.to_parquet(path)
    return frame


def shadow(path: Path, number: int, seed: int = 0, *flags: str) -> pd.DataFrame:
    output = path.with_name("shadow.parquet")
    draw_shadow.main(
        [
            *as_words(
                records=path,
                number=number,
                seed=seed,
                output=output,
            ),
            *flags,
        ]
    )
    return pd.read_parquet(output)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.parquet"


def test_every_evaluated_record_is_a_member_of_exactly_half_of_the_shadows(path: Path) -> None:
    frame = records(path)
    evaluated = frame["pool"].isin(["member", "nonmember"])
    shadows = [shadow(path, number) for number in range(6)]
    times = sum(found["teacher_member"].astype(int) for found in shadows)
    assert (times[evaluated] == 3).all()
    assert all(found["teacher_member"][evaluated].sum() in (50, 51) for found in shadows)


def test_the_rest_of_the_records_stays_as_it_is(path: Path) -> None:
    frame = records(path)
    found = shadow(path, 1)
    others = ~frame["pool"].isin(["member", "nonmember"])
    pd.testing.assert_frame_equal(found[others], frame[others])
    assert (found["record_id"] == frame["record_id"]).all()
    assert (found["pool"][~others] == "member").equals(found["teacher_member"][~others])


def test_the_draw_does_not_follow_that_of_the_study(path: Path) -> None:
    """Of the study's members about half are members of a shadow."""
    frame = records(path)
    shares = [
        shadow(path, 0, seed)["teacher_member"][frame["pool"] == "member"].mean()
        for seed in range(40)
    ]
    assert abs(np.mean(shares) - 0.5) < 0.05
    assert len(set(shares)) > 3


def test_students_learn_from_the_members_of_their_teacher_in_the_paired_design(path: Path) -> None:
    records(path)
    found = shadow(path, 2)
    assert (found["student_member"] == found["teacher_member"]).all()


def test_in_the_factorial_design_students_get_half_of_either_side(path: Path) -> None:
    records(path, factorial=True)
    found = shadow(path, 3)
    sizes = found[found["pool"].isin(["member", "nonmember"])].groupby("pool")["student_member"]
    assert all(25 <= students <= 26 for students in sizes.sum())


def in_documents(path: Path, count: int, factorial: bool = False) -> pd.DataFrame:
    """The records of some documents, whose lengths differ; a document is in one pool."""
    frame = records(path, factorial)
    rng = np.random.default_rng(1)
    frame["source"] = ""
    for (pool, student), part in frame.groupby(["pool", "student_member"]):
        frame.loc[part.index, "source"] = [
            f"{pool}-{student}-{number}"
            for number in (count * rng.random(len(part)) ** 2).astype(int)
        ]
    frame.to_parquet(path)
    return frame


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("factorial", [False, True])
def test_a_shadow_of_documents_keeps_them_whole(path: Path, seed: int, factorial: bool) -> None:
    frame = in_documents(path, 8, factorial)
    evaluated = frame["pool"].isin(["member", "nonmember"])
    longest = frame[evaluated]["source"].value_counts().max()
    shadows = [shadow(path, number, seed, "--by-source") for number in range(4)]
    times = sum(found["teacher_member"].astype(int) for found in shadows)
    assert (times[evaluated] == 2).all()
    for found in shadows:
        columns = ["pool", "teacher_member", "student_member"]
        assert (found.groupby("source")[columns].nunique() == 1).all(axis=None)
        sizes = found[evaluated].groupby(["teacher_member", "student_member"]).size()
        assert set(sizes.index.map(lambda group: group[0] == group[1])) == {True, not factorial}
        half = found[evaluated]["teacher_member"].sum()
        assert abs(2 * half - evaluated.sum()) <= longest
        if factorial:
            assert (sizes >= 1).all()
            assert len(sizes) == 4
        pd.testing.assert_frame_equal(found[~evaluated], frame[~evaluated])


def test_too_few_documents_for_a_shadow_are_counted(path: Path) -> None:
    frame = in_documents(path, 1)
    shadow(path, 0, 0, "--by-source")
    frame.assign(source="one").to_parquet(path)
    with pytest.raises(DistilleakError) as caught:
        shadow(path, 0, 0, "--by-source")
    assert str(caught.value) == (
        "pools.by: source, but the evaluated records are of 1 documents; a shadow needs at least 2"
    )
