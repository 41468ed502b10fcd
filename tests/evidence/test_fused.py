"""The kernel's sums against float64: on a GPU, else in the interpreter of triton."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from distilleak.evidence import fused

pytest.importorskip("triton")


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if torch.cuda.is_available():
        yield "cuda"
        return
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    fused._kernel.cache_clear()
    yield "cpu"
    fused._kernel.cache_clear()


@pytest.mark.parametrize("words", [2, 40, 4096, 9001])
@pytest.mark.parametrize("scale", [0.01, 3.0, 40.0])
def test_the_sums_are_those_of_the_definition(words: int, scale: float, device: str) -> None:
    generator = torch.Generator().manual_seed(words)
    # Multiples of 1/256 are the same numbers in float32, so ranks and ties are as well.
    logits = (256 * scale * torch.randn(5, words, generator=generator)).round() / 256 - 60
    labels = torch.randint(0, words, (5,), generator=generator)
    labels[0] = logits[0].argmax()
    given = torch.cat([logits, logits], -1)[:, :words]  # a view, whose rows lie further apart
    found = fused.sums(given.to(device), labels.to(device)).cpu()
    z = logits.double()
    top = z.amax(-1, keepdim=True)
    e = (z - top).exp()
    mean = (e * (z - top)).sum(-1, keepdim=True) / e.sum(-1, keepdim=True)
    true = z.gather(-1, labels[:, None])
    others = z.scatter(-1, labels[:, None], -torch.inf)
    expected = (
        e.sum(-1, keepdim=True),
        mean,
        (e * (z - top - mean).square()).sum(-1, keepdim=True),
        (z > true).sum(-1, keepdim=True),
        true - top,
        torch.logsumexp(others, -1, keepdim=True) - top,
    )
    assert found.shape == (fused.SUMS, 5, 1)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=3e-6, atol=2e-6)


def test_no_token_has_no_sums(device: str) -> None:
    nothing = torch.empty(0, 7, device=device)
    assert fused.sums(nothing, torch.empty(0, dtype=torch.long)).shape == (fused.SUMS, 0, 1)
