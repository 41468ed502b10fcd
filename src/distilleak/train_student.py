"""Train one student by one distillation method."""

import argparse
import logging
from collections.abc import Sequence
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
from distilleak.files import read_table, write_json, write_table
from distilleak.methods.base import DistillationSet, PlainDistillation
from distilleak.objective import accumulate
from distilleak.records import EVALUATED, Records, read_training_set
from distilleak.settings.architecture import ModelSettings, StudentSettings
from distilleak.settings.training import StudentTrainingSettings

log = logging.getLogger(__name__)

AnyMethod = PlainDistillation[Any]
START_BATCHES = 8
"""Training batches from which a changed architecture takes its starting values."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    with distributed.processes():
        _train(arguments)


def _train(arguments: argparse.Namespace) -> None:
    device = models.prepare(arguments.threads)
    method = _method(arguments.method)
    members = read_training_set(arguments.records, "student")
    seed = seeding.number(arguments.seed, "student")
    student = models.make(
        arguments.student,
        arguments.tokenizer,
        seed,
        arguments.teacher or arguments.teacher_start,
        teacher_seed=seeding.number(arguments.seed, "teacher"),
    )
    layout = models.layout(student, arguments.tokenizer)
    models.check_length(student, layout, members.tokens)
    vocabulary = student.config.vocab_size
    pool = DistillationSet(
        members.record_id, members.tokens, _vulnerable(arguments, method, members), vocabulary
    )
    selected = method.select(pool, seeding.stream(arguments.seed, "selection"))
    tokens = [members.tokens[row] for row in selected]
    marked = method.vulnerable_tokens(pool)
    surgery = method.surgery(families.width(student), families.head_width(student))
    student = models.change(student.to(device), surgery, seed)  # type: ignore[arg-type]
    first = epoch_order(len(tokens), arguments.training.batch_size, seed, 0)[:START_BATCHES]
    method.start(
        student,
        [
            training_batch(
                tokens, rows, layout, device,
                vocabulary=vocabulary, share=arguments.training.mask_share, seed=seed, epoch=0,
            )
            for rows in first
        ],
    )  # fmt: skip
    objective = method.objective()
    lessons = _lessons(arguments, method, members, selected, student, marked, device)

    def learn(now: Batch, tokens: int) -> torch.Tensor:
        lesson = None if lessons is None else lessons.lesson(now)
        return accumulate(student, now, objective, lesson, tokens)

    if distributed.is_main():
        log.info(
            "%d parameters, %d of %d members, on %s",
            student.num_parameters(), len(tokens), len(members.tokens), device,
        )  # fmt: skip
    snapshots = training_options.snapshots(arguments, _files(arguments))
    budget = len(members.tokens) if arguments.training.budget == "steps" else len(tokens)
    facts = training.train(
        student,
        tokens,
        layout,
        learn,
        arguments.training,
        arguments.hardware,
        steps=training.updates(budget, arguments.training),
        seed=seed,
        snapshots=snapshots,
    )
    if distributed.is_main():
        facts |= {"parameters": student.num_parameters(), "training_records": len(tokens)}
        if marked is not None:
            facts["vulnerable_token_share"] = float(marked.mean())
        models.save(method.finish(student, marked), arguments.tokenizer, arguments.output)
        seen = np.isin(np.arange(len(members.record_id)), selected)
        write_table(pa.table({"record_id": members.record_id, "seen": seen}), arguments.selection)
        write_json(facts, arguments.facts)
    if snapshots is not None:
        snapshots.finish()


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
    arguments: argparse.Namespace,
    method: AnyMethod,
    members: Records,
    selected: NDArray[np.int64],
    student: PreTrainedModel,
    marked: NDArray[np.bool_] | None,
    device: str,
) -> targets.Targets | None:
    if not method.needs_teacher:
        return None
    found: targets.Targets
    if arguments.targets is not None:
        lengths = np.array([len(record) for record in members.tokens])
        found = targets.StoredTargets(
            arguments.targets, lengths, selected, student.config.vocab_size
        )
    elif arguments.teacher is not None:
        teacher = models.load(arguments.teacher, device)
        kinds = families.of(teacher).kind, families.of(student).kind
        if kinds[0] != kinds[1]:
            raise DistilleakError(f"the teacher is {kinds[0]} and the student {kinds[1]}")
        found = targets.OnlineTargets(teacher)
    else:
        raise DistilleakError(f"{arguments.method['method']} needs --teacher or --targets")
    return targets.MappedTargets(found, lambda logits: method.targets(logits, marked))


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
    parser.add_argument("--output", required=True, help="model directory to write")
    parser.add_argument("--selection", required=True, help="Parquet of the members seen, to write")
    parser.add_argument("--facts", required=True, help="JSON of losses and counts to write")
    return parser
