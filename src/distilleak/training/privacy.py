"""DP-SGD (Abadi et al. 2016, algorithm 1): clipped gradients of single records, and noise.

The gradient of every record is computed on its own, one record at a time. That works for every
model that can be trained here, whatever its layers, and is checked against Opacus where Opacus
supports it; Opacus's accountant determines how much noise a budget requires.

Noise and batches are pure functions of the seed, so that a training can be resumed and repeated.
Whoever knows the seed can subtract the noise: the guarantee is against those who do not.
"""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from distilleak import seeding
from distilleak.errors import DistilleakError
from distilleak.machine import processes
from distilleak.models.batches import Batch
from distilleak.settings.training import PrivacySettings

Rows = NDArray[np.int64]
TIGHT = 32.0
"""The largest epsilon whose noise is determined from the distribution of the privacy loss."""


def noise_multiplier(settings: PrivacySettings, records: int, batch_size: int, steps: int) -> float:
    """Standard deviation of the noise per unit of the clipping norm that keeps the budget.

    Poisson sampling of every record with probability batch_size / records, `steps` times, under
    add-or-remove adjacency; the privacy loss distribution is Opacus's (Gopi et al. 2021). It is
    found numerically, which takes the more memory the larger epsilon is: above `TIGHT` the budget
    is kept by Rényi differential privacy (Mironov 2017), which asks for somewhat more noise, but
    never for more than `TIGHT` does.

    Raises:
        DistilleakError: no amount of noise that Opacus tries keeps the budget.
    """
    from opacus.accountants.utils import get_noise_multiplier  # slow to import, rarely needed

    if not steps:
        return 0.0
    rate = min(1.0, batch_size / records)
    try:
        with warnings.catch_warnings():
            # From an accountant that only bounds the range that the other one searches.
            warnings.filterwarnings("ignore", "Optimal order is the", UserWarning)
            noise = float(
                get_noise_multiplier(
                    target_epsilon=min(settings.epsilon, TIGHT),
                    target_delta=settings.delta,
                    sample_rate=rate,
                    steps=steps,
                    accountant="prv",
                )
            )
    except ValueError as error:
        raise DistilleakError(
            f"training.privacy: epsilon {settings.epsilon:g} at delta {settings.delta:g} cannot be "
            f"kept in {steps} updates on {records} records ({error}); allow more or train less"
        ) from error
    if settings.epsilon > TIGHT:
        noise = _least_noise(settings, rate, steps, noise)
    return noise


def _least_noise(settings: PrivacySettings, rate: float, steps: int, enough: float) -> float:
    """The least noise, to one part in 500, of which Rényi differential privacy shows that it keeps
    the budget; no more than what is known to be `enough`.
    """
    from opacus.accountants import RDPAccountant

    def spent(noise: float) -> float:
        accountant = RDPAccountant()
        accountant.history = [(noise, rate, steps)]
        with warnings.catch_warnings():
            # The least order is the best one for budgets as large as these.
            warnings.filterwarnings("ignore", "Optimal order is the", UserWarning)
            return float(accountant.get_epsilon(delta=settings.delta))

    too_little = enough
    while spent(too_little) <= settings.epsilon:
        too_little /= 2
    while enough > 1.002 * too_little:
        middle = (enough * too_little) ** 0.5
        if spent(middle) <= settings.epsilon:
            enough = middle
        else:
            too_little = middle
    return enough


def sample(records: int, batch_size: int, seed: int, step: int) -> Rows:
    """The records of one update, each drawn with probability batch_size / records on its own."""
    rng = seeding.stream(seed, "poisson", step)
    return np.flatnonzero(rng.random(records) < batch_size / records)


def accumulate_clipped(
    run: Callable[[Batch, int], torch.Tensor],
    make: Callable[[Rows], Batch],
    rows: Rows,
    model: PreTrainedModel,
    clip: float,
    draws: int,
) -> tuple[torch.Tensor, int]:
    """Put the sum of the records' gradients, each of norm at most `clip`, into `.grad`.

    A record's loss is the mean over its predicted tokens. This process takes its share of `rows`.

    Args:
        run: (one record, its tokens) -> sum of its losses.
        make: rows -> their batch.
        rows: (records of the update,) over all processes; may be empty.
        model: whose gradients are empty before the call.
        clip: largest norm.
        draws: seed of dropout in this update and process.

    Returns:
        The sum of the losses, and the number of predicted tokens, of all processes.
    """
    weights = _trained(model)
    sums = [torch.zeros_like(weight) for weight in weights]
    loss = torch.zeros((), dtype=torch.float64, device=model.device)
    tokens = 0
    torch.manual_seed(draws)
    for row in rows[processes.rank() :: processes.world()]:
        record = make(np.array([row]))
        loss += run(record, len(record.labels))
        tokens += len(record.labels)
        used = [number for number, weight in enumerate(weights) if weight.grad is not None]
        gradients = [weights[number].grad for number in used]
        norm = torch.stack(torch._foreach_norm(gradients)).norm()  # type: ignore[arg-type]
        torch._foreach_mul_(gradients, (clip / norm.clamp(min=1e-12)).clamp(max=1.0))  # type: ignore[arg-type]
        torch._foreach_add_([sums[number] for number in used], gradients)  # type: ignore[arg-type]
        model.zero_grad()
    for weight, total in zip(weights, sums, strict=True):
        weight.grad = total
    return loss, processes.total_count(tokens, model.device)


def add_noise(
    model: PreTrainedModel, deviation: float, batch_size: int, seed: int, step: int
) -> None:
    """Add normal noise to the gradients' sums over all processes, and divide by the batch size.

    The expected size divides, not that of this batch, which is private.
    """
    generator = torch.Generator().manual_seed(seeding.number(seed, "noise", step))
    for weight in _trained(model):
        assert weight.grad is not None
        noise = torch.randn(weight.shape, generator=generator)  # the same in all processes
        weight.grad.add_(noise.to(weight.device), alpha=deviation).div_(batch_size)


def _trained(model: PreTrainedModel) -> list[torch.nn.Parameter]:
    return [weight for weight in model.parameters() if weight.requires_grad]
