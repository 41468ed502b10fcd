"""One seeded draw over all passages decides who is in which pool."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from distilleak import split_records
from distilleak.errors import DistilleakError
from distilleak.settings.base import canonical_json

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
        *("record_id", "pool", "teacher_member", "student_member", "source", "date")
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
