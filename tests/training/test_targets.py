"""The teacher's lessons: stored or queried each time, they say the same."""

import copy
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models import families
from distilleak.models.batches import Batch, batch, training_batch
from distilleak.records.framing import Framing
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.objective import ObjectiveSettings
from distilleak.training import targets
from distilleak.training.objective import accumulate
from distilleak.training.targets import Lesson, MappedTargets, OnlineTargets, StoredTargets, Targets

VOCABULARY, START = 50, 0
CAUSAL, MASKED = Framing(START), Framing(START, end=1, mask=2)
TOKENS = [
    np.random.default_rng(row).integers(0, VOCABULARY, length)
    for row, length in enumerate([5, 12, 1, 7, 7, 3, 9, 1, 12, 4, 6])
]
LENGTHS = np.array([len(record) for record in TOKENS])
EVERY = slice(None)


def tiny(family: str, seed: int, **shape: Any) -> PreTrainedModel:
    """A model in training mode, every weight random."""
    torch.manual_seed(seed)
    given = {"layers": 2, "width": 16, "heads": 2, "positions": 16, **shape}
    model = families.build(ArchitectureSettings(type=family, **given), VOCABULARY, START)  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    return model.train()


def one_batch(rows: list[int]) -> Batch:
    return batch(TOKENS, rows, CAUSAL, "cpu")


def masked_batch(rows: list[int]) -> Batch:
    mask = {"vocabulary": VOCABULARY, "share": 0.3, "seed": 0, "epoch": 0}
    return training_batch(TOKENS, rows, MASKED, "cpu", **mask)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def teacher() -> PreTrainedModel:
    return tiny("llama", 7)


@pytest.fixture(scope="module")
def stored(teacher: PreTrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("targets") / "targets.npy"
    targets.store(teacher, TOKENS, CAUSAL, 20, path)
    return path


def open_targets(path: Path, selected: NDArray[np.int64] | None = None) -> StoredTargets:
    every = np.arange(len(TOKENS))
    return StoredTargets(path, LENGTHS, every if selected is None else selected, VOCABULARY)


@torch.no_grad()
def alone(teacher: PreTrainedModel, rows: list[int]) -> torch.Tensor:
    """The logits before every token, one record at a time: (tokens, vocabulary)."""
    read = [torch.tensor([[START, *TOKENS[row].tolist()]]) for row in rows]
    return torch.cat([teacher(input_ids=ids).logits[0, :-1] for ids in read])


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


# --- Asked for every batch


@pytest.mark.parametrize("rows", [[0], [3, 1, 2], [5, 5, 0]])
def test_an_online_lesson_holds_the_teachers_logits_and_hidden_states(
    rows: list[int], teacher: PreTrainedModel
) -> None:
    now = one_batch(rows)
    lesson = OnlineTargets(teacher).lesson(now)
    assert_same(lesson.logits(EVERY), alone(teacher, rows))
    assert lesson.hidden is not None
    assert lesson.hidden.shape == (len(now.labels), 16)
    assert_same(teacher.lm_head(lesson.hidden), alone(teacher, rows))


def test_a_masked_teacher_is_asked_about_the_hidden_tokens_of_this_batch() -> None:
    model = tiny("bert", 0)
    now = masked_batch([1, 4, 2])
    assert now.visible is not None
    whole = model(input_ids=now.input_ids, attention_mask=now.visible.long()).logits
    assert_same(OnlineTargets(model).lesson(now).logits(EVERY), whole[now.mask].detach())


def test_the_teacher_is_frozen_and_in_evaluation_mode() -> None:
    model = tiny("gpt2", 0, options={"resid_pdrop": 0.5})
    now = one_batch([1, 3])
    lesson = OnlineTargets(model).lesson(now)
    assert_same(lesson.logits(EVERY), OnlineTargets(model).lesson(now).logits(EVERY))
    assert not lesson.logits(EVERY).requires_grad
    assert lesson.hidden is not None
    assert not lesson.hidden.requires_grad
    assert not any(weight.requires_grad for weight in model.parameters())


def test_the_teacher_reads_a_batch_once_and_computes_logits_only_of_what_is_asked() -> None:
    model = tiny("gpt2", 0)
    read, headed = [], []
    model.transformer.register_forward_hook(lambda *_: read.append(1))
    model.lm_head.register_forward_hook(lambda _, given, __: headed.append(len(given[0])))
    now = one_batch([1, 3])
    lesson = OnlineTargets(model).lesson(now)
    assert headed == []
    for part in (slice(0, 8), slice(8, 16), slice(16, 19)):
        lesson.logits(part)
    assert headed == [8, 8, 3]
    assert len(read) == 1


def test_a_bfloat16_teacher_gives_float32_logits() -> None:
    model = tiny("gpt2", 0)
    exact = alone(copy.deepcopy(model), [1, 3])
    found = OnlineTargets(model.to(torch.bfloat16)).lesson(one_batch([1, 3])).logits(EVERY)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0, atol=0.1 * float(exact.abs().max()))


