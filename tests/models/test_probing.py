"""Evidence: every statistic against float64, and nothing but model and text decides it."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_study import START, VOCABULARY, log_p_of, random_tokens, tiny_model
from transformers import PreTrainedModel

from distilleak import probing
from distilleak.batches import Tokens
from distilleak.evidence import FLOAT_COLUMNS, INTEGER_COLUMNS, SCHEMA
from distilleak.probing import probe, read_prefix, token_statistics
from distilleak.surgery.base import operate

TOKENS = random_tokens(13, seed=6)
PREFIX = [7, START, 250, 3, 3]
MODEL = tiny_model()
Record = dict[str, NDArray[Any]]


def reference(log_p: torch.Tensor, labels: NDArray[Any]) -> Record:
    """Each column from its definition, in float64; `log_p` (tokens, vocabulary) normalised."""
    rows: dict[str, list[float]] = {name: [] for name in SCHEMA.names[1:]}
    for row, label in zip(log_p.numpy(), labels.tolist(), strict=True):
        p = np.exp(row)
        mean = float((p * row).sum())
        others = np.delete(row, label)
        rows["token_id"].append(label)
        rows["logp"].append(row[label])
        rows["mean_logp"].append(mean)
        rows["std_logp"].append(float(np.sqrt((p * (row - mean) ** 2).sum())))
        rows["top_logp"].append(row.max())
        rows["rank"].append(int((row > row[label]).sum()))
        rows["log1m_p"].append(others.max() + np.log(np.exp(others - others.max()).sum()))
    return {name: np.array(values) for name, values in rows.items()}


def probed(
    tokens: Sequence[Tokens] = TOKENS,
    asked: Sequence[PreTrainedModel] = (MODEL,),
    mixtures: Mapping[str, Sequence[int]] | None = None,
    batch_tokens: int = 64,
    prefix: Sequence[int] | None = None,
) -> dict[str, list[Record]]:
    return probe(
        asked,
        mixtures or {"": [0]},
        tokens,
        start=START,
        prefix=None if prefix is None else read_prefix(asked, START, prefix),
        batch_tokens=batch_tokens,
    )


def assert_close(found: Record, expected: Record, tolerance: float = 1e-4) -> None:
    assert found.keys() == expected.keys()
    for name in INTEGER_COLUMNS:
        assert found[name].tolist() == expected[name].tolist(), name
    for name in FLOAT_COLUMNS:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=tolerance)


# The statistics of one distribution


def statistics(logits: torch.Tensor, labels: Sequence[int]) -> tuple[Record, Record]:
    """(found in float32, expected in float64) for float64 `logits` (tokens, vocabulary)."""
    of = torch.tensor(labels)
    found = token_statistics(torch.log_softmax(logits.float(), -1), of)
    return found, reference(torch.log_softmax(logits.double(), -1), of.numpy())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.01, 1.0, 5.0, 30.0]), st.integers(2, 40))
def test_statistics_are_those_of_the_definition(seed: int, scale: float, words: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Multiples of 1/4 are the same numbers in float32, so ranks and ties are as well.
    logits = (4 * scale * torch.randn(8, words, generator=generator)).round() / 4
    labels = torch.randint(0, words, (8,), generator=generator).tolist()
    found, expected = statistics(logits, labels)
    assert found["rank"].tolist() == expected["rank"].tolist()
    for name in FLOAT_COLUMNS:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("margin", [0.0, 1.0, 5.0, 16.0, 20.0, 40.0, 80.0, 200.0])
def test_log_of_one_minus_p_keeps_its_digits_when_p_is_near_one(margin: float) -> None:
    logits = torch.zeros(1, VOCABULARY, dtype=torch.float64)
    logits[0, 3] = margin
    found, expected = statistics(logits, [3])
    by_hand = np.log(VOCABULARY - 1) - np.log(VOCABULARY - 1 + np.exp(margin))
    assert expected["log1m_p"][0] == pytest.approx(by_hand)
    np.testing.assert_allclose(found["log1m_p"], expected["log1m_p"], rtol=1e-6, atol=1e-5)


def test_log_of_one_minus_p_keeps_its_digits_when_p_is_near_zero() -> None:
    logits = torch.zeros(1, VOCABULARY, dtype=torch.float64)
    logits[0, 3] = -12.0
    found, expected = statistics(logits, [3])
    np.testing.assert_allclose(found["log1m_p"], expected["log1m_p"], rtol=1e-4)


def test_a_certain_model_gives_finite_statistics() -> None:
    logits = torch.full((2, VOCABULARY), -300.0)
    logits[:, 3] = 300.0
    found, _ = statistics(logits, [3, 4])
    for name in FLOAT_COLUMNS:
        assert np.isfinite(found[name]).all(), name
    assert found["logp"].tolist() == [0.0, -600.0]
    assert found["std_logp"].tolist() == [0.0, 0.0]
    assert found["rank"].tolist() == [0, 1]
    assert found["log1m_p"][1] == 0.0


def test_equal_tokens_share_the_best_rank() -> None:
    found, _ = statistics(torch.tensor([[1.0, 2.0, 2.0, 0.0]]), [2])
    assert found["rank"].tolist() == [0]
    assert found["rank"].dtype == np.int32


def test_a_uniform_model() -> None:
    found, _ = statistics(torch.zeros(1, VOCABULARY), [9])
    uniform = -np.log(VOCABULARY)
    for name in ("logp", "mean_logp", "top_logp"):
        assert found[name] == pytest.approx(uniform)
    assert found["std_logp"] == pytest.approx(0.0, abs=1e-3)


# Records


@pytest.mark.parametrize("batch_tokens", [1, 20, 10_000])
def test_evidence_is_that_of_one_plain_forward_pass_a_record(batch_tokens: int) -> None:
    found = probed(batch_tokens=batch_tokens)[""]
    assert len(found) == len(TOKENS)
    for record, tokens in zip(found, TOKENS, strict=True):
        assert_close(record, reference(log_p_of(MODEL, [START], tokens), tokens))


def test_every_token_is_scored_the_start_tokens_among_them() -> None:
    assert any(START in tokens for tokens in TOKENS)
    for record, tokens in zip(probed()[""], TOKENS, strict=True):
        assert record["token_id"].tolist() == tokens.tolist()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = probed()[""]
    monkeypatch.setattr(probing, "CHUNK", 5 * VOCABULARY)
    for record, expected in zip(probed()[""], whole, strict=True):
        assert_close(record, expected)


def test_order_and_company_change_nothing() -> None:
    forward = probed()[""]
    backward = probed(TOKENS[::-1])[""][::-1]
    long = np.arange(1, 60)
    among_long = probed([long, *TOKENS, long], batch_tokens=2000)[""][1:-1]
    for record, turned, padded in zip(forward, backward, among_long, strict=True):
        assert_close(turned, record)
        assert_close(padded, record)


def test_asking_twice_gives_the_same_bits() -> None:
    for first, second in zip(probed()[""], probed()[""], strict=True):
        assert all(np.array_equal(first[name], second[name]) for name in first)


def test_everything_is_float32() -> None:
    record = probed()[""][0]
    assert {record[name].dtype.name for name in FLOAT_COLUMNS} == {"float32"}
    assert {record[name].dtype.name for name in INTEGER_COLUMNS} == {"int32"}


# Prefix


@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
@pytest.mark.parametrize("prefix", [PREFIX, [7], list(range(60))])
def test_the_prefix_view_is_a_full_pass_in_which_only_the_text_is_scored(
    prefix: list[int], batch_tokens: int
) -> None:
    found = probed(prefix=prefix, batch_tokens=batch_tokens)[""]
    for record, tokens in zip(found, TOKENS, strict=True):
        assert_close(record, reference(log_p_of(MODEL, [START, *prefix], tokens), tokens))


@pytest.mark.parametrize(
    "changes",
    [
        {"bottleneck": {"place": "block", "rank": 16}},
        {"bottleneck": {"place": "head", "rank": 8}},
        {"nonorm": {"keep_final": False}},
        {"output_map": {"centre": "mean"}},
    ],
)
def test_surgered_models_remember_the_prefix_too(changes: dict[str, Any]) -> None:
    model = operate(tiny_model(), changes)
    with torch.no_grad():
        for buffer in model.buffers():
            buffer.mul_(0.5)
    for prefix in (None, PREFIX):
        found = probed(asked=[model], prefix=prefix)[""]
        for record, tokens in zip(found, TOKENS, strict=True):
            context = [START, *(prefix or [])]
            assert_close(record, reference(log_p_of(model, context, tokens), tokens))


def test_a_prefix_is_read_once_and_left_as_it_was() -> None:
    prefix = read_prefix([MODEL], START, PREFIX)
    before = copy.deepcopy(prefix.caches[0])
    for _ in range(2):
        probe([MODEL], {"": [0]}, TOKENS, start=START, prefix=prefix, batch_tokens=30)
    assert prefix.caches[0].get_seq_length() == before.get_seq_length() == len(PREFIX)
    layers: Any = zip(prefix.caches[0].layers, before.layers, strict=True)
    for now, then in layers:
        assert torch.equal(now.keys, then.keys)
        assert torch.equal(now.values, then.values)


# Mixtures

THREE = [tiny_model(seed, layers=layers) for seed, layers in ((1, 1), (2, 2), (3, 1))]


def mean_log_p(members: Sequence[int], context: list[int], tokens: Tokens) -> torch.Tensor:
    p = torch.stack([log_p_of(THREE[member], context, tokens).exp() for member in members])
    return p.mean(0).log()


@pytest.mark.parametrize("prefix", [None, PREFIX])
def test_a_mixture_is_the_mean_of_the_distributions(prefix: list[int] | None) -> None:
    mixtures = {"pair": [2, 0], "all": [0, 1, 2], "one": [1]}
    found = probed(asked=THREE, mixtures=mixtures, prefix=prefix)
    context = [START, *(prefix or [])]
    for name, members in mixtures.items():
        for record, tokens in zip(found[name], TOKENS, strict=True):
            assert_close(record, reference(mean_log_p(members, context, tokens), tokens))


def test_a_mixture_of_one_is_the_model() -> None:
    mixed = probed(asked=THREE, mixtures={"one": [1]})["one"]
    for record, expected in zip(mixed, probed(asked=[THREE[1]])[""], strict=True):
        assert all(np.array_equal(record[name], expected[name]) for name in record)


def test_mixtures_in_one_call_are_those_of_separate_calls() -> None:
    mixtures = {"pair": [0, 1], "all": [0, 1, 2], "alone": [2]}
    together = probed(asked=THREE, mixtures=mixtures)
    for name, members in mixtures.items():
        separate = probed(asked=THREE, mixtures={name: members})[name]
        for record, expected in zip(together[name], separate, strict=True):
            assert all(np.array_equal(record[key], expected[key]) for key in record)


def test_models_far_apart_mix_down_to_the_smallest_number_of_float32() -> None:
    logits = torch.tensor([[200.0, 130.0, 0.0, -200.0], [-200.0, 0.0, 0.0, 200.0]])
    ((_, found),) = probing._mixed([row[None] for row in logits], {"": [0, 1]})
    expected = np.logaddexp(*torch.log_softmax(logits.double(), -1).numpy()) - np.log(2)
    assert expected[1] == pytest.approx(-70.0 - np.log(2))
    assert expected[2] < -199
    smallest = np.log(np.finfo(np.float32).tiny)
    np.testing.assert_allclose(found.numpy()[0], np.maximum(expected, smallest), rtol=1e-5)


@given(st.integers(0, 50), st.integers(1, 20))
def test_windows_cover_every_position_once(records: int, size: int) -> None:
    windows = list(probing.windows(records, size))
    assert [position for window in windows for position in window] == list(range(records))
    assert all(len(window) <= size for window in windows)
