"""The teacher's logits: stored or asked anew, they are the same."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_study import START, VOCABULARY, one_batch, random_tokens, tiny_model, training_settings
from transformers import PreTrainedModel

from distilleak import targets, training
from distilleak.batches import Batch
from distilleak.errors import DistilleakError
from distilleak.objective import distillation_loss
from distilleak.targets import OnlineTargets, StoredTargets

TOKENS = random_tokens(11, seed=2)
LENGTHS = np.array([len(record) for record in TOKENS])


@pytest.fixture(scope="module")
def teacher() -> PreTrainedModel:
    return tiny_model(seed=7)


@pytest.fixture(scope="module")
def stored(teacher: PreTrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("targets") / "targets.npy"
    targets.store(teacher, TOKENS, START, 20, path)
    return path


def open_targets(path: Path, selected: NDArray[np.int64] | None = None) -> StoredTargets:
    every = np.arange(len(TOKENS))
    return StoredTargets(path, LENGTHS, every if selected is None else selected, VOCABULARY)


@pytest.mark.parametrize(
    "rows", [[0], [3, 1, 2], list(range(11)), list(range(10, -1, -1)), [5, 5, 0]]
)
def test_stored_targets_are_the_teachers_logits_in_the_order_of_the_batch(
    rows: list[int], teacher: PreTrainedModel, stored: Path
) -> None:
    now = one_batch(TOKENS, rows)
    found = open_targets(stored).logits(now)
    torch.testing.assert_close(found, OnlineTargets(teacher).logits(now), rtol=0, atol=1e-5)
    alone = [
        teacher(input_ids=torch.tensor([[START, *TOKENS[row].tolist()]])).logits[0, :-1]
        for row in rows
    ]
    torch.testing.assert_close(found, torch.cat(alone).detach(), rtol=0, atol=1e-5)


def test_a_selection_of_members_gets_the_targets_of_those_members(
    teacher: PreTrainedModel, stored: Path
) -> None:
    selected = np.array([1, 4, 5, 9])
    now = one_batch([TOKENS[row] for row in selected], [2, 0, 3])
    found = open_targets(stored, selected).logits(now)
    torch.testing.assert_close(found, OnlineTargets(teacher).logits(now), rtol=0, atol=1e-5)


def test_the_file_holds_one_float32_row_a_token(stored: Path) -> None:
    rows = np.load(stored)
    assert rows.shape == (LENGTHS.sum(), VOCABULARY)
    assert rows.dtype == np.float32


def test_batches_change_nothing(teacher: PreTrainedModel, stored: Path, tmp_path: Path) -> None:
    targets.store(teacher, TOKENS, START, 1, tmp_path / "one.npy")
    np.testing.assert_allclose(np.load(tmp_path / "one.npy"), np.load(stored), rtol=0, atol=1e-5)


def test_targets_carry_no_gradient_to_the_teacher(teacher: PreTrainedModel) -> None:
    assert not OnlineTargets(teacher).logits(one_batch(TOKENS)).requires_grad


def test_a_student_learns_the_same_from_stored_and_online_targets(
    teacher: PreTrainedModel, stored: Path
) -> None:
    def student(source: targets.Targets) -> torch.Tensor:
        model = tiny_model(layers=1)

        def loss(now: Batch, logits: torch.Tensor) -> torch.Tensor:
            return distillation_loss(logits, now.labels, source.logits(now), 0.3, 2.0)

        settings = training_settings(batch_size=4, learning_rate=1e-3)
        training.train(model, TOKENS, loss, settings, steps=6, start=START, seed=0)
        return model(input_ids=one_batch(TOKENS).input_ids).logits.detach()  # type: ignore[no-any-return]

    before = tiny_model(layers=1)(input_ids=one_batch(TOKENS).input_ids).logits
    by_file, by_teacher = student(open_targets(stored)), student(OnlineTargets(teacher))
    torch.testing.assert_close(by_file, by_teacher, rtol=0, atol=1e-3)
    assert (by_file - before).abs().max() > 0.05


def damaged(kind: str, source: Path, path: Path) -> None:
    content = source.read_bytes()
    rows = np.load(source)
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
        case "missing":
            pass


@pytest.mark.parametrize(
    "kind",
    [
        *("truncated", "empty", "text", "header", "zip", "pickle"),
        *("other records", "other vocabulary", "other precision", "missing"),
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


def test_a_teacher_that_fails_leaves_no_file(tmp_path: Path) -> None:
    narrow = tiny_model(positions=2)  # too short for the records
    with pytest.raises(IndexError):
        targets.store(narrow, TOKENS, START, 20, tmp_path / "targets.npy")
    assert list(tmp_path.iterdir()) == []
