"""A study small enough for tests: a few dozen records, a tokenizer and GPT-2 models of width 32."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from command_line import as_words
from transformers import PreTrainedModel

from distilleak.models import families, making
from distilleak.models.batches import Batch, Tokens, batch
from distilleak.records import tokenizer as tokenization
from distilleak.records.framing import Framing
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.training import TrainingSettings
from distilleak.stages import (
    compute_evidence,
    find_vulnerable,
    finish_student,
    store_targets,
    train_model,
    train_student,
)

VOCABULARY = 300
START = 0  # tokenization.train gives the start token the id 0
FRAMING = Framing(START)
SHAPE = ArchitectureSettings(layers=2, width=32, heads=2, positions=96)
POOLS = {"member": 30, "nonmember": 30, "holdout": 20, "auxiliary": 40, "public": 30}
STUDENT_TRAINING = {"epochs": 2, "batch_size": 8, "learning_rate": 0.003}
NOUNS = ("Rain", "Sea", "Wind", "Stone", "River", "Light", "Road", "Hill", "Tree", "Bird", "Snow")
VERBS = ("sees", "hears", "takes", "finds", "leaves", "follows", "holds", "turns", "calls", "meets")
PLACES = ("near the", "under a", "over my", "behind the", "before a")
VIEWS = ("plain", "lower", "prefix_nonmember")


def built(seed: int = 0, **shape: int) -> PreTrainedModel:
    """A model as it is before its training."""
    with making.seeded(seed):
        return families.build(SHAPE.model_copy(update=shape), VOCABULARY, START)


def tiny_model(seed: int = 0, **shape: int) -> PreTrainedModel:
    """A model whose every weight is random: no bias is 0 and no norm is 1."""
    model = built(seed, **shape)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    model.eval()  # type: ignore[no-untyped-call]
    return model


def random_tokens(records: int, seed: int, longest: int = 12) -> list[Tokens]:
    """Records of 1 to `longest` tokens, of which some are the start token."""
    rng = np.random.default_rng(seed)
    return [
        np.where(rng.random(length) < 0.1, START, rng.integers(0, VOCABULARY, length))
        for length in rng.integers(1, longest + 1, records)
    ]


def one_batch(tokens: Sequence[Tokens], rows: Sequence[int] | None = None) -> Batch:
    return batch(tokens, range(len(tokens)) if rows is None else rows, FRAMING, "cpu")


def training_settings(**changes: Any) -> TrainingSettings:
    return TrainingSettings.model_validate({"epochs": 1, "learning_rate": 0.01, **changes})


@torch.no_grad()
def log_p_of(model: PreTrainedModel, context: Sequence[int], tokens: Tokens) -> torch.Tensor:
    """float64 log-probabilities before every token, (tokens, vocabulary), by one forward pass.

    `context` is all that precedes the first token.
    """
    ids = torch.tensor([[*context, *tokens.tolist()]])
    logits = model(input_ids=ids).logits[0, len(context) - 1 : -1]
    return torch.log_softmax(logits.double(), -1)


def sentences(count: int, seed: int) -> list[str]:
    """Different sentences of capitalised and other words, drawn alike for every pool."""
    rng = np.random.default_rng(seed)

    def clause() -> str:
        return f"{rng.choice(NOUNS)} {rng.choice(VERBS)} {rng.choice(PLACES)} {rng.choice(NOUNS)}"

    return [f"{clause()}, {clause()}." for _ in range(count)]


@dataclass(frozen=True)
class Study:
    """The files of a trained teacher and all that its students are made from."""

    root: Path

    def path(self, name: str) -> str:
        return str(self.root / name)

    def train_student(
        self, name: str, method: str, *options: str, targets: bool = True, **parameters: Any
    ) -> None:
        """Run the stage `train_student`; `options` come after the usual ones and replace them."""
        train_student.main(
            [
                *as_words(
                    records=self.path("records.parquet"),
                    tokenizer=self.path("tokenizer"),
                    method=json.dumps({"method": method, "parameters": parameters}),
                    student=SHAPE.model_copy(update={"layers": 1}).model_dump_json(),
                    training=json.dumps(STUDENT_TRAINING),
                    vulnerability=self.path("third_vulnerable.parquet"),
                ),
                *(("--targets", self.path("targets.npy")) if targets else ()),
                *as_words(
                    seed=0,
                    output=self.path(f"{name}/model"),
                    selection=self.path(f"{name}/selection.parquet"),
                    facts=self.path(f"{name}/facts.json"),
                ),
                *options,
            ]
        )

    def finish_student(self, name: str, method: str, trained: str, **parameters: Any) -> None:
        """Run the stage `finish_student` on the student `trained`."""
        finish_student.main(
            as_words(
                trained=self.path(f"{trained}/model"),
                trained_facts=self.path(f"{trained}/facts.json"),
                records=self.path("records.parquet"),
                tokenizer=self.path("tokenizer"),
                method=json.dumps({"method": method, "parameters": parameters}),
                vulnerability=self.path("third_vulnerable.parquet"),
                seed=0,
                output=self.path(f"{name}/model"),
                selection=self.path(f"{name}/selection.parquet"),
                facts=self.path(f"{name}/facts.json"),
            )
        )

    def compute_evidence(
        self, *trained: str, output: str, views: Sequence[str] = VIEWS, mixtures: Sequence[str] = ()
    ) -> None:
        """Run the stage `compute_evidence` on the models of these names."""
        compute_evidence.main(
            [
                *as_words(
                    model=[self.path(f"{name}/model") for name in trained],
                ),
                *(word for mixture in mixtures for word in ("--mixture", mixture)),
                *as_words(
                    records=self.path("records.parquet"),
                    views=views,
                    settings='{"prefix_tokens": 16, "batch_tokens": 200}',
                    seed=0,
                    output=self.path(output),
                ),
            ]
        )


def make_study(root: Path) -> Study:
    """Train a teacher that memorises its 30 members and a reference that never sees them."""
    study = Study(root)
    texts = sentences(sum(POOLS.values()), seed=0)
    tokenizer = tokenization.train(sentences(200, seed=1), VOCABULARY)
    tokenization.save(tokenizer, study.path("tokenizer"), 64)
    pools = [pool for pool, size in POOLS.items() for _ in range(size)]
    member = pa.array([pool == "member" for pool in pools])
    pq.write_table(
        pa.table(
            {
                "record_id": [f"r{number:03}" for number in range(len(texts))],
                "pool": pools,
                "teacher_member": member,
                "student_member": member,
                "text": texts,
                "token_ids": pa.array(
                    [tokenizer.encode(text).ids for text in texts], pa.list_(pa.int32())
                ),
            }
        ),
        study.path("records.parquet"),
    )
    for role, epochs in (("teacher", 60), ("reference", 15)):
        train_model.main(
            as_words(
                records=study.path("records.parquet"),
                role=role,
                tokenizer=study.path("tokenizer"),
                seed=0,
                model=SHAPE.model_dump_json(),
                training=f'{{"epochs": {epochs}, "batch_size": 8, "learning_rate": 0.01}}',
                output=study.path(f"{role}/model"),
                facts=study.path(f"{role}/facts.json"),
            )
        )
    study.compute_evidence("teacher", output="teacher/evidence")
    study.compute_evidence("reference", output="reference/evidence", views=["plain"])
    find_vulnerable.main(
        as_words(
            records=study.path("records.parquet"),
            evidence=study.path("teacher/evidence"),
            attack='{"attack": "loss", "parameters": {}}',
            fpr="0.1",
            output=study.path("vulnerable.parquet"),
        )
    )
    # The teacher has memorised all members; methods are shown a third of them as vulnerable.
    members = [f"r{number:03}" for number in range(POOLS["member"])]
    vulnerable = [number % 3 == 0 for number in range(len(members))]
    pq.write_table(
        pa.table({"record_id": members[::-1], "vulnerable": vulnerable[::-1]}),
        study.path("third_vulnerable.parquet"),
    )
    store_targets.main(
        as_words(
            records=study.path("records.parquet"),
            teacher=study.path("teacher/model"),
            batch_tokens=200,
            output=study.path("targets.npy"),
        )
    )
    return study
