"""Untrained models beside the records of a study, and slow references for their evidence."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from command_line import as_words
from tiny_families import randomise
from tiny_study import sentences
from transformers import PreTrainedModel

from distilleak.models import families, making
from distilleak.models.batches import Tokens
from distilleak.records import tokenizer as tokenization
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.stages import compute_evidence

START, MASK, VOCABULARY, POSITIONS = 0, 1, 300, 96
POOLS = {"member": 8, "nonmember": 8, "holdout": 5, "auxiliary": 9, "population": 6, "shown": 4}
EVALUATED = 21
VIEWS = ("plain", "lower", "prefix_nonmember")


def model_of(family: str, seed: int, positions: int = POSITIONS) -> PreTrainedModel:
    """A model whose every weight is random: no bias is 0 and no norm is 1."""
    shape = {"type": family, "layers": 1, "width": 16, "heads": 2, "positions": positions}
    with making.seeded(seed):
        model = families.build(ArchitectureSettings.model_validate(shape), VOCABULARY, START)
    randomise(model, 0.1, seed)
    return model


@dataclass(frozen=True)
class Site:
    """A directory with records, a tokenizer and models."""

    root: Path

    def path(self, name: str) -> str:
        return str(self.root / name)

    def save(self, name: str, model: PreTrainedModel, tokenizer: str = "tokenizer") -> None:
        making.save(model, self.path(tokenizer), self.path(name))

    def arguments(
        self,
        *names: str,
        output: Path | str,
        views: Sequence[str] = VIEWS,
        mixtures: Sequence[str] = (),
        shards: Path | str | None = None,
        **settings: object,
    ) -> list[str]:
        """The command line that queries the models of these names."""
        return [
            *as_words(model=[self.path(name) for name in names]),
            *(word for mixture in mixtures for word in ("--mixture", mixture)),
            *as_words(
                records=self.path("records.parquet"),
                views=views,
                settings=json.dumps({"prefix_tokens": 16, "batch_tokens": 200} | settings),
                seed=0,
                output=output,
            ),
            *(() if shards is None else ("--shards", str(shards))),
        ]

    def compute(self, *names: str, output: Path | str, **changes: object) -> None:
        """Run the stage."""
        compute_evidence.main(self.arguments(*names, output=output, **changes))  # type: ignore[arg-type]


def make_site(root: Path) -> Site:
    """Records of capitalised sentences; two GPT-2 and two BERT models."""
    site = Site(root)
    tokenizer = tokenization.train(sentences(200, seed=1), VOCABULARY, masked=True)
    tokenization.save(tokenizer, site.path("tokenizer"), 64)
    texts = sentences(sum(POOLS.values()), seed=0)
    # The pools lie mixed, as a draw leaves them.
    pools = np.random.default_rng(0).permutation(np.repeat([*POOLS], [*POOLS.values()]))
    member = pa.array(np.isin(pools, ("member", "shown")))
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
        site.path("records.parquet"),
    )
    for family in ("gpt2", "bert"):
        site.save(family, model_of(family, seed=1))
        site.save(f"{family}-other", model_of(family, seed=2))
    return site


@torch.no_grad()
def log_p_of(model: PreTrainedModel, context: Sequence[int], tokens: Tokens) -> torch.Tensor:
    """float64 log-probabilities before every token, (tokens, vocabulary), by one forward pass.

    `context` is all that precedes the first token.
    """
    ids = torch.tensor([[*context, *tokens.tolist()]])
    logits = model(input_ids=ids).logits[0, len(context) - 1 : -1]
    return torch.log_softmax(logits.double(), -1)


@torch.no_grad()
def pseudo_log_p_of(
    model: PreTrainedModel,
    prefix: Sequence[int],
    tokens: Tokens,
    sets: Sequence[Sequence[int]] | None = None,
) -> torch.Tensor:
    """The same of a masked model, one plain forward pass for each set of hidden places.

    Without `sets` every token is hidden alone.
    """
    rows = torch.empty(len(tokens), model.config.vocab_size, dtype=torch.float64)
    before = 1 + len(prefix)
    # RoBERTa counts positions from its padding token's id, and would skip that token in a text.
    pad = model.config.pad_token_id if model.config.model_type == "roberta" else None
    first = 0 if pad is None else pad + 1
    for hidden in sets or [[place] for place in range(len(tokens))]:
        ids = torch.tensor([[START, *prefix, *tokens.tolist(), START]])
        at = [before + place for place in hidden]
        ids[0, at] = MASK
        positions = torch.arange(first, first + ids.shape[1])[None]
        logits = model(input_ids=ids, position_ids=positions).logits[0, at]
        rows[list(hidden)] = torch.log_softmax(logits.double(), -1)
    return rows
