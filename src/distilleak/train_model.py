"""Train a model from scratch on one pool by cross-entropy: the teacher, or a reference model."""

import argparse
import logging
from collections.abc import Sequence

from distilleak import models, seeding, stage, tokenization, training
from distilleak.files import write_json
from distilleak.objective import distillation_loss
from distilleak.records import POOLS, read_records
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.training import TrainingSettings

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    device = models.prepare(arguments.threads)
    tokenizer = tokenization.load(arguments.tokenizer)
    start = tokenization.start_token(tokenizer)
    records = read_records(arguments.records, [arguments.pool])
    seed = seeding.number(arguments.seed, arguments.role)
    model = models.build(arguments.architecture, tokenizer.get_vocab_size(), start, seed).to(device)  # type: ignore[arg-type]
    log.info(
        "%s: %d parameters, %d records", arguments.role, model.num_parameters(), len(records.tokens)
    )
    facts = training.train(
        model,
        records.tokens,
        lambda now, logits: distillation_loss(logits, now.labels, None, 1.0, 1.0),
        arguments.training,
        steps=training.updates(len(records.tokens), arguments.training),
        start=start,
        seed=seed,
    )
    models.save(model, arguments.tokenizer, arguments.output)
    facts |= {
        "parameters": model.num_parameters(),
        "training_records": len(records.tokens),
    }
    write_json(facts, arguments.facts)


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--pool", choices=POOLS, required=True, help="the pool to train on")
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument(
        "--architecture",
        type=stage.settings_argument(ArchitectureSettings),
        required=True,
        help="JSON: shape of the model",
    )
    parser.add_argument(
        "--training",
        type=stage.settings_argument(TrainingSettings),
        required=True,
        help="JSON: training settings",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the study")
    parser.add_argument(
        "--role", required=True, help="name of the model, which with the seed fixes its start"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--output", required=True, help="model directory to write")
    parser.add_argument("--facts", required=True, help="JSON of losses and counts to write")
    return parser


if __name__ == "__main__":
    stage.run(main)
