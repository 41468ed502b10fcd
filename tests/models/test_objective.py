"""The distillation loss, compared with torch's own cross-entropy and KL divergence in float64."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from distilleak import objective
from distilleak.objective import distillation_loss

TOKENS, WORDS = 7, 5


def example(
    dtype: torch.dtype = torch.float64,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Student logits, labels and teacher logits; as many tokens as not to be square."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = 3 * torch.randn(2, TOKENS, WORDS, generator=generator, dtype=dtype)
    labels = torch.randint(0, WORDS, (TOKENS,), generator=generator)
    return student.requires_grad_(), labels, teacher


def plain(
    student: torch.Tensor, labels: torch.Tensor, teacher: torch.Tensor, alpha: float, t: float
) -> torch.Tensor:
    hard = F.cross_entropy(student, labels)
    soft = F.kl_div(
        F.log_softmax(student / t, -1),
        F.log_softmax(teacher / t, -1),
        reduction="batchmean",
        log_target=True,
    )
    return alpha * hard + (1 - alpha) * t**2 * soft


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("t", [0.5, 1.0, 2.0, 4.0])
def test_value_and_gradient_are_those_of_the_formula(alpha: float, t: float) -> None:
    student, labels, teacher = example()
    found = distillation_loss(student, labels, teacher, alpha, t)
    expected = plain(student, labels, teacher, alpha, t)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(found, student),
        torch.autograd.grad(expected, student),
        rtol=1e-10,
        atol=1e-12,
    )


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_gradient_is_that_of_finite_differences(alpha: float) -> None:
    student, labels, teacher = example()
    assert torch.autograd.gradcheck(
        lambda logits: distillation_loss(logits, labels, teacher, alpha, 2.0), student
    )


def test_float32_is_close_to_float64() -> None:
    student, labels, teacher = example()
    found = distillation_loss(student.float(), labels, teacher.float(), 0.5, 2.0)
    assert found.dtype == torch.float32
    expected = plain(student, labels, teacher, 0.5, 2.0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_temperature_squared_keeps_the_scale_of_the_gradient() -> None:
    # For T -> infinity the gradient of T^2 KL tends to (z_s - z_t) / words, centred, per token.
    student, labels, teacher = example()
    (found,) = torch.autograd.grad(distillation_loss(student, labels, teacher, 0.0, 1e4), student)
    distance = (student - teacher).detach()
    limit = (distance - distance.mean(-1, keepdim=True)) / WORDS / TOKENS
    torch.testing.assert_close(found, limit, rtol=1e-2, atol=1e-4)


def test_the_softmax_is_over_the_vocabulary() -> None:
    # What is added to a whole row cancels in a softmax over the vocabulary and in no other.
    student, labels, teacher = example()
    rows = torch.arange(TOKENS, dtype=torch.float64)[:, None]
    moved = distillation_loss(student + rows, labels, teacher - rows, 0.3, 2.0)
    torch.testing.assert_close(moved, distillation_loss(student, labels, teacher, 0.3, 2.0))


def test_a_student_equal_to_its_teacher_has_no_soft_loss_and_no_gradient() -> None:
    _, labels, teacher = example()
    student = teacher.clone().requires_grad_()
    loss = distillation_loss(student, labels, teacher, 0.0, 2.0)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == pytest.approx(0.0, abs=1e-15)
    assert gradient.abs().max() < 1e-15


@pytest.mark.parametrize("chunk", [1, 2, 3, TOKENS, 100])
def test_chunks_change_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    student, labels, teacher = example()
    monkeypatch.setattr(objective, "CHUNK", chunk * WORDS)
    found = distillation_loss(student, labels, teacher, 0.3, 2.0)
    expected = plain(student, labels, teacher, 0.3, 2.0)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, student), torch.autograd.grad(expected, student)
    )


def test_an_empty_batch_gives_zero_and_no_gradient() -> None:
    student = torch.zeros(0, WORDS, requires_grad=True)
    loss = distillation_loss(
        student, torch.zeros(0, dtype=torch.long), torch.zeros(0, WORDS), 0.5, 2
    )
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == 0.0
    assert gradient.shape == (0, WORDS)


def test_the_gradient_is_multiplied_by_what_comes_from_above() -> None:
    student, labels, teacher = example()
    (once,) = torch.autograd.grad(distillation_loss(student, labels, teacher, 0.3, 2.0), student)
    loss = -2.5 * distillation_loss(student, labels, teacher, 0.3, 2.0)
    (scaled,) = torch.autograd.grad(loss, student)
    torch.testing.assert_close(scaled, -2.5 * once)


def test_a_second_derivative_is_refused_rather_than_wrong() -> None:
    student, labels, teacher = example()
    loss = distillation_loss(student, labels, teacher, 0.3, 2.0)
    (gradient,) = torch.autograd.grad(loss**2, student, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()  # type: ignore[no-untyped-call]


def test_the_inputs_are_left_as_they_were() -> None:
    student, labels, teacher = example()
    before = student.detach().clone(), labels.clone(), teacher.clone()
    distillation_loss(student, labels, teacher, 0.3, 2.0).backward()  # type: ignore[no-untyped-call]
    for kept, now in zip(before, (student.detach(), labels, teacher), strict=True):
        assert torch.equal(kept, now)


def test_large_logits_stay_finite() -> None:
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    teacher = torch.tensor([[-1e4, 1e4, 0.0]])
    loss = distillation_loss(student, torch.tensor([1]), teacher, 0.5, 1.0)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == pytest.approx(2e4)  # half of CE and half of KL, 2e4 nats each
    assert torch.isfinite(gradient).all()


def test_another_vocabulary_or_no_teacher_is_an_error() -> None:
    student, labels, _ = example()
    with pytest.raises(ValueError, match="do not fit"):
        distillation_loss(student, labels, torch.zeros(TOKENS, WORDS + 1), 0.5, 2.0)
    with pytest.raises(ValueError, match="None do not fit"):
        distillation_loss(student, labels, None, 0.5, 2.0)


def test_alpha_one_needs_no_teacher() -> None:
    student, labels, _ = example()
    found = distillation_loss(student, labels, None, 1.0, 2.0)
    torch.testing.assert_close(found, F.cross_entropy(student, labels))
