"""Train a model by its language-modelling loss: the teacher, or an attacker's reference model."""

import argparse
import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distilleak import seeding
from distilleak.files import write_json
from distilleak.machine import processes
from distilleak.models import checkpoints, making
from distilleak.records.table import extent, read_records, read_training_set
from distilleak.settings.architecture import ModelSettings
from distilleak.settings.objective import ObjectiveSettings
from distilleak.settings.training import TrainingSettings
from distilleak.stages import _training_options, base
from distilleak.training import loop
from distilleak.training.objective import accumulate

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    with processes.processes():
        _train(arguments)


def _train(arguments: argparse.Namespace) -> None:
    device = making.prepare(arguments.threads)
    seed = seeding.number(arguments.seed, arguments.role)
    tokens = _training_set(arguments)
    model = making.make(arguments.model, arguments.tokenizer, seed).to(device)  # type: ignore[arg-type]
    layout = making.layout(model, arguments.tokenizer)
    making.check_length(model, layout, tokens)
    if processes.is_main():
        log.info(
            "%s: %d parameters, %d records, on %s",
            arguments.role, model.num_parameters(), len(tokens), device,
        )  # fmt: skip
    snapshots = _training_options.snapshots(
        arguments,
        [arguments.records, arguments.tokenizer, *checkpoints.local_files(arguments.model)],
    )
    alone = ObjectiveSettings(alpha=1.0)
    facts = loop.train(
        model,
        tokens,
        layout,
        lambda now, tokens: accumulate(model, now, alone, None, tokens),
        arguments.training,
        arguments.hardware,
        steps=loop.updates(len(tokens), arguments.training),
        seed=seed,
        snapshots=snapshots,
    )
    if processes.is_main():
        making.save(model, arguments.tokenizer, arguments.output)
        facts |= {"parameters": model.num_parameters(), "training_records": len(tokens)}
        write_json(facts, arguments.facts)
    if snapshots is not None:
        snapshots.finish()


def _training_set(arguments: argparse.Namespace) -> list[NDArray[np.int32]]:
    """The teacher's records; of a reference model, a draw of its own from the auxiliary pool.

    The draw is as large as the teacher's training set, where the pool has as many: how strongly a
    model fits a record depends on how many it is trained on.
    """
    if arguments.role == "teacher":
        return read_training_set(arguments.records, "teacher").tokens
    records = read_records(arguments.records, ["auxiliary"])
    size, _ = extent(arguments.records, ["member"])
    order = seeding.stream(arguments.seed, f"draw {arguments.role}").permutation(
        len(records.tokens)
    )
    return [records.tokens[row] for row in np.sort(order[:size])]


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
