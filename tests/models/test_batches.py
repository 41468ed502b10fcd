"""Batches: what predicts what, padding, and the order in which records are shown."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import START, one_batch, random_tokens, tiny_model

from distilleak.batches import by_length, epoch_order

TOKENS = random_tokens(9, seed=0)


def test_the_labels_are_the_tokens_themselves_record_after_record() -> None:
    now = one_batch(TOKENS)
    assert now.labels.tolist() == np.concatenate(TOKENS).tolist()
    assert now.mask.sum(1).tolist() == [len(record) for record in TOKENS]


def test_each_token_is_predicted_from_the_start_token_and_what_precedes_it() -> None:
    now = one_batch(TOKENS)
    position = 0
    for row, record in enumerate(TOKENS):
        for t in range(len(record)):
            assert now.mask[row, t]
            assert now.input_ids[row, : t + 1].tolist() == [START, *record[:t].tolist()]
            assert now.labels[position] == record[t]
            position += 1
    assert position == len(now.labels)


def test_hidden_states_are_those_of_each_record_read_alone() -> None:
    model = tiny_model()
    together = one_batch(TOKENS).hidden_states(model)
    alone = []
    for record in TOKENS:
        ids = torch.tensor([[START, *record.tolist()]])
        alone.append(model.base_model(input_ids=ids).last_hidden_state[0, :-1])
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


def test_a_record_with_the_padding_token_is_scored_in_full() -> None:
    record = np.array([START, 5, START, START])
    now = one_batch([record, np.arange(1, 9)])
    assert now.mask[0].tolist() == [True] * 4 + [False] * 4
    assert now.labels[:4].tolist() == record.tolist()


def test_rows_choose_and_order_the_records() -> None:
    now = one_batch(TOKENS, [4, 1])
    assert now.rows.tolist() == [4, 1]
    assert now.labels.tolist() == [*TOKENS[4].tolist(), *TOKENS[1].tolist()]


@given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_shows_every_record_once(records: int, size: int, seed: int, epoch: int) -> None:
    batches = epoch_order(records, size, seed, epoch)
    assert sorted(np.concatenate(batches)) == list(range(records))
    assert all(len(rows) == size for rows in batches[:-1])
    assert 1 <= len(batches[-1]) <= size


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        np.random.default_rng().random()
        return [int(row) for rows in epoch_order(40, 8, seed, epoch) for row in rows]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_the_batch_size_cuts_the_same_order() -> None:
    coarse, fine = (np.concatenate(epoch_order(40, size, 1, 2)) for size in (16, 3))
    assert coarse.tolist() == fine.tolist()


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(1, 100))
def test_batches_by_length_hold_every_record_once_within_the_budget(
    lengths: list[int], budget: int
) -> None:
    tokens = [np.zeros(length, np.int64) for length in lengths]
    batches = list(by_length(tokens, budget))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= budget


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_no_position_sees_what_follows_it(attention: str) -> None:
    model = tiny_model()
    model.set_attn_implementation(attention)
    first, second = np.arange(1, 13), np.r_[np.arange(1, 9), np.arange(101, 105)]
    states = [one_batch([record]).hidden_states(model) for record in (first, second)]
    torch.testing.assert_close(states[0][:9], states[1][:9], rtol=0, atol=1e-6)
    assert (states[0][9:] - states[1][9:]).abs().max() > 1e-3
