"""Train one student by one distillation method."""

import argparse
import copy
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from distilleak import (
    catalogue,
    checkpoints,
    distributed,
    families,
    models,
    seeding,
    stage,
    targets,
    training,
    training_options,
)
from distilleak.batches import Batch, epoch_order, training_batch
from distilleak.errors import DistilleakError
from distilleak.files import read_json, read_table, write_json, write_table
from distilleak.methods.base import DistillationSet, PlainDistillation
from distilleak.objective import accumulate
from distilleak.records import EVALUATED, Records, read_records, read_training_set
from distilleak.settings.architecture import ModelSettings, StudentSettings
from distilleak.settings.training import StudentTrainingSettings
from distilleak.snapshots import Snapshots

log = logging.getLogger(__name__)

AnyMethod = PlainDistillation[Any]
START_BATCHES = 8
"""Training batches from which a changed architecture takes its starting values."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.epochs is not None and arguments.snapshots is None:
        parser.error("--epochs needs --snapshots")
    with distributed.processes():
        _train(arguments)


@dataclass(frozen=True)
class _Choice:
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


def _train(arguments: argparse.Namespace) -> None:
    device = models.prepare(arguments.threads)
    seed = seeding.number(arguments.seed, "student")
    if arguments.trained is None:
        student = models.make(
            arguments.student,
            arguments.tokenizer,
            seed,
            arguments.teacher or arguments.teacher_start,
            teacher_seed=seeding.number(arguments.seed, "teacher"),
        )
    else:
        student = models.load(arguments.trained, device)
    choice = _choose(arguments, student.config.vocab_size)
    snapshots = None
    if arguments.trained is None:
        snapshots = training_options.snapshots(arguments, _files(arguments))
        student, facts = _learn(arguments, choice, student.to(device), seed, snapshots)  # type: ignore[arg-type]
    else:
        facts = read_json(arguments.trained.parent / "facts.json")
    if distributed.is_main():
        if arguments.epochs is not None:
            assert snapshots is not None
            shutil.copytree(_kept(snapshots), arguments.epochs, dirs_exist_ok=True)
        released = choice.method.finish(student, choice.marked)
        models.save(released, arguments.tokenizer, arguments.output)
        seen = np.isin(
            choice.members.record_id, [choice.source.record_id[row] for row in choice.selected]
        )
        ids = choice.members.record_id
        write_table(pa.table({"record_id": ids, "seen": seen}), arguments.selection)
        write_json(choice.describe(facts, student), arguments.facts)
    if snapshots is not None:
        snapshots.finish()


def _choose(arguments: argparse.Namespace, vocabulary: int) -> _Choice:
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
    return _Choice(method, members, source, selected, method.vulnerable_tokens(own))


def _learn(
    arguments: argparse.Namespace,
    choice: _Choice,
    student: PreTrainedModel,
    seed: int,
    snapshots: Snapshots | None,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The student after training, not yet finished by its method, and the facts of it."""
    method, device = choice.method, str(student.device)
    vocabulary = student.config.vocab_size
    layout = models.layout(student, arguments.tokenizer)
    models.check_length(student, layout, choice.source.tokens)
    tokens = [choice.source.tokens[row] for row in choice.selected]
    surgery = method.surgery(families.width(student), families.head_width(student))
    changed = models.change(student, surgery, seed)
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
        if distributed.is_main():
            place = _kept(snapshots) / str(epoch)
            released = method.finish(copy.deepcopy(changed), choice.marked)
            models.save(released, arguments.tokenizer, place / "model")
            write_json(choice.describe(facts, changed), place / "facts.json")

    if distributed.is_main():
        log.info(
            "%d parameters, %d of %d %s records, on %s",
            changed.num_parameters(), len(tokens), len(choice.source.tokens), method.pool, device,
        )  # fmt: skip
    members = len(choice.members.tokens)
    budget = members if arguments.training.budget == "steps" else len(tokens)
    facts = training.train(
        changed,
        tokens,
        layout,
        learn,
        arguments.training,
        arguments.hardware,
        steps=training.updates(budget, arguments.training),
        seed=seed,
        snapshots=snapshots,
        keep=None if arguments.epochs is None else keep,
    )
    return changed, facts


def _kept(snapshots: Snapshots) -> Path:
    """Where epochs lie until the end, so that an interrupted training that goes on finds them."""
    place = snapshots.home / "epochs"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _files(arguments: argparse.Namespace) -> list[str]:
    """All that the training reads."""
    given = (
        arguments.records, arguments.tokenizer, arguments.teacher, arguments.targets,
        arguments.vulnerability,
    )  # fmt: skip
    started = [
        file
        for settings in (arguments.student, arguments.teacher_start)
        for file in checkpoints.local_files(settings)
    ]
    return [*(file for file in given if file is not None), *started]


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
    judged = np.isin(members.pool, EVALUATED)
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
    arguments: argparse.Namespace, choice: _Choice, student: PreTrainedModel
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
        teacher = models.load(arguments.teacher, str(student.device))
        kinds = families.of(teacher).kind, families.of(student).kind
        if kinds[0] != kinds[1]:
            raise DistilleakError(f"the teacher is {kinds[0]} and the student {kinds[1]}")
        found = targets.OnlineTargets(teacher)
    else:
        raise DistilleakError(f"{arguments.method['method']} needs --teacher or --targets")
    return targets.MappedTargets(found, lambda logits: method.targets(logits, choice.marked))


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument(
        "--method",
        type=stage.settings_argument(dict),
        required=True,
        help='JSON: {"method": name, "parameters": {...}}',
    )
    parser.add_argument(
        "--student",
        type=stage.settings_argument(StudentSettings),
        required=True,
        help="JSON: shape of the student, or the checkpoint or teacher's layers it starts from",
    )
    training_options.add(parser, StudentTrainingSettings)
    parser.add_argument("--targets", help="stored logits of the teacher")
    parser.add_argument(
        "--teacher", help="teacher's model directory, which is asked where no logits are stored"
    )
    parser.add_argument(
        "--teacher-start",
        type=stage.settings_argument(ModelSettings),
        help="JSON: what the teacher started from, for a start from its layers as they were then",
    )
    parser.add_argument("--vulnerability", help="vulnerable.parquet, for methods that need it")
    parser.add_argument(
        "--trained",
        type=Path,
        help="model directory of a student that the method only has to finish, beside the facts of "
        "its training; nothing is trained",
    )
    parser.add_argument("--output", required=True, help="model directory to write")
    parser.add_argument("--selection", required=True, help="Parquet of the members seen, to write")
    parser.add_argument("--facts", required=True, help="JSON of losses and counts to write")
    parser.add_argument(
        "--epochs",
        type=Path,
        help="directory to write the student to as it is after every epoch but the last; "
        "needs --snapshots",
    )
    return parser
