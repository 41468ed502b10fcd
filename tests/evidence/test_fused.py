"""The kernel's sums against float64: on a GPU, else in the interpreter of triton."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from distilleak.evidence import fused

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
needs_a_kernel = pytest.mark.skipif(
    DEVICE == "cpu" and not INTERPRETED, reason="runs in a process of its own, in the interpreter"
)


@pytest.mark.skipif(DEVICE == "cuda" or INTERPRETED, reason="the other tests run here")
def test_without_a_gpu_the_tests_pass_in_the_interpreter() -> None:
    # Triton asks for its interpreter when it is imported, and torch may have done that already.
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout
    assert "13 passed, 1 skipped" in tests.stdout


@needs_a_kernel
@pytest.mark.parametrize("words", [2, 40, 4096, 9001])
@pytest.mark.parametrize("scale", [0.01, 3.0, 40.0])
def test_the_sums_are_those_of_the_definition(words: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(words)
    # Multiples of 1/256 are the same numbers in float32, so ranks and ties are as well.
    logits = (256 * scale * torch.randn(5, words, generator=generator)).round() / 256 - 60
    labels = torch.randint(0, words, (5,), generator=generator)
    labels[0] = logits[0].argmax()
    given = torch.cat([logits, logits], -1)[:, :words]  # a view, whose rows lie further apart
    column = labels[:, None]
    found = fused.sums(given.to(DEVICE), column.to(DEVICE)).cpu()
    z = logits.double()
    true, others = z.gather(-1, column), z.scatter(-1, column, -torch.inf)
    top = others.amax(-1, keepdim=True)
    log_others = torch.logsumexp(others, -1, keepdim=True)
    p = (others - log_others).exp()
    below = z - top
    mean = (p * below).sum(-1, keepdim=True)
    expected = (
        true - top,
        (z > true).sum(-1, keepdim=True),
        log_others - top,
        mean,
        (p * (below - mean).square()).sum(-1, keepdim=True),
    )
    assert found.shape == (fused.SUMS, 5, 1)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=3e-6, atol=2e-6)


@needs_a_kernel
def test_no_token_has_no_sums() -> None:
    nothing = torch.empty(0, 7, device=DEVICE)
    assert fused.sums(nothing, torch.empty(0, 1, dtype=torch.long)).shape == (fused.SUMS, 0, 1)
