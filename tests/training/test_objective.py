"""The distillation loss and its gradients, compared with float64 autograd of the plain formula."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models import families
from distilleak.models.batches import Batch, batch, training_batch
from distilleak.records.framing import Framing
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.objective import ObjectiveSettings
from distilleak.training import objective
from distilleak.training.objective import accumulate, loss_and_gradient
from distilleak.training.targets import Lesson, OnlineTargets

TOKENS, WORDS = 7, 5
DIVERGENCES: list[dict[str, Any]] = [
    {"divergence": "forward_kl"},
    {"divergence": "reverse_kl"},
    {"divergence": "jensen_shannon"},
    {"divergence": "jensen_shannon", "beta": 0.1},
]
OBJECTIVES: list[dict[str, Any]] = [
    *DIVERGENCES,
    {"divergence": "hard_labels"},
    {"label_smoothing": 0.3},
    {"divergence": "hard_labels", "label_smoothing": 0.05},
]


def settings(alpha: float = 0.3, t: float = 2.0, **others: Any) -> ObjectiveSettings:
    return ObjectiveSettings(alpha=alpha, distillation_temperature=t, **others)


def plain(
    student: torch.Tensor,
    labels: torch.Tensor,
    teacher: torch.Tensor | None,
    chosen: ObjectiveSettings,
) -> torch.Tensor:
    """Sum over tokens, from log-probabilities, for autograd."""
    hard = F.cross_entropy(student, labels, reduction="sum", label_smoothing=chosen.label_smoothing)
    if teacher is None:
        return hard
    t, beta = chosen.distillation_temperature, chosen.beta
    log_p, log_q = torch.log_softmax(student / t, -1), torch.log_softmax(teacher / t, -1)
    log_m = torch.logaddexp(log_q + np.log(beta), log_p + np.log(1 - beta))

    def kl(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a.exp() * (a - b)).sum()

    soft = {
        "forward_kl": lambda: kl(log_q, log_p),
        "reverse_kl": lambda: kl(log_p, log_q),
        "jensen_shannon": lambda: beta * kl(log_q, log_m) + (1 - beta) * kl(log_p, log_m),
        "hard_labels": lambda: F.cross_entropy(student / t, teacher.argmax(-1), reduction="sum"),
    }[chosen.divergence]()
    return chosen.alpha * hard + (1 - chosen.alpha) * t**2 * soft


# --- The loss on given logits


class MeanLoss(torch.autograd.Function):
    """The mean of `loss_and_gradient`, with its gradient as that of autograd."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: torch.Tensor,
        labels: torch.Tensor,
        teacher: torch.Tensor | None,
        chosen: ObjectiveSettings,
    ) -> torch.Tensor:
        tokens = max(1, len(labels))
        total, gradient = loss_and_gradient(logits, labels, teacher, chosen, tokens)
        ctx.save_for_backward(gradient)
        return (total / tokens).to(logits.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None, None, None


def distillation_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    teacher: torch.Tensor | None,
    chosen: ObjectiveSettings,
) -> torch.Tensor:
    return MeanLoss.apply(logits, labels, teacher, chosen)  # type: ignore[no-any-return,no-untyped-call]


