"""Training a student: what it starts from, what its method changes, the lessons it hears."""

import copy
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.guards import sealed_json
from distilleak.machine import processes
from distilleak.models import families, making
from distilleak.models.batches import Batch
from distilleak.settings.architecture import (
    ArchitectureSettings,
    CheckpointSettings,
    ModelSettings,
    StudentSettings,
)
from distilleak.settings.training import HardwareSettings, StudentTrainingSettings
from distilleak.training import loop, surgery, targets
from distilleak.training.choice import Choice
from distilleak.training.objective import accumulate
from distilleak.training.snapshots import Snapshots

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Teaching:
    """How a student is taught.

    Attributes:
        records: records.parquet, on whose hold-out the student is tested before and after surgery.
        tokenizer: directory of the tokenizer.
        teacher: model directory of the teacher, which is queried where no logits are stored.
        targets: stored logits of the teacher.
        training: optimiser and batches.
        hardware: how the machine is used.
    """

    records: str
    tokenizer: str
    teacher: str | None
    targets: str | None
    training: StudentTrainingSettings
    hardware: HardwareSettings


def make(
    start: StudentSettings,
    tokenizer: str | Path,
    seed: int,
    *,
    teacher: str | Path | None,
    teacher_start: ModelSettings | None,
    teacher_seed: int,
) -> PreTrainedModel:
    """The student before its training, in float32; a pure function of the arguments.

    Args:
        start: a shape, a checkpoint, or layers of the teacher.
        tokenizer: directory of its tokenizer.
        seed: of the random weights.
        teacher: the teacher's model directory, for a start from its layers.
        teacher_start: without `teacher`, what the teacher started from: for a start from the layers
            of a teacher that the student must not know.
        teacher_seed: of the random weights of `teacher_start`.

    Raises:
        DistilleakError: as `making.make`; or the start is layers of a teacher, and there is none.
    """
    if isinstance(start, ArchitectureSettings | CheckpointSettings):
        return making.make(start, tokenizer, seed)
    if teacher is not None:
        original = making.load(teacher, "cpu")
    elif teacher_start is not None:
        original = making.make(teacher_start, tokenizer, teacher_seed)
    else:
        raise DistilleakError("init: teacher_layers needs --teacher or --teacher-start")
    with making.seeded(seed):
        return families.copy_layers(original, start.layers)


def learn(
    student: PreTrainedModel,
    choice: Choice,
    teaching: Teaching,
    seed: int,
    snapshots: Snapshots | None,
    *,
    keep_epochs: bool,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The student after training, not yet finished by its method, and the facts of its training.

    Where the method changes the architecture, these include the student's held-out loss before and
    after that, both before any training.

    With `keep_epochs` it is written to `kept_epochs(snapshots)`, as its method releases it, after
    every epoch but the last.
    """
    method, device, training = choice.method, str(student.device), teaching.training
    framing = making.framing(student, teaching.tokenizer)
    making.check_length(student, framing, choice.source.tokens)
    tokens = [choice.source.tokens[row] for row in choice.selected]
    changed, losses = surgery.operate(student, choice, training, framing, teaching.records, seed)
    objective = method.objective()
    lessons = _lessons(teaching, choice, changed)

    def learn(now: Batch, tokens: int) -> torch.Tensor:
        lesson = None if lessons is None else lessons.lesson(now)
        return accumulate(changed, now, objective, lesson, tokens)

    def keep(epoch: int, facts: dict[str, Any]) -> None:
        assert snapshots is not None
        if processes.is_main():
            place = kept_epochs(snapshots) / str(epoch)
            released = method.finish(copy.deepcopy(changed), choice.marked)
            making.save(released, teaching.tokenizer, place / "model")
            sealed_json.write(choice.describe(facts | losses, changed), place / "facts.json")

    if processes.is_main():
        log.info(
            "%d parameters, %d of %d %s records, on %s",
            changed.num_parameters(),
            len(tokens),
            len(choice.source.tokens),
            method.pool,
            device,
        )
    members = len(choice.members.tokens)
    budget = members if training.budget == "steps" else len(tokens)
    facts = loop.train(
        changed,
        tokens,
        framing,
        learn,
        training,
        teaching.hardware,
        steps=loop.updates(budget, training),
        seed=seed,
        snapshots=snapshots,
        keep=keep if keep_epochs else None,
        rates=method.rates(changed),
    )
    return changed, facts | losses


def kept_epochs(snapshots: Snapshots) -> Path:
    """Where epochs lie until the end, so that a training that is resumed finds them."""
    place = snapshots.home / "epochs"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _lessons(
    teaching: Teaching, choice: Choice, student: PreTrainedModel
) -> targets.Targets | None:
    method = choice.method
    if not method.needs_teacher:
        return None
    found: targets.Targets
    if teaching.targets is not None:
        lengths = np.array([len(record) for record in choice.source.tokens])
        found = targets.StoredTargets(
            teaching.targets, lengths, choice.selected, student.config.vocab_size
        )
    elif teaching.teacher is not None:
        teacher = making.load(teaching.teacher, str(student.device))
        kinds = families.of(teacher).kind, families.of(student).kind
        if kinds[0] != kinds[1]:
            raise DistilleakError(f"the teacher is {kinds[0]} and the student {kinds[1]}")
        found = targets.OnlineTargets(teacher)
    else:
        raise DistilleakError(f"{choice.name} needs --teacher or --targets")
    return targets.MappedTargets(found, lambda logits: method.targets(logits, choice.marked))
