"""Train one student by one distillation method."""

import argparse
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from distilleak import seeding
from distilleak.files import read_json, write_json, write_table
from distilleak.machine import processes
from distilleak.models import checkpoints, making
from distilleak.settings.architecture import ModelSettings, StudentSettings
from distilleak.settings.training import StudentTrainingSettings
from distilleak.stages import _training_options, base
from distilleak.training.student import choose, kept_epochs, learn

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.epochs is not None and arguments.snapshots is None:
        parser.error("--epochs needs --snapshots")
    with processes.processes():
        _train(arguments)


def _train(arguments: argparse.Namespace) -> None:
    device = making.prepare(arguments.threads)
    seed = seeding.number(arguments.seed, "student")
    if arguments.trained is None:
        student = making.make(
            arguments.student,
            arguments.tokenizer,
            seed,
            arguments.teacher or arguments.teacher_start,
            teacher_seed=seeding.number(arguments.seed, "teacher"),
        )
    else:
        student = making.load(arguments.trained, device)
    choice = choose(arguments, student.config.vocab_size)
    snapshots = None
    if arguments.trained is None:
        snapshots = _training_options.snapshots(arguments, _files(arguments))
        student, facts = learn(arguments, choice, student.to(device), seed, snapshots)  # type: ignore[arg-type]
    else:
        facts = read_json(arguments.trained.parent / "facts.json")
    if processes.is_main():
        if arguments.epochs is not None:
            assert snapshots is not None
            shutil.copytree(kept_epochs(snapshots), arguments.epochs, dirs_exist_ok=True)
        released = choice.method.finish(student, choice.marked)
        making.save(released, arguments.tokenizer, arguments.output)
        seen = np.isin(
            choice.members.record_id, [choice.source.record_id[row] for row in choice.selected]
        )
        ids = choice.members.record_id
        write_table(pa.table({"record_id": ids, "seen": seen}), arguments.selection)
        write_json(choice.describe(facts, student), arguments.facts)
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


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument(
        "--method",
        type=base.settings_argument(dict),
        required=True,
        help='JSON: {"method": name, "parameters": {...}}',
    )
    parser.add_argument(
        "--student",
        type=base.settings_argument(StudentSettings),
        required=True,
        help="JSON: shape of the student, or the checkpoint or teacher's layers it starts from",
    )
    _training_options.add(parser, StudentTrainingSettings)
    parser.add_argument("--targets", help="stored logits of the teacher")
    parser.add_argument(
        "--teacher", help="teacher's model directory, which is asked where no logits are stored"
    )
    parser.add_argument(
        "--teacher-start",
        type=base.settings_argument(ModelSettings),
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