def example(
    dtype: torch.dtype = torch.float64, scale: float = 3.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Student logits, labels and teacher logits; as many tokens as not to be square."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(2, TOKENS, WORDS, generator=generator, dtype=torch.float64)
    student, teacher = (scale * drawn).to(dtype)
    labels = torch.randint(0, WORDS, (TOKENS,), generator=generator)
    return student.requires_grad_(), labels, teacher


def slope(loss: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(loss, logits)
    return gradient


@pytest.mark.parametrize("scale", [0.01, 3.0, 1e4])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("t", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("chosen", OBJECTIVES)
def test_value_and_gradient_are_those_of_the_formula(
    chosen: dict[str, Any], t: float, alpha: float, scale: float
) -> None:
    student, labels, teacher = example(scale=scale)
    found = distillation_loss(student, labels, teacher, settings(alpha, t, **chosen))
    expected = plain(student, labels, teacher, settings(alpha, t, **chosen)) / TOKENS
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(
        slope(found, student), slope(expected, student), rtol=1e-8, atol=1e-12
    )


@pytest.mark.parametrize("chosen", OBJECTIVES)
def test_the_gradient_is_that_of_finite_differences(chosen: dict[str, Any]) -> None:
    student, labels, teacher = example()
    assert torch.autograd.gradcheck(
        lambda logits: distillation_loss(logits, labels, teacher, settings(**chosen)), student
    )


@pytest.mark.parametrize("scale", [3.0, 100.0, 1e4])
@pytest.mark.parametrize("chosen", OBJECTIVES)
def test_float32_is_close_to_float64_however_large_the_logits(
    chosen: dict[str, Any], scale: float
) -> None:
    student, labels, teacher = example(torch.float32, scale)
    found = distillation_loss(student, labels, teacher, settings(**chosen))
    assert found.dtype == torch.float32
    exact = student.detach().double().requires_grad_()
    expected = plain(exact, labels, teacher.double(), settings(**chosen)) / TOKENS
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    gradient = slope(expected, exact)
    torch.testing.assert_close(
        slope(found, student).double(), gradient, rtol=1e-4, atol=1e-6 * float(gradient.abs().max())
    )


def test_reverse_kl_is_forward_kl_with_the_roles_exchanged() -> None:
    student, labels, teacher = example()
    one = distillation_loss(student, labels, teacher, settings(0.0, divergence="reverse_kl"))
    other = distillation_loss(teacher, labels, student.detach(), settings(0.0))
    torch.testing.assert_close(one.detach(), other)


def test_jensen_shannon_is_symmetric_at_one_half_and_at_most_log_2() -> None:
    chosen = settings(0.0, 1.0, divergence="jensen_shannon")
    student, labels, teacher = example()
    one = distillation_loss(student, labels, teacher, chosen)
    torch.testing.assert_close(one, distillation_loss(teacher, labels, student, chosen))
    # Each is sure of a token of its own.
    apart = torch.eye(2, dtype=torch.float64) * 1e4
    found = distillation_loss(apart, torch.tensor([0, 1]), apart.flip(0), chosen)
    assert found.item() == pytest.approx(np.log(2))


@pytest.mark.parametrize(("chosen", "share"), [*zip(DIVERGENCES, [1, 1, 0.25, 0.09], strict=True)])
def test_the_temperature_squared_keeps_the_scale_of_the_gradient(
    chosen: dict[str, Any], share: float
) -> None:
    # For T -> infinity, T^2 D tends to share * |centred z_s - z_t|^2 / (2 words) per token; the
    # share is 1 for KL and beta (1 - beta) for Jensen-Shannon.
    student, labels, teacher = example()
    found = slope(
        distillation_loss(student, labels, teacher, settings(0.0, 1e4, **chosen)), student
    )
    distance = (student - teacher).detach()
    limit = share * (distance - distance.mean(-1, keepdim=True)) / WORDS / TOKENS
    torch.testing.assert_close(found, limit, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("chosen", DIVERGENCES)
def test_the_softmax_is_over_the_vocabulary(chosen: dict[str, Any]) -> None:
    # What is added to a whole row cancels in a softmax over the vocabulary and in no other.
    student, labels, teacher = example()
    rows = torch.arange(TOKENS, dtype=torch.float64)[:, None]
    moved = distillation_loss(student + rows, labels, teacher - rows, settings(**chosen))
    torch.testing.assert_close(
        moved, distillation_loss(student, labels, teacher, settings(**chosen))
    )


@pytest.mark.parametrize("chosen", DIVERGENCES)
def test_a_student_equal_to_its_teacher_has_no_soft_loss_and_no_gradient(
    chosen: dict[str, Any],
) -> None:
    _, labels, teacher = example()
    student = teacher.clone().requires_grad_()
    loss = distillation_loss(student, labels, teacher, settings(0.0, **chosen))
    assert loss.item() == pytest.approx(0.0, abs=1e-14)
    assert slope(loss, student).abs().max() < 1e-14


@pytest.mark.parametrize("block", [1, 2, 3, TOKENS, 100])
@pytest.mark.parametrize("chosen", DIVERGENCES)
def test_blocks_change_nothing(
    chosen: dict[str, Any], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, labels, teacher = example()
    monkeypatch.setattr(objective, "LOSS_CHUNK", {"cpu": block * WORDS})
    found = distillation_loss(student, labels, teacher, settings(**chosen))
    expected = plain(student, labels, teacher, settings(**chosen)) / TOKENS
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(slope(found, student), slope(expected, student))


def test_no_tokens_give_zero_and_no_gradient() -> None:
    student = torch.zeros(0, WORDS, requires_grad=True)
    labels = torch.zeros(0, dtype=torch.long)
    loss = distillation_loss(student, labels, torch.zeros(0, WORDS), settings())
    assert loss.item() == 0.0
    assert slope(loss, student).shape == (0, WORDS)


def test_the_gradient_is_multiplied_by_what_comes_from_above() -> None:
    student, labels, teacher = example()
    once = slope(distillation_loss(student, labels, teacher, settings()), student)
    scaled = slope(-2.5 * distillation_loss(student, labels, teacher, settings()), student)
    torch.testing.assert_close(scaled, -2.5 * once)


@pytest.mark.parametrize("t", [1.0, 2.0])
@pytest.mark.parametrize("chosen", DIVERGENCES)
def test_the_inputs_are_left_as_they_were(chosen: dict[str, Any], t: float) -> None:
    student, labels, teacher = example()
    before = student.detach().clone(), labels.clone(), teacher.clone()
    distillation_loss(student, labels, teacher, settings(0.3, t, **chosen)).backward()  # type: ignore[no-untyped-call]
    for kept, now in zip(before, (student.detach(), labels, teacher), strict=True):
        assert torch.equal(kept, now)


def test_another_vocabulary_is_an_error_that_names_both_sizes() -> None:
    student, labels, _ = example()
    with pytest.raises(DistilleakError, match=r"teacher's .* 6 tokens and the student's 5"):
        distillation_loss(student, labels, torch.zeros(TOKENS, WORDS + 1), settings())


def test_alpha_one_needs_no_teacher_and_less_does() -> None:
    student, labels, _ = example()
    found = distillation_loss(student, labels, None, settings(1.0))
    torch.testing.assert_close(found, F.cross_entropy(student, labels))
    with pytest.raises(ValueError, match="needs a teacher"):
        distillation_loss(student, labels, None, settings(0.5))


# --- The gradient of a model

VOCABULARY = 40
LENGTHS = [3, 9, 1, 6, 9]
RECORDS = [
    np.random.default_rng(row).integers(3, VOCABULARY, length) for row, length in enumerate(LENGTHS)
]
CAUSAL, MASKED = Framing(0), Framing(0, end=1, mask=2)
FAMILIES = ["gpt2", "llama", "bert"]
WITH_HIDDEN = settings(0.4, 3.0, hidden_weight=0.7)


def tiny(family: str, seed: int, vocabulary: int = VOCABULARY, **shape: Any) -> PreTrainedModel:
    """A model whose every weight is random: no bias is 0 and no norm is 1."""
    torch.manual_seed(seed)
    given = {"layers": 1, "width": 16, "heads": 2, "positions": 16, **shape}
    model = families.build(ArchitectureSettings(type=family, **given), vocabulary, 0)  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    model.train()
    return model


def one_batch(model: PreTrainedModel, rows: Sequence[int] = range(len(RECORDS))) -> Batch:
    if families.of(model).kind == "causal":
        return batch(RECORDS, rows, CAUSAL, "cpu")
    mask = {"vocabulary": VOCABULARY, "share": 0.4, "seed": 0, "epoch": 0}
    return training_batch(RECORDS, rows, MASKED, "cpu", **mask)  # type: ignore[arg-type]


def read(model: PreTrainedModel, now: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and last hidden states at the predicted positions, from the model's own forward."""
    visible = None if now.visible is None else now.visible.long()
    output = model(input_ids=now.input_ids, attention_mask=visible, output_hidden_states=True)
    return output.logits[now.mask], output.hidden_states[-1][now.mask]


def gradients(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The gradients, which are then cleared."""
    found = {
        name: weight.grad.double().clone()
        for name, weight in model.named_parameters()
        if weight.grad is not None
    }
    model.zero_grad()
    return found


def expected_of(
    model: PreTrainedModel,
    teacher: PreTrainedModel | None,
    now: Batch,
    chosen: ObjectiveSettings,
    tokens: int,
) -> tuple[float, dict[str, torch.Tensor]]:
    """Sum of the losses and gradients, whole and in float64."""
    model = copy.deepcopy(model).double()
    model.zero_grad()
    logits, states = read(model, now)
    total, soft = torch.zeros((), dtype=torch.float64), None
    if teacher is not None:
        with torch.no_grad():
            soft, taught = read(copy.deepcopy(teacher).double().eval(), now)
        cosine = (states * taught).sum(-1) / states.norm(dim=-1) / taught.norm(dim=-1)
        total = chosen.hidden_weight * (1 - cosine).sum()
    total = total + plain(logits, now.labels, soft, chosen)
    (total / tokens).backward()  # type: ignore[no-untyped-call]
    return total.item(), gradients(model)


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * largest)


@pytest.mark.parametrize(
    "chosen",
    [
        *(settings(0.3, 3.0, **divergence) for divergence in DIVERGENCES[:3]),
        *(settings(0.0, 1.0), WITH_HIDDEN, settings(1.0, hidden_weight=0.7)),
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_models_gradient_is_that_of_the_formula_at_the_predicted_positions(
    family: str, chosen: ObjectiveSettings
) -> None:
    student, teacher = tiny(family, 0), tiny(family, 1, layers=2)
    now = one_batch(student)
    total = accumulate(student, now, chosen, OnlineTargets(teacher).lesson(now), 20)
    expected, gradient = expected_of(student, teacher, now, chosen, 20)
    assert total.dtype == torch.float64
    assert not total.requires_grad
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert_same(gradients(student), gradient)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_teacher_the_loss_is_the_cross_entropy(family: str) -> None:
    model = tiny(family, 0)
    now = one_batch(model)
    total = accumulate(model, now, settings(1.0), None, len(now.labels))
    expected, gradient = expected_of(model, None, now, settings(1.0), len(now.labels))
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert_same(gradients(model), gradient)


@pytest.mark.parametrize("size", [1, 3, 11])
@pytest.mark.parametrize("family", FAMILIES)
def test_chunks_of_tokens_change_nothing(
    family: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher = tiny(family, 0), tiny(family, 1)
    now = one_batch(student)
    lesson = OnlineTargets(teacher).lesson(now)
    whole = accumulate(student, now, WITH_HIDDEN, lesson, 20), gradients(student)
    monkeypatch.setattr(objective, "HEAD_CHUNK", {"cpu": size * VOCABULARY + 1})
    found = accumulate(student, now, WITH_HIDDEN, lesson, 20), gradients(student)
    torch.testing.assert_close(found[0], whole[0], rtol=1e-6, atol=0)
    assert_same(found[1], whole[1])


def test_neither_head_nor_teacher_sees_more_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "HEAD_CHUNK", {"cpu": 5 * VOCABULARY})
    student, teacher = tiny("gpt2", 0), tiny("gpt2", 1)
    seen: list[int] = []
    for model in (student, teacher):
        model.lm_head.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    now = one_batch(student)
    accumulate(student, now, settings(), OnlineTargets(teacher).lesson(now), 1)
    assert max(seen) == 5
    assert sum(seen) == 2 * len(now.labels)


@pytest.mark.parametrize("parts", [[[0, 1, 2, 3, 4]], [[0], [1, 2], [3, 4]], [[4, 3, 2, 1], [0]]])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_does_not_depend_on_how_an_update_is_split(
    family: str, parts: list[list[int]]
) -> None:
    student, teacher = tiny(family, 0), OnlineTargets(tiny(family, 1))
    now = one_batch(student)
    tokens = len(now.labels)
    whole = accumulate(student, now, WITH_HIDDEN, teacher.lesson(now), tokens), gradients(student)
    total = torch.zeros((), dtype=torch.float64)
    for rows in parts:
        part = one_batch(student, rows)
        total += accumulate(student, part, WITH_HIDDEN, teacher.lesson(part), tokens)
    torch.testing.assert_close(total, whole[0], rtol=1e-6, atol=0)
    assert_same(gradients(student), whole[1])


def test_a_tied_matrix_gets_the_gradients_of_embedding_and_head() -> None:
    tied = tiny("gpt2", 0)
    assert tied.lm_head.weight is tied.transformer.wte.weight
    untied = copy.deepcopy(tied)
    untied.lm_head.weight = torch.nn.Parameter(tied.lm_head.weight.detach().clone())
    for model in (tied, untied):
        accumulate(model, one_batch(model), settings(1.0), None, 1)
    parts = untied.lm_head.weight.grad, untied.transformer.wte.weight.grad
    assert all(part is not None and part.abs().max() > 0.1 for part in parts)
    torch.testing.assert_close(tied.lm_head.weight.grad, sum(parts))  # type: ignore[arg-type]


def test_a_masked_model_learns_nothing_from_tokens_that_it_sees() -> None:
    # What the teacher says at visible positions does not reach the loss.
    student, teacher = tiny("bert", 0), tiny("bert", 1)
    now = one_batch(student)
    assert 0 < len(now.labels) < sum(LENGTHS)
    lesson = OnlineTargets(teacher).lesson(now)
    assert lesson.logits(slice(None)).shape == (int(now.mask.sum()), VOCABULARY)
    total = accumulate(student, now, settings(0.0), lesson, 1)
    logits, _ = read(student, now)
    soft, _ = read(teacher, now)
    expected = plain(logits.double(), now.labels, soft.double(), settings(0.0))
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_every_number_of_the_objective_reaches_the_gradient() -> None:
    student, teacher = tiny("gpt2", 0), tiny("gpt2", 1)
    now = one_batch(student)
    lesson = OnlineTargets(teacher).lesson(now)
    base = {"divergence": "jensen_shannon", "hidden_weight": 0.5}

    def gradient(**change: Any) -> torch.Tensor:
        accumulate(student, now, ObjectiveSettings.model_validate(base | change), lesson, 1)
        return torch.cat([part.flatten() for part in gradients(student).values()])

    usual = gradient()
    for change in (
        {"alpha": 0.6},
        {"distillation_temperature": 3.0},
        {"divergence": "forward_kl"},
        {"beta": 0.6},
        {"hidden_weight": 0.6},
    ):
        assert (gradient(**change) - usual).norm() > 1e-3 * usual.norm(), change


def test_gradients_are_added_to_those_that_are_there() -> None:
    model = tiny("llama", 0)
    now = one_batch(model)
    accumulate(model, now, settings(1.0), None, 5)
    once = gradients(model)
    for _ in range(2):
        accumulate(model, now, settings(1.0), None, 10)
    assert_same(gradients(model), once)


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_a_batch_without_predicted_tokens_adds_zero(family: str) -> None:
    student, teacher = tiny(family, 0), tiny(family, 1)
    full = one_batch(student)
    now = Batch(
        full.rows, full.input_ids, torch.zeros_like(full.mask), full.labels[:0], full.visible
    )
    total = accumulate(student, now, WITH_HIDDEN, OnlineTargets(teacher).lesson(now), 0)
    assert total.item() == 0.0
    assert all(not gradient.any() for gradient in gradients(student).values())


def test_bfloat16_products_give_a_float32_loss_and_float32_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(objective, "HEAD_CHUNK", {"cpu": 4 * VOCABULARY})
    student, teacher = tiny("gpt2", 0), tiny("gpt2", 1)
    now = one_batch(student)
    _, exact = expected_of(student, teacher, now, WITH_HIDDEN, 20)
    with torch.autocast("cpu", torch.bfloat16):
        lesson = OnlineTargets(teacher).lesson(now)
        logits = families.logits(student, now.hidden_states(student))
        assert logits.dtype == torch.bfloat16
        soft = lesson.logits(slice(None))
        assert soft.dtype == torch.float32
        total = accumulate(student, now, settings(), lesson, 20)
        gradients(student)
        accumulate(student, now, WITH_HIDDEN, lesson, 20)
    # Rounding in the softmax would show here: bfloat16 has three digits.
    expected = plain(logits.double(), now.labels, soft.double(), settings())
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert {weight.grad.dtype for weight in student.parameters() if weight.grad is not None} == {
        torch.float32
    }
    for name, gradient in gradients(student).items():
        assert F.cosine_similarity(gradient.flatten(), exact[name].flatten(), 0) > 0.99, name


def test_alpha_one_does_not_ask_for_logits() -> None:
    def refuse(part: slice) -> torch.Tensor:
        raise AssertionError("asked")

    student, teacher = tiny("gpt2", 0), tiny("gpt2", 1)
    now = one_batch(student)
    hidden = OnlineTargets(teacher).lesson(now).hidden
    chosen = settings(1.0, hidden_weight=0.7)
    total = accumulate(student, now, chosen, Lesson(refuse, hidden), 1)
    expected, _ = expected_of(student, teacher, now, chosen, 1)
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_a_teacher_with_another_vocabulary_is_an_error_that_names_both_sizes() -> None:
    student, teacher = tiny("gpt2", 0), tiny("gpt2", 1, VOCABULARY + 8)
    now = one_batch(student)
    with pytest.raises(DistilleakError, match=r"teacher's .* 48 tokens and the student's 40"):
        accumulate(student, now, settings(), OnlineTargets(teacher).lesson(now), 1)


def test_hidden_states_of_another_width_are_an_error_that_names_both_widths() -> None:
    student, teacher = tiny("gpt2", 0), tiny("gpt2", 1, width=24)
    now = one_batch(student)
    with pytest.raises(DistilleakError, match="24 wide and the student's 16"):
        accumulate(student, now, WITH_HIDDEN, OnlineTargets(teacher).lesson(now), 1)


def test_stored_targets_have_no_hidden_states_to_learn_from() -> None:
    student, teacher = tiny("gpt2", 0), tiny("gpt2", 1)
    now = one_batch(student)
    stored = Lesson(OnlineTargets(teacher).lesson(now).logits, None)
    with pytest.raises(DistilleakError, match="hidden_weight"):
        accumulate(student, now, WITH_HIDDEN, stored, 1)