# --- Stored


@pytest.mark.parametrize(
    "rows", [[0], [3, 1, 2], list(range(11)), list(range(10, -1, -1)), [5, 5, 0]]
)
def test_stored_targets_are_the_teachers_logits_in_the_order_of_the_batch(
    rows: list[int], teacher: PreTrainedModel, stored: Path
) -> None:
    lesson = open_targets(stored).lesson(one_batch(rows))
    assert_same(lesson.logits(EVERY), alone(teacher, rows))
    assert lesson.hidden is None


def test_a_selection_of_members_gets_the_targets_of_those_members(
    teacher: PreTrainedModel, stored: Path
) -> None:
    selected = np.array([1, 4, 5, 9])
    now = batch([TOKENS[row] for row in selected], [2, 0, 3], CAUSAL, "cpu")
    found = open_targets(stored, selected).lesson(now).logits(EVERY)
    assert_same(found, alone(teacher, [5, 1, 9]))


@pytest.mark.parametrize("size", [1, 4, 100])
def test_parts_of_a_lesson_make_the_whole(
    size: int, teacher: PreTrainedModel, stored: Path
) -> None:
    now = one_batch([3, 8, 0])
    starts = range(0, len(now.labels), size)
    for source in (open_targets(stored), OnlineTargets(teacher)):
        lesson = source.lesson(now)
        parts = [lesson.logits(slice(start, start + size)) for start in starts]
        assert_same(torch.cat(parts), lesson.logits(EVERY))


def test_numpy_alone_reads_one_float32_row_a_token(teacher: PreTrainedModel, stored: Path) -> None:
    rows = np.load(stored)
    assert rows.shape == (LENGTHS.sum(), VOCABULARY)
    assert rows.dtype == np.float32
    assert_same(torch.from_numpy(rows), alone(teacher, list(range(11))))


def test_batches_change_nothing(teacher: PreTrainedModel, stored: Path, tmp_path: Path) -> None:
    targets.store(teacher, TOKENS, CAUSAL, 1, tmp_path / "one.npy")
    np.testing.assert_allclose(np.load(tmp_path / "one.npy"), np.load(stored), rtol=0, atol=1e-5)


def test_a_student_learns_the_same_from_stored_and_online_targets(
    teacher: PreTrainedModel, stored: Path
) -> None:
    now = one_batch([3, 8, 0, 1])

    def gradient(source: Targets) -> torch.Tensor:
        student = tiny("gpt2", 1)
        accumulate(student, now, ObjectiveSettings(), source.lesson(now), len(now.labels))
        parts = [weight.grad for weight in student.parameters() if weight.grad is not None]
        return torch.cat([part.flatten() for part in parts])

    by_file, by_teacher = gradient(open_targets(stored)), gradient(OnlineTargets(teacher))
    assert_same(by_file, by_teacher)
    assert by_file.norm() > 0.1


def test_a_masked_model_has_no_stored_targets(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(DistilleakError, match="masks change"):
        targets.store(tiny("bert", 0), TOKENS, MASKED, 20, tmp_path / "targets.npy")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DistilleakError, match="masks change"):
        open_targets(stored).lesson(masked_batch([1, 4]))


