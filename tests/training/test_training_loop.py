"""The training loop: reproducible, exact in its number of updates, and a plain AdamW step."""

import logging
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from tiny_training import cross_entropy, records, settings, tiny, train, weights
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models import families
from distilleak.models.batches import Batch, epoch_order, training_batch
from distilleak.settings.training import HardwareSettings
from distilleak.training import hardware, loop

TOKENS = records()
FAMILIES = ["gpt2", "bert"]


def trained(family: str = "gpt2", **options: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    model, framing = tiny(family, options.pop("dropout", False), options.pop("double", False))
    return model, train(model, framing, **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(family: str) -> None:
    first, again, other = (
        weights(trained(family, seed=seed, dropout=True, steps=4)[0]) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_dropout_is_a_function_of_the_seed_and_not_of_what_was_drawn_before() -> None:
    torch.manual_seed(5)
    first = trained(dropout=True, steps=2)[0]
    torch.manual_seed(6)
    assert torch.equal(weights(first), weights(trained(dropout=True, steps=2)[0]))
    assert not torch.equal(weights(first), weights(trained(steps=2)[0]))


@pytest.mark.parametrize("own", [(), (3.0, 0.25)])
@pytest.mark.parametrize("family", FAMILIES)
def test_updates_are_those_of_plain_adamw(family: str, own: tuple[float, ...]) -> None:
    """Three updates against a loop with torch's cross-entropy and the formulas of AdamW; the first
    parameters, a matrix and a bias among them, may have rates of their own."""
    given = settings(warmup=0.0, clip=0.5, weight_decay=0.1)
    model, framing = tiny(family, double=True)
    named = dict(model.named_parameters())
    picked = [next(n for n, w in named.items() if w.dim() == dim) for dim in (2, 1)]
    rates = dict(zip(picked, own, strict=False))
    found, _ = trained(family, steps=3, given=given, seed=3, double=True, rates=rates)
    slopes = [torch.zeros_like(weight) for weight in model.parameters()]
    squares = [torch.zeros_like(weight) for weight in model.parameters()]
    for step, rows in enumerate(epoch_order(len(TOKENS), 4, 3, 0)):
        losses = []
        for row in rows:
            now = training_batch(
                TOKENS, [row], framing, "cpu", vocabulary=50, share=0.15, seed=3, epoch=0
            )
            logits = model(input_ids=now.input_ids).logits[now.mask]
            losses.append(F.cross_entropy(logits, now.labels, reduction="none"))
        gradients = torch.autograd.grad(torch.cat(losses).mean(), list(model.parameters()))
        norm = math.sqrt(sum(float(gradient.pow(2).sum()) for gradient in gradients))
        assert norm > given.clip
        rate = given.learning_rate * 0.5 * (1 + math.cos(math.pi * step / 3))
        with torch.no_grad():
            for name, g, m, v in zip(named, gradients, slopes, squares, strict=True):
                weight = named[name]
                g = g * given.clip / norm
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g**2)
                decay = given.weight_decay if weight.dim() > 1 else 0.0
                slope, square = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
                weight.sub_(
                    rates.get(name, 1.0) * rate * (decay * weight + slope / (square.sqrt() + 1e-8))
                )
    # torch adds 1e-6 to the norm before it clips.
    torch.testing.assert_close(weights(found), weights(model), rtol=0, atol=1e-8)
    assert (weights(tiny(family, double=True)[0]) - weights(model)).abs().mean() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_without_rates_of_their_own_the_bits_are_those_of_two_groups_of_torch(family: str) -> None:
    """Matrices with weight decay, and all else without."""
    given = settings(warmup=0.0, weight_decay=0.1)
    found, _ = trained(family, steps=3, given=given, seed=3)
    model, framing = tiny(family)
    matrices, others = (
        [w for w in model.parameters() if (w.dim() > 1) is m] for m in (True, False)
    )
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=given.learning_rate, fused=True)
    accumulate = cross_entropy(model)
    for step, rows in enumerate(epoch_order(len(TOKENS), 4, 3, 0)):
        for group in optimiser.param_groups:
            group["lr"] = given.learning_rate * (0.5 * (1 + math.cos(math.pi * step / 3)))
        now = training_batch(
            TOKENS, rows, framing, "cpu", vocabulary=50, share=0.15, seed=3, epoch=0
        )
        accumulate(now, len(now.labels))
        torch.nn.utils.clip_grad_norm_(model.parameters(), given.clip)
        optimiser.step()
        optimiser.zero_grad()
    assert torch.equal(weights(found), weights(model))
    assert not torch.equal(weights(found), weights(tiny(family)[0]))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_falls(family: str) -> None:
    given = settings(weight_decay=0.0, mask_share=0.9, batch_size=10)
    _, facts = trained(family, steps=60, given=given)
    assert facts["loss"][-1] < 0.7 * facts["loss"][0]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
def test_training_stops_after_exactly_these_updates(steps: int) -> None:
    model, framing = tiny()
    asked: list[int] = []
    plain = cross_entropy(model)

    def counting(now: Batch, tokens: int) -> torch.Tensor:
        asked.extend(now.rows.tolist())
        return plain(now, tokens)

    facts = train(model, framing, counting, steps, seed=5)
    shown = [rows for epoch in range(3) for rows in epoch_order(len(TOKENS), 4, 5, epoch)][:steps]
    assert asked == np.concatenate(shown).tolist()
    assert facts["updates"] == steps
    assert facts["training_tokens"] == sum(len(TOKENS[row]) for row in asked)
    assert len(facts["loss"]) == math.ceil(steps / 3)


@pytest.mark.parametrize("given", [{}, {"gradient_checkpointing": True}])
def test_no_updates_leave_the_model_as_it_starts(given: dict[str, Any]) -> None:
    model, facts = trained(steps=0, **given)
    assert torch.equal(weights(model), weights(tiny()[0]))
    assert facts == {"loss": [], "updates": 0, "training_tokens": 0}
    assert not model.training


@pytest.mark.parametrize(("count", "expected"), [(1, 5), (4, 5), (5, 10), (8, 10), (9, 15)])
def test_updates_count_the_last_small_batch(count: int, expected: int) -> None:
    assert loop.updates(count, settings(epochs=5, batch_size=4)) == expected


def test_no_epochs_are_no_updates() -> None:
    assert loop.updates(9, settings(epochs=0)) == 0


@pytest.mark.parametrize("rows", [None, 1, 2])
def test_the_reported_loss_is_the_mean_over_tokens_not_over_records(rows: int | None) -> None:
    given = settings(batch_size=3, learning_rate=1e-30)
    model, facts = trained(steps=4, given=given, micro_batch=rows)
    per_record = [per_token_loss(model, record) for record in TOKENS]
    per_token = torch.cat(per_record).mean()
    assert facts["loss"] == pytest.approx([per_token.item()], rel=1e-5)
    mean = torch.stack([part.mean() for part in per_record]).mean()
    assert mean.item() != pytest.approx(per_token.item(), rel=1e-4)


@torch.no_grad()
def per_token_loss(model: PreTrainedModel, record: Any) -> torch.Tensor:
    ids = torch.tensor([[0, *record.tolist()]])
    return F.cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none")


def test_the_learning_rate_rises_linearly_and_falls_as_half_a_cosine() -> None:
    rates = [loop._learning_rate(step, 24, 4 / 24) for step in range(25)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[14] == pytest.approx(0.5)
    assert rates[24] == pytest.approx(0.0)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_without_warmup_the_first_update_is_at_the_peak() -> None:
    assert loop._learning_rate(0, 10, 0.0) == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_its_epoch(bad: float) -> None:
    model, framing = tiny()
    calls: list[int] = []
    plain = cross_entropy(model)

    def breaks(now: Batch, tokens: int) -> torch.Tensor:
        calls.append(1)
        return plain(now, tokens) * (bad if len(calls) == 4 else 1.0)

    with pytest.raises(DistilleakError, match=r"became (nan|inf) in epoch 2") as caught:
        train(model, framing, breaks, steps=9)
    assert "\n" not in str(caught.value)
    assert len(calls) == 6  # no further epoch is trained
    assert not model.training


def test_a_weight_that_is_not_finite_at_the_end_is_an_error() -> None:
    model, framing = tiny()
    plain = cross_entropy(model)

    def breaks(now: Batch, tokens: int) -> torch.Tensor:
        loss = plain(now, tokens)
        next(model.parameters()).grad.mul_(math.inf)  # type: ignore[union-attr]
        return loss

    with pytest.raises(DistilleakError, match="a weight became nan in epoch 1"):
        train(model, framing, breaks, steps=1)


def test_the_model_is_in_training_mode_for_the_training_alone() -> None:
    model, framing = tiny()
    plain = cross_entropy(model)
    modes: list[bool] = []

    def watching(now: Batch, tokens: int) -> torch.Tensor:
        modes.append(model.training)
        return plain(now, tokens)

    train(model, framing, watching, steps=2)
    assert modes == [True, True]
    assert not model.training


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_micro_batches_change_nothing_but_rounding(family: str, rows: int) -> None:
    whole, facts = trained(family, steps=4, double=True)
    parts, others = trained(family, steps=4, double=True, micro_batch=rows)
    assert others["training_tokens"] == facts["training_tokens"]
    assert others["loss"] == pytest.approx(facts["loss"], rel=1e-9)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=0, atol=1e-9)


def test_a_micro_batch_holds_records_of_like_length_longest_first() -> None:
    model, framing = tiny()
    plain = cross_entropy(model)
    shown: list[list[int]] = []

    def watching(now: Batch, tokens: int) -> torch.Tensor:
        shown.append([len(TOKENS[row]) for row in now.rows])
        return plain(now, tokens)

    train(model, framing, watching, steps=1, given=settings(batch_size=10), micro_batch=4)
    assert [len(part) for part in shown] == [4, 4, 2]
    assert [length for part in shown for length in part] == sorted(map(len, TOKENS), reverse=True)


def test_gradient_checkpointing_changes_nothing_but_rounding_dropout_included() -> None:
    plain, _ = trained(steps=2, dropout=True, double=True)
    given = {"dropout": True, "double": True, "gradient_checkpointing": True}
    checkpointed, _ = trained(steps=2, **given)
    torch.testing.assert_close(weights(checkpointed), weights(plain), rtol=0, atol=1e-9)
    assert not checkpointed.is_activation_checkpointing
    assert not checkpointed.get_input_embeddings()._forward_hooks


class Memory:
    """An objective that runs out of memory where a batch has more than `places` positions."""

    def __init__(self, model: PreTrainedModel, places: int) -> None:
        self.plain, self.places = cross_entropy(model), places
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, now: Batch, tokens: int) -> torch.Tensor:
        self.shapes.append(tuple(now.input_ids.shape))
        loss = self.plain(now, tokens)
        if now.input_ids.numel() > self.places:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss


