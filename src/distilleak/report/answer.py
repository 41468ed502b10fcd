"""The answer of a study in a few sentences, worked out from its tables.

Each conclusion follows from an interval or a corrected p-value in the tables, by the rules that the
functions below state; where an interval does not allow a conclusion, the sentence says so.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from distilleak.floors.floor import USELESS
from distilleak.report.bar import CHANCE, against_bar, best_blind, least_auc
from distilleak.tables.frontier import DISPUTED, NO_USE
from distilleak.tables.reading import DECISIONS, UTILITIES, Tables, models_of, per_model, pick
from distilleak.tables.wording import COST_NAMES, Interval, listed, p_text, signed

LEVEL = 0.05  # of the tests; the intervals are the matching 95 %
_PLAIN = "kd"
_DAMAGE = 0.1  # nats per token; a student that surgery moves further starts as another model
_ENOUGH = 5  # trivial alternatives, for a frontier that does not favour the methods


def answer(tables: Tables, pair: str, attack: str) -> list[str]:
    """What the study found of `pair` with `attack`; in brackets are 95 % intervals.

    Reads the tables models, floors, threats, leak, metrics, comparisons, ensembles, frontier, luck,
    blind.
    Sentence 1: does plain distillation leak, to the strongest of all attacks, and would anybody use
    the students? Sentence 2: more or less than the teacher under `attack`, and does that attack on
    the teacher find more than classifiers do that see no model? Sentence 3: which methods leak less
    than plain distillation, and at what utility? Sentence 4: do ensembles leak less or vary less,
    and does distillation protect members and non-members alike? Sentence 5, where there are trivial
    alternatives: which models leak less than those at equal utility? Then, where methods change the
    architecture: does that destroy what the students knew? Then, where there are several seeds: how
    much do results vary between them? Last, where models start from public ones: what does no
    interval cover?

    Raises:
        DistilleakError: there is no such pair.
    """
    return [
        f"{_leak(tables, pair)}{_with_teacher(tables, pair)}{_of_no_use(tables, pair)}.",
        f"{_headline(tables, pair, attack)}{_bar(tables, pair, attack)}.",
        _methods(tables, pair, attack),
        f"{_ensembles(tables, pair, attack)}; {_sides(tables, pair, attack)}.",
        *_at_equal_utility(tables, pair),
        *_surgery(tables, pair),
        *_luck(tables, pair, attack),
        *_bases(tables, pair),
    ]


def _leak(tables: Tables, pair: str) -> str:
    """A leak: an interval of the AUC, corrected for all attacks on one model that were tried, lies
    above 0.5, or below it, where the attack is then turned; or beyond the bar of a closed blind
    gate. None: that of no attack does.
    """
    found = {row["model"]: row for row in pick(tables["leak"], pair=pair).to_dict("records")}
    least = least_auc(tables, pair)
    beyond = " beyond what shows without a model" if least > CHANCE else ""
    if _PLAIN not in found:
        others = _of_others(found, models_of(tables, pair)["label"], least, beyond)
        return f"The study has no plain student ({_PLAIN}) of {pair}{others}"
    row = found[_PLAIN]
    auc = _auc(row)
    count = row["attacks"]
    if auc.low > least:
        tried = f"strongest of {count} attacks" if count > 1 else "only attack"
        rate = ""
        if not np.isnan(row["tpr"]):
            rate = (
                f", and finds {100 * row['tpr']:.1f} % of the members while it accuses at most 1 % "
                "of the non-members"
            )
        return (
            f"The distilled student leaks{beyond}: the {tried}, {_name(row)}, has an AUC of "
            f"{auc} on {_PLAIN}, where chance is 0.5{rate}{_leak_of_teacher(found, least, beyond)}"
        )
    tried = f"any of {count} attacks" if count > 1 else "the only attack that was tried"
    return (
        f"No leak{beyond} was detected in the distilled student by {tried}: the interval that lies "
        f"farthest from chance is that of {_name(row)}, with an AUC of {auc} on {_PLAIN}, where "
        f"chance is 0.5; an AUC of {min(1.0, least + row['reach']):.3f} or more would have been "
        f"found with probability 0.8{_leak_of_teacher(found, least, beyond)}"
    )


def _of_others(
    found: dict[str, dict[Any, Any]], labels: "pd.Series[str]", least: float, beyond: str
) -> str:
    """The answer of a study without a plain student: that of the model on which most is found."""
    if not found:
        return ""
    model, row = max(found.items(), key=lambda each: float(each[1]["low"]))
    shown = f"{_name(row)} has an AUC of {_auc(row)} on {labels[model]}, where chance is 0.5"
    leaking = sum(float(each["low"]) > least for each in found.values())
    if len(found) == 1:
        verdict = f"its only model leaks{beyond}" if leaking else f"no leak{beyond} was detected"
        return f"; {verdict}: {shown}"
    if leaking:
        return f"; of its {len(found)} models {leaking} leak{beyond}, most of all: {shown}"
    return f"; no leak{beyond} was detected in any of its {len(found)} models: at most, {shown}"


def _with_teacher(tables: Tables, pair: str) -> str:
    """What is found in plain distillation by whoever holds the teacher, too: the AUC as it is."""
    found = [
        f"{row['attack']} (threat model {row['threat']}) has an AUC of {auc}"
        for row in pick(tables["threats"], student_alone=False).to_dict("records")
        if (auc := _estimate(per_model(tables, pair, attack=row["attack"], metric="auc"), _PLAIN))
        is not None
    ]
    return f"; for whoever holds the teacher, too, {listed(found)} on {_PLAIN}" if found else ""


def _of_no_use(tables: Tables, pair: str) -> str:
    """Of no use: the held-out loss is above that of the count model `USELESS` of public text."""
    counted = pick(tables["floors"], pair=pair, metric="heldout_loss", floor=USELESS)
    if counted.empty:
        return ""
    floor = float(counted["value"].iloc[0])
    models = models_of(tables, pair)
    loss = per_model(tables, pair, metric="heldout_loss")["value"]
    loss = loss[models.loc[loss.index, "kind"] == "student"]
    useless = loss[loss > floor]
    if useless.empty:
        return ""
    every = {1: "its student is one", 2: "both students are models"}
    many = (
        f"{len(useless)} of {len(loss)} students are models"
        if len(useless) < len(loss)
        else every.get(len(loss), f"all {len(loss)} students are models")
    )
    own = (
        f"; {_PLAIN} has {useless[_PLAIN]:.3f}"
        if _PLAIN in useless.index
        else f"; {_PLAIN} is not among them"
        if _PLAIN in loss.index
        else ""
    )
    return (
        f"; but {many} that nobody would use, with a held-out loss above the {floor:.3f} nats per "
        f"token of a table of pairs of words in public text{own}"
    )


def _name(row: dict[Any, Any]) -> str:
    """The attack and its threat model; members with the lower scores are found by whoever turns
    its sign."""
    named = f"{row['attack']} (threat model {row['threat']})"
    return f"{named} with its sign turned" if row["turned"] else named


def _auc(row: dict[Any, Any]) -> Interval:
    return Interval(row["auc"], row["low"], row["high"])


def _leak_of_teacher(found: dict[str, dict[Any, Any]], least: float, beyond: str) -> str:
    if "teacher" not in found:
        return ""
    row = found["teacher"]
    auc = _auc(row)
    own = "" if auc.low > least else f", where no leak{beyond} was detected"
    return f"; on the teacher {_name(row)} has {auc}{own}"


def _threat(tables: Tables, attack: str) -> str:
    (threat,) = pick(tables["threats"], attack=attack)["threat"]
    return str(threat)


def _headline(tables: Tables, pair: str, attack: str) -> str:
    """A difference: its interval excludes 0."""
    auc = per_model(tables, pair, attack=attack, metric="auc")
    student, teacher = _estimate(auc, _PLAIN), _estimate(auc, "teacher")
    if student is None or teacher is None:
        return f"The study has no teacher and plain student ({_PLAIN}) of {pair} to compare"
    gap = _compared(tables, pair, attack, _PLAIN, "teacher", "auc")
    if gap is None:
        beside = "the two were not compared on the same records"
    elif _is_equivalent(tables, pair, attack, _PLAIN, "teacher"):
        beside = (
            "the two are equivalent, shown to differ by less than the margin, paired difference "
            f"{gap.signed()}"
        )
    elif gap.excludes(0):
        side = "lower" if gap.value < 0 else "higher"
        beside = f"the student's is {side}, paired difference {gap.signed()}"
    else:
        beside = f"no difference between the two can be shown, paired difference {gap.signed()}"
    return (
        f"The {attack} attack (threat model {_threat(tables, attack)}), by which models are "
        f"compared, has an AUC of {student} on {_PLAIN} and of {teacher} on the teacher; {beside}"
    )


def _is_equivalent(tables: Tables, pair: str, attack: str, model: str, baseline: str) -> bool:
    rows = pick(
        tables["comparisons"],
        **{"pair": pair, "attack": attack, "model": model, "baseline": baseline, "metric": "auc"},
    )
    return bool((rows["verdict"] == "equivalent").any())


def _bar(tables: Tables, pair: str, attack: str) -> str:
    """Where the teacher's AUC lies, seen from the best classifier that never saw a model."""
    teacher = _estimate(per_model(tables, pair, attack=attack, metric="auc"), "teacher")
    bar = best_blind(tables, pair)
    if teacher is None or bar is None:
        return ""
    return f"; the teacher's AUC {against_bar(teacher, bar)}"


