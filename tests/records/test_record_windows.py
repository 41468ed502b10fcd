"""Reading the records a window at a time: the same records, in memory that does not grow."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilleak.errors import DistilleakError
from distilleak.files import write_table
from distilleak.records.pools import POOLS
from distilleak.records.table import extent, iterate_records, read_records


def write(path: Path, records: int, seed: int = 0, characters: int = 20) -> Path:
    rng = np.random.default_rng(seed)
    pools = rng.permutation(np.resize(POOLS, records))
    member = pa.array(pools == "member")
    text = rng.integers(97, 123, (records, characters)).astype(np.uint8)
    lengths = rng.integers(1, 9, records)
    write_table(
        pa.table(
            {
                "record_id": [f"r{number:06}" for number in range(records)],
                "pool": pools,
                "teacher_member": member,
                "student_member": member,
                "text": [row.tobytes().decode() for row in text],
                "token_ids": pa.array(
                    [rng.integers(0, 300, length) for length in lengths], pa.list_(pa.int32())
                ),
            }
        ),
        path,
    )
    return path


@settings(deadline=None, max_examples=20)
@given(
    records=st.integers(len(POOLS), 40),
    window=st.integers(1, 50),
    pools=st.lists(st.sampled_from(POOLS), min_size=1, unique=True),
)
def test_windows_are_the_records_of_the_pools_in_order(
    records: int, window: int, pools: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "records.parquet", records, records)
    whole = read_records(path, pools)
    parts = list(iterate_records(path, pools, window))
    assert all(len(part.record_id) == window for part in parts[:-1])
    assert 1 <= len(parts[-1].record_id) <= window
    for name in ("record_id", "pool", "teacher_member", "student_member", "text"):
        joined = [value for part in parts for value in getattr(part, name)]
        assert joined == list(getattr(whole, name))
    tokens = [record.tolist() for part in parts for record in part.tokens]
    assert tokens == [record.tolist() for record in whole.tokens]
    assert extent(path, pools) == (len(tokens), max(map(len, tokens)))


def test_memory_does_not_grow_with_the_number_of_records(tmp_path: Path) -> None:
    def peak(records: int) -> int:
        path = write(tmp_path / f"{records}.parquet", records, characters=1000)
        default = pa.default_memory_pool()
        counting = pa.proxy_memory_pool(default)
        pa.set_memory_pool(counting)
        try:
            extent(path, POOLS)
            assert sum(len(part.text) for part in iterate_records(path, POOLS, 500)) == records
        finally:
            pa.set_memory_pool(default)
        return int(counting.max_memory())

    small, large = peak(8_000), peak(32_000)
    assert large < 1.2 * small
    assert large < 16e6


def test_records_out_of_order_are_an_error(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "sorted.parquet", 3000))
    turned = table.take([*range(2500), 2600, 2500, *range(2601, 3000)])
    write_table(turned, tmp_path / "turned.parquet")
    with pytest.raises(DistilleakError, match=r"turned\.parquet: record 'r002500' comes after"):
        list(iterate_records(tmp_path / "turned.parquet", POOLS, 100))


def test_a_record_twice_is_an_error(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "sorted.parquet", 2100))
    # On both sides of a batch of the file.
    write_table(table.take([*range(2048), *range(2047, 2100)]), tmp_path / "twice.parquet")
    with pytest.raises(DistilleakError, match="each once"):
        list(iterate_records(tmp_path / "twice.parquet", POOLS, 100))


def test_a_damaged_file_is_one_clear_line(tmp_path: Path) -> None:
    path = write(tmp_path / "records.parquet", 3000)
    data = bytearray(path.read_bytes())
    for place in range(4, len(data) // 2, 997):
        data[place] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(DistilleakError, match=r"records\.parquet: damaged Parquet file"):
        list(iterate_records(path, POOLS, 100))


def test_an_absent_pool_is_named(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "all.parquet", 40))
    write_table(
        table.filter(pa.compute.not_equal(table["pool"], "holdout")), tmp_path / "r.parquet"
    )
    with pytest.raises(DistilleakError, match=r"r\.parquet: no record in pool 'holdout'"):
        extent(tmp_path / "r.parquet", POOLS)
