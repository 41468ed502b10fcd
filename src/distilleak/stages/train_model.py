"""Train a model by its language-modelling loss: the teacher, or an attacker's reference model."""

import argparse
from collections.abc import Sequence

from distilleak import seeding
from distilleak.guards import sealed_json
from distilleak.machine import processes
from distilleak.models import checkpoints, making
from distilleak.settings.architecture import ModelSettings
from distilleak.settings.training import TrainingSettings
from distilleak.stages import _training_options, base
from distilleak.training import language_model


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    files = [arguments.records, arguments.tokenizer, *checkpoints.local_files(arguments.model)]
    with (
        processes.processes(),
        _training_options.alone(arguments.snapshots, arguments.output),
    ):
        device = making.prepare(arguments.threads)
        seed = seeding.number(arguments.seed, arguments.role)
        tokens = language_model.read_tokens(arguments.records, arguments.role, arguments.seed)
        model = making.make(arguments.model, arguments.tokenizer, seed).to(device)  # type: ignore[arg-type]
        snapshots = _training_options.snapshots(
            arguments.snapshots, arguments.hardware, vars(arguments), files
        )
        facts = language_model.learn(
            model,
            tokens,
            arguments.tokenizer,
            arguments.role,
            arguments.training,
            arguments.hardware,
            seed,
            snapshots,
        )
        if processes.is_main():
            making.save(model, arguments.tokenizer, arguments.output)
            sealed_json.write(facts, arguments.facts)
        if snapshots is not None:
            snapshots.finish()


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument(
        "--model",
        type=base.settings_argument(ModelSettings),
        required=True,
        help="JSON: shape of the model, or the checkpoint that it starts from",
    )
    _training_options.add(parser, TrainingSettings)
    parser.add_argument(
        "--role",
        required=True,
        help="teacher, or the name of a reference model, which with the seed fixes its start and "
        "its draw from the auxiliary pool",
    )
    parser.add_argument("--output", required=True, help="model directory to write")
    parser.add_argument("--facts", required=True, help="JSON of losses and counts to write")
    return parser