def _worse_of_both(rows: pd.DataFrame, models: pd.DataFrame) -> pd.DataFrame:
    """The comparisons `rows` of students alone: one that can be undone has the row of the attack on
    it as it is, or of that on the undone one, whichever leaks more."""
    of = models["of"].to_dict()
    released = [of[model] or model for model in rows["model"]]
    rows = rows.assign(released=released)
    rows = rows[(models["kind"].reindex(released) == "student").to_numpy()]
    leaks_most = rows.sort_values("difference", ascending=False, kind="stable")
    return leaks_most.drop_duplicates("released").sort_index()


def _methods(tables: Tables, pair: str, attack: str) -> str:
    """A method differs from plain distillation when its AUC does at p < 0.05 after Holm; one that
    can be undone by the larger of its two AUCs."""
    models = models_of(tables, pair)
    rows = pick(tables["comparisons"], pair=pair, baseline=_PLAIN, attack=attack, metric="auc")
    rows = _worse_of_both(rows, models)
    if rows.empty:
        return f"No other method was compared with {_PLAIN}."
    loss = per_model(tables, pair, metric="heldout_loss")["value"]
    found = rows[rows["p_holm"] < LEVEL].sort_values("difference", kind="stable")
    cleaner: list[str] = []
    costly: list[str] = []
    worse: list[str] = []
    for _, row in found.iterrows():
        # The loss of an undone model is that of the model that is released.
        paid = float(loss.get(row["model"], np.nan) - loss.get(_PLAIN, np.nan))
        change = Interval(row["difference"], row["low"], row["high"])
        text = (
            f"{models.loc[row['model'], 'label']} (AUC difference {change.signed()}, "
            f"{p_text(row['p_holm'])}; held-out loss {signed(paid)} nats per token)"
        )
        if change.value >= 0:
            worse.append(text)
        elif round(paid, 3) > 0:
            costly.append(text)
        else:
            cleaner.append(text)
    total = len(rows)
    same = rows[rows["verdict"] == "equivalent"]
    equal = ""
    if len(same):
        names = listed([str(models.loc[model, "label"]) for model in same["model"]])
        equal = f"shown to be equivalent to {_PLAIN}, within the margin: {names}"
    if not len(found) and equal:
        rest = total - len(same)
        open_ = f"; not distinguishable from {_PLAIN}: {rest}" if rest else ""
        return (
            f"After Holm correction, of the {total} methods compared by the {attack} attack, "
            f"{equal}{open_}."
        )
    if not len(found):
        none = "the one method" if total == 1 else f"of the {total} methods compared, none"
        can = "cannot" if total == 1 else "can"
        return (
            f"After Holm correction, {none} {can} be distinguished from {_PLAIN} by the AUC of the "
            f"{attack} attack."
        )
    parts = []
    if cleaner:
        parts.append(f"less than {_PLAIN} at no worse held-out loss: {listed(cleaner)}")
    if costly:
        parts.append(f"less than {_PLAIN} but only at a worse held-out loss: {listed(costly)}")
    if not cleaner and not costly:
        parts.append(f"less than {_PLAIN}: none")
    if worse:
        parts.append(f"more than {_PLAIN}: {listed(worse)}")
    if equal:
        parts.append(equal)
    rest = total - len(found) - len(same)
    if rest:
        parts.append(f"not distinguishable from {_PLAIN}: {rest}")
    return (
        f"After Holm correction, of the {total} methods compared by the {attack} attack, these "
        f"leak {'; '.join(parts)}. Stronger attacks may order them otherwise."
    )


