"""Made-up but plausible tables of a study, for the tests of the figures and of the report."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from distilleak.floors.floor import FLOORS
from distilleak.tables.names import load
from distilleak.tables.reading import AT_EQUAL_UTILITY, UTILITIES

STUDENTS = {  # method: (AUC of the loss attack, held-out loss)
    "kd": (0.66, 3.42),
    "no_teacher": (0.72, 3.55),
    "nonvulnerable": (0.58, 3.47),
    "bottleneck": (0.60, 3.50),
    "nonorm": (0.65, 3.46),
    "red_list": (0.655, 3.43),
    "temperature": (0.648, 3.44),
    "nonvulnerable-readmit-0.10": (0.61, 3.45),
}
TEACHER = (0.91, 3.11)
ATTACKS = ("loss", "zlib", "min_k", "min_k_pp", "lowercase", "reference", "ez_mia")
THREATS = {
    "min_k_pp": "logits",
    "reference": "references",
    "ez_mia": "references",
    "lira_offline": "references",
}  # all others: query
SIZES = (2, 3, 5, 7)
RECORDS = 1000


def plausible(
    pair: str = "small",
    students: int = 8,
    attacks: tuple[str, ...] = ATTACKS,
    sizes: tuple[int, ...] = SIZES,
    seeds: int = 3,
    undone: tuple[str, ...] = (),
) -> dict[str, pd.DataFrame]:
    """Tables of one pair; `sizes=()` is a study without ensembles, `students=0` a teacher alone.
    Students that are `undone` leak as `kd` does."""
    rng = np.random.default_rng(0)
    models = [(pair, "teacher", "teacher", "", "teacher", 1, 0)]
    truth = {"teacher": TEACHER}
    for name in list(STUDENTS)[:students]:
        models.append((pair, name, "student", name.split("-")[0], name.replace("-", " "), 1, 0))
        truth[name] = STUDENTS[name]
        if name in undone:
            models.append((pair, f"{name}-undone", "undone", "", f"{name} without map", 1, 0))
            truth[f"{name}-undone"] = (STUDENTS["kd"][0], STUDENTS[name][1])
    for kind in ("vote", "mixture"):
        for size in sizes:
            models.append((pair, f"{kind}-{size}", kind, "", f"{kind} of {size}", size, 0))
            truth[f"{kind}-{size}"] = (0.63 - 0.01 * size, 3.46 - 0.015 * size)
    models = [
        (
            *(*row[:-1], order, row[3] if row[2] == "student" else "", ""),
            *((row[1].removesuffix("-undone"), "without map") if row[2] == "undone" else ("", "")),
        )
        for order, row in enumerate(models)
    ]

    metrics, comparisons, success, roc, histograms = [], [], [], [], []
    leak = []
    for _, model, kind, *_ in models:
        decision = "majority" if kind == "vote" else "cross_fitted"
        auc_of = {}
        for attack in attacks:
            strength = 1.0 if attack == "loss" else rng.uniform(0.3, 1.1)
            auc = auc_of[attack] = 0.5 + (truth[model][0] - 0.5) * min(strength, 1.05)
            values = {
                ("auc", ""): auc,
                ("tpr_at_fpr_0.01", ""): 0.01 + 0.4 * max(auc - 0.5, 0) ** 2,
                ("tpr_at_fpr_0.001", ""): 0.001 + 0.1 * max(auc - 0.5, 0) ** 2,
            }
            for threshold in (decision, "oracle"):
                bonus = 0.02 if threshold == "oracle" else 0.0
                member, nonmember = auc - 0.04 + bonus, auc - 0.06 + bonus
                values["member_accuracy", threshold] = member
                values["nonmember_accuracy", threshold] = nonmember
                values["balanced_accuracy", threshold] = (member + nonmember) / 2
            for (metric, threshold), value in values.items():
                for seed in [*map(str, range(seeds)), "all"]:
                    wide = 0.012 if seed == "all" else 0.02
                    centre = value if seed == "all" else value + rng.normal(0, 0.004)
                    metrics.append(
                        (
                            seed,
                            pair,
                            model,
                            attack,
                            metric,
                            threshold,
                            centre,
                            max(centre - wide, 0),
                            min(centre + wide, 1),
                        )
                    )
        strongest = max(auc_of, key=auc_of.__getitem__)
        best = auc_of[strongest]
        leak.append(
            (
                pair,
                model,
                len(attacks),
                strongest,
                THREATS.get(strongest, "query"),
                False,
                best,
                best - 0.02,
                min(best + 0.02, 1.0),
                0.06,
                0.01 + 0.4 * (best - 0.5) ** 2,
                0.005,
                0.1,
            )
        )
        if kind != "vote":
            loss = truth[model][1]
            utility = {
                "heldout_loss": (loss, 0.012),
                "calibrated_loss": (loss - 0.02, 0.012),
                "temperature": (1.2, 0.05),
                "perplexity": (float(np.exp(loss)), 0.4),
                "top1_accuracy": (0.62 - 0.08 * loss, 0.005),
                "parameters": (1_350_000.0, 0.0),
                "training_records": (1000.0, 0.0),
                "training_tokens": (820_000.0, 0.0),
            }
            if model in ("bottleneck", "nonorm"):
                utility["loss_before_surgery"] = (3.95, 0.0)
                utility["loss_after_surgery"] = (3.99, 0.0)
            if "temperature" in model or "red_list" in model:
                utility["vulnerable_token_share"] = (0.1, 0.0)
            metrics += [
                ("all", pair, model, "", metric, "", value, value - half, value + half)
                for metric, (value, half) in utility.items()
            ]
        for baseline in ("teacher", "kd"):
            if model in ("teacher", baseline) or baseline not in truth:
                continue
            for attack in attacks:
                for metric, threshold in (
                    ("auc", ""),
                    ("member_accuracy", "cross_fitted"),
                    ("nonmember_accuracy", "cross_fitted"),
                ):
                    gap = truth[model][0] - truth[baseline][0]
                    p = 0.0005 if abs(gap) > 0.02 else 0.4
                    comparisons.append(
                        (
                            pair,
                            model,
                            baseline,
                            attack,
                            metric,
                            threshold,
                            gap,
                            gap - 0.015,
                            gap + 0.015,
                            p,
                            1.0,
                            min(1.0, 6 * p),
                            "different" if 6 * p < 0.05 else "inconclusive",
                        )
                    )
        auc = truth[model][0]
        members = rng.normal(-3.4 + 1.2 * (auc - 0.5), 0.25, RECORDS)
        others = rng.normal(-3.4, 0.25, RECORDS)
        edges = np.histogram_bin_edges(np.concatenate([members, others]), 30)
        for pool, scores in (("member", members), ("nonmember", others)):
            density = np.histogram(scores, edges, density=True)[0]
            histograms += [
                (pair, model, "loss", pool, *bin_)
                for bin_ in zip(edges[:-1], edges[1:], density, strict=True)
            ]
        cuts = np.sort(np.concatenate([members, others]))[::-20]
        fpr = np.concatenate([[0.0], (others >= cuts[:, None]).mean(axis=1), [1.0]])
        tpr = np.concatenate([[0.0], (members >= cuts[:, None]).mean(axis=1), [1.0]])
        roc += [(pair, model, "loss", f, t) for f, t in zip(fpr, tpr, strict=True)]
        if kind in ("student", "undone"):
            for pool in ("member", "nonmember"):
                shares = (0.55, 0.25, 0.08, 0.12) if pool == "member" else (0.48, 0.3, 0.1, 0.12)
                success += [
                    (pair, model, "loss", pool, outcome, round(share * RECORDS * seeds), share)
                    for outcome, share in zip(
                        ("both", "teacher_only", "student_only", "neither"), shares, strict=True
                    )
                ]
    ensembles = [
        (
            pair,
            kind,
            size,
            max(1, 7 - size),
            "loss",
            metric,
            value,
            value - 0.01,
            value + 0.01,
            0.02 / size if seeds > 1 else np.nan,
            seeds,
            *(
                (-0.008, -0.018, 0.002, 0.1)
                if size > 1 and kind != "average"
                else (np.nan, np.nan, np.nan, np.nan)
            ),
        )
        for kind in ("vote", "mixture", "average")
        for size in ((1, *sizes) if students else ())
        if kind != "average" or size > 1
        for metric, value in (
            ("auc", 0.63 - 0.008 * size - (0.01 if kind == "mixture" and size > 1 else 0)),
            ("member_accuracy", 0.6 - 0.01 * size),
            ("nonmember_accuracy", 0.57 + (0.01 if kind == "vote" else 0.02) * (size - 1) / 2),
        )
    ]
    supervision = [
        (pair, "vulnerable", 180, 18_400, 0.41, 0.402, 0.418, 0.37, 0.365, 0.375),
        (pair, "other", 2820, 287_000, 0.33, 0.328, 0.332, 0.31, 0.309, 0.311),
    ]
    effects = [
        (pair, model, attack, effect, value, value - 0.02, value + 0.02)
        for _, model, *_ in models
        for attack in attacks
        for effect, value in (
            ("auc_teacher", 0.55),
            ("auc_student", 0.7),
            ("auc_both", 0.72),
            ("auc_teacher_given_student", 0.52),
            ("auc_student_given_teacher", 0.69),
            ("interaction", -0.02),
        )
    ]
    frontier = []
    for utility, metric in itertools.product(UTILITIES, AT_EQUAL_UTILITY):
        for _, model, kind, *_ in models:
            if kind in ("teacher", "vote", "undone"):
                continue
            auc, loss = truth[model]
            role = "trivial" if model in ("kd", "no_teacher") else "method"
            gap = auc - truth["kd"][0]
            compared: tuple[Any, ...] = ("", *(np.nan,) * 7, "", "")
            if role == "method":
                verdict = "better" if gap < -0.02 else "not distinguishable"
                interval = (gap, gap - 0.015, gap + 0.015)
                compared = ("kd", *interval, 0.001, 0.01, 0.4, 0.028, verdict, verdict)
            frontier.append(
                (
                    pair,
                    model,
                    role,
                    "",
                    utility,
                    metric,
                    "loss",
                    loss,
                    loss - 0.01,
                    loss + 0.01,
                    auc,
                    auc - 0.02,
                    auc + 0.02,
                    0.01 if seeds > 1 else np.nan,
                    model == "kd",
                    model == "kd",
                    *compared,
                )
            )
    floors = []
    for name, floor in FLOORS.items():
        loss = 6.2 - 0.9 * floor.order - 0.1 * floor.members
        auc = 0.5 + 0.1 * floor.order * floor.members
        rows_of = [("", "heldout_loss", "", loss), ("", "perplexity", "", float(np.exp(loss)))]
        rows_of += [("", "top1_accuracy", "", 0.1 * floor.order), ("loss", "auc", "", auc)]
        floors += [
            (pair, name, floor.order, floor.members, *key, value, value - 0.02, value + 0.02)
            for *key, value in rows_of
        ]
        frontier += [
            (
                *(pair, name, "count model", "", utility, metric, "loss"),
                *(loss, loss - 0.01, loss + 0.01),
                *(auc, auc - 0.02, auc + 0.02, 0.01 if seeds > 1 else np.nan, False, False),
                *("", *(np.nan,) * 7, "", ""),
            )
            for utility, metric in itertools.product(UTILITIES, AT_EQUAL_UTILITY)
        ]
    luck = [
        (
            pair,
            model,
            attack,
            metric,
            "split and training",
            seeds,
            *((0.012, 0.007, 0.04) if seeds > 1 else (np.nan, np.nan, np.nan)),
            0.009,
        )
        for _, model, kind, *_ in models
        for metric in ("auc", "heldout_loss")
        if metric == "auc" or kind != "vote"
        for attack in (attacks if metric == "auc" else ("",))
    ]
    epsilon = [
        (str(seed), pair, model, "loss", audit, round(4 * (truth[model][0] - 0.5), 2), 1e-5)
        for _, model, *_ in models
        for seed in range(seeds)
        for audit in ("held_out", "one_run")
    ]
    exposure = [
        (pair, model, times, 16, bits, bits - 0.6, bits + 0.6, 8.0)
        for i, (_, model, kind, *_) in enumerate(models)
        if kind != "vote"
        for times in (0, 1, 2, 4, 8, 16)
        for bits in [1.44 + 1.5 * np.log2(1 + times) / (1 + 0.1 * i)]
    ]
    blind = [
        (
            str(seed),
            pair,
            classifier,
            0.5 + 0.01 * seed,
            0.47 + 0.01 * seed,
            0.53 + 0.01 * seed,
            0.4,
            RECORDS,
            RECORDS,
            "open",
        )
        for seed in range(seeds)
        for classifier in ("bag_of_words", "length")
    ]
    split = [
        (str(seed), pair, pool, RECORDS, 3 if pool == "holdout" else 0)
        for seed in range(seeds)
        for pool in ("member", "nonmember", "holdout", "auxiliary")
    ]
    costs = [
        ("train_teacher", "teacher", 3, 412.5, 910.0, 5200.0),
        ("train_student", "kd", 3, 260.0, 780.0, 6100.0),
        ("score_attacks", "", 51, 12.0, 310.0, np.nan),
    ]
    threats = [
        (attack, THREATS.get(attack, "query"), "the model", "its texts", "nothing", True)
        for attack in attacks
    ]
    rows: dict[str, list[Any]] = {
        "models": models,
        "floors": floors,
        "metrics": metrics,
        "comparisons": comparisons,
        "success": success,
        "supervision": supervision,
        "ensembles": ensembles,
        "leak": leak,
        "threats": threats,
        "frontier": frontier,
        "luck": luck,
        "exposure": exposure,
        "effects": effects,
        "epsilon": epsilon,
        "roc": roc,
        "histograms": histograms,
        "blind": blind,
        "split": split,
        "costs": costs,
    }
    return {name: pd.DataFrame(rows[name], columns=list(load(name).COLUMNS)) for name in rows}


def together(
    first: dict[str, pd.DataFrame], second: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """The tables of a study of two pairs, with the costs of the first."""
    return {
        name: first[name] if "pair" not in first[name] else pd.concat([first[name], second[name]])
        for name in first
    }


def write(tables: dict[str, pd.DataFrame], directory: Path) -> Path:
    """Write each table as `<directory>/<name>.csv`."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(directory / f"{name}.csv", index=False)
    return directory
