"""What a method chooses: the records that a student trains on, the tokens on which it acts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from transformers import PreTrainedModel

from distilleak import catalogue, seeding
from distilleak.errors import DistilleakError
from distilleak.files import read_table
from distilleak.methods.base import DistillationSet, PlainDistillation
from distilleak.records.pools import EVIDENCE_POOLS
from distilleak.records.table import Records, read_records, read_training_set

AnyMethod = PlainDistillation[Any]


@dataclass(frozen=True)
class Choice:
    """What a method has chosen to train on."""

    name: str  # of the method
    method: AnyMethod
    members: Records
    source: Records  # the members, or other records that the method trains on
    selected: NDArray[np.int64]  # positions in `source`
    marked: NDArray[np.bool_] | None  # (vocabulary,) the tokens on which it acts

    def describe(self, facts: dict[str, Any], student: PreTrainedModel) -> dict[str, Any]:
        """The facts of a training, and what is known without one."""
        counted: dict[str, float] = {
            "parameters": student.num_parameters(),
            "training_records": len(self.selected),
        }
        if self.marked is not None:
            counted["vulnerable_token_share"] = float(self.marked.mean())
        return facts | counted

    def selection(self) -> pa.Table:
        """A row per member: its id, and whether the student sees it."""
        ids = self.members.record_id
        seen = np.isin(ids, [self.source.record_id[row] for row in self.selected])
        return pa.table({"record_id": ids, "seen": seen})


def choose(
    entry: Mapping[str, Any],
    records: str | Path,
    vulnerability: str | Path | None,
    seed: int,
    vocabulary: int,
) -> Choice:
    """Let the method of a configured student choose.

    Args:
        entry: {"method": name, "parameters": {...}}.
        records: records.parquet.
        vulnerability: vulnerable.parquet, for a method that needs it.
        seed: of the study.
        vocabulary: tokens in the student's vocabulary.

    Raises:
        DistilleakError: a file is damaged or lacks a member, or the method needs the vulnerable
            members and their file is not given.
    """
    name = str(entry["method"])
    module = catalogue.load("methods", name)
    method: AnyMethod = module.Method(module.Parameters.model_validate(entry["parameters"]))
    if method.needs_vulnerability and vulnerability is None:
        raise DistilleakError(f"{name} needs --vulnerability")
    members = read_training_set(records, "student")
    source = members
    if method.pool != "member":
        source = read_records(records, [method.pool])

    def judged(candidates: Records) -> DistillationSet:
        vulnerable = np.zeros(len(candidates.record_id), dtype=bool)
        if method.needs_vulnerability and vulnerability is not None:
            vulnerable = _vulnerable(candidates, records, vulnerability)
        return DistillationSet(candidates.record_id, candidates.tokens, vulnerable, vocabulary)

    pool = judged(source)
    selected = method.select(pool, seeding.stream(seed, "selection"))
    # Whatever a student trains on, it is the members that are vulnerable.
    own = pool if source is members else judged(members)
    return Choice(name, method, members, source, selected, method.vulnerable_tokens(own))


def _vulnerable(
    members: Records, records: str | Path, vulnerability: str | Path
) -> NDArray[np.bool_]:
    """Whether each member is vulnerable, joined by record id."""
    table = read_table(
        vulnerability, pa.schema({"record_id": pa.string(), "vulnerable": pa.bool_()})
    )
    # Members that the attacker was shown and canaries are not evaluated: nothing identifies them.
    judged = np.isin(members.pool, EVIDENCE_POOLS)
    wanted = pa.array(members.record_id).filter(pa.array(judged))
    row = pc.index_in(wanted, table["record_id"].combine_chunks())
    if row.null_count:
        raise DistilleakError(f"{vulnerability}: not every member of {records} is in it")
    vulnerable = np.zeros(len(judged), dtype=bool)
    vulnerable[judged] = table["vulnerable"].to_numpy()[row.to_numpy()]
    return vulnerable