def _at_equal_utility(tables: Tables, pair: str) -> list[str]:
    """The verdicts of the table `frontier` on the AUC, a sentence; none without any. One is stated
    where all measures of utility lead to it."""
    every = pick(tables["frontier"], pair=pair, metric="auc")
    rows = pick(every, utility=next(iter(UTILITIES)))
    trivial = pick(rows, role="trivial")
    rows = rows[rows["verdict"] != ""].sort_values("difference", kind="stable")
    if rows.empty:
        return []
    useless = int((rows["verdict"] == NO_USE).sum())
    they = "it predicts" if useless == 1 else "they predict"
    reason = f"since {they} worse than pairs of words in public text do"
    if useless == len(rows):
        none = {1: "the only model is not", 2: "neither of the two models is"}
        said = none.get(useless, f"none of the {useless} models is")
        return [f"At equal utility {said} compared, {reason}."]
    rows = rows[rows["verdict"] != NO_USE]
    labels = models_of(tables, pair)["label"]

    def named(verdict: str) -> list[str]:
        return [
            f"{labels[row['model']]} "
            f"({Interval(row['difference'], row['low'], row['high']).signed()})"
            for _, row in pick(rows, agreed=verdict).iterrows()
        ]

    better, worse, same = named("better"), named("worse"), named("equivalent")
    parts = [
        f"leaking less: {listed(better) if better else 'none'}",
        f"leaking more: {listed(worse) if worse else 'none'}",
    ]
    if same:
        parts.append(f"shown to be equivalent to them, within the margin: {listed(same)}")
    for verdict, words in (
        ("not distinguishable", "not distinguishable from them"),
        ("more useful than all", "more useful than all of them without leaking less"),
        ("less useful than all", "less useful than all of them without leaking more"),
    ):
        if count := int((rows["agreed"] == verdict).sum()):
            parts.append(f"{words}: {count}{_least_excess(pick(rows, agreed=verdict), verdict)}")
    disputed = pick(rows, agreed=DISPUTED)["model"]
    if len(disputed):
        parts.append(
            "without a verdict, because it depends on the measure of utility: "
            f"{listed([_by_utility(every, model, str(labels[model])) for model in disputed])}"
        )
    if useless:
        parts.append(f"not compared, {reason}: {useless}")
    few = len(trivial) < _ENOUGH
    names = [str(labels[model]) for model in trivial["model"]]
    against = "count models and uniform guesses, since no trivial alternative was trained,"
    if names:
        against = f"the trivial alternatives ({listed(names) if few else len(names)})"
    compared = "one model was" if len(rows) == 1 else f"{len(rows)} models were"
    warnings = [
        " With so few alternatives the comparison favours the methods; config/frontier.yaml has "
        "more."
        if few
        else "",
        " With a single seed, no interval covers the variation between splits or between trainings."
        if (tables["luck"]["seeds"] == 1).any()
        else "",
    ]
    return [
        f"At the same utility, {compared} compared with {against} by the AUC of the strongest "
        f"attack; after Holm correction, {'; '.join(parts)}.{''.join(warnings)}"
    ]


