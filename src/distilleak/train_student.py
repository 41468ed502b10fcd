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

from distilleak import catalogue, models, seeding, stage, targets, tokenization, training
from distilleak.batches import Batch, batch, epoch_order
from distilleak.errors import DistilleakError
from distilleak.files import read_table, write_json, write_table
from distilleak.methods.base import DistillationSet, PlainDistillation
from distilleak.objective import distillation_loss
from distilleak.records import Records, read_records
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.training import StudentTrainingSettings

log = logging.getLogger(__name__)

AnyMethod = PlainDistillation[Any]
START_BATCHES = 8
"""Training batches from which a changed architecture takes its starting values."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    device = models.prepare(arguments.threads)
    method = _method(arguments.method)
    tokenizer = tokenization.load(arguments.tokenizer)
    vocabulary = tokenizer.get_vocab_size()
    start = tokenization.start_token(tokenizer)
    members = read_records(arguments.records, ["member"])
    pool = DistillationSet(
        members.record_id, members.tokens, _vulnerable(arguments, method, members), vocabulary
    )

    selected = method.select(pool, seeding.stream(arguments.seed, "selection"))
    tokens = [members.tokens[row] for row in selected]
    marked = method.vulnerable_tokens(pool)
    seed = seeding.number(arguments.seed, "student")
    student = models.build(arguments.architecture, vocabulary, start, seed).to(device)  # type: ignore[arg-type]
    student = models.change(student, method.surgery(arguments.architecture.width), seed)
    first = epoch_order(len(tokens), arguments.training.batch_size, seed, 0)[:START_BATCHES]
    method.start(student, [batch(tokens, rows, start, device) for rows in first])

    alpha, temperature = method.objective()
    teacher = _targets(arguments, method, members, selected, vocabulary, device)

    def loss_of(now: Batch, logits: torch.Tensor) -> torch.Tensor:
        soft = None if teacher is None else method.targets(teacher.logits(now), marked)
        return distillation_loss(logits, now.labels, soft, alpha, temperature)

    budget = len(members.tokens) if arguments.training.budget == "steps" else len(tokens)
    log.info(
        "%d parameters, %d of %d members",
        student.num_parameters(), len(tokens), len(members.tokens),
    )  # fmt: skip
    facts = training.train(
        student,
        tokens,
        loss_of,
        arguments.training,
        steps=training.updates(budget, arguments.training),
        start=start,
        seed=seed,
    )
    facts |= {"parameters": student.num_parameters(), "training_records": len(tokens)}
    if marked is not None:
        facts["vulnerable_token_share"] = float(marked.mean())
    models.save(method.finish(student, marked), arguments.tokenizer, arguments.output)
    seen = np.isin(np.arange(len(members.record_id)), selected)
    write_table(pa.table({"record_id": members.record_id, "seen": seen}), arguments.selection)
    write_json(facts, arguments.facts)


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
    row = pc.index_in(pa.array(members.record_id), table["record_id"].combine_chunks())
    if row.null_count:
        raise DistilleakError(
            f"{arguments.vulnerability}: not every member of {arguments.records} is in it"
        )
    return table["vulnerable"].to_numpy()[row.to_numpy()]  # type: ignore[no-any-return]


def _targets(
    arguments: argparse.Namespace,
    method: AnyMethod,
    members: Records,
    selected: NDArray[np.int64],
    vocabulary: int,
    device: str,
) -> targets.Targets | None:
    if not method.needs_teacher:
        return None
    if arguments.targets is not None:
        lengths = np.array([len(record) for record in members.tokens])
        return targets.StoredTargets(arguments.targets, lengths, selected, vocabulary)
    if arguments.teacher is None:
        raise DistilleakError(f"{arguments.method['method']} needs --teacher or --targets")
    return targets.OnlineTargets(models.load(arguments.teacher, device))


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument(
        "--method",
        type=stage.settings_argument(dict),
        required=True,
        help='JSON: {"method": name, "parameters": {...}}',
    )
    parser.add_argument(
        "--architecture",
        type=stage.settings_argument(ArchitectureSettings),
        required=True,
        help="JSON: shape of the student",
    )
    parser.add_argument(
        "--training",
        type=stage.settings_argument(StudentTrainingSettings),
        required=True,
        help="JSON: training settings",
    )
    parser.add_argument("--targets", help="stored logits of the teacher")
    parser.add_argument("--teacher", help="teacher's model directory, asked when none are stored")
    parser.add_argument("--vulnerability", help="vulnerable.parquet, for methods that need it")
    parser.add_argument("--seed", type=int, required=True, help="seed of the study")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--output", required=True, help="model directory to write")
    parser.add_argument("--selection", required=True, help="Parquet of the members seen, to write")
    parser.add_argument("--facts", required=True, help="JSON of losses and counts to write")
    return parser


if __name__ == "__main__":
    stage.run(main)
