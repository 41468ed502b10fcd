"""DP-SGD: clipped gradients of single records, noise of the stated size, Opacus as a witness."""

import copy
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from opacus import GradSampleModule
from opacus.accountants import PRVAccountant, RDPAccountant
from tiny_training import VOCABULARY, cross_entropy, records, settings, tiny, train, weights

from distilleak.errors import DistilleakError
from distilleak.models.batches import training_batch
from distilleak.settings.training import PrivacySettings
from distilleak.training import privacy

TOKENS = records()
ROWS = np.array([0, 3, 4, 7])
PRIVATE = {"privacy": {"epsilon": 8.0, "record_clip": 0.5}}


def accumulated(family, rows, clip):
    """(gradients as `.grad` holds them, the model, its framing)."""
    model, framing = tiny(family, double=True)

    def make(part):
        return training_batch(
            TOKENS, part, framing, "cpu", vocabulary=VOCABULARY, share=0.15, seed=3, epoch=0
        )

    loss, tokens = privacy.accumulate_clipped(cross_entropy(model), make, rows, model, clip, 0)
    return [weight.grad for weight in model.parameters()], loss, tokens, make


@pytest.mark.parametrize("family", ["gpt2", "bert"])
@pytest.mark.parametrize("clip", [0.3, 1e9])
def test_gradients_are_those_of_single_records_clipped_and_summed(family, clip):
    """Against torch.autograd.grad of torch's own cross-entropy, in float64."""
    found, loss, tokens, make = accumulated(family, ROWS, clip)
    model, _ = tiny(family, double=True)
    expected = [torch.zeros_like(weight) for weight in model.parameters()]
    total = count = 0.0
    norms = []
    for row in ROWS:
        now = make(np.array([row]))
        given = {} if now.visible is None else {"attention_mask": now.visible.long()}
        logits = model(input_ids=now.input_ids, **given).logits[now.mask]
        mean = F.cross_entropy(logits, now.labels)
        gradient = torch.autograd.grad(mean, list(model.parameters()), allow_unused=True)
        norm = sum(float((part**2).sum()) for part in gradient if part is not None) ** 0.5
        norms.append(norm)
        for sum_, part in zip(expected, gradient, strict=True):
            if part is not None:
                sum_ += part * min(1.0, clip / norm)
        total += float(mean.detach()) * len(now.labels)
        count += len(now.labels)
    assert tokens == count
    assert float(loss) == pytest.approx(total)
    assert (min(norms) > clip) == (clip == 0.3)  # one case clips all of them, the other none
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_opacus_finds_the_same_gradients_of_single_records():
    found, *_, make = accumulated("gpt2", ROWS, 0.3)
    model, _ = tiny("gpt2", double=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        witness = GradSampleModule(copy.deepcopy(model).train(), loss_reduction="sum")
        now = make(ROWS)
        positions = torch.arange(now.input_ids.shape[1]).expand(now.input_ids.shape)
        logits = witness(input_ids=now.input_ids, position_ids=positions).logits
        losses = torch.zeros(len(ROWS), dtype=torch.float64)
        rows, _ = now.mask.nonzero(as_tuple=True)
        each = F.cross_entropy(logits[now.mask], now.labels, reduction="none")
        losses = losses.index_add(0, rows, each) / now.mask.sum(dim=1)
        losses.sum().backward()
    samples = [weight.grad_sample for weight in witness.parameters()]
    norms = sum((part.flatten(1) ** 2).sum(dim=1) for part in samples).sqrt()
    factors = (0.3 / norms).clamp(max=1)
    for one, part in zip(found, samples, strict=True):
        expected = torch.einsum("n,n...->...", factors, part)
        torch.testing.assert_close(one, expected, rtol=1e-8, atol=1e-10)


def test_no_record_gives_no_gradient():
    found, loss, tokens, _ = accumulated("gpt2", np.array([], dtype=np.int64), 1.0)
    assert tokens == 0
    assert float(loss) == 0
    assert all(float(part.abs().sum()) == 0 for part in found)


def test_noise_has_the_stated_deviation_and_is_a_function_of_seed_and_step():
    def noise(seed, step):
        model, _ = tiny("gpt2")
        for weight in model.parameters():
            weight.grad = torch.zeros_like(weight)
        privacy.add_noise(model, 3.0, 4, seed, step)
        return torch.cat([weight.grad.flatten() for weight in model.parameters()])

    first = noise(0, 0)
    assert float(first.std()) == pytest.approx(0.75, rel=0.05)
    assert abs(float(first.mean())) < 5 * 0.75 / len(first) ** 0.5
    assert torch.equal(first, noise(0, 0))
    assert not torch.equal(first, noise(0, 1))
    assert not torch.equal(first, noise(1, 0))


def test_every_record_is_drawn_on_its_own():
    draws = [privacy.sample(200, 20, 0, step) for step in range(500)]
    sizes = np.array([len(rows) for rows in draws])
    assert sizes.mean() == pytest.approx(20, rel=0.05)
    assert sizes.var() == pytest.approx(200 * 0.1 * 0.9, rel=0.2)  # not a fixed size
    assert np.array_equal(draws[3], privacy.sample(200, 20, 0, 3))
    counts = np.bincount(np.concatenate(draws), minlength=200)
    assert counts.min() > 20


@pytest.mark.parametrize("epsilon", [1.0, 8.0])
def test_the_noise_keeps_the_budget_and_hardly_more(epsilon):
    given = PrivacySettings(epsilon=epsilon, delta=1e-5)
    sigma = privacy.noise_multiplier(given, 600, 16, 228)
    accountant = PRVAccountant()
    accountant.history = [(sigma, 16 / 600, 228)]
    spent = accountant.get_epsilon(delta=1e-5)
    assert 0.97 * epsilon < spent <= epsilon * 1.001
    more = privacy.noise_multiplier(given, 600, 16, 912)
    assert more > sigma


@pytest.mark.filterwarnings("ignore:Optimal order is the smallest alpha")
def test_large_budgets_need_ever_less_noise_and_keep_them():
    """Up to budgets that protect nothing, where a sweep can end."""
    noise = {}
    for epsilon in (32.0, 33.0, 100.0, 1e4, 1e6):
        noise[epsilon] = privacy.noise_multiplier(PrivacySettings(epsilon=epsilon), 600, 16, 228)
        if epsilon >= 100:
            accountant = RDPAccountant()
            accountant.history = [(noise[epsilon], 16 / 600, 228)]
            assert 0.97 * epsilon < accountant.get_epsilon(delta=1e-5) <= epsilon
    sigmas = [*noise.values()]
    assert sigmas == sorted(sigmas, reverse=True)
    assert sigmas[0] > 0.3
    assert 0 < sigmas[-1] < 0.02


def test_a_budget_that_no_noise_keeps_is_an_error():
    with pytest.raises(DistilleakError, match=r"epsilon 0\.001 at .* cannot be kept in"):
        privacy.noise_multiplier(PrivacySettings(epsilon=1e-3), 600, 16, 228)


def test_a_private_training_is_repeatable_and_says_what_it_guarantees():
    given = settings(**PRIVATE)
    trained = []
    for seed in (0, 0, 1):
        model, framing = tiny("gpt2")
        facts = train(model, framing, given=given, seed=seed, steps=6)
        trained.append(weights(model))
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])
    assert facts["dp_epsilon"] == 8.0
    assert facts["dp_noise"] > 0
    assert facts["updates"] == 6


def test_a_rate_of_its_own_multiplies_the_step_of_a_private_training_and_no_other():
    given = settings(**PRIVATE, weight_decay=0.0, warmup=0.0)
    moved = []
    for rates in ({}, {"transformer.h.0.mlp.c_fc.weight": 3.0}):
        model, framing = tiny("gpt2", double=True)
        before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        train(model, framing, given=given, steps=1, rates=rates)
        moved.append({name: weight - before[name] for name, weight in model.named_parameters()})
    plain, own = moved
    for name, step in plain.items():
        factor = 3.0 if name == "transformer.h.0.mlp.c_fc.weight" else 1.0
        torch.testing.assert_close(own[name], factor * step, rtol=1e-9, atol=1e-15)
        assert step.abs().max() > 0