def _by_utility(rows: pd.DataFrame, model: str, label: str) -> str:
    found = pick(rows, model=model)
    each = [
        f"{verdict} by {COST_NAMES[utility]}"
        for utility, verdict in zip(found["utility"], found["verdict"], strict=True)
    ]
    return f"{label} ({', '.join(each)})"


def _least_excess(rows: pd.DataFrame, verdict: str) -> str:
    """How large a difference would have been found in models in which none was."""
    if verdict != "not distinguishable":
        return ""
    low, high = f"{rows['detectable'].min():.3f}", f"{rows['detectable'].max():.3f}"
    size = low if low == high else f"{low} to {high}"
    return f" (a difference of {size} would have been found with probability 0.8)"


def _surgery(tables: Tables, pair: str) -> list[str]:
    """The students whose held-out loss a change of their architecture alone, before any training,
    raises by more than `_DAMAGE`; nothing if there are none."""
    before, after = (
        per_model(tables, pair, metric=f"loss_{when}_surgery")["value"]
        for when in ("before", "after")
    )
    damaged = [model for model in before.index if after[model] - before[model] > _DAMAGE]
    if not damaged:
        return []
    labels = models_of(tables, pair)["label"]
    named = [
        f"{labels[model]} (from {before[model]:.3f} to {after[model]:.3f})" for model in damaged
    ]
    return [
        "A change of the architecture alone, before any training, raises the held-out loss by more "
        f"than {_DAMAGE} nats per token in {listed(named)}. Part of what a student knew is lost "
        "there, and its results are those of one that had to recover."
    ]