@pytest.mark.parametrize("family", FAMILIES)
def test_out_of_memory_the_update_is_done_again_in_smaller_parts(
    family: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    whole, facts = trained(family, steps=3, double=True)
    model, framing = tiny(family, double=True)
    memory = Memory(model, 30)
    others = train(model, framing, memory, steps=3)
    assert max(rows for rows, _ in memory.shapes) == 4
    assert {rows for rows, _ in memory.shapes[-4:]} <= {1, 2}
    assert others["training_tokens"] == facts["training_tokens"]
    assert others["loss"] == pytest.approx(facts["loss"], rel=1e-9)
    torch.testing.assert_close(weights(model), weights(whole), rtol=0, atol=1e-9)
    lines = [line for line in caplog.messages if "memory" in line]
    assert lines[0] == "out of memory: 2 records a pass from now on"


def test_an_update_that_is_done_again_draws_the_same_dropout() -> None:
    """As one that was split from the beginning."""
    small, _ = trained(steps=3, dropout=True, micro_batch=2)
    model, framing = tiny(dropout=True)
    memory = Memory(model, 10_000)
    plain, calls = memory.plain, []

    def once(now: Batch, tokens: int) -> torch.Tensor:
        calls.append(now)
        loss = plain(now, tokens)
        if len(calls) == 1:
            raise torch.OutOfMemoryError
        return loss

    train(model, framing, once, steps=3)
    assert len(calls) == 1 + 2 + 2 + 1
    assert torch.equal(weights(model), weights(small))


def test_a_record_that_does_not_fit_alone_is_an_error_that_tells_its_length() -> None:
    model, framing = tiny()
    longest = max(map(len, TOKENS))
    with pytest.raises(
        DistilleakError, match=f"a record of {longest} tokens does not fit"
    ) as caught:
        train(model, framing, Memory(model, longest - 1), given=settings(batch_size=10))
    assert "gradient_checkpointing" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None


def test_bfloat16_on_a_cpu_trains_float32_weights_and_warns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, facts = trained(steps=3)
    reduced, others = trained(steps=3, precision="bfloat16")
    assert {weight.dtype for weight in reduced.parameters()} == {torch.float32}
    assert others["loss"] == pytest.approx(facts["loss"], rel=0.02)
    assert others["loss"] != facts["loss"]
    assert any("bfloat16 is many times slower" in line for line in caplog.messages)
    model, framing = tiny()
    plain = cross_entropy(model)
    kinds = []

    def watching(now: Batch, tokens: int) -> torch.Tensor:
        kinds.append(families.logits(model, now.hidden_states(model)).dtype)
        return plain(now, tokens)

    train(model, framing, watching, steps=1, precision="bfloat16")
    assert kinds == [torch.bfloat16]


@pytest.mark.parametrize(
    ("asked", "kind", "able", "expected"),
    [
        ("auto", "cpu", False, False),
        ("auto", "cuda", True, True),
        ("auto", "cuda", False, False),
        ("float32", "cuda", True, False),
        ("bfloat16", "cuda", True, True),
        ("bfloat16", "cpu", False, True),
    ],
)
def test_auto_is_bfloat16_on_a_gpu_that_has_it(
    asked: str, kind: str, able: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: able)
    given = HardwareSettings.model_validate({"precision": asked})
    assert hardware.reduced_precision(given, kind) is expected


def test_bfloat16_on_a_gpu_without_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    with pytest.raises(DistilleakError, match=r"precision: this GPU has no bfloat16; allowed"):
        hardware.reduced_precision(HardwareSettings(precision="bfloat16"), "cuda")


def test_the_log_has_a_line_for_every_epoch_and_more_when_an_epoch_is_long(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "distilleak")
    trained(steps=7)
    pattern = r"epoch \d, step (\d) of 7: loss \d\.\d{4}, \d+ tokens/s, \d:\d\d:\d\d left"
    steps = [re.fullmatch(pattern, line) for line in caplog.messages]
    assert [found[1] for found in steps if found] == ["3", "6", "7"]
    caplog.clear()
    monkeypatch.setattr(loop, "LOG_SECONDS", 0)
    trained(steps=7)
    assert len(caplog.messages) == 7
