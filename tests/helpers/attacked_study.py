"""The tiny study with everything that any attack needs: more models, views and populations."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tiny_study import NOUNS, SHAPE, START, VERBS, VOCABULARY, Study, sentences, training_settings
from transformers import PreTrainedModel

from distilleak.evidence import passes, probing
from distilleak.evidence.table import SCHEMA, Evidence, schema
from distilleak.files import write_table
from distilleak.models import families, making
from distilleak.models.batches import Tokens
from distilleak.records import tokenizer as tokenization
from distilleak.records.framing import Framing
from distilleak.records.pools import EVIDENCE_POOLS
from distilleak.records.table import Records, read_records
from distilleak.scoring import attacking
from distilleak.settings.objective import ObjectiveSettings
from distilleak.settings.training import HardwareSettings
from distilleak.training import loop
from distilleak.training.objective import accumulate

PREFIX = 16


@dataclass(frozen=True)
class Attacked:
    """Models and token lists, and the evidence that was computed from them."""

    target: PreTrainedModel
    references: list[PreTrainedModel]  # trained on the auxiliary pool; the first is the base, too
    shadows: list[PreTrainedModel]  # each trained on half of the records
    member: NDArray[np.bool_]  # (shadows, records)
    teacher: PreTrainedModel  # trained on the members, as the target
    records: Records
    population: list[Tokens]  # texts like those of the records, which no model trained on
    prefixes: dict[str, list[int]]
    copies: list[list[Tokens]]
    unigram: NDArray[np.int64]
    evidence: Evidence


def make_attacked(study: Study, root: Path, entries: Sequence[dict[str, Any]]) -> Attacked:
    """Train what is missing, ask every model, and read the files as the attacks would."""
    rng = np.random.default_rng(0)
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    auxiliary = read_records(study.path("records.parquet"), ["auxiliary"])
    tokenizer = tokenization.load(study.path("tokenizer"))

    def encoded(text: str) -> Tokens:
        return np.array(tokenizer.encode(text).ids, np.int32)

    population = [encoded(text) for text in sentences(100, seed=2)]
    count = len(records.record_id)
    member = rng.permuted(np.tile([[True], [True], [False], [False]], count), axis=0)
    target = making.load(study.path("teacher/model"), "cpu")
    references = [train(auxiliary.tokens, 15, seed) for seed in range(3)]
    shadows = [
        train([records.tokens[row] for row in np.flatnonzero(rows)], 25, 10 + seed)
        for seed, rows in enumerate(member)
    ]
    members = [t for t, pool in zip(records.tokens, records.pool, strict=True) if pool == "member"]
    teacher = train(members, 25, 20)
    prefixes = {
        "prefix_nonmember": joined(auxiliary.tokens),
        "prefix_member": joined(members),
    }
    copies = [[encoded(neighbour(text, rng)) for text in records.text] for _ in range(3)]

    own = Path(study.path("teacher/evidence"))
    for view in ("plain", "lower"):
        (root / "target").mkdir(exist_ok=True, parents=True)
        (root / "target" / f"{view}.parquet").write_bytes((own / f"{view}.parquet").read_bytes())
    for view, prefix in prefixes.items():
        write_view(
            root / "target" / f"{view}.parquet", target, records.record_id, records.tokens, prefix
        )
    write_copies(root / "target" / "neighbour.parquet", target, records.record_id, copies)
    names = [f"p{number:03}" for number in range(len(population))]
    write_view(root / "target/population.parquet", target, names, population)
    for number, model in enumerate(references):
        place = root / f"reference-{number}"
        write_view(place / "plain.parquet", model, records.record_id, records.tokens)
        write_view(place / "population.parquet", model, names[::-1], population[::-1])
    for number, model in enumerate(shadows):
        place = root / f"shadow-{number}"
        write_view(place / "plain.parquet", model, records.record_id, records.tokens)
        write_view(place / "population.parquet", model, names[::-1], population[::-1])
    write_view(root / "teacher/plain.parquet", teacher, records.record_id, records.tokens)
    write_view(root / "teacher/population.parquet", teacher, names[::-1], population[::-1])
    unigram = np.bincount(np.concatenate(auxiliary.tokens), minlength=VOCABULARY)
    evidence = attacking.Reader(
        root / "target",
        [root / f"reference-{number}" for number in range(len(references))],
        entries,
        shadows={
            root / f"shadow-{number}": [records.record_id[row] for row in np.flatnonzero(rows)]
            for number, rows in enumerate(member)
        },
        base=root / "reference-0",
        teacher=root / "teacher",
        unigram=unigram,
    ).read(records)
    return Attacked(
        target,
        references,
        shadows,
        member,
        teacher,
        records,
        population,
        prefixes,
        copies,
        unigram,
        evidence,
    )


def train(tokens: Sequence[Tokens], epochs: int, seed: int) -> PreTrainedModel:
    with making.seeded(seed):
        model = families.build(SHAPE, VOCABULARY, START)
    settings = training_settings(epochs=epochs, batch_size=8)
    alone = ObjectiveSettings(alpha=1.0)
    loop.train(
        model,
        tokens,
        Framing(START),
        lambda now, count: accumulate(model, now, alone, None, count),
        settings,
        HardwareSettings(),
        steps=loop.updates(len(tokens), settings),
        seed=seed,
        snapshots=None,
    )
    model.eval()  # type: ignore[no-untyped-call]
    return model


def joined(tokens: Sequence[Tokens]) -> list[int]:
    return [int(token) for token in np.concatenate(tokens)[:PREFIX]]


def neighbour(text: str, rng: np.random.Generator) -> str:
    """The text with two of its words replaced by others that could stand there."""
    words = re.findall(r"\w+|\W+", text)
    kinds = {word: kind for kind in (NOUNS, VERBS) for word in kind}
    for place in rng.choice([n for n, word in enumerate(words) if word in kinds], 2, replace=False):
        words[place] = rng.choice([word for word in kinds[words[place]] if word != words[place]])
    return "".join(words)


def columns_of(
    model: PreTrainedModel, tokens: Sequence[Tokens], prefix: list[int] | None
) -> dict[str, Any]:
    context = probing.read_context([model], Framing(START), prefix or ())
    plan = passes.causal(np.array([len(record) for record in tokens]))
    found = probing.probe([model], {"": [0]}, tokens, plan, context, probing.Budget(400))[""]
    ends = plan.offsets[1:-1]
    return {name: np.split(found[name], ends) for name in SCHEMA.names[1:]}


def write_view(
    path: Path,
    model: PreTrainedModel,
    ids: Sequence[str],
    tokens: Sequence[Tokens],
    prefix: list[int] | None = None,
) -> None:
    columns = columns_of(model, tokens, prefix)
    write_table(pa.table({"record_id": list(ids), **columns}, schema=SCHEMA), path)


def write_copies(
    path: Path, model: PreTrainedModel, ids: Sequence[str], copies: Sequence[Sequence[Tokens]]
) -> None:
    tables = [
        pa.table(
            {
                "record_id": list(ids),
                "copy": [number] * len(ids),
                **columns_of(model, tokens, None),
            },
            schema=schema(masked=False, copies=True),
        )
        for number, tokens in enumerate(copies)
    ]
    write_table(pa.concat_tables(tables), path)
