"""Train a base model on public texts: whole passages, packed into rows.

Some passages are held out. The facts compare the model with count models of what it has learned
from: one that predicts worse than a table of pairs of words is no base for anything.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace

from distilleak.guards import sealed_json
from distilleak.machine import processes
from distilleak.models import checkpoints, making
from distilleak.settings.architecture import ModelSettings
from distilleak.settings.bases import BaseTrainingSettings
from distilleak.stages import _training_options, base
from distilleak.training import base_model

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    files = [arguments.passages, arguments.tokenizer, *checkpoints.local_files(arguments.model)]
    with (
        processes.processes(),
        _training_options.alone(arguments.snapshots, arguments.output),
    ):
        device = making.prepare(arguments.threads)
        begun = base_model.begin(
            arguments.passages,
            arguments.tokenizer,
            arguments.model,
            arguments.training,
            arguments.seed,
        )
        begun = replace(begun, model=begun.model.to(device))  # type: ignore[arg-type]
        snapshots = _training_options.snapshots(
            arguments.snapshots, arguments.hardware, vars(arguments), files
        )
        facts = base_model.learn(begun, arguments.hardware, snapshots)
        facts |= base_model.measure(begun)
        if processes.is_main():
            log.info("held-out loss %.4f nats per token", facts["heldout_loss"])
            making.save(begun.model, arguments.tokenizer, arguments.output)
            sealed_json.write(facts, arguments.facts)
        if snapshots is not None:
            snapshots.finish()


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--passages", required=True, help="passages.parquet of its texts")
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument(
        "--model",
        type=base.settings_argument(ModelSettings),
        required=True,
        help="JSON: shape of the model, or the checkpoint that it goes on from",
    )
    _training_options.add(parser, BaseTrainingSettings)
    parser.add_argument("--output", required=True, help="model directory to write")
    parser.add_argument("--facts", required=True, help="JSON of losses and counts to write")
    return parser