def test_a_teacher_that_fails_leaves_no_file(tmp_path: Path) -> None:
    narrow = tiny("gpt2", 0, positions=2)  # too short for the records
    with pytest.raises(IndexError):
        targets.store(narrow, TOKENS, CAUSAL, 20, tmp_path / "targets.npy")
    assert list(tmp_path.iterdir()) == []


# --- Changed by a method


def test_mapped_targets_change_the_logits_and_keep_the_hidden_states(
    teacher: PreTrainedModel,
) -> None:
    online, now = OnlineTargets(teacher), one_batch([3, 1])
    mapped = MappedTargets(online, lambda logits: 2 * logits - 1).lesson(now)
    plain = online.lesson(now)
    assert_same(mapped.logits(slice(4, 9)), 2 * plain.logits(slice(4, 9)) - 1)
    assert mapped.hidden is not None
    assert plain.hidden is not None
    assert_same(mapped.hidden, plain.hidden)


def test_stored_targets_can_be_mapped(teacher: PreTrainedModel, stored: Path) -> None:
    mapped: Lesson = MappedTargets(open_targets(stored), torch.neg).lesson(one_batch([3]))
    assert_same(mapped.logits(EVERY), -alone(teacher, [3]))
    assert mapped.hidden is None


# --- Damaged


def damaged(kind: str, source: Path, path: Path) -> None:
    content = source.read_bytes()
    rows = np.load(source)
    data = rows.nbytes
    first = content.index(rows.tobytes())
    match kind:
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_bytes(b"not an array\n" * 100)
        case "header":
            path.write_bytes(content[:10] + b"\xff\n{" + content[13:])
        case "zip":
            path.write_bytes(b"PK\x03\x04" + content)
        case "pickle":
            np.save(path, np.array([{}]), allow_pickle=True)
        case "other records":
            np.save(path, rows[:-1])
        case "other vocabulary":
            np.save(path, rows[:, :-1])
        case "other precision":
            np.save(path, rows.astype(np.float16))
        case "half zeroed":
            half = first + data // 2
            path.write_bytes(content[:half] + bytes(data - data // 2) + content[first + data :])
        case "one bit":
            place = first + data // 3
            path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        case "end zeroed":
            path.write_bytes(content[: first + data] + bytes(len(content) - first - data))
        case "end missing":
            path.write_bytes(content[: first + data])
        case "end cut":
            path.write_bytes(content[:-1])
        case "missing":
            pass


@pytest.mark.parametrize(
    "kind",
    [
        "truncated",
        "empty",
        "text",
        "header",
        "zip",
        "pickle",
        "missing",
        "other records",
        "other vocabulary",
        "other precision",
        "half zeroed",
        "one bit",
        "end zeroed",
        "end missing",
        "end cut",
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(
    kind: str, stored: Path, tmp_path: Path
) -> None:
    path = tmp_path / "targets.npy"
    damaged(kind, stored, path)
    with pytest.raises(DistilleakError) as caught:
        open_targets(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_the_file_begins_with_what_numpy_writes(stored: Path) -> None:
    written = BytesIO()
    np.save(written, np.load(stored))
    assert stored.read_bytes().startswith(written.getvalue())


def test_a_file_that_fails_while_it_is_read_is_reported_and_ends_no_process(
    stored: Path, tmp_path: Path
) -> None:
    """A memory map would end the process by SIGBUS."""
    path = tmp_path / "targets.npy"
    path.write_bytes(stored.read_bytes())
    opened = open_targets(path)
    os.truncate(path, 200)
    lesson = opened.lesson(one_batch([*range(len(TOKENS))]))
    with pytest.raises(DistilleakError, match=rf"^{path}: damaged file .*become shorter"):
        lesson.logits(EVERY)


def test_a_disk_without_room_for_the_logits_is_reported_before_they_are_computed(
    tmp_path: Path,
) -> None:
    endless = [np.broadcast_to(np.int64(1), 2**50)]
    with pytest.raises(DistilleakError, match=r"but only [0-9,]+ MiB are free on this disk$"):
        targets.store(tiny("llama", 7), endless, CAUSAL, 20, tmp_path / "targets.npy")
    assert list(tmp_path.iterdir()) == []
