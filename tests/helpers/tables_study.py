"""A small made-up study on disk: two seeds and a pair, written by the stages under test."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from distilleak.evidence import tempered
from distilleak.evidence.table import SCHEMA
from distilleak.files import write_json, write_table
from distilleak.floors.floor import FLOORS
from distilleak.paths import data_directory, floors_file, model_directory, seed_directory
from distilleak.stages import build_tables, measure_metrics, score_vote

SEEDS = (0, 1)
PAIR = "small"
ATTACKS = ("loss", "zlib")
POOLS = {"member": 60, "nonmember": 60, "holdout": 30}
SHIFT = {"teacher": 2.0, "kd": 1.0, "bottleneck": 0.4, "mixture-two": 0.7}
"""How far the scores of members lie above those of non-members."""
MEMBERS = ["kd", "bottleneck"]
EVALUATION = {"folds": 5, "replicates": 100}
MODELS = [
    ("teacher", "teacher", []),
    ("kd", "student", []),
    ("bottleneck", "student", []),
    ("vote-two", "vote", MEMBERS),
    ("mixture-two", "mixture", MEMBERS),
]


def roster(models=None, seeds=SEEDS, pairs=None):
    """The roster of the study, or of some of its `models`; `pairs` says where their data lie."""
    entries = [
        {
            "model": model,
            "kind": kind,
            "method": kind if kind != "student" else model,
            "label": f"{model} & co_",
            "members": members,
        }
        for model, kind, members in MODELS
        if models is None or model in models
    ]
    return {
        "seeds": list(seeds),
        "headline_attack": "loss",
        "attacks": list(ATTACKS),
        "threats": dict.fromkeys(ATTACKS, "query"),
        "pairs": {
            pair: {"models": entries, "data": data} for pair, data in (pairs or {PAIR: ""}).items()
        },
    }


def write_study(root: Path, pair: str = PAIR, data: str = "") -> Path:
    """Write the results of a pair in both seeds under `root`."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        pool = rng.permutation(np.repeat(list(POOLS), list(POOLS.values())))
        record_id = np.array([f"r{number:03d}" for number in rng.permutation(len(pool))])
        member = pool == "member"
        directory = data_directory(root, seed, data)
        write_table(
            pa.table({"record_id": record_id, "pool": pool}),
            directory / "records.parquet",
            {"copies_removed": json.dumps({"member": seed})},
        )
        classifiers = {"length": {"auc": 0.51, "low": 0.4, "high": 0.6, "p_value": 0.4 + seed / 10}}
        verdict = {"passed": True, "classifiers": classifiers, "members": 60, "nonmembers": 60}
        write_json(verdict, directory / "blind.json")
        write_floors(floors_file(root, seed, data), rng)
        common = rng.normal(size=len(pool))
        for model, shift in SHIFT.items():
            own = model_directory(root, seed, pair, model)
            scores = {
                attack: 0.7 * common + rng.normal(size=len(pool)) + shift * member
                for attack in ATTACKS
            }
            write_scores(own / "scores.parquet", record_id, pool, scores)
            write_evidence(own / "evidence" / "plain.parquet", record_id, rng)
            write_tempered(own / "evidence" / "tempered.parquet", record_id[pool == "holdout"], rng)
            facts = {"parameters": 1000, "training_records": 60, "training_tokens": 600 + seed}
            write_json(facts | {"loss": [3.0, 2.0], "updates": 7}, own / "facts.json")
            seen = pa.array(np.arange(60) >= (20 if model == "bottleneck" else 0))
            write_table(
                pa.table({"record_id": record_id[member], "seen": seen}), own / "selection.parquet"
            )
        vulnerable = rng.random(60) < 0.3
        write_table(
            pa.table(
                {
                    "record_id": record_id[member],
                    "teacher_member": np.ones(60, bool),
                    "score": rng.normal(size=60),
                    "vulnerable": vulnerable,
                }
            ),
            seed_directory(root, seed) / pair / "vulnerable.parquet",
        )
        vote(root, seed, pair)
        for model, kind, _ in MODELS:
            measure(root, seed, model, kind, pair=pair, data=data)
    return root


