"""Finish a student whose method only acts on a trained one: nothing is trained.

The method marks its tokens, changes the trained student, and what it gives is written as
`train_student` would have written it.
"""

import argparse
from collections.abc import Sequence

from distilleak.files import check_object, write_table
from distilleak.guards import sealed_json
from distilleak.models import making
from distilleak.stages import base
from distilleak.training.choice import choose


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    device = making.prepare(arguments.threads)
    student = making.load(arguments.trained, device)
    choice = choose(
        arguments.method,
        arguments.records,
        arguments.vulnerability,
        arguments.seed,
        student.config.vocab_size,
    )
    facts = check_object(sealed_json.read(arguments.trained_facts), {}, arguments.trained_facts)
    released = choice.method.finish(student, choice.marked)
    making.save(released, arguments.tokenizer, arguments.output)
    write_table(choice.selection(), arguments.selection)
    sealed_json.write(choice.describe(facts, student), arguments.facts)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--trained", required=True, help="model directory of the trained student")
    parser.add_argument("--trained-facts", required=True, help="JSON of the facts of its training")
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument(
        "--method",
        type=base.settings_argument(dict),
        required=True,
        help='JSON: {"method": name, "parameters": {...}}',
    )
    parser.add_argument("--vulnerability", help="vulnerable.parquet, for methods that need it")
    parser.add_argument("--seed", type=int, required=True, help="seed of the study")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--output", required=True, help="model directory to write")
    parser.add_argument("--selection", required=True, help="Parquet of the members seen, to write")
    parser.add_argument("--facts", required=True, help="JSON of losses and counts to write")
    return parser
