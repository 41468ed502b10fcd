"""Batches: what predicts what, padding, masks, and the order in which records are shown."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_families import CAUSAL, MASKED, VOCABULARY, fresh, randomise, tiny
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from distilleak.evidence.probing import read_context
from distilleak.models.batches import Batch, Tokens, batch, by_length, epoch_order, training_batch
from distilleak.records.framing import Framing

START, END, MASK = 0, 3, 1
READ = Framing(START)
HIDE = Framing(START, END, MASK)


def random_records(count: int, seed: int, longest: int = 12) -> list[Tokens]:
    """Records of 1 to `longest` tokens, among them the tokens that start, end, pad and hide."""
    rng = np.random.default_rng(seed)
    return [
        np.where(rng.random(length) < 0.2, rng.integers(0, 4, length), rng.integers(0, 50, length))
        for length in rng.integers(1, longest + 1, count)
    ]


TOKENS = random_records(9, seed=0)


def one_batch(tokens: Sequence[Tokens], rows: Sequence[int] | None = None) -> Batch:
    return batch(tokens, range(len(tokens)) if rows is None else rows, READ, "cpu")


def every_third(tokens: Sequence[Tokens]) -> list[NDArray[np.bool_]]:
    return [np.arange(len(record)) % 3 == len(record) % 3 % 2 for record in tokens]


# Causal models


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


@pytest.mark.parametrize("name", CAUSAL)
def test_hidden_states_are_those_of_each_record_read_alone(name: str) -> None:
    model = tiny(name)
    with torch.no_grad():
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


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", CAUSAL)
def test_no_position_sees_what_follows_it(name: str, attention: str) -> None:
    model = fresh(name)
    model.set_attn_implementation(attention)
    first, second = np.arange(1, 13), np.r_[np.arange(1, 9), np.arange(31, 35)]
    with torch.no_grad():
        states = [one_batch([record]).hidden_states(model) for record in (first, second)]
    torch.testing.assert_close(states[0][:9], states[1][:9], rtol=0, atol=1e-6)
    assert (states[0][9:] - states[1][9:]).abs().max() > 1e-3


# Masked models


@pytest.mark.parametrize("prefix", [[], [7, START, MASK]])
def test_a_masked_model_reads_prefix_and_record_between_start_and_end(prefix: list[int]) -> None:
    chosen = every_third(TOKENS)
    now = batch(TOKENS, range(len(TOKENS)), HIDE, "cpu", chosen, prefix)
    assert now.visible is not None
    for row, (record, hidden) in enumerate(zip(TOKENS, chosen, strict=True)):
        read = np.where(hidden, MASK, record).tolist()
        size = len(prefix) + len(record) + HIDE.added
        assert now.input_ids[row, :size].tolist() == [START, *prefix, *read, END]
        assert now.visible[row].tolist() == [place < size for place in range(len(now.visible[row]))]
        predicted = np.flatnonzero(now.mask[row].numpy()) - 1 - len(prefix)
        assert predicted.tolist() == np.flatnonzero(hidden).tolist()


def test_only_hidden_tokens_are_labels() -> None:
    chosen = every_third(TOKENS)
    now = batch(TOKENS, range(len(TOKENS)), HIDE, "cpu", chosen)
    expected = [record[hidden] for record, hidden in zip(TOKENS, chosen, strict=True)]
    assert now.labels.tolist() == np.concatenate(expected).tolist()
    assert now.input_ids[now.mask].tolist() == [MASK] * len(now.labels)


def test_a_row_may_be_repeated_with_other_tokens_hidden() -> None:
    record = np.array([5, 6, 7])
    chosen = [np.arange(3) == place for place in range(3)]
    now = batch([record], [0, 0, 0], HIDE, "cpu", chosen)
    assert now.labels.tolist() == [5, 6, 7]
    assert now.input_ids[:, 1:4].tolist() == [[MASK, 6, 7], [5, MASK, 7], [5, 6, MASK]]


@pytest.mark.parametrize("name", MASKED)
def test_masked_states_are_those_of_each_record_read_alone(name: str) -> None:
    chosen = every_third(TOKENS)
    model = tiny(name)
    with torch.no_grad():
        together = batch(TOKENS, range(len(TOKENS)), HIDE, "cpu", chosen).hidden_states(model)
        alone = [
            batch([record], [0], HIDE, "cpu", [hidden]).hidden_states(model)
            for record, hidden in zip(TOKENS, chosen, strict=True)
        ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


# Masks to train on


def masked(tokens: Sequence[Tokens], rows: Sequence[int], **changes: Any) -> Batch:
    usual = {"vocabulary": VOCABULARY, "share": 0.15, "seed": 0, "epoch": 0}
    return training_batch(tokens, rows, HIDE, "cpu", **{**usual, **changes})


@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.floats(0.01, 1.0))
def test_a_share_of_every_record_and_at_least_one_token_is_predicted(
    lengths: list[int], share: float
) -> None:
    tokens = [np.arange(length) % VOCABULARY for length in lengths]
    now = masked(tokens, range(len(tokens)), share=share)
    assert now.mask.sum(1).tolist() == [max(1, round(share * length)) for length in lengths]


def test_labels_are_true_tokens_and_all_others_are_read_as_they_are() -> None:
    now = masked(TOKENS, range(len(TOKENS)), share=0.4)
    plain = batch(TOKENS, range(len(TOKENS)), HIDE, "cpu", [record < 0 for record in TOKENS])
    assert now.labels.tolist() == plain.input_ids[now.mask].tolist()
    assert torch.equal(now.input_ids[~now.mask], plain.input_ids[~now.mask])
    assert now.visible is not None
    assert plain.visible is not None
    assert torch.equal(now.visible, plain.visible)


def test_of_the_predicted_tokens_80_percent_are_hidden_10_replaced_and_10_left() -> None:
    tokens = [np.full(500, 7) for _ in range(80)]
    now = masked(tokens, range(80), share=0.5, vocabulary=10**6)
    read = now.input_ids[now.mask]
    shares = [float((read == token).float().mean()) for token in (MASK, 7)]
    # 20,000 draws: four standard errors are 0.011 and 0.008.
    assert shares[0] == pytest.approx(0.8, abs=0.012)
    assert shares[1] == pytest.approx(0.1, abs=0.009)
    replaced = read[(read != MASK) & (read != 7)]
    assert 0.95e6 < int(replaced.max()) < 10**6
    assert len(set(replaced.tolist())) > 0.99 * len(replaced)


def test_training_masks_are_a_function_of_seed_epoch_and_row_alone() -> None:
    tokens = [np.arange(40) for _ in range(6)]

    def of_row(row: int, rows: Sequence[int], **changes: int) -> list[int]:
        now = masked(tokens, rows, **changes)
        return now.input_ids[list(rows).index(row)].tolist()

    assert of_row(3, [3]) == of_row(3, [5, 3, 0])
    draws = [of_row(row, [row], seed=seed, epoch=epoch) for row, seed, epoch in np.ndindex(2, 2, 2)]
    assert len({tuple(draw) for draw in draws}) == 8


def test_a_causal_model_trains_on_every_token() -> None:
    usual = one_batch(TOKENS)
    now = training_batch(
        TOKENS, range(len(TOKENS)), READ, "cpu", vocabulary=50, share=0.15, seed=0, epoch=0
    )
    assert torch.equal(now.input_ids, usual.input_ids)
    assert torch.equal(now.labels, usual.labels)


# Order


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
    batches = list(by_length(np.array(lengths), budget))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= budget


def switching(rope: dict[str, object]) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        rope_parameters={"rope_theta": 10000.0, **rope},
    )
    model = LlamaForCausalLM(config)
    randomise(model, 0.2)
    return model.eval()  # type: ignore[no-untyped-call, no-any-return]


ROPES: dict[str, dict[str, object]] = {
    "default": {},
    "linear": {"factor": 2.0},
    "dynamic": {"factor": 4.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 8},
    "longrope": {
        "factor": 4.0,
        "original_max_position_embeddings": 8,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0, 3.0, 4.0, 5.0],
    },
    "llama3": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8,
    },
}


@pytest.mark.parametrize("prefix", [[], [7, 9, 11]])
@pytest.mark.parametrize("kind", ROPES)
def test_states_do_not_depend_on_what_shares_the_batch(kind: str, prefix: list[int]) -> None:
    """Some positions are rotated by frequencies that follow the longest row of a batch."""
    model = switching({"rope_type": kind, **ROPES[kind]})
    rng = np.random.default_rng(0)
    tokens = [rng.integers(2, VOCABULARY, length) for length in (3, 20, 8, 9, 1, 28, 5)]
    context = read_context([model], Framing(START), prefix)

    def states(rows: list[int]) -> torch.Tensor:
        past = copy.deepcopy(context.caches[0])
        if past is not None:
            past.batch_repeat_interleave(len(rows))
        return batch(tokens, rows, context.framing, "cpu").hidden_states(model, past)

    together = states(list(range(len(tokens))))
    alone = torch.cat([states([row]) for row in range(len(tokens))])
    torch.testing.assert_close(together, alone)
    # Read in the order of the library, without this project.
    for row, own in enumerate(torch.split(together, [len(record) for record in tokens])):
        if not prefix:
            ids = torch.tensor([[START, *tokens[row][:-1]]])
            torch.testing.assert_close(own, model.base_model(input_ids=ids)[0][0])


def test_gradients_do_not_depend_on_what_shares_the_batch() -> None:
    rng = np.random.default_rng(1)
    tokens = [rng.integers(2, VOCABULARY, length) for length in (3, 20, 8, 9)]
    found = []
    for groups in ([[0, 1, 2, 3]], [[0], [1], [2], [3]]):
        model = switching({"rope_type": "longrope", **ROPES["longrope"]})
        for rows in groups:
            batch(tokens, rows, Framing(START), "cpu").hidden_states(
                model
            ).square().sum().backward()  # type: ignore[no-untyped-call]
        found.append({name: weight.grad for name, weight in model.named_parameters()})
    for name, gradient in found[0].items():
        if gradient is not None:
            torch.testing.assert_close(gradient, found[1][name], rtol=1e-4, atol=1e-5)