def write_scores(path, record_id, pool, scores):
    """Write a file of scores in the order given."""
    member = pool == "member"
    columns = {"record_id": record_id, "pool": pool}
    columns |= {"teacher_member": member, "student_member": member}
    write_table(pa.table(columns | scores), path)


def write_evidence(path, record_id, rng):
    """Write a plain view of one to nine tokens a record."""
    lengths = rng.integers(1, 10, size=len(record_id))
    columns = {"record_id": list(record_id)}
    for name in SCHEMA.names[1:]:
        draw = (lambda n: rng.integers(0, 3, n)) if name in ("rank", "token_id") else None
        columns[name] = [draw(n) if draw else -rng.exponential(size=n) for n in lengths]
    write_table(pa.table(columns, schema=SCHEMA), path)


def write_tempered(path, record_id, rng):
    """Held-out records of five tokens each, on which the model is too sure of itself."""
    rows = []
    for record in sorted(record_id):
        logits = 3 * rng.normal(size=(5, 20))
        true = np.array([rng.choice(20, p=p / p.sum()) for p in np.exp(logits / 2)])
        scaled = [logits * scale for scale in tempered.SCALES]
        logp = [z[np.arange(5), true] - np.log(np.exp(z).sum(axis=1)) for z in scaled]
        rows.append({"record_id": record, **dict(zip(tempered.COLUMNS, logp, strict=True))})
    write_table(pa.Table.from_pylist(rows, tempered.SCHEMA), path)


def vote(root, seed, pair):
    """Run `score_vote` on the members."""
    paths = [str(model_directory(root, seed, pair, m) / "scores.parquet") for m in MEMBERS]
    output = model_directory(root, seed, pair, "vote-two") / "scores.parquet"
    options = ["--scores", *paths, "--evaluation", json.dumps(EVALUATION)]
    options += ["--seed", str(seed), "--output", str(output)]
    score_vote.main(options)


def write_floors(path, rng):
    """Count models that predict the better the longer their n-grams, and better with members."""
    rows = []
    for name, floor in FLOORS.items():
        loss = 7.0 - floor.order - 0.5 * floor.members
        metrics = [("", "heldout_loss", "", loss), ("", "top1_accuracy", "", floor.order / 10)]
        for attack in ("loss", "reference") if floor.members else ("loss",):
            metrics += [
                (attack, "auc", "", 0.5 + 0.2 * floor.members),
                (attack, "tpr_at_fpr_0.01", "", 0.01 + 0.1 * floor.members),
                (attack, "member_accuracy", "cross_fitted", 0.5 + 0.1 * floor.members),
            ]
        for attack, metric, threshold, value in metrics:
            replicates = value + 0.01 * rng.normal(size=EVALUATION["replicates"])
            rows.append(
                {
                    **{"floor": name, "attack": attack, "metric": metric, "threshold": threshold},
                    **{"value": value, "low": value - 0.02, "high": value + 0.02},
                    "replicates": replicates.astype(np.float32),
                }
            )
    write_table(pa.Table.from_pylist(rows), path)


def measure(root, seed, model, kind, *more, pair=PAIR, data=""):
    """Run `measure_metrics` on one model, with what there is of its kind."""
    own = model_directory(root, seed, pair, model)
    records = str(data_directory(root, seed, data) / "records.parquet")
    options = ["--scores", str(own / "scores.parquet"), "--pair", pair, "--model", model]
    options += ["--evaluation", json.dumps(EVALUATION), "--seed", str(seed)]
    options += ["--metrics", str(own / "metrics.parquet")]
    options += ["--bootstrap", str(own / "bootstrap.parquet")]
    if kind == "vote":
        options += ["--majority"]
    if kind in ("teacher", "student", "mixture"):
        options += ["--evidence", str(own / "evidence"), "--records", records]
    if kind in ("teacher", "student"):
        options += ["--facts", str(own / "facts.json")]
    if kind == "student":
        options += ["--selection", str(own / "selection.parquet")]
    measure_metrics.main([*options, *more])


def build(root, output, described=None, evaluation=EVALUATION):
    """Run `build_tables`."""
    described = roster() if described is None else described
    options = ["--roster", json.dumps(described), "--evaluation", json.dumps(evaluation)]
    options += ["--results", str(root), "--output", str(output)]
    build_tables.main(options)
    return output
