"""Ragged rows compared with plain Python loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from distilleak.ragged import Ragged

# Few distinct values, so that ties are common; and any float32.
NUMBERS = st.sampled_from([-2.0, -1.0, 0.0, 1.0]) | st.floats(-1e6, 1e6, width=32)
ROWS = st.lists(st.lists(NUMBERS, min_size=1, max_size=12), min_size=1, max_size=12)


def ragged(rows: list[list[float]]) -> Ragged:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Ragged(np.array([value for row in rows for value in row], np.float32), offsets)


@given(ROWS)
def test_lengths_and_rows_describe_the_cuts(rows: list[list[float]]) -> None:
    assert_array_equal(ragged(rows).lengths, [len(row) for row in rows])
    assert_array_equal(ragged(rows).rows, [i for i, row in enumerate(rows) for _ in row])


@given(ROWS)
def test_sum_is_that_of_each_row(rows: list[list[float]]) -> None:
    assert_allclose(ragged(rows).sum(), [math.fsum(row) for row in rows], rtol=1e-12, atol=1e-8)


@given(ROWS)
def test_mean_is_that_of_each_row(rows: list[list[float]]) -> None:
    expected = [math.fsum(row) / len(row) for row in rows]
    assert_allclose(ragged(rows).mean(), expected, rtol=1e-12, atol=1e-8)


@given(ROWS, st.floats(0.001, 1.0))
def test_lowest_mean_is_that_of_the_sorted_head_of_each_row(
    rows: list[list[float]], fraction: float
) -> None:
    expected = []
    for row in rows:
        head = sorted(row)[: max(1, math.floor(fraction * len(row)))]
        expected.append(math.fsum(head) / len(head))
    assert_allclose(ragged(rows).lowest_mean(fraction), expected, rtol=1e-12, atol=1e-8)


@given(ROWS)
def test_min_is_that_of_each_row(rows: list[list[float]]) -> None:
    assert_array_equal(ragged(rows).min(), [min(row) for row in rows])


@given(
    st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=1), min_size=1),
    st.floats(0.001, 1.0),
)
def test_lowest_marks_the_sorted_head_of_each_row_the_earlier_of_equal_values_first(
    rows: list[list[float]], fraction: float
) -> None:
    expected = []
    for row in rows:
        taken = max(1, math.floor(fraction * len(row)))
        head = sorted(range(len(row)), key=lambda token: (row[token], token))[:taken]
        expected += [token in head for token in range(len(row))]
    assert_array_equal(ragged(rows).lowest(fraction), expected)


def test_equal_are_the_same_values_in_the_same_rows() -> None:
    table = ragged([[1.0, 2.0], [3.0]])
    assert table.equals(ragged([[1.0, 2.0], [3.0]]))
    assert not table.equals(ragged([[1.0], [2.0, 3.0]]))
    assert not table.equals(ragged([[1.0, 2.0], [4.0]]))


@given(ROWS)
def test_lowest_mean_of_everything_is_the_mean(rows: list[list[float]]) -> None:
    assert_allclose(ragged(rows).lowest_mean(1.0), ragged(rows).mean(), rtol=1e-12, atol=1e-8)


@given(ROWS, st.floats(0.001, 1.0))
def test_lowest_mean_does_not_depend_on_the_order_within_a_row(
    rows: list[list[float]], fraction: float
) -> None:
    backwards = ragged([row[::-1] for row in rows])
    assert_array_equal(backwards.lowest_mean(fraction), ragged(rows).lowest_mean(fraction))


@pytest.mark.parametrize(("length", "taken"), [(1, 1), (4, 1), (5, 1), (9, 1), (10, 2), (15, 3)])
def test_lowest_mean_takes_at_least_one_value_and_rounds_down(length: int, taken: int) -> None:
    row = [float(value) for value in range(length)]
    assert_allclose(ragged([row[::-1]]).lowest_mean(0.2), [np.mean(row[:taken])])


def test_float32_values_are_summed_in_float64() -> None:
    row = [2.0**24, 1.0, 1.0, 1.0]  # in float32 the ones are lost
    result = ragged([row]).sum()
    assert result.dtype == np.float64
    assert_array_equal(result, [2.0**24 + 3])
    assert_array_equal(ragged([row]).mean(), [(2.0**24 + 3) / 4])


def test_infinities_stay_within_their_row() -> None:
    table = ragged([[1.0, -math.inf], [2.0, 3.0]])
    assert_array_equal(table.sum(), [-math.inf, 5.0])
    assert_array_equal(table.lowest_mean(0.5), [-math.inf, 2.0])


def test_no_rows_give_no_numbers() -> None:
    none = Ragged(np.empty(0, np.float32), np.zeros(1, np.int64))
    for result in (none.sum(), none.mean(), none.lowest_mean(0.2)):
        assert result.shape == (0,)
