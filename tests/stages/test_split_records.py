"""One seeded draw over all passages decides who is in which pool."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from distilleak.errors import DistilleakError
from distilleak.settings.base import canonical_json
from distilleak.settings.pools import PoolSettings
from distilleak.stages import split_records

COUNTS = {"member": 300, "nonmember": 300, "holdout": 100, "auxiliary": 200}
PASSAGES = 1000


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    years = 1000 + np.arange(PASSAGES) // 10
    frame = pd.DataFrame(
        {
            "passage_id": [f"p-{row:04d}" for row in range(PASSAGES)],
            "source": [f"{year}-somebody" for year in years],
            "date": [str(year) for year in years],
            "text": [f"text {row}" for row in range(PASSAGES)],
        }
    )
    frame.to_parquet(tmp_path / "passages.parquet")
    return tmp_path / "passages.parquet"


def split(passages: Path, seed: int, pools: dict[str, Any] = COUNTS) -> pd.DataFrame:
    output = passages.with_name("split.parquet")
    files = ["--passages", str(passages), "--output", str(output)]
    split_records.main([*files, "--pools", canonical_json(pools), "--seed", str(seed)])
    return pd.read_parquet(output)


def test_pools_have_exactly_the_sizes_asked_for(passages: Path) -> None:
    assert split(passages, 0)["pool"].value_counts().to_dict() == COUNTS


def test_fractions_are_fractions_of_all_passages(passages: Path) -> None:
    fractions = {"member": 0.29, "nonmember": 0.29, "holdout": 0.12, "auxiliary": 0.3}
    found = split(passages, 0, fractions)["pool"].value_counts().to_dict()
    assert found == {"member": 290, "nonmember": 290, "holdout": 120, "auxiliary": 300}


def test_a_passage_is_in_one_pool_at_most_and_keeps_its_source(passages: Path) -> None:
    found = split(passages, 0)
    assert found["record_id"].is_unique
    assert list(found.columns) == [
        "record_id",
        "pool",
        "teacher_member",
        "student_member",
        "source",
        "date",
    ]
    merged = found.merge(
        pd.read_parquet(passages), left_on="record_id", right_on="passage_id", validate="1:1"
    )
    assert (merged["source_x"] == merged["source_y"]).all()
    assert (merged["date_x"] == merged["date_y"]).all()


def test_members_of_teacher_and_student_are_the_member_pool(passages: Path) -> None:
    found = split(passages, 0)
    assert (found["teacher_member"] == (found["pool"] == "member")).all()
    assert (found["student_member"] == (found["pool"] == "member")).all()


def test_the_same_seed_gives_the_same_bytes(passages: Path) -> None:
    split(passages, 3)
    first = passages.with_name("split.parquet").read_bytes()
    split(passages, 3)
    assert passages.with_name("split.parquet").read_bytes() == first


def test_another_seed_gives_an_independent_draw(passages: Path) -> None:
    one, other = (split(passages, seed).set_index("record_id")["pool"] for seed in (0, 1))
    members = one.index[one == "member"]
    again = other.reindex(members).eq("member").sum()
    # Hypergeometric: 300 of 1000, 300 drawn.
    expected, spread = 90.0, (300 * 0.3 * 0.7 * 700 / 999) ** 0.5
    assert abs(again - expected) < 4 * spread


@pytest.mark.parametrize("seed", range(5))
def test_pools_do_not_follow_order_or_date(passages: Path, seed: int) -> None:
    found = split(passages, seed)
    years = found["date"].astype(int)
    spread = years.std() * (1 / 300 + 1 / 300) ** 0.5
    gap = years[found["pool"] == "member"].mean() - years[found["pool"] == "nonmember"].mean()
    assert abs(gap) < 4 * spread


def test_pool_sizes_do_not_move_members_of_the_same_seed(passages: Path) -> None:
    one = split(passages, 0)
    other = split(passages, 0, {**COUNTS, "auxiliary": 250})
    assert set(one.loc[one["pool"] == "member", "record_id"]) == set(
        other.loc[other["pool"] == "member", "record_id"]
    )


def test_more_records_than_passages_is_an_error_that_counts_them(passages: Path) -> None:
    with pytest.raises(DistilleakError) as caught:
        split(passages, 0, {**COUNTS, "member": 500})
    assert str(caught.value) == (
        "pools: 500 member + 300 nonmember + 100 holdout + 200 auxiliary = 1100 records, but the "
        "corpus has only 1000 passages after deduplication"
    )
    assert not passages.with_name("split.parquet").exists()


BY_LABEL = {"assignment": "labels", "member": 300, "nonmember": 300, "holdout": 50, "auxiliary": 50}


def label(passages: Path, *labels: str) -> pd.DataFrame:
    """Give the passages these labels in turn."""
    frame = pd.read_parquet(passages)
    frame["label"] = (labels * PASSAGES)[:PASSAGES]
    frame.to_parquet(passages)
    return frame.set_index("passage_id")


def test_members_are_drawn_from_members_and_all_others_from_non_members(passages: Path) -> None:
    labels = label(passages, "member", "nonmember", "nonmember", "", "member")["label"]
    found = split(passages, 0, BY_LABEL)
    assert found["record_id"].is_unique
    assert found["pool"].value_counts().to_dict() == {
        pool: size for pool, size in BY_LABEL.items() if pool != "assignment"
    }
    drawn = found["record_id"].map(labels)
    assert (drawn == np.where(found["pool"] == "member", "member", "nonmember")).all()
    assert (found["teacher_member"] == (found["pool"] == "member")).all()


def test_within_a_label_one_seeded_draw_decides(passages: Path) -> None:
    labels = label(passages, "member", "nonmember")["label"]
    found = split(passages, 3, BY_LABEL)
    first = passages.with_name("split.parquet").read_bytes()
    split(passages, 3, BY_LABEL)
    assert passages.with_name("split.parquet").read_bytes() == first
    members = [set(found.loc[found["pool"] == "member", "record_id"])]
    members += [
        set(frame.loc[frame["pool"] == "member", "record_id"])
        for frame in (split(passages, seed, BY_LABEL) for seed in (4, 5))
    ]
    assert all(len(one & other) < 250 for one in members for other in members if one is not other)
    # The mean position of 300 drawn of 500: neither the first ones nor the last ones.
    rows = np.flatnonzero(labels.index.isin(members[0]))
    assert abs(rows.mean() - 499) < 4 * 1000 / 12**0.5 * (1 / 300 * (200 / 499)) ** 0.5


def test_labels_do_not_matter_to_a_random_split(passages: Path) -> None:
    split(passages, 0)
    before = passages.with_name("split.parquet").read_bytes()
    label(passages, "member", "nonmember")
    split(passages, 0)
    assert passages.with_name("split.parquet").read_bytes() == before


def test_a_corpus_without_labels_is_an_error(passages: Path) -> None:
    label(passages, "")
    with pytest.raises(DistilleakError) as caught:
        split(passages, 0, BY_LABEL)
    assert str(caught.value) == (
        "pools.assignment: labels, but the corpus labels none of its passages; it needs a "
        "label_column, or a member_column and a nonmember_column"
    )


@pytest.mark.parametrize(
    ("sizes", "problem"),
    [
        (
            {"member": 251},
            "pools: 251 member records, but the corpus labels only 250 passages member",
        ),
        (
            {"nonmember": 701, "member": 1},
            "pools: 701 nonmember + 50 holdout + 50 auxiliary = 801 records, but the corpus labels "
            "only 750 passages nonmember",
        ),
    ],
)
def test_too_few_passages_of_a_label_are_counted(
    sizes: dict[str, int], problem: str, passages: Path
) -> None:
    label(passages, "member", "nonmember", "nonmember", "nonmember")
    with pytest.raises(DistilleakError) as caught:
        split(passages, 0, {**BY_LABEL, **sizes})
    assert str(caught.value) == f"{problem} after deduplication"
    assert not passages.with_name("split.parquet").exists()


def test_with_labels_the_sizes_are_counts() -> None:
    fractions = dict.fromkeys(("member", "nonmember", "holdout", "auxiliary"), 0.25)
    assert PoolSettings.model_validate(fractions).assignment == "random"
    with pytest.raises(ValidationError, match=r"assignment: labels needs counts, not fr"):
        PoolSettings.model_validate({**fractions, "assignment": "labels"})


def test_known_members_and_the_population_are_pools_of_their_own(passages: Path) -> None:
    """Whoever does without them draws the other pools as before."""
    found = split(passages, 0, COUNTS | {"population": 60, "shown": 7})
    assert found["pool"].value_counts().to_dict() == COUNTS | {"population": 60, "shown": 7}
    assert (found["teacher_member"] == found["pool"].isin(["member", "shown"])).all()
    assert (found["student_member"] == found["teacher_member"]).all()
    kept = found[found["pool"].isin(COUNTS)].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, split(passages, 0).reset_index(drop=True))


def test_in_the_factorial_design_students_get_half_of_either_side(passages: Path) -> None:
    found = split(passages, 0, COUNTS | {"design": "factorial", "shown": 4})
    assert (found["teacher_member"] == found["pool"].isin(["member", "shown"])).all()
    students = found.groupby("pool")["student_member"].sum().to_dict()
    assert students == {"member": 150, "nonmember": 150, "shown": 4, "holdout": 0, "auxiliary": 0}


def test_labels_draw_known_members_from_members_and_all_else_from_the_others(
    tmp_path: Path,
) -> None:
    labels = np.repeat(["member", "nonmember"], [100, 150])
    frame = pd.DataFrame({"passage_id": [f"p-{row:03d}" for row in range(250)], "label": labels})
    frame.assign(source="", date="", text="text").to_parquet(tmp_path / "passages.parquet")
    pools = {"member": 60, "nonmember": 50, "holdout": 20, "auxiliary": 30}
    drawn = {"population": 40, "shown": 9, "assignment": "labels"}
    found = split(tmp_path / "passages.parquet", 0, pools | drawn)
    label = dict(zip(frame["passage_id"], labels, strict=True))
    is_member = found["record_id"].map(label) == "member"
    assert (is_member == found["pool"].isin(["member", "shown"])).all()
    assert found["pool"].value_counts().to_dict() == pools | {"population": 40, "shown": 9}


BY_SOURCE = {"by": "source", "member": 53, "nonmember": 47, "holdout": 20, "auxiliary": 31}


def documents(tmp_path: Path, seed: int, count: int = 60) -> Path:
    """Passages of documents with very different lengths, not in the order of the documents."""
    rng = np.random.default_rng(seed)
    sizes = np.maximum(1, rng.geometric(0.1, count))
    source = rng.permutation(np.repeat([f"document-{row}" for row in range(count)], sizes))
    frame = pd.DataFrame({"passage_id": [f"p-{row:04d}" for row in range(len(source))]})
    frame = frame.assign(source=source, date="", text="text")
    frame.to_parquet(tmp_path / "passages.parquet")
    return tmp_path / "passages.parquet"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("design", ["paired", "factorial"])
def test_whole_documents_are_drawn_and_sizes_are_exact(
    design: str, seed: int, tmp_path: Path
) -> None:
    path = documents(tmp_path, seed)
    found = split(path, seed, BY_SOURCE | {"design": design})
    sizes = {pool: size for pool, size in BY_SOURCE.items() if pool != "by"}
    assert found["pool"].value_counts().to_dict() == sizes
    assert found["record_id"].is_unique
    # No document in two pools, nor in two of the groups of a factorial design.
    groups = found.groupby("source")[["pool", "student_member"]].nunique()
    assert (groups == 1).all(axis=None)
    # Of each pool, or half of one, at most one document is there in part.
    whole = pd.read_parquet(path)["source"].value_counts()
    held = found["source"].value_counts()
    torn = found[found["source"].isin(held.index[held < whole[held.index]])]
    assert (torn.groupby(["pool", "student_member"])["source"].nunique() <= 1).all()
    students = found.groupby("pool")["student_member"].sum().to_dict()
    expected = (53, 0) if design == "paired" else (27, 23)
    assert (students["member"], students["nonmember"]) == expected


def test_the_draw_of_documents_follows_the_seed_and_nothing_else(tmp_path: Path) -> None:
    path = documents(tmp_path, 0)
    split(path, 3, BY_SOURCE)
    first = path.with_name("split.parquet").read_bytes()
    split(path, 3, BY_SOURCE)
    assert path.with_name("split.parquet").read_bytes() == first
    draws = [split(path, seed, BY_SOURCE) for seed in range(40)]
    members = [frozenset(found.loc[found["pool"] == "member", "source"]) for found in draws]
    assert len(set(members)) == 40
    more = split(path, 3, BY_SOURCE | {"auxiliary": 60, "shown": 3})
    same = draws[3].set_index("record_id")["pool"].ne("auxiliary")
    again = more.set_index("record_id")["pool"]
    kept = draws[3].set_index("record_id").loc[same, "pool"]
    assert (again[kept.index] == kept).all()


def test_long_documents_are_as_often_in_one_pool_as_in_the_other(tmp_path: Path) -> None:
    path = documents(tmp_path, 1)
    length = pd.read_parquet(path)["source"].value_counts()
    pools = BY_SOURCE | {"member": 50, "nonmember": 50}
    gaps = []
    for seed in range(200):
        found = split(path, seed, pools)
        mean = found["source"].map(length).groupby(found["pool"]).mean()
        gaps.append(mean["member"] - mean["nonmember"])
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / 200**0.5


def test_too_few_documents_are_counted(tmp_path: Path) -> None:
    source = np.repeat(["a", "b", "c", "d"], [50, 60, 70, 80])
    frame = pd.DataFrame({"passage_id": [f"p-{row:03d}" for row in range(260)], "source": source})
    frame.assign(date="", text="text").to_parquet(tmp_path / "passages.parquet")
    pools = {"by": "source", "member": 40, "nonmember": 40, "holdout": 10, "auxiliary": 10}
    found = split(tmp_path / "passages.parquet", 0, pools)
    assert found["source"].nunique() == 4
    (tmp_path / "split.parquet").unlink()
    with pytest.raises(DistilleakError) as caught:
        split(tmp_path / "passages.parquet", 0, pools | {"design": "factorial"})
    assert str(caught.value) == (
        "pools: 40 member + 40 nonmember + 10 holdout + 10 auxiliary records of whole documents, "
        "but after deduplication the corpus has 260 passages in 4 documents, the longest with 80; "
        "holdout gets only 0, since what other pools do not need of their last document is left out"
    )
    assert not (tmp_path / "split.parquet").exists()


def test_passages_without_a_document_are_counted(tmp_path: Path) -> None:
    frame = pd.read_parquet(documents(tmp_path, 0))
    frame.loc[[5, 9], "source"] = ""
    frame.to_parquet(tmp_path / "passages.parquet")
    with pytest.raises(DistilleakError) as caught:
        split(tmp_path / "passages.parquet", 0, BY_SOURCE)
    assert str(caught.value) == (
        f"pools.by: source, but 2 of {len(frame)} passages have none, such as 'p-0005'; the corpus "
        "must say which document each is from (source_column), or use `by: passage`"
    )


def test_documents_go_with_counts_and_a_random_assignment() -> None:
    fractions = dict.fromkeys(("member", "nonmember", "holdout", "auxiliary"), 0.25)
    with pytest.raises(ValidationError, match=r"by: source needs counts, not fractions"):
        PoolSettings.model_validate({**fractions, "by": "source"})
    with pytest.raises(ValidationError, match=r"by: source needs assignment: random"):
        PoolSettings.model_validate({**BY_LABEL, "by": "source"})