def _luck(tables: Tables, pair: str, attack: str) -> list[str]:
    """How much plain distillation differs between seeds; nothing of a single one."""
    rows = pick(tables["luck"], pair=pair, model=_PLAIN, attack=attack, metric="auc")
    rows = rows[rows["seed_sd"].notna()]
    if rows.empty:
        return []
    row = rows.iloc[0]
    spread = Interval(row["seed_sd"], row["low"], row["high"])
    left = {"training": "splits", "split": "trainings"}.get(str(row["differing"]))
    warning = f"; no interval over seeds covers the variation between {left}" if left else ""
    return [
        f"Across the {row['seeds']:.0f} seeds, which differ in {row['differing']}, the AUC of the "
        f"{attack} attack on {_PLAIN} has a standard deviation of {spread}; drawing "
        f"other evaluated records alone would give one of {row['record_sd']:.3f}{warning}."
    ]


def _bases(tables: Tables, pair: str) -> list[str]:
    """What no interval covers where models start from public base models."""
    used = [base for base in dict.fromkeys(models_of(tables, pair)["base"]) if base]
    if not used:
        return []
    many, verb = ("models", "are") if len(used) > 1 else ("model", "is")
    return [
        f"The models start from the public base {many} {listed(used)}, which {verb} the same for "
        "every seed; how much results vary between bases is in no interval."
    ]


