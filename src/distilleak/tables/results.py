"""Reading what the stages left of every seed and model, and checking that it belongs together."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.evidence.table import read_view
from distilleak.files import NUMBER, check_object, open_parquet, read_table
from distilleak.floors.floor import FLOORS
from distilleak.guards import sealed_json
from distilleak.metrics.ranges import range_of
from distilleak.paths import (
    data_directory,
    evidence_file,
    floors_file,
    model_directory,
    seed_directory,
)
from distilleak.records.evaluation import EVALUATION_POOLS
from distilleak.records.pools import POOLS
from distilleak.scoring.scores import Scores, read_scores
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.tables.base import Estimate, Key, Pooled, PooledMetrics, pool
from distilleak.tables.roster import Model, Roster


@dataclass(frozen=True)
class Supervision:
    """What the teacher of one seed and pair says of each member, (members,) each."""

    vulnerable: NDArray[np.bool_]
    tokens: NDArray[np.int64]
    correct: NDArray[np.int64]  # tokens whose true value is the teacher's most likely one
    confidence: NDArray[np.float64]  # sum over tokens of the most likely token's probability


_KEY = {name: pa.string() for name in ("attack", "metric", "threshold")}
_VALUE = {name: pa.float64() for name in ("value", "low", "high")}
METRICS = pa.schema(
    {"seed": pa.int64(), "pair": pa.string(), "model": pa.string(), **_KEY, **_VALUE}
)
BOOTSTRAP = pa.schema({**_KEY, "replicates": pa.list_(pa.float32())})
FLOOR_METRICS = pa.schema(
    {"floor": pa.string(), **_KEY, **_VALUE, "replicates": pa.list_(pa.float32())}
)
VULNERABLE = pa.schema(
    {"record_id": pa.string(), "teacher_member": pa.bool_(), "vulnerable": pa.bool_()}
)
POOL = pa.schema({"pool": pa.string()})
VERDICT = {"passed": bool, "members": int, "nonmembers": int, "classifiers": dict}
CLASSIFIER = {"auc": NUMBER, "low": NUMBER, "high": NUMBER, "p_value": NUMBER}


@dataclass(frozen=True)
class Blind:
    """One classifier of the blind gate."""

    classifier: str
    auc: float
    low: float
    high: float
    p_value: float
    members: int
    nonmembers: int
    gate: str  # what the verdict over all classifiers is: "open" or "closed"


@dataclass(frozen=True)
class PoolCount:
    """How many records a pool has, and how many it lost as copies of others."""

    records: int
    copies: int


@dataclass(frozen=True)
class Results:
    """What the stages left; seeds by number, in the order of the roster."""

    estimates: dict[tuple[int, str, str], dict[Key, Estimate]]  # (seed, pair, model)
    scores: dict[tuple[int, str, str], Scores]  # of the evaluation pools
    supervision: dict[tuple[int, str], Supervision]  # (seed, pair)
    blind: dict[tuple[int, str], list[Blind]]  # (seed, pair)
    pools: dict[tuple[int, str], dict[str, PoolCount]]  # (seed, pair); by pool
    floors: dict[tuple[int, str], dict[str, dict[Key, Estimate]]]  # (seed, pair); by count model


@dataclass(frozen=True)
class StudyResults:
    """All that the tables are made of."""

    roster: Roster
    evaluation: EvaluationSettings
    results: Results
    pooled: PooledMetrics
    floors: PooledMetrics  # (pair, count model); none of masked pairs

    def attacks_on(self, pair: str, model: Model) -> dict[str, tuple[str, Mapping[Key, Pooled]]]:
        """Every attack on a model alone, as people read its name -> its own name, and the metrics
        in which its results stand: of the model, then of what an attacker makes of it.

        A released model is attacked in both ways, so that none of its tables knows only attackers
        who leave it as it is.
        """
        attacks = self.roster.on_one_model()
        found = {attack: (attack, self.pooled[pair, model.model]) for attack in attacks}
        undone = self.roster.pairs[pair].undone(model.model)
        if undone is not None:
            for attack in attacks:
                found[f"{attack} {undone.undoing}"] = attack, self.pooled[pair, undone.model]
        return {name: (own, on) for name, (own, on) in found.items() if (own, "auc", "") in on}

    def scored(self) -> Iterator[tuple[str, str, str, list[Scores]]]:
        """(pair, model, attack, the model's scores in each seed)."""
        for pair, model in self.roster.models():
            by_seed = [self.results.scores[seed, pair, model.model] for seed in self.roster.seeds]
            for attack in self.roster.attacks:
                yield pair, model.model, attack, by_seed


def read_study(root: str | Path, roster: Roster, evaluation: EvaluationSettings) -> StudyResults:
    """Read the results of a study, and pool its metrics over seeds.

    Raises:
        DistilleakError: as for `read_results`.
    """
    results = read_results(root, roster, evaluation.replicates)
    return StudyResults(
        roster, evaluation, results, _pooled(roster, results), _pooled_floors(roster, results)
    )


def read_results(root: str | Path, roster: Roster, replicates: int) -> Results:
    """Read the results of a study.

    Raises:
        DistilleakError: a file is missing, damaged, or not of this seed, pair, model or number of
            bootstrap replicates; a metric is missing; or models of a pair and seed were scored on
            different records, so that they cannot be compared.
    """
    each = [(seed, pair, model) for seed in roster.seeds for pair, model in roster.models()]
    scores = {
        (seed, pair, model.model): _scores(root, seed, pair, model, roster.attacks)
        for seed, pair, model in each
    }
    _check_alike(scores)
    arms = [(seed, name, pair.data) for seed in roster.seeds for name, pair in roster.pairs.items()]
    shared = {
        (seed, data): data_directory(root, seed, data)
        for seed, data in dict.fromkeys((seed, data) for seed, _, data in arms)
    }
    blind = {key: _blind(directory / "blind.json") for key, directory in shared.items()}
    pools = {key: _pools(directory / "records.parquet") for key, directory in shared.items()}
    estimates = {
        (seed, pair, model.model): _estimates(root, seed, pair, model, roster.attacks, replicates)
        for seed, pair, model in each
    }
    for seed, pair, model in each:
        if model.of:
            own = estimates[seed, pair, model.model]
            of_released = estimates[seed, pair, model.of]
            # What is attacked is undone; what is used, and what it was made from, is not.
            estimates[seed, pair, model.model] = {
                **{key: found for key, found in own.items() if key[0]},
                **{key: found for key, found in of_released.items() if not key[0]},
            }
    floors = {key: _floors(floors_file(root, *key), replicates) for key in shared}
    return Results(
        estimates=estimates,
        scores=scores,
        supervision={(seed, pair): _supervision(root, seed, pair) for seed, pair, _ in arms},
        blind={(seed, pair): blind[seed, data] for seed, pair, data in arms},
        pools={(seed, pair): pools[seed, data] for seed, pair, data in arms},
        floors={
            (seed, pair): {} if _is_masked(root, seed, pair) else floors[seed, data]
            for seed, pair, data in arms
        },
    )


def _estimates(
    root: str | Path, seed: int, pair: str, model: Model, attacks: list[str], count: int
) -> dict[Key, Estimate]:
    directory = model_directory(root, seed, pair, model.source)
    path = directory / "metrics.parquet"
    table = read_table(path, METRICS).select(METRICS.names)
    rows = [tuple(row.values()) for row in table.to_pylist()]
    strange = [row[:3] for row in rows if row[:3] != (seed, pair, model.source)]
    if strange:
        raise DistilleakError(
            f"{path}: holds (seed, pair, model) {strange[0]}; expected {(seed, pair, model.source)}"
        )
    drawn = _replicates(directory / "bootstrap.parquet", count)
    measured = {row[3:6] for row in rows}
    needed = [
        (attack, metric, threshold)
        for attack in attacks
        for metric, threshold in (("auc", ""), ("balanced_accuracy", model.decision))
    ]
    for key in needed:
        if key not in measured or key not in drawn:
            raise DistilleakError(
                f"{directory}: metrics.parquet and bootstrap.parquet lack attack {key[0]!r}, "
                f"metric {key[1]!r}, threshold {key[2]!r}; delete both and measure again"
            )
    return {
        (attack, metric, threshold): Estimate(
            value, low, high, drawn.get((attack, metric, threshold), np.full(count, value))
        )
        for _, _, _, attack, metric, threshold, value, low, high in rows
    }


def _replicates(path: Path, count: int) -> dict[Key, NDArray[np.float64]]:
    table = read_table(path, BOOTSTRAP)
    keys = zip(
        *(table[name].to_pylist() for name in ("attack", "metric", "threshold")), strict=True
    )
    return dict(zip(keys, _drawn(table, path, count), strict=True))


def _drawn(table: pa.Table, path: Path, count: int) -> NDArray[np.float64]:
    """(rows, `count`) the replicates of each row.

    Raises:
        DistilleakError: there are more or fewer.
    """
    lists = table["replicates"].combine_chunks()
    lengths = np.unique(pc.list_value_length(lists).to_numpy())
    if not np.array_equal(lengths, [count]):
        raise DistilleakError(
            f"{path}: {', '.join(map(str, lengths)) or 'no'} replicates; evaluation.replicates is "
            f"{count}; delete it and measure again"
        )
    values: NDArray[np.float64] = lists.flatten().to_numpy().astype(np.float64)
    return values.reshape(len(table), count)


def _floors(path: Path, count: int) -> dict[str, dict[Key, Estimate]]:
    """The metrics of every count model."""
    table = read_table(path, FLOOR_METRICS)
    drawn = _drawn(table, path, count)
    found: dict[str, dict[Key, Estimate]] = {name: {} for name in FLOORS}
    for row, replicates in zip(table.drop(["replicates"]).to_pylist(), drawn, strict=True):
        key = (row["attack"], row["metric"], row["threshold"])
        if row["floor"] not in found:
            raise DistilleakError(f"{path}: unknown count model {row['floor']!r}")
        found[row["floor"]][key] = Estimate(row["value"], row["low"], row["high"], replicates)
    return found


def _is_masked(root: str | Path, seed: int, pair: str) -> bool:
    """Whether the models of a pair predict masked tokens: their evidence then comes in passes."""
    evidence = evidence_file(model_directory(root, seed, pair, "teacher"), "plain")
    return "position" in open_parquet(evidence).schema_arrow.names


def _scores(root: str | Path, seed: int, pair: str, model: Model, attacks: list[str]) -> Scores:
    path = model_directory(root, seed, pair, model.source) / "scores.parquet"
    scores = read_scores(path).of(EVALUATION_POOLS)
    missing = [attack for attack in attacks if attack not in scores.attacks]
    if missing:
        raise DistilleakError(
            f"{path}: no attack {missing[0]!r}; it has {', '.join(scores.attacks)}"
        )
    return scores


def _check_alike(scores: dict[tuple[int, str, str], Scores]) -> None:
    first: dict[tuple[int, str], tuple[str, Scores]] = {}
    for (seed, pair, model), found in scores.items():
        other, expected = first.setdefault((seed, pair), (model, found))
        if not np.array_equal(found.record_id, expected.record_id) or not np.array_equal(
            found.teacher_member, expected.teacher_member
        ):
            raise DistilleakError(
                f"seed {seed}, pair {pair!r}: scores.parquet of {other!r} and {model!r} are of "
                "different records, so the models cannot be compared; score them again"
            )


def _supervision(root: str | Path, seed: int, pair: str) -> Supervision:
    path = seed_directory(root, seed) / pair / "vulnerable.parquet"
    table = read_table(path, VULNERABLE).sort_by("record_id")
    table = table.filter(table["teacher_member"])
    if not len(table):
        raise DistilleakError(f"{path}: no member in it")
    evidence = evidence_file(model_directory(root, seed, pair, "teacher"), "plain")
    view = read_view(evidence, table["record_id"].to_pylist())
    starts = view.rank.offsets[:-1]
    likely = np.exp(view.top_logp.values.astype(np.float64))
    return Supervision(
        vulnerable=table["vulnerable"].to_numpy(),
        tokens=view.rank.lengths,
        correct=np.add.reduceat((view.rank.values == 0).astype(np.int64), starts),
        confidence=np.add.reduceat(likely, starts),
    )


def _blind(path: Path) -> list[Blind]:
    verdict = check_object(sealed_json.read(path), VERDICT, path)
    shared = verdict["members"], verdict["nonmembers"], "open" if verdict["passed"] else "closed"
    classifiers = {
        name: check_object(found, CLASSIFIER, f"{path}: classifiers: {name}")
        for name, found in verdict["classifiers"].items()
    }
    return [
        Blind(name, found["auc"], found["low"], found["high"], found["p_value"], *shared)
        for name, found in classifiers.items()
    ]


def _pools(path: Path) -> dict[str, PoolCount]:
    table = read_table(path, POOL)
    counted = pc.value_counts(table["pool"]).to_pylist()
    counts = {row["values"]: row["counts"] for row in counted}
    copies = json.loads((table.schema.metadata or {}).get(b"copies_removed", b"{}"))
    return {pool: PoolCount(counts[pool], copies.get(pool, 0)) for pool in POOLS if pool in counts}


def _pooled(roster: Roster, results: Results) -> PooledMetrics:
    """Every metric of every model over the seeds that have it (a few depend on the draw)."""
    return {
        (pair, model.model): _over_seeds(
            [results.estimates[seed, pair, model.model] for seed in roster.seeds]
        )
        for pair, model in roster.models()
    }


def _pooled_floors(roster: Roster, results: Results) -> PooledMetrics:
    """Every metric of every count model over the seeds."""
    by_seed = {pair: [results.floors[seed, pair] for seed in roster.seeds] for pair in roster.pairs}
    return {
        (pair, name): _over_seeds([floors[name] for floors in each])
        for pair, each in by_seed.items()
        for name in each[0]
    }


def _over_seeds(by_seed: Sequence[Mapping[Key, Estimate]]) -> dict[Key, Pooled]:
    keys = dict.fromkeys(key for estimates in by_seed for key in estimates)
    return {
        key: pool([estimates[key] for estimates in by_seed if key in estimates], range_of(key[1]))
        for key in keys
    }
