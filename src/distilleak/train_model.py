"""Train a model on one pool by its language-modelling loss: the teacher, or a reference model."""

import argparse
import logging
from collections.abc import Sequence

from distilleak import distributed, models, seeding, stage, training, training_options
from distilleak.files import write_json
from distilleak.objective import accumulate
from distilleak.records import POOLS, read_records
from distilleak.settings.architecture import ModelSettings
from distilleak.settings.objective import ObjectiveSettings
from distilleak.settings.training import TrainingSettings

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    with distributed.processes():
        _train(arguments)


def _train(arguments: argparse.Namespace) -> None:
    device = models.prepare(arguments.threads)
    records = read_records(arguments.records, [arguments.pool])
    seed = seeding.number(arguments.seed, arguments.role)
    model = models.make(arguments.model, arguments.tokenizer, seed).to(device)  # type: ignore[arg-type]
    layout = models.layout(model, arguments.tokenizer)
    models.check_length(model, layout, records.tokens)
    if distributed.is_main():
        log.info(
            "%s: %d parameters, %d records, on %s",
            arguments.role, model.num_parameters(), len(records.tokens), device,
        )  # fmt: skip
    snapshots = training_options.snapshots(arguments, [arguments.records, arguments.tokenizer])
    alone = ObjectiveSettings(alpha=1.0)
    facts = training.train(
        model,
        records.tokens,
        layout,
        lambda now, tokens: accumulate(model, now, alone, None, tokens),
        arguments.training,
        arguments.hardware,
        steps=training.updates(len(records.tokens), arguments.training),
        seed=seed,
        snapshots=snapshots,
    )
    if distributed.is_main():
        models.save(model, arguments.tokenizer, arguments.output)
        facts |= {"parameters": model.num_parameters(), "training_records": len(records.tokens)}
        write_json(facts, arguments.facts)
    if snapshots is not None:
        snapshots.finish()


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--pool", choices=POOLS, required=True, help="the pool to train on")
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument(
        "--model",
        type=stage.settings_argument(ModelSettings),
        required=True,
        help="JSON: shape of the model, or the checkpoint that it starts from",
    )
    training_options.add(parser, TrainingSettings)
    parser.add_argument(
        "--role", required=True, help="name of the model, which with the seed fixes its start"
    )
    parser.add_argument("--output", required=True, help="model directory to write")
    parser.add_argument("--facts", required=True, help="JSON of losses and counts to write")
    return parser