def _ensembles(tables: Tables, pair: str, attack: str) -> str:
    """The largest ensembles, and votes of as many, against the same students, each by itself.

    Less or more: the interval of the paired difference excludes 0. Steadier or not than one
    student: a two-sided F test of the variances between seeds.
    """
    rows = pick(tables["ensembles"], pair=pair, attack=attack, metric="auc")
    parts = []
    for kind in ("vote", "mixture"):
        line = pick(rows, kind=kind).sort_values("size")
        if line["size"].nunique() < 2:
            continue
        one, many = line.iloc[0], line.iloc[-1]
        joint = Interval(many["value"], many["low"], many["high"])
        change = Interval(*(many[f"difference{end}"] for end in ("", "_low", "_high")))
        if not np.isfinite([*joint, *change]).all():
            continue
        side = 0 if change.high < 0 else 1 if change.low > 0 else 2
        # A mixture is a model; a vote is what an attacker does who holds several.
        if kind == "mixture":
            who = f"ensembles of {many['size']:.0f} by mixture"
            verdict = ("leak less than", "leak more than", "show no difference in leakage from")
        else:
            who = f"an attacker who holds {many['size']:.0f} students and takes their vote"
            verdict = (
                "finds less than in",
                "finds more than in",
                "is not shown to find more or less than in",
            )
        parts.append(
            f"{who} {verdict[side]} the same students on average (AUC {joint}, paired difference "
            f"{change.signed()}) {_steadiness(one, many, 'are' if kind == 'mixture' else 'is')}"
        )
    if not parts:
        return "No ensembles were made"
    return f"By the {attack} attack, {'; '.join(parts)}"


def _steadiness(one: "pd.Series[float]", many: "pd.Series[float]", be: str) -> str:
    seeds = int(many["seeds"])
    before, after = float(one["seed_sd"]), float(many["seed_sd"])
    if seeds < 2 or not np.isfinite([before, after]).all():
        return "and steadiness cannot be judged from one seed"
    # Size 1 is the students of all ensembles, and its spread that of one of them.
    spread = f"standard deviation over {seeds} seeds {after:.4f} against {before:.4f}"
    if min(before, after) == 0:
        p = 1.0 if before == after else 0.0
    else:
        ratio = (before / after) ** 2
        p = 2 * min(
            stats.f.sf(ratio, seeds - 1, seeds - 1), stats.f.cdf(ratio, seeds - 1, seeds - 1)
        )
    if p >= LEVEL:
        return (
            f"with no detectable difference in steadiness from one student ({spread}, F test "
            f"{p_text(p)})"
        )
    verdict = "steadier" if after < before else "less steady"
    return f"and {be} {verdict} than one student ({spread}, F test {p_text(p)})"


def _sides(tables: Tables, pair: str, attack: str) -> str:
    """Members and non-members separately: accuracies on the teacher, changes by distillation."""
    wanted = {"attack": attack, "threshold": DECISIONS}
    member, nonmember = (
        _estimate(per_model(tables, pair, metric=f"{side}_accuracy", **wanted), "teacher")
        for side in ("member", "nonmember")
    )
    if member is None or nonmember is None:
        return "member and non-member accuracy were not measured on the teacher"
    if member.low > nonmember.high:
        verdict = "a larger share of the members"
    elif member.high < nonmember.low:
        verdict = "a larger share of the non-members"
    else:
        verdict = "no difference can be shown"
    changes = []
    for side, name in (("member", "members"), ("nonmember", "non-members")):
        change = _compared(tables, pair, attack, _PLAIN, "teacher", f"{side}_accuracy")
        if change is None:
            continue
        if not change.excludes(0):
            effect = "shows no difference in"
        else:
            effect = "lowers" if change.value < 0 else "raises"
        changes.append(f"{effect} accuracy on {name} ({change.signed()})")
    distilled = f", and distillation ({_PLAIN}) {listed(changes)}" if changes else ""
    return (
        f"on the teacher the attack classifies {member} of the members and {nonmember} of the "
        f"non-members correctly ({verdict}){distilled}"
    )


def _compared(
    tables: Tables, pair: str, attack: str, model: str, baseline: str, metric: str
) -> Interval | None:
    rows = pick(
        tables["comparisons"],
        pair=pair,
        attack=attack,
        model=model,
        baseline=baseline,
        metric=metric,
        threshold=("", *DECISIONS),
    )
    return _estimate(rows.rename(columns={"difference": "value"}).set_index("model"), model)


def _estimate(rows: pd.DataFrame, model: str) -> Interval | None:
    if model not in rows.index:
        return None
    row = rows.loc[[model]].iloc[0]
    found = Interval(float(row["value"]), float(row["low"]), float(row["high"]))
    return found if np.isfinite(found).all() else None
