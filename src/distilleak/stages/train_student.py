"""Train one student by one distillation method."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from distilleak import seeding
from distilleak.files import atomic, write_table
from distilleak.guards import sealed_json
from distilleak.machine import processes
from distilleak.models import checkpoints, making
from distilleak.settings.architecture import ModelSettings, StudentSettings
from distilleak.settings.training import StudentTrainingSettings
from distilleak.stages import _training_options, base
from distilleak.training import student
from distilleak.training.choice import choose


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.epochs is not None and arguments.snapshots is None:
        parser.error("--epochs needs --snapshots")
    given = [
        arguments.records,
        arguments.tokenizer,
        arguments.teacher,
        arguments.targets,
        arguments.vulnerability,
        *checkpoints.local_files(arguments.student),
        *checkpoints.local_files(arguments.teacher_start),
    ]
    with (
        processes.processes(),
        _training_options.alone(arguments.snapshots, arguments.output),
    ):
        device = making.prepare(arguments.threads)
        seed = seeding.number(arguments.seed, "student")
        made = student.make(
            arguments.student,
            arguments.tokenizer,
            seed,
            teacher=arguments.teacher,
            teacher_start=arguments.teacher_start,
            teacher_seed=seeding.number(arguments.seed, "teacher"),
        )
        choice = choose(
            arguments.method,
            arguments.records,
            arguments.vulnerability,
            arguments.seed,
            made.config.vocab_size,
        )
        snapshots = _training_options.snapshots(
            arguments.snapshots,
            arguments.hardware,
            vars(arguments),
            [file for file in given if file is not None],
        )
        teaching = student.Teaching(
            arguments.records,
            arguments.tokenizer,
            arguments.teacher,
            arguments.targets,
            arguments.training,
            arguments.hardware,
        )
        trained, facts = student.learn(
            made.to(device),  # type: ignore[arg-type]
            choice,
            teaching,
            seed,
            snapshots,
            keep_epochs=arguments.epochs is not None,
        )
        if processes.is_main():
            if arguments.epochs is not None:
                assert snapshots is not None
                with atomic(arguments.epochs) as temporary:
                    shutil.copytree(student.kept_epochs(snapshots), temporary)
            released = choice.method.finish(trained, choice.marked)
            making.save(released, arguments.tokenizer, arguments.output)
            write_table(choice.selection(), arguments.selection)
            sealed_json.write(choice.describe(facts, trained), arguments.facts)
        if snapshots is not None:
            snapshots.finish()


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
        "--teacher", help="teacher's model directory, which is queried where no logits are stored"
    )
    parser.add_argument(
        "--teacher-start",
        type=base.settings_argument(ModelSettings),
        help="JSON: what the teacher started from, for a start from its layers as they were then",
    )
    parser.add_argument("--vulnerability", help="vulnerable.parquet, for methods that need it")
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
