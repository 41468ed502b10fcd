"""Rows of packed passages: nothing is lost, nothing is doubled, and only long passages are cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilleak.errors import DistilleakError
from distilleak.records.packing import hold_out, pack

SEPARATOR = 0


def passages_of(lengths: list[int]) -> list[np.ndarray]:
    """Passages whose tokens are all different, so that each is known by its tokens."""
    ends = np.cumsum(lengths)
    return [np.arange(end - length + 1, end + 1) for end, length in zip(ends, lengths, strict=True)]


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 24), st.integers(0, 99)
)
def test_every_token_is_in_one_row_and_no_row_is_too_long(
    lengths: list[int], length: int, seed: int
) -> None:
    passages = passages_of(lengths)
    rows = pack(passages, SEPARATOR, length, np.random.default_rng(seed))
    assert max(map(len, rows)) <= length
    tokens = np.concatenate(rows)
    assert sorted(tokens[tokens != SEPARATOR]) == sorted(np.concatenate(passages))
    whole = {passage[0]: len(passage) for passage in passages if len(passage) <= length}
    for row in rows:
        # A passage that fits into a row stands in it without a gap, between separators.
        pieces = np.split(row, np.flatnonzero(row == SEPARATOR))
        for piece in (piece[piece != SEPARATOR] for piece in pieces):
            assert len(piece)
            assert all(after == before + 1 for before, after in pairwise(piece))
            if piece[0] in whole:
                assert len(piece) == whole[piece[0]]


def test_rows_are_well_filled() -> None:
    lengths = np.random.default_rng(0).integers(20, 200, 2000).tolist()
    rows = pack(passages_of(lengths), SEPARATOR, 256, np.random.default_rng(1))
    assert np.mean([len(row) for row in rows]) > 0.95 * 256


def test_the_order_depends_on_the_seed_alone() -> None:
    passages = passages_of([5, 9, 3, 7, 2, 8])
    same = [pack(passages, SEPARATOR, 12, np.random.default_rng(3)) for _ in range(2)]
    assert [row.tolist() for row in same[0]] == [row.tolist() for row in same[1]]
    other = pack(passages, SEPARATOR, 12, np.random.default_rng(4))
    assert [row.tolist() for row in other] != [row.tolist() for row in same[0]]


def test_a_row_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="length 0"):
        pack([np.array([1])], SEPARATOR, 0, np.random.default_rng(0))


def test_held_out_passages_are_not_learned_from() -> None:
    passages = passages_of([3] * 50)
    own, held = hold_out(passages, 12, 5, "passages.parquet")
    first = {passage[0] for passage in passages}
    assert {passage[0] for passage in own} | {passage[0] for passage in held} == first
    assert (len(own), len(held)) == (38, 12)
    again = hold_out(passages, 12, 5, "passages.parquet")
    assert [row.tolist() for row in again[1]] == [row.tolist() for row in held]
    other = hold_out(passages, 12, 6, "passages.parquet")
    assert [row.tolist() for row in other[1]] != [row.tolist() for row in held]


def test_too_little_text_for_a_base_is_one_line() -> None:
    message = r"^public.parquet: only 12 passages of public text, .* \(training.holdout\)$"
    with pytest.raises(DistilleakError, match=message):
        hold_out(passages_of([3] * 12), 12, 0, "public.parquet")
