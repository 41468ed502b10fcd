"""The training loop: reproducible, exact in its number of updates, and a plain AdamW step."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from tiny_study import START, one_batch, random_tokens, tiny_model, training_settings
from transformers import PreTrainedModel

from distilleak import training
from distilleak.batches import Batch, epoch_order
from distilleak.errors import DistilleakError
from distilleak.objective import distillation_loss
from distilleak.settings.training import TrainingSettings

TOKENS = random_tokens(10, seed=1)
SETTINGS = training_settings(batch_size=4)


def cross_entropy(now: Batch, logits: torch.Tensor) -> torch.Tensor:
    return distillation_loss(logits, now.labels, None, 1.0, 1.0)


def trained(
    seed: int = 0, steps: int = 7, settings: TrainingSettings = SETTINGS
) -> tuple[PreTrainedModel, dict[str, object]]:
    model = tiny_model()
    facts = training.train(
        model, TOKENS, cross_entropy, settings, steps=steps, start=START, seed=seed
    )
    return model, facts


def weights(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    first, again, other = (weights(trained(seed)[0]) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_updates_are_those_of_plain_adamw() -> None:
    """Three updates against a loop with torch's cross-entropy and the formulas of AdamW."""
    settings = training_settings(
        batch_size=4, warmup=0.0, clip=0.5, weight_decay=0.1, learning_rate=0.01
    )
    found, _ = trained(3, 3, settings)
    model = tiny_model()
    slopes = [torch.zeros_like(weight) for weight in model.parameters()]
    squares = [torch.zeros_like(weight) for weight in model.parameters()]
    for step, rows in enumerate(epoch_order(len(TOKENS), 4, 3, 0)):
        losses = []
        for row in rows:
            ids = torch.tensor([[START, *TOKENS[row].tolist()]])
            logits = model(input_ids=ids).logits[0, :-1]
            losses.append(F.cross_entropy(logits, ids[0, 1:], reduction="none"))
        gradients = torch.autograd.grad(torch.cat(losses).mean(), list(model.parameters()))
        norm = math.sqrt(sum(float(gradient.pow(2).sum()) for gradient in gradients))
        assert norm > settings.clip
        rate = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / 3))
        with torch.no_grad():
            for weight, g, m, v in zip(model.parameters(), gradients, slopes, squares, strict=True):
                g = g * settings.clip / norm
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g**2)
                decay = settings.weight_decay if weight.dim() > 1 else 0.0
                slope, square = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
                weight.sub_(rate * (decay * weight + slope / (square.sqrt() + 1e-8)))
    # Where the gradient is rounding error, the sign of an Adam step is too.
    difference = (weights(found) - weights(model)).abs()
    assert difference.quantile(0.99) < 1e-5
    assert (weights(tiny_model()) - weights(model)).abs().mean() > 1e-3


def test_the_loss_falls() -> None:
    settings = training_settings(batch_size=4, weight_decay=0.0, clip=1e9)
    _, facts = trained(0, 60, settings)
    history = facts["loss"]
    assert isinstance(history, list)
    assert history[-1] < 0.5 * history[0]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
def test_training_stops_after_exactly_these_updates(steps: int) -> None:
    asked: list[int] = []

    def counting(now: Batch, logits: torch.Tensor) -> torch.Tensor:
        asked.extend(now.rows.tolist())
        return cross_entropy(now, logits)

    facts = training.train(
        tiny_model(), TOKENS, counting, SETTINGS, steps=steps, start=START, seed=5
    )
    shown = [rows for epoch in range(3) for rows in epoch_order(len(TOKENS), 4, 5, epoch)][:steps]
    assert asked == np.concatenate(shown).tolist()
    assert facts["updates"] == steps
    assert facts["training_tokens"] == sum(len(TOKENS[row]) for row in asked)
    assert len(facts["loss"]) == math.ceil(steps / 3)


@pytest.mark.parametrize(("records", "expected"), [(1, 5), (4, 5), (5, 10), (8, 10), (9, 15)])
def test_updates_count_the_last_small_batch(records: int, expected: int) -> None:
    assert training.updates(records, training_settings(epochs=5, batch_size=4)) == expected


def test_the_reported_loss_is_the_mean_over_tokens_not_over_records() -> None:
    settings = training_settings(batch_size=3, learning_rate=1e-30)
    _, facts = trained(0, 4, settings)
    now = one_batch(TOKENS)
    model = tiny_model()
    logits = model.get_output_embeddings()(now.hidden_states(model))  # type: ignore[no-untyped-call]
    per_token = F.cross_entropy(logits, now.labels, reduction="none")
    per_record = torch.stack(
        [part.mean() for part in torch.split(per_token, [len(record) for record in TOKENS])]
    )
    assert facts["loss"] == pytest.approx([per_token.mean().item()], rel=1e-5)
    assert per_record.mean().item() != pytest.approx(per_token.mean().item(), rel=1e-3)


def test_the_learning_rate_rises_linearly_and_falls_as_half_a_cosine() -> None:
    rates = [training._learning_rate(step, 4, 24) for step in range(25)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[14] == pytest.approx(0.5)
    assert rates[24] == pytest.approx(0.0)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_without_warmup_the_first_update_is_at_the_peak() -> None:
    assert training._learning_rate(0, 0, 10) == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_its_epoch(bad: float) -> None:
    calls: list[int] = []

    def breaks(now: Batch, logits: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return cross_entropy(now, logits) * (bad if len(calls) == 4 else 1.0)

    with pytest.raises(DistilleakError, match=r"became (nan|inf) in epoch 2") as caught:
        training.train(tiny_model(), TOKENS, breaks, SETTINGS, steps=9, start=START, seed=0)
    assert "\n" not in str(caught.value)
    assert len(calls) == 6  # no further epoch is trained


def test_the_model_is_left_in_evaluation_mode() -> None:
    model, _ = trained(steps=1)
    assert not model.training
