"""Evidence: every statistic against float64, and nothing but model, text and masks decides it."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import tiny_families
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_evidence import log_p_of, pseudo_log_p_of
from tiny_families import CAUSAL, MASK, MASKED, START, VOCABULARY, framing, fresh, tiny
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.evidence import passes, probing, tempered
from distilleak.evidence import statistics as statistics_of
from distilleak.evidence.passes import Passes
from distilleak.evidence.probing import Budget, probe, read_context
from distilleak.evidence.statistics import tempered_statistics, token_statistics
from distilleak.evidence.table import FLOAT_COLUMNS, INTEGER_COLUMNS, SCHEMA
from distilleak.models.batches import Tokens
from distilleak.models.surgery.base import operate
from distilleak.settings.evidence import EvidenceSettings

SEED = 5
PREFIX = [7, START, 25, 3, 3]
Record = dict[str, NDArray[Any]]


def random_records(count: int, seed: int, longest: int = 12) -> list[Tokens]:
    """Records of 1 to `longest` tokens, among them the tokens that start, pad and hide."""
    rng = np.random.default_rng(seed)
    return [
        np.where(rng.random(length) < 0.2, rng.integers(0, 3, length), rng.integers(0, 50, length))
        for length in rng.integers(1, longest + 1, count)
    ]


TOKENS = random_records(13, seed=6)


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


def plan_of(name: str, tokens: Sequence[Tokens], **masking: Any) -> Passes:
    lengths = np.array([len(record) for record in tokens])
    if name in CAUSAL:
        return passes.causal(lengths)
    ids = [f"{record.tolist()}" for record in tokens]
    return passes.masked(lengths, ids, EvidenceSettings(**masking), SEED)


def probed(
    name: str = "gpt2",
    tokens: Sequence[Tokens] = TOKENS,
    asked: Sequence[PreTrainedModel] | None = None,
    mixtures: Mapping[str, Sequence[int]] | None = None,
    batch_tokens: int = 64,
    prefix: Sequence[int] = (),
    **masking: Any,
) -> dict[str, list[Record]]:
    """For each mixture the evidence on each record, its tokens in order of position."""
    asked = [tiny(name)] if asked is None else asked
    plan = plan_of(name, tokens, **masking)
    context = read_context(asked, framing(name), prefix)
    found = probe(asked, mixtures or {"": [0]}, tokens, plan, context, Budget(batch_tokens))
    return {key: by_record(columns, plan, len(tokens)) for key, columns in found.items()}


def by_record(columns: probing.Columns, plan: Passes, records: int) -> list[Record]:
    record = np.repeat(plan.record, np.diff(plan.offsets))
    place = np.zeros(len(record)) if plan.hides is None else plan.positions()
    order = np.lexsort((place, record))
    ends = np.cumsum(np.bincount(record))[:-1]
    cut = {name: np.split(values[order], ends) for name, values in columns.items()}
    return [{name: cut[name][row] for name in cut} for row in range(records)]


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
    found = token_statistics(logits.float().clone(), of)
    return {name: values.numpy() for name, values in found.items()}, reference(
        torch.log_softmax(logits.double(), -1), of.numpy()
    )


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


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_tempered_statistics_are_those_of_the_scaled_logits(scale: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = (scale * torch.randn(9, 50, generator=generator)).double()
    labels = torch.randint(0, 50, (9,), generator=generator)
    found = tempered_statistics(logits.float(), labels)
    for name, factor in zip(tempered.COLUMNS, tempered.SCALES, strict=True):
        expected = torch.log_softmax(factor * logits, -1).gather(-1, labels[:, None])[:, 0]
        np.testing.assert_allclose(found[name], expected, rtol=2e-5, atol=2e-5)


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


@pytest.mark.parametrize("spread", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("above", [6.0, 9.0, 40.0])
def test_the_spread_keeps_its_digits_far_below_the_likeliest_token(
    above: float, spread: float
) -> None:
    """One token far above all others, which share most of the probability or next to none."""
    generator = torch.Generator().manual_seed(0)
    logits = (spread * torch.randn(4, 50_257, generator=generator)).double()
    logits[:, 7] = above
    found, expected = statistics(logits, [7, 0, 1, 2])
    np.testing.assert_allclose(found["std_logp"], expected["std_logp"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["mean_logp"], expected["mean_logp"], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("block", [1, 3, 10**9])
def test_statistics_of_a_large_vocabulary(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    words = 50_257
    monkeypatch.setitem(statistics_of.BLOCK, "cpu", block * words)
    generator = torch.Generator().manual_seed(0)
    # Multiples of 1/1024 are the same numbers in float32, so ranks and ties are as well.
    logits = (3072 * torch.randn(7, words, generator=generator, dtype=torch.float64)).round() / 1024
    labels = torch.randint(0, words, (7,), generator=generator).tolist()
    found, expected = statistics(logits - 100, labels)  # as GPT-2's are, far from zero
    assert found["rank"].tolist() == expected["rank"].tolist()
    for name in FLOAT_COLUMNS:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=2e-5)


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
@pytest.mark.parametrize("name", CAUSAL)
def test_causal_evidence_is_that_of_one_plain_forward_pass_a_record(
    name: str, batch_tokens: int
) -> None:
    found = probed(name, batch_tokens=batch_tokens)[""]
    assert len(found) == len(TOKENS)
    for record, tokens in zip(found, TOKENS, strict=True):
        assert_close(record, reference(log_p_of(tiny(name), [START], tokens), tokens))


@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
@pytest.mark.parametrize("name", MASKED)
def test_pseudo_log_likelihood_hides_one_token_at_a_time(name: str, batch_tokens: int) -> None:
    found = probed(name, batch_tokens=batch_tokens, masking="each")[""]
    for record, tokens in zip(found, TOKENS, strict=True):
        assert_close(record, reference(pseudo_log_p_of(tiny(name), [], tokens), tokens))


@pytest.mark.parametrize("name", MASKED)
def test_disjoint_masks_hide_whole_sets_at_a_time(name: str) -> None:
    plan = plan_of(name, TOKENS, passes=3)
    assert plan.hides is not None
    found = probed(name, passes=3)[""]
    for record, tokens, hides in zip(found, TOKENS, plan.hides, strict=True):
        sets = [np.flatnonzero(hides == number).tolist() for number in range(hides.max() + 1)]
        expected = pseudo_log_p_of(tiny(name), [], tokens, sets)
        assert_close(record, reference(expected, tokens))


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_every_token_is_scored_once_the_special_ones_in_the_text_among_them(name: str) -> None:
    assert {START, MASK} <= {token for tokens in TOKENS for token in tokens.tolist()}
    for record, tokens in zip(probed(name)[""], TOKENS, strict=True):
        assert record["token_id"].tolist() == tokens.tolist()


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_chunks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = probed(name)[""]
    monkeypatch.setitem(probing.HEAD_CHUNK, "cpu", 7 * VOCABULARY)
    monkeypatch.setitem(statistics_of.BLOCK, "cpu", 3 * VOCABULARY)
    for record, expected in zip(probed(name)[""], whole, strict=True):
        assert_close(record, expected)


@settings(deadline=None, max_examples=15)
@given(
    st.sampled_from(["gpt2", "bert", "distilbert"]),
    st.integers(0, 10**6),
    st.permutations(range(6)),
    st.integers(1, 200),
    st.integers(13, 25),
)
def test_batch_order_and_company_change_nothing(
    name: str, seed: int, order: list[int], batch_tokens: int, width: int
) -> None:
    tokens = random_records(6, seed)
    expected = probed(name, tokens, batch_tokens=60)[""]
    long = np.arange(width)  # makes all others padded
    turned = [long, *(tokens[row] for row in order), long]
    found = probed(name, turned, batch_tokens=batch_tokens)[""][1:-1]
    for row, record in zip(order, found, strict=True):
        assert_close(record, expected[row])


def test_asking_twice_gives_the_same_bits() -> None:
    for name in ("gpt2", "bert"):
        for first, second in zip(probed(name)[""], probed(name)[""], strict=True):
            assert all(np.array_equal(first[column], second[column]) for column in first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_statistics_are_float32_whatever_the_models_dtype(name: str, dtype: torch.dtype) -> None:
    model = copy.deepcopy(tiny(name)).to(dtype)  # type: ignore[arg-type]
    found = probed(name, asked=[model])[""]
    for record, exact in zip(found, probed(name)[""], strict=True):
        assert {record[name].dtype.name for name in FLOAT_COLUMNS} == {"float32"}
        assert {record[name].dtype.name for name in INTEGER_COLUMNS} == {"int32"}
        np.testing.assert_allclose(record["logp"], exact["logp"], rtol=0, atol=0.2)
    # The softmax is not rounded to bfloat16: its values would be multiples of 1/64 from 2 on.
    values = np.concatenate([record["logp"] for record in found])
    assert (values * 64 % 1 != 0).any()


# Prefix


@pytest.mark.parametrize("batch_tokens", [1, 10_000])
@pytest.mark.parametrize("prefix", [PREFIX, [7], list(range(19))])
@pytest.mark.parametrize("name", CAUSAL)
def test_the_prefix_view_is_a_full_pass_in_which_only_the_text_is_scored(
    name: str, prefix: list[int], batch_tokens: int
) -> None:
    found = probed(name, prefix=prefix, batch_tokens=batch_tokens)[""]
    for record, tokens in zip(found, TOKENS, strict=True):
        assert_close(record, reference(log_p_of(tiny(name), [START, *prefix], tokens), tokens))


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_model_sees_the_prefix_whole_and_is_not_asked_about_it(name: str) -> None:
    found = probed(name, prefix=PREFIX, masking="each")[""]
    for record, tokens in zip(found, TOKENS, strict=True):
        assert_close(record, reference(pseudo_log_p_of(tiny(name), PREFIX, tokens), tokens))


@pytest.mark.parametrize(
    "changes",
    [
        {"bottleneck": {"place": "block", "rank": 8}},
        {"bottleneck": {"place": "head", "rank": 4}},
        {"nonorm": {"keep_final": False}},
        {"output_map": {"centre": "mean"}},
    ],
)
@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_surgered_models_leave_their_own_evidence(name: str, changes: dict[str, Any]) -> None:
    model = operate(fresh(name), changes)
    with torch.no_grad():
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.mul_(0.5)
    for prefix in ([], PREFIX):
        found = probed(name, asked=[model], prefix=prefix, masking="each")[""]
        for record, tokens in zip(found, TOKENS, strict=True):
            expected = (
                log_p_of(model, [START, *prefix], tokens)
                if name in CAUSAL
                else pseudo_log_p_of(model, prefix, tokens)
            )
            assert_close(record, reference(expected, tokens))


def test_a_prefix_is_read_once_and_left_as_it_was() -> None:
    context = read_context([tiny("gpt2")], framing("gpt2"), PREFIX)
    (cache,) = context.caches
    assert cache is not None
    before = copy.deepcopy(cache)
    for _ in range(2):
        plan = plan_of("gpt2", TOKENS)
        probe([tiny("gpt2")], {"": [0]}, TOKENS, plan, context, Budget(30))
    assert cache.get_seq_length() == before.get_seq_length() == len(PREFIX)
    layers: Any = zip(cache.layers, before.layers, strict=True)
    for now, then in layers:
        assert torch.equal(now.keys, then.keys)
        assert torch.equal(now.values, then.values)


# Mixtures


def three(name: str) -> list[PreTrainedModel]:
    made = []
    for seed in (1, 2, 3):
        model = fresh(name, layers=1 + seed % 2)
        tiny_families.randomise(model, 0.1, seed)
        made.append(model)
    return made


THREE = {name: three(name) for name in ("gpt2", "bert")}


@pytest.mark.parametrize("prefix", [[], PREFIX])
@pytest.mark.parametrize("name", THREE)
def test_a_mixture_is_the_mean_of_the_distributions(name: str, prefix: list[int]) -> None:
    mixtures = {"pair": [2, 0], "all": [0, 1, 2], "one": [1]}
    found = probed(name, asked=THREE[name], mixtures=mixtures, prefix=prefix, masking="each")

    def log_p(member: int, tokens: Tokens) -> torch.Tensor:
        model = THREE[name][member]
        if name in MASKED:
            return pseudo_log_p_of(model, prefix, tokens)
        return log_p_of(model, [START, *prefix], tokens)

    for mixture, members in mixtures.items():
        for record, tokens in zip(found[mixture], TOKENS, strict=True):
            p = torch.stack([log_p(member, tokens).exp() for member in members])
            assert_close(record, reference(p.mean(0).log(), tokens))


@pytest.mark.parametrize("name", THREE)
def test_a_mixture_of_one_is_the_model(name: str) -> None:
    mixed = probed(name, asked=THREE[name], mixtures={"one": [1]})["one"]
    alone = probed(name, asked=[THREE[name][1]])[""]
    for record, expected in zip(mixed, alone, strict=True):
        assert all(np.array_equal(record[column], expected[column]) for column in record)


@pytest.mark.parametrize("name", THREE)
def test_mixtures_in_one_call_are_those_of_separate_calls(name: str) -> None:
    mixtures = {"pair": [0, 1], "all": [0, 1, 2], "alone": [2]}
    together = probed(name, asked=THREE[name], mixtures=mixtures)
    for mixture, members in mixtures.items():
        separate = probed(name, asked=THREE[name], mixtures={mixture: members})[mixture]
        for record, expected in zip(together[mixture], separate, strict=True):
            assert all(np.array_equal(record[key], expected[key]) for key in record)


def test_models_far_apart_mix_down_to_the_smallest_number_of_float32() -> None:
    logits = torch.tensor([[200.0, 130.0, 0.0, -200.0], [-200.0, 0.0, 0.0, 200.0]])
    rows = [row[None] for row in logits]
    ((_, found, _),) = probing._mixed(rows, {"": [0, 1]}, torch.tensor([0]))
    expected = np.logaddexp(*torch.log_softmax(logits.double(), -1).numpy()) - np.log(2)
    assert expected[1] == pytest.approx(-70.0 - np.log(2))
    assert expected[2] < -199
    smallest = np.log(np.finfo(np.float32).tiny)
    np.testing.assert_allclose(found.numpy()[0], np.maximum(expected, smallest), rtol=1e-5)


# Memory


def out_of_memory_above(positions: int) -> Callable[..., None]:
    """A hook by which a forward pass over more than so many positions fails, as on a full GPU."""

    def before(_: object, arguments: tuple[object, ...], given: dict[str, Any]) -> None:
        if given["input_ids"].numel() > positions:
            raise torch.OutOfMemoryError

    return before


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_where_memory_runs_out_smaller_batches_give_the_same(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = fresh(name)
    base: Any = model.base_model
    base.register_forward_pre_hook(out_of_memory_above(40), with_kwargs=True)
    caplog.set_level("INFO", "distilleak")
    expected = probed(name, batch_tokens=400)[""]
    budget = Budget(400)
    plan = plan_of(name, TOKENS)
    context = read_context([model], framing(name))
    found = probe([model], {"": [0]}, TOKENS, plan, context, budget)[""]
    for record, whole in zip(by_record(found, plan, len(TOKENS)), expected, strict=True):
        assert_close(record, whole)
    assert 10 <= budget.tokens <= 40
    assert 2 <= len(caplog.messages) <= 4
    assert all("out of memory" in message for message in caplog.messages)


def test_a_sequence_that_does_not_fit_alone_is_an_error() -> None:
    model = fresh("bert")
    base: Any = model.base_model
    base.register_forward_pre_hook(out_of_memory_above(10), with_kwargs=True)
    with pytest.raises(DistilleakError, match=r"one sequence of 1\d tokens does not fit"):
        probed("bert", asked=[model])


def test_what_is_raised_after_a_batch_ends_the_work() -> None:
    batches: list[int] = []

    def stop(passes: int) -> None:
        batches.append(passes)
        if len(batches) == 3:
            raise InterruptedError

    model = tiny("gpt2")
    context = read_context([model], framing("gpt2"))
    with pytest.raises(InterruptedError):
        probe([model], {"": [0]}, TOKENS, plan_of("gpt2", TOKENS), context, Budget(1), stop)
    assert batches == [1, 1, 1]  # a batch of one token holds one record


# Masks


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 10))
def test_disjoint_masks_cover_every_token_once(lengths: list[int], count: int) -> None:
    ids = [f"r{row}" for row in range(len(lengths))]
    plan = passes.masked(np.array(lengths), ids, EvidenceSettings(passes=count), SEED)
    hidden = plan.hidden(np.arange(len(plan.record)))
    assert hidden is not None
    for row, length in enumerate(lengths):
        mine = [mask for mask, record in zip(hidden, plan.record, strict=True) if record == row]
        assert len(mine) == min(count, length)
        assert np.sum(mine, axis=0).tolist() == [1] * length
        sizes = [int(mask.sum()) for mask in mine]
        assert max(sizes) - min(sizes) <= 1
        assert plan.number[plan.record == row].tolist() == list(range(len(mine)))
    scored = np.concatenate([np.flatnonzero(mask) for mask in hidden])
    assert plan.positions().tolist() == scored.tolist()
    assert np.diff(plan.offsets).tolist() == [int(mask.sum()) for mask in hidden]


def test_each_hides_the_tokens_one_after_the_other() -> None:
    plan = passes.masked(np.array([2, 3]), ["a", "b"], EvidenceSettings(masking="each"), SEED)
    hidden = plan.hidden(np.arange(5))
    assert hidden is not None
    assert [np.flatnonzero(mask).tolist() for mask in hidden] == [[0], [1], [0], [1], [2]]
    assert plan.record.tolist() == [0, 0, 1, 1, 1]


def test_masks_are_a_function_of_seed_and_record_alone() -> None:
    def hides(ids: list[str], seed: int = SEED) -> dict[str, list[int]]:
        plan = passes.masked(np.full(len(ids), 30), ids, EvidenceSettings(), seed)
        assert plan.hides is not None
        return {record: found.tolist() for record, found in zip(ids, plan.hides, strict=True)}

    assert hides(["a", "b", "c"]) == hides(["c", "a", "b"])
    assert hides(["b"])["b"] == hides(["a", "b"])["b"]
    assert hides(["a"])["a"] != hides(["b"])["b"]
    assert hides(["a"]) != hides(["a"], SEED + 1)


def test_a_causal_plan_is_one_pass_a_record() -> None:
    plan = passes.causal(np.array([4, 1, 3]))
    assert plan.record.tolist() == [0, 1, 2]
    assert plan.offsets.tolist() == [0, 4, 5, 8]
    assert plan.hidden(np.arange(3)) is None
