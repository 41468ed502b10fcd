"""Training a student: what its method changes, the records it sees, the lessons it hears."""

import argparse
import copy
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from distilleak import catalogue, seeding
from distilleak.errors import DistilleakError
from distilleak.files import read_table, write_json
from distilleak.machine import processes
from distilleak.methods.base import DistillationSet, PlainDistillation
from distilleak.models import families, making
from distilleak.models.batches import Batch, epoch_order, training_batch
from distilleak.records.pools import EVIDENCE_POOLS
from distilleak.records.table import Records, read_records, read_training_set
from distilleak.training import loop, targets
from distilleak.training.objective import accumulate
from distilleak.training.snapshots import Snapshots

log = logging.getLogger(__name__)

AnyMethod = PlainDistillation[Any]
START_BATCHES = 8
"""Training batches from which a changed architecture takes its starting values."""


@dataclass(frozen=True)
class Choice:
    """What a method has chosen to train on."""

    method: AnyMethod
    members: Records
    source: Records  # the members, or other records that the method trains on
    selected: NDArray[np.int64]  # positions in `source`
    marked: NDArray[np.bool_] | None  # (vocabulary,) the tokens on which it acts

    def describe(self, facts: dict[str, Any], student: PreTrainedModel) -> dict[str, Any]:
        """The facts of a training, and what is known without one."""
        counted: dict[str, float] = {
            "parameters": student.num_parameters(),
            "training_records": len(self.selected),
        }
        if self.marked is not None:
            counted["vulnerable_token_share"] = float(self.marked.mean())
        return facts | counted


def choose(arguments: argparse.Namespace, vocabulary: int) -> Choice:
    method = _method(arguments.method)
    members = read_training_set(arguments.records, "student")
    source = members
    if method.pool != "member":
        source = read_records(arguments.records, [method.pool])

    def judged(records: Records) -> DistillationSet:
        vulnerable = _vulnerable(arguments, method, records)
        return DistillationSet(records.record_id, records.tokens, vulnerable, vocabulary)

    pool = judged(source)
    selected = method.select(pool, seeding.stream(arguments.seed, "selection"))
    # Whatever a student trains on, it is the members that are vulnerable.
    own = pool if source is members else judged(members)
    return Choice(method, members, source, selected, method.vulnerable_tokens(own))


def learn(
    arguments: argparse.Namespace,
    choice: Choice,
    student: PreTrainedModel,
    seed: int,
    snapshots: Snapshots | None,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The student after training, not yet finished by its method, and the facts of it."""
    method, device = choice.method, str(student.device)
    vocabulary = student.config.vocab_size
    layout = making.layout(student, arguments.tokenizer)
    making.check_length(student, layout, choice.source.tokens)
    tokens = [choice.source.tokens[row] for row in choice.selected]
    surgery = method.surgery(families.width(student), families.head_width(student))
    changed = making.change(student, surgery, seed)
    first = epoch_order(len(tokens), arguments.training.batch_size, seed, 0)[:START_BATCHES]
    method.start(
        changed,
        [
            training_batch(
                tokens, rows, layout, device,
                vocabulary=vocabulary, share=arguments.training.mask_share, seed=seed, epoch=0,
            )
            for rows in first
        ],
    )  # fmt: skip
    objective = method.objective()
    lessons = _lessons(arguments, choice, changed)

    def learn(now: Batch, tokens: int) -> torch.Tensor:
        lesson = None if lessons is None else lessons.lesson(now)
        return accumulate(changed, now, objective, lesson, tokens)

    def keep(epoch: int, facts: dict[str, Any]) -> None:
        assert snapshots is not None
        if processes.is_main():
            place = kept_epochs(snapshots) / str(epoch)
            released = method.finish(copy.deepcopy(changed), choice.marked)
            making.save(released, arguments.tokenizer, place / "model")
            write_json(choice.describe(facts, changed), place / "facts.json")

    if processes.is_main():
        log.info(
            "%d parameters, %d of %d %s records, on %s",
            changed.num_parameters(), len(tokens), len(choice.source.tokens), method.pool, device,
        )  # fmt: skip
    members = len(choice.members.tokens)
    budget = members if arguments.training.budget == "steps" else len(tokens)
    facts = loop.train(
        changed,
        tokens,
        layout,
        learn,
        arguments.training,
        arguments.hardware,
        steps=loop.updates(budget, arguments.training),
        seed=seed,
        snapshots=snapshots,
        keep=None if arguments.epochs is None else keep,
    )
    return changed, facts


def kept_epochs(snapshots: Snapshots) -> Path:
    """Where epochs lie until the end, so that an interrupted training that goes on finds them."""
    place = snapshots.home / "epochs"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _method(entry: dict[str, object]) -> AnyMethod:
    module = catalogue.load("methods", str(entry["method"]))
    return module.Method(module.Parameters.model_validate(entry["parameters"]))  # type: ignore[no-any-return]


def _vulnerable(
    arguments: argparse.Namespace, method: AnyMethod, members: Records
) -> NDArray[np.bool_]:
    """Whether each member is vulnerable, joined by record id; all False if nobody asks."""
    if not method.needs_vulnerability:
        return np.zeros(len(members.record_id), dtype=bool)
    if arguments.vulnerability is None:
        raise DistilleakError(f"{arguments.method['method']} needs --vulnerability")
    table = read_table(arguments.vulnerability, ["record_id", "vulnerable"])
    # Members that the attacker was shown and canaries are not evaluated: nothing identifies them.
    judged = np.isin(members.pool, EVIDENCE_POOLS)
    asked = pa.array(members.record_id).filter(pa.array(judged))
    row = pc.index_in(asked, table["record_id"].combine_chunks())
    if row.null_count:
        raise DistilleakError(
            f"{arguments.vulnerability}: not every member of {arguments.records} is in it"
        )
    vulnerable = np.zeros(len(judged), dtype=bool)
    vulnerable[judged] = table["vulnerable"].to_numpy()[row.to_numpy()]
    return vulnerable


def _lessons(
    arguments: argparse.Namespace, choice: Choice, student: PreTrainedModel
) -> targets.Targets | None:
    method = choice.method
    if not method.needs_teacher:
        return None
    found: targets.Targets
    if arguments.targets is not None:
        lengths = np.array([len(record) for record in choice.source.tokens])
        found = targets.StoredTargets(
            arguments.targets, lengths, choice.selected, student.config.vocab_size
        )
    elif arguments.teacher is not None:
        teacher = making.load(arguments.teacher, str(student.device))
        kinds = families.of(teacher).kind, families.of(student).kind
        if kinds[0] != kinds[1]:
            raise DistilleakError(f"the teacher is {kinds[0]} and the student {kinds[1]}")
        found = targets.OnlineTargets(teacher)
    else:
        raise DistilleakError(f"{arguments.method['method']} needs --teacher or --targets")
    return targets.MappedTargets(found, lambda logits: method.targets(logits, choice.marked))
