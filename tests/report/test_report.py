"""The report is one page that stands alone; its answer follows from the numbers alone."""

import base64
import re
from pathlib import Path

import figure_tables
import pandas as pd
import pytest

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.report.answer import answer
from distilleak.report.bar import warning
from distilleak.report.page import OF_PAIR, page, versions
from distilleak.report.page import printed as printed_tables
from distilleak.settings.figures import FigureSettings
from distilleak.stages.write_report import main
from distilleak.tables.printing import Findings, Printed
from distilleak.tables.reading import pick

Tables = dict[str, pd.DataFrame]


@pytest.fixture
def tables() -> Tables:
    return figure_tables.plausible(students=4, attacks=("loss",), sizes=(2, 3))


def change(table: pd.DataFrame, where: dict[str, str | int], **values: float | str) -> None:
    """Write `values` into the rows of `table` that agree with `where`."""
    rows = (table[list(where)] == pd.Series(where)).all(axis=1)
    assert rows.any()
    table.loc[rows, list(values)] = list(values.values())


def kd_auc(tables: Tables, value: float, low: float, high: float) -> None:
    """Under the headline attack."""
    where: dict[str, str | int] = {"seed": "all", "model": "kd", "metric": "auc"}
    change(tables["metrics"], where, value=value, low=low, high=high)


def strongest(
    tables: Tables, auc: float, low: float, high: float, model: str = "kd", **others: float | str
) -> None:
    """Of all attacks."""
    change(tables["leak"], {"model": model}, auc=auc, low=low, high=high, **others)


def compared(tables: Tables, model: str, baseline: str, metric: str, **values: float) -> None:
    where: dict[str, str | int] = {"model": model, "baseline": baseline, "metric": metric}
    change(tables["comparisons"], where, **values)


def first(tables: Tables) -> str:
    return answer(tables, "small", "loss")[0]


def headline(tables: Tables) -> str:
    return answer(tables, "small", "loss")[1]


def of_methods(tables: Tables) -> str:
    return answer(tables, "small", "loss")[2]


def of_ensembles(tables: Tables) -> str:
    return answer(tables, "small", "loss")[3]


def of_pair(tables: Tables) -> list[Printed]:
    return printed_tables(Findings(tables, "loss", 0.02).of_pair("small"), OF_PAIR)


def printed(tables: Tables, title: str) -> list[list[str]]:
    (table,) = [t for t in of_pair(tables) if t.title.startswith(title)]
    return [list(row) for row in table.rows]


def test_the_report_shows_both_audits_seed_by_seed(tables: Tables) -> None:
    rows = [
        (seed, "small", model, "loss", audit, epsilon, 1e-5)
        for seed in ("0", "1")
        for model, audit, epsilon in (
            ("teacher", "held_out", 3.14159),
            ("teacher", "one_run", 2.0),
            ("kd", "held_out", 0.0),
        )
    ]
    tables["epsilon"] = pd.DataFrame(rows, columns=tables["epsilon"].columns)
    expected = [
        *(["teacher", seed, "3.14", "2.00", "3.14, loss", "2.00, loss"] for seed in ("0", "1")),
        *(["kd", seed, "0.00", "–", "0.00", "–"] for seed in ("0", "1")),
    ]
    assert printed(tables, "Lower bounds on epsilon") == expected


def test_the_report_shows_effects_of_a_factorial_split_only(tables: Tables) -> None:
    expected = pick(tables["effects"], model="kd", effect="auc_teacher").iloc[0]
    rows = {row[0]: row[1:] for row in printed(tables, "Effects of the teacher's")}
    assert rows["kd"][0].startswith(f"{expected['value']:.3f} (")
    tables["effects"] = tables["effects"].iloc[:0]
    assert not [t for t in of_pair(tables) if t.title.startswith("Effects")]


def test_a_student_leaks_when_the_corrected_interval_lies_above_chance(tables: Tables) -> None:
    found = {"attack": "lira_offline", "threat": "references"}
    strongest(tables, 0.53, 0.51, 0.55, attacks=16, tpr=0.074, **found)
    assert first(tables) == (
        "The distilled student leaks: the strongest of 16 attacks, lira_offline (threat model "
        "references), has an AUC of 0.530 (0.510 to 0.550) on kd, where chance is 0.5, and finds "
        "7.4 % of the members while it accuses at most 1 % of the non-members; on the teacher loss "
        "(threat model query) has 0.910 (0.890 to 0.930)."
    )


def test_a_leak_that_only_another_attack_finds_is_no_all_clear(tables: Tables) -> None:
    kd_auc(tables, 0.53, 0.45, 0.61)
    strongest(tables, 0.63, 0.54, 0.71, attacks=7, attack="reference")
    assert first(tables).startswith("The distilled student leaks: the strongest of 7 attacks, ref")
    assert not any("No leak" in said for said in answer(tables, "small", "loss"))


def test_no_leak_is_detected_only_when_no_interval_lies_above_chance(tables: Tables) -> None:
    strongest(tables, 0.53, 0.49, 0.57, attacks=7, attack="zlib", reach=0.061)
    assert first(tables).startswith(
        "No leak was detected in the distilled student by any of 7 attacks: the interval that lies "
        "farthest from chance is that of zlib (threat model query), with an AUC of 0.530 (0.490 to "
        "0.570) on kd, where chance is 0.5; an AUC of 0.561 or more would have been found with "
        "probability 0.8; on the teacher"
    )


def test_students_that_nobody_would_use_are_said_to_be_such_in_the_first_sentence(
    tables: Tables,
) -> None:
    assert "nobody would use" not in first(tables)
    bigram: dict[str, str | int] = {"floor": "bigram", "metric": "heldout_loss"}
    change(tables["floors"], bigram, value=3.43)
    assert first(tables).endswith(
        "; but 3 of 4 students are models that nobody would use, with a held-out loss above the "
        "3.430 nats per token of a table of pairs of words in public text; kd is not among "
        "them."
    )
    change(tables["floors"], bigram, value=3.0)
    assert first(tables).startswith("The distilled student leaks: ")
    assert first(tables).endswith(
        "; but all 4 students are models that nobody would use, with a held-out loss above the "
        "3.000 nats per token of a table of pairs of words in public text; kd has 3.420."
    )


def test_a_verdict_on_which_measures_of_utility_disagree_is_not_stated(tables: Tables) -> None:
    disputed = "depends on the measure of utility"
    model: dict[str, str | int] = {"metric": "auc", "model": "nonvulnerable"}
    change(tables["frontier"], model, agreed=disputed)
    change(tables["frontier"], {**model, "utility": "top1_error"}, verdict="worse")
    said = answer(tables, "small", "loss")[4]
    assert "leaking less: bottleneck" in said
    assert (
        "; without a verdict, because it depends on the measure of utility: nonvulnerable (better "
        "by held-out loss, better by held-out loss at a fitted temperature, worse by top-1 error)"
        in said
    )


def test_a_difference_that_is_not_shown_comes_with_one_that_would_have_been(tables: Tables) -> None:
    rows = tables["frontier"]["verdict"] == "better"
    same = "not distinguishable"
    tables["frontier"].loc[rows, ["verdict", "agreed"]] = [same, same]
    said = answer(tables, "small", "loss")[4]
    assert "; not distinguishable from them: 4 (a difference of 0.028 would have been found" in said
    model: dict[str, str | int] = {"metric": "auc", "model": "nonvulnerable"}
    change(tables["frontier"], model, verdict="equivalent", agreed="equivalent")
    said = answer(tables, "small", "loss")[4]
    assert "; shown to be equivalent to them, within the margin: nonvulnerable (−0.080 (" in said


def test_models_without_a_verdict_are_counted_with_the_reason(tables: Tables) -> None:
    change(
        tables["frontier"],
        {"metric": "auc", "model": "nonvulnerable"},
        verdict="less useful than a bigram",
    )
    said = answer(tables, "small", "loss")[4]
    assert said.startswith("At the same utility, 3 models were compared")
    assert (
        "; not compared, since it predicts worse than pairs of words in public text do: 1." in said
    )
    verdicts = tables["frontier"]["verdict"]
    tables["frontier"]["verdict"] = verdicts.where(verdicts == "", "less useful than a bigram")
    assert answer(tables, "small", "loss")[4] == (
        "At equal utility none of the 4 models is compared, since they predict worse than pairs of "
        "words in public text do."
    )


def test_a_pair_without_floors_says_nothing_of_them(tables: Tables) -> None:
    tables["floors"] = tables["floors"].iloc[:0]
    assert first(tables).startswith("The distilled student leaks: ")
    assert "nobody" not in first(tables)


def test_an_attack_whose_sign_has_to_be_turned_is_a_leak(tables: Tables) -> None:
    strongest(tables, 0.58, 0.56, 0.60, turned=True, tpr=float("nan"))
    assert first(tables).startswith(
        "The distilled student leaks: the only attack, loss (threat model query) with its sign "
        "turned, has an AUC of 0.580 (0.560 to 0.600) on kd, where chance is 0.5; on the teacher "
        "loss (threat model query) has"
    )


def test_a_teacher_that_does_not_leak_is_said_to(tables: Tables) -> None:
    assert "where no leak was detected" not in first(tables)
    strongest(tables, 0.51, 0.48, 0.54, model="teacher")
    assert "(threat model query) has 0.510 (0.480 to 0.540), where no leak was" in first(tables)


def test_what_is_found_with_the_teacher_at_hand_is_said_beside_the_leak(tables: Tables) -> None:
    assert "whoever holds the teacher" not in first(tables)
    both = tables["threats"].assign(attack="joint", threat="pair", student_alone=False)
    auc = pick(tables["metrics"], model="kd", attack="loss", metric="auc", seed="all")
    tables["threats"] = pd.concat([tables["threats"], both])
    tables["metrics"] = pd.concat(
        [tables["metrics"], auc.assign(attack="joint", value=0.95, low=0.94, high=0.96)]
    )
    assert (
        "; for whoever holds the teacher, too, joint (threat model pair) has an AUC of 0.950 "
        "(0.940 to 0.960) on kd"
    ) in first(tables)


def test_the_headline_attack_compares_the_student_with_the_teacher(tables: Tables) -> None:
    kd_auc(tables, 0.53, 0.51, 0.55)
    assert "0.530 (0.510 to 0.550) on kd" in headline(tables)
    assert "0.910 (0.898 to 0.922) on the teacher;" in headline(tables)


@pytest.mark.parametrize(
    ("low", "value", "high", "expected"),
    [
        (-0.3, -0.2, -0.1, "the student's is lower, paired difference −0.200 (−0.300 to −0.100)"),
        (0.1, 0.2, 0.3, "the student's is higher, paired difference +0.200"),
        (-0.1, 0.0, 0.1, "no difference between the two can be shown, paired difference +0.000"),
    ],
)
def test_the_student_differs_from_the_teacher_when_the_paired_interval_excludes_zero(
    tables: Tables, low: float, value: float, high: float, expected: str
) -> None:
    compared(tables, "kd", "teacher", "auc", difference=value, low=low, high=high)
    assert expected in headline(tables)


def test_without_an_interval_nothing_is_concluded(tables: Tables) -> None:
    kd_auc(tables, 0.66, float("nan"), float("nan"))
    assert headline(tables).startswith("The study has no teacher and plain student (kd) of small")


def test_no_method_is_distinguished_from_kd_when_no_p_value_survives_holm(tables: Tables) -> None:
    change(tables["comparisons"], {"baseline": "kd"}, p_value=0.01, p_holm=0.06)
    assert of_methods(tables) == (
        "After Holm correction, of the 3 methods compared, none can be distinguished from kd by "
        "the AUC of the loss attack."
    )


def test_a_single_method_is_not_counted(tables: Tables) -> None:
    rows = tables["comparisons"]
    others = (
        (rows["baseline"] == "kd") & (rows["metric"] == "auc") & (rows["model"] != "bottleneck")
    )
    tables["comparisons"] = rows[~others]
    change(tables["comparisons"], {"baseline": "kd"}, p_value=0.01, p_holm=0.06)
    assert of_methods(tables) == (
        "After Holm correction, the one method cannot be distinguished from kd by the AUC of the "
        "loss attack."
    )


def test_the_fifth_sentence_gives_the_verdicts_at_equal_utility(tables: Tables) -> None:
    worse = {"verdict": "worse", "agreed": "worse"}
    change(tables["frontier"], {"metric": "auc", "verdict": "better"}, **worse)
    change(
        tables["frontier"],
        {"metric": "auc", "model": "nonvulnerable"},
        **{"verdict": "better", "agreed": "better"},
        **{"difference": -0.08, "low": -0.1, "high": -0.06},
    )
    said = answer(tables, "small", "loss")[4]
    assert "leaking less: nonvulnerable (−0.080 (−0.100 to −0.060)); leaking more: " in said
    assert "compared with the trivial alternatives (kd and no_teacher) by" in said
    assert said.endswith(
        " With so few alternatives the comparison favours the methods; config/frontier.yaml has "
        "more."
    )
    change(tables["frontier"], {"metric": "auc", "role": "method"}, role="trivial")
    assert "compared with the trivial alternatives (6) by" in answer(tables, "small", "loss")[4]
    change(tables["luck"], {"metric": "auc"}, seeds=1)
    assert answer(tables, "small", "loss")[4].endswith(
        " With a single seed, no interval covers the variation between splits or between trainings."
    )
    change(tables["frontier"], {"metric": "auc"}, verdict="")
    assert not any("At the same utility" in said for said in answer(tables, "small", "loss"))


def test_without_a_trivial_alternative_the_sentence_says_what_was_compared_with(
    tables: Tables,
) -> None:
    change(tables["frontier"], {"role": "trivial"}, role="strong")
    said = answer(tables, "small", "loss")[4]
    assert (
        " models were compared with count models and uniform guesses, since no trivial alternative "
        "was trained, by the AUC of the strongest attack; "
    ) in said
    assert "favours the methods" in said
    rows = tables["frontier"]
    tables["frontier"] = rows[(rows["verdict"] == "") | (rows["model"] == "bottleneck")]
    assert "utility, one model was compared" in answer(tables, "small", "loss")[4]


def surgery(tables: Tables, model: str, after: float) -> None:
    """The held-out loss of `model` after surgery; before, it is 3.95."""
    where: dict[str, str | int] = {"model": model, "metric": "loss_after_surgery"}
    change(tables["metrics"], where, value=after, low=after, high=after)


def test_a_sentence_says_which_students_surgery_damages(tables: Tables) -> None:
    tables = figure_tables.plausible(students=5, attacks=("loss",), sizes=(2, 3))
    assert not any("change of the architecture" in said for said in answer(tables, "small", "loss"))
    surgery(tables, "bottleneck", 4.87)
    assert answer(tables, "small", "loss")[-2] == (
        "A change of the architecture alone, before any training, raises the held-out loss by more "
        "than 0.1 nats per token in bottleneck (from 3.950 to 4.870). Part of what a student knew "
        "is lost there, and its results are those of one that had to recover."
    )
    surgery(tables, "nonorm", 4.06)
    said = answer(tables, "small", "loss")[-2]
    assert "in bottleneck (from 3.950 to 4.870) and nonorm (from 3.950 to 4.060). " in said


def test_the_table_of_surgery_has_the_losses_before_between_and_after(tables: Tables) -> None:
    surgery(tables, "bottleneck", 4.87)
    assert printed(tables, "What a change of the architecture costs") == [
        ["bottleneck", "3.950", "4.870", "+0.920", "3.500 (3.488 to 3.512)"]
    ]


def test_without_surgery_there_is_no_table_of_it(tables: Tables) -> None:
    rows = tables["metrics"]
    tables["metrics"] = rows[~rows["metric"].str.endswith("_surgery")]
    assert not [t for t in of_pair(tables) if t.name == "surgery"]
    assert len(answer(tables, "small", "loss")) == 6


def test_the_last_sentence_reports_the_variation_between_seeds(tables: Tables) -> None:
    said = answer(tables, "small", "loss")[-1]
    assert said == (
        "Across the 3 seeds, which differ in split and training, the AUC of the loss attack on kd "
        "has a standard deviation of 0.012 (0.007 to 0.040); drawing other evaluated records alone "
        "would give one of 0.009."
    )
    change(tables["luck"], {"model": "kd", "metric": "auc"}, differing="training")
    said = answer(tables, "small", "loss")[-1]
    assert "which differ in training, " in said
    assert said.endswith("no interval over seeds covers the variation between splits.")
    rows = printed(tables, "Variation between seeds")
    assert rows[1] == ["kd", *["0.0120 (0.0070 to 0.0400)", "0.0090"] * 2]


def test_one_seed_says_nothing_of_the_variation_between_seeds() -> None:
    alone = figure_tables.plausible(students=2, attacks=("loss",), sizes=(2,), seeds=1)
    assert not any("standard deviation of" in said for said in answer(alone, "small", "loss"))
    titles = [table.title for table in of_pair(alone)]
    assert not any(title.startswith("Variation between seeds") for title in titles)


def test_a_method_that_leaks_less_is_marked_when_its_loss_is_worse(tables: Tables) -> None:
    expected = (
        "less than kd but only at a worse held-out loss: nonvulnerable (AUC difference −0.080"
    )
    assert expected in of_methods(tables)
    assert "held-out loss +0.050 nats per token" in of_methods(tables)
    where: dict[str, str | int] = {"model": "nonvulnerable", "metric": "heldout_loss"}
    change(tables["metrics"], where, value=3.40, low=3.39, high=3.41)
    assert "less than kd at no worse held-out loss: nonvulnerable (AUC difference" in of_methods(
        tables
    )
    assert "held-out loss −0.020 nats per token" in of_methods(tables)


def test_a_method_that_leaks_more_is_not_among_those_that_leak_less(tables: Tables) -> None:
    assert "more than kd: no_teacher (AUC difference +0.060" in of_methods(tables)
    compared(tables, "no_teacher", "kd", "auc", difference=-0.06, low=-0.08, high=-0.04)
    assert "more than kd" not in of_methods(tables)
    assert "no_teacher (AUC difference −0.060" in of_methods(tables)


def test_what_no_interval_covers_is_said_where_models_start_from_public_ones(
    tables: Tables,
) -> None:
    said = "how much results vary between bases is in no interval."
    assert not any(said in sentence for sentence in answer(tables, "small", "loss"))
    tables["models"]["base"] = (
        tables["models"]["kind"].map({"teacher": "large", "student": "small"}).fillna("")
    )
    *_, last = answer(tables, "small", "loss")
    assert last == (
        "The models start from the public base models large and small, which are the same for "
        f"every seed; {said}"
    )
    tables["models"]["base"] = tables["models"]["base"].replace("large", "small")
    *_, last = answer(tables, "small", "loss")
    assert last.startswith("The models start from the public base model small, which is the same")


def test_when_methods_only_leak_more_the_answer_says_that_none_leaks_less(tables: Tables) -> None:
    change(tables["comparisons"], {"baseline": "kd"}, p_holm=0.5)
    compared(tables, "no_teacher", "kd", "auc", p_holm=0.01)
    assert "less than kd: none; more than kd: no_teacher" in of_methods(tables)
    assert "not distinguishable from kd: 2" in of_methods(tables)


def ensemble(tables: Tables, kind: str, size: int, **values: float) -> None:
    change(tables["ensembles"], {"kind": kind, "size": size, "metric": "auc"}, **values)


@pytest.mark.parametrize(
    ("low", "value", "high", "of_model", "of_attacker"),
    [
        (-0.04, -0.02, -0.01, "leak less than", "finds less than in"),
        (0.01, 0.02, 0.04, "leak more than", "finds more than in"),
        (
            -0.02,
            0.00,
            0.02,
            "show no difference in leakage from",
            "is not shown to find more or less than in",
        ),
    ],
)
def test_ensembles_leak_less_when_the_paired_difference_says_so(
    tables: Tables, low: float, value: float, high: float, of_model: str, of_attacker: str
) -> None:
    ends = {"difference_low": low, "difference_high": high}
    ensemble(tables, "vote", 3, difference=value, **ends)
    ensemble(tables, "mixture", 3, difference=value, **ends)
    said = of_ensembles(tables)
    same = "the same students on average"
    assert f"ensembles of 3 by mixture {of_model} {same}" in said
    assert (
        f"By the loss attack, an attacker who holds 3 students and takes their vote {of_attacker} "
        f"{same}"
    ) in said


def test_ensembles_are_steadier_when_the_variances_differ(tables: Tables) -> None:
    ensemble(tables, "mixture", 3, seed_sd=0.019)
    assert (
        "with no detectable difference in steadiness from one student (standard deviation over 3 "
        "seeds 0.01" in of_ensembles(tables)
    )
    ensemble(tables, "mixture", 3, seed_sd=0.0019)
    steadier = "and are steadier than one student (standard deviation over 3 seeds 0.0019 against "
    assert f"{steadier}0.02" in of_ensembles(tables)
    ensemble(tables, "mixture", 3, seed_sd=0.2)
    less = "and are less steady than one student (standard deviation over 3 seeds 0.2000"
    assert less in of_ensembles(tables)


def test_steadiness_is_not_judged_from_one_seed() -> None:
    tables = figure_tables.plausible(students=2, attacks=("loss",), sizes=(2,), seeds=1)
    assert "steadiness cannot be judged from one seed" in of_ensembles(tables)


def test_a_study_without_ensembles_says_so() -> None:
    tables = figure_tables.plausible(students=2, attacks=("loss",), sizes=())
    assert of_ensembles(tables).startswith("No ensembles were made; ")


@pytest.mark.parametrize(
    ("low", "value", "high", "expected"),
    [
        (0.90, 0.92, 0.94, "(a larger share of the members)"),
        (0.60, 0.62, 0.64, "(a larger share of the non-members)"),
        (0.83, 0.85, 0.87, "(no difference can be shown)"),
    ],
)
def test_members_and_non_members_of_the_teacher_are_set_apart_by_their_intervals(
    tables: Tables, low: float, value: float, high: float, expected: str
) -> None:
    where: dict[str, str | int] = {"seed": "all", "model": "teacher", "metric": "member_accuracy"}
    change(
        tables["metrics"], where | {"threshold": "cross_fitted"}, value=value, low=low, high=high
    )
    assert expected in of_ensembles(tables)
    assert f"{value:.3f} ({low:.3f} to {high:.3f}) of the members" in of_ensembles(tables)


def test_what_distillation_changes_is_said_of_members_and_non_members_apart(
    tables: Tables,
) -> None:
    values = {"difference": 0.01, "low": -0.01, "high": 0.03}
    compared(tables, "kd", "teacher", "nonmember_accuracy", **values)
    assert "lowers accuracy on members (−0.250" in of_ensembles(tables)
    assert "shows no difference in accuracy on non-members (+0.010" in of_ensembles(tables)
    compared(tables, "kd", "teacher", "nonmember_accuracy", low=0.005)
    assert "raises accuracy on non-members" in of_ensembles(tables)


@pytest.mark.parametrize(
    ("low", "value", "high", "expected"),
    [
        (0.80, 0.82, 0.84, "lies above"),
        (0.70, 0.72, 0.76, "cannot be distinguished from"),
        (0.50, 0.52, 0.54, "lies below"),
    ],
)
def test_the_teacher_is_set_against_the_best_blind_classifier_by_their_intervals(
    tables: Tables, low: float, value: float, high: float, expected: str
) -> None:
    where: dict[str, str | int] = {"seed": "all", "model": "teacher", "metric": "auc"}
    change(tables["metrics"], where, value=value, low=low, high=high)
    length: dict[str, str | int] = {"seed": "1", "classifier": "length"}
    change(tables["blind"], length, auc=0.75, low=0.73, high=0.77)
    assert headline(tables).endswith(
        f"; the teacher's AUC {expected} that of the best classifier that never saw a model, "
        "0.750 (0.730 to 0.770)."
    )


def test_a_study_without_kd_answers_with_the_model_on_which_most_is_found() -> None:
    tables = figure_tables.plausible(students=5, attacks=("loss",), sizes=())
    tables["leak"] = tables["leak"][tables["leak"]["model"].isin(["bottleneck", "nonorm"])]
    change(tables["leak"], {"model": "bottleneck"}, auc=0.61, low=0.57, high=0.65)
    change(tables["leak"], {"model": "nonorm"}, auc=0.72, low=0.68, high=0.76)
    assert first(tables) == (
        "The study has no plain student (kd) of small; of its 2 models 2 leak, most of all: loss "
        "(threat model query) has an AUC of 0.720 (0.680 to 0.760) on nonorm, where chance is 0.5."
    )
    change(tables["leak"], {}, auc=0.51, low=0.47, high=0.55)
    assert "; no leak was detected in any of its 2 models: at most, loss (threat" in first(tables)


def test_without_a_student_the_teacher_is_still_set_against_the_blind_classifiers() -> None:
    tables = figure_tables.plausible(students=0, attacks=("loss",), sizes=())
    assert first(tables).startswith(
        "The study has no plain student (kd) of small; its only model leaks: loss (threat model "
    )
    said = headline(tables)
    assert "no teacher and plain student (kd) of small to compare; the teacher's AUC lies" in said


def close(tables: Tables, *seeds: str) -> None:
    """Close the blind gate, as where lengths distinguish members from non-members."""
    rows = tables["blind"]["seed"].isin(seeds)
    tables["blind"].loc[rows, "gate"] = "closed"
    rows &= tables["blind"]["classifier"] == "length"
    tables["blind"].loc[rows, ["auc", "low", "high"]] = (0.78, 0.75, 0.81)


def test_an_open_gate_needs_no_warning(tables: Tables) -> None:
    assert warning(tables, "small") == ""


def test_a_closed_gate_is_said_with_its_seeds_and_its_bar(tables: Tables) -> None:
    close(tables, "2")
    assert warning(tables, "small").startswith(
        "Members and non-members can be distinguished without any model: the best classifier that "
        "never saw one has an AUC of 0.780 (0.750 to 0.810), and the blind gate is closed in 1 of "
        "3 seeds. An attack whose AUC lies below this bar or near it shows nothing"
    )
    one = figure_tables.plausible(seeds=1)
    close(one, "0")
    assert "and the blind gate is closed. An attack" in warning(one, "small")


def test_behind_a_closed_gate_a_leak_has_to_clear_the_bar(tables: Tables) -> None:
    strongest(tables, 0.79, 0.77, 0.81)
    assert first(tables).startswith("The distilled student leaks: ")
    close(tables, "0", "1", "2")
    assert first(tables).startswith(
        "No leak beyond what shows without a model was detected in the distilled student by "
    )
    assert "an AUC of 0.870 or more would have been found" in first(tables)
    strongest(tables, 0.84, 0.82, 0.86)
    assert first(tables).startswith(
        "The distilled student leaks beyond what shows without a model: "
    )
    strongest(tables, 0.79, 0.77, 0.81, model="teacher")
    assert "(0.770 to 0.810), where no leak beyond what shows without a model was" in first(tables)


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    for name in catalogue.names("figures"):
        file = tmp_path / "figures" / "small" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"picture of {name}".encode())
    return tmp_path / "figures"


def report(tables: Tables, figures: Path, configuration: str = "study: demo\n") -> str:
    return page(
        "demo",
        tables,
        figures,
        catalogue.names("figures"),
        FigureSettings(),
        0.02,
        configuration,
    )


def test_the_report_loads_nothing_from_elsewhere(tables: Tables, figures: Path) -> None:
    html = report(tables, figures)
    assert "<script" not in html
    assert not re.search(r"https?://", html)
    assert not re.search(r"@import|url\(|<link", html)
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)


def test_the_report_holds_every_figure_with_its_caption(tables: Tables, figures: Path) -> None:
    html = report(tables, figures)
    for name in catalogue.names("figures"):
        assert base64.b64encode(f"picture of {name}".encode()).decode() in html
        assert catalogue.load("figures", name).CAPTION.split("'")[0] in html


def test_every_link_of_the_report_leads_somewhere(tables: Tables, figures: Path) -> None:
    html = report(tables, figures)
    assert set(re.findall(r'href="#([^"]*)"', html)) <= set(re.findall(r'id="([^"]*)"', html))


def test_the_configuration_is_shown_as_text(tables: Tables, figures: Path) -> None:
    html = report(tables, figures, "note: <script>alert('x')</script> & more\n")
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more" in html


def test_the_report_gives_the_answer_the_split_and_the_blind_audit(
    tables: Tables, figures: Path
) -> None:
    html = report(tables, figures)
    assert "The distilled student leaks: the only attack, loss (threat model query)" in html
    # Who attacks is said before anything that was found, and beside every attack.
    attackers, _, found = html.partition("<h2>small: the answer</h2>")
    assert '<tr><th scope="row">query</th>' in attackers
    assert "<h3>Leakage and utility, attack loss (query)</h3>" in found
    assert "the headline attack: <strong>loss (query)</strong>" in attackers
    assert "1,000 non-members in each of 3 seeds" in html
    assert "AUC of 0.520 (0.490 to 0.550)" in html
    assert "train_student kd" in html
    # Three drawn records of the hold-out were copies of others.
    split = html.partition("<h3>The split</h3>")[2].partition("</table>")[0]
    assert split.count("<td>1,000 (3)</td>") == 3
    assert split.count("<td>1,000</td>") == 9


def test_a_tpr_at_one_per_cent_stands_with_the_number_of_non_members(
    tables: Tables, figures: Path
) -> None:
    html = report(tables, figures)
    assert "TPR at 1 % FPR: measured on 1,000 non-members in each of 3 seeds" in html


def test_a_model_without_a_number_shows_a_dash(tables: Tables, figures: Path) -> None:
    html = report(tables, figures)
    summary = html.partition("<h3>Leakage and utility")[2]
    row = next(line for line in summary.splitlines() if '"row">vote of 2<' in line)
    assert row.count("<td>–</td>") == 1
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html)


def test_a_report_written_twice_has_the_same_bytes(tables: Tables, figures: Path) -> None:
    assert report(tables, figures) == report(tables, figures)


def test_a_closed_gate_stands_above_the_answer(tables: Tables, figures: Path) -> None:
    assert '<p class="warning">' not in report(tables, figures)
    close(tables, "0")
    html = report(tables, figures)
    assert html.index('<p class="warning">Members and non-mem') < html.index('<ol class="answer">')


@pytest.fixture
def two_pairs(tables: Tables, figures: Path) -> Tables:
    (figures / "large").symlink_to(figures / "small")
    other = figure_tables.plausible("large", students=2, attacks=("loss",), sizes=())
    other["split"]["records"] = 77
    close(other, "1")
    return figure_tables.together(tables, other)


def test_a_study_with_two_pairs_answers_for_each(two_pairs: Tables, figures: Path) -> None:
    html = report(two_pairs, figures)
    assert html.count('<ol class="answer">') == 2
    assert html.count("<img ") == 2 * len(catalogue.names("figures"))


def test_each_pair_has_its_own_records_bar_and_gate(two_pairs: Tables, figures: Path) -> None:
    asked, small, large, *_ = report(two_pairs, figures).split(": the answer</h2>")
    assert "never saw a model" not in asked
    for part, size, bar in (
        (small, "1,000", "0.520 (0.490 to 0.550)"),
        (large, "77", "0.780 (0.750 to 0.810)"),
    ):
        assert f"measured on {size} members in each of 3 seeds and {size} non-members" in part
        assert f"TPR at 1 % FPR: measured on {size} non-members" in part
        assert f"AUC of {bar}.</p>" in part
    assert [part.count('<p class="warning">') for part in (small, large)] == [0, 1]


def test_rows_of_split_and_blind_audit_name_their_pair_where_there_are_several(
    tables: Tables, two_pairs: Tables, figures: Path
) -> None:
    assert '<th scope="row">0</th><td>1,000</td>' in report(tables, figures)
    assert '<th scope="row">1</th><td class="text">length</td><td>0.510' in report(tables, figures)
    html = report(two_pairs, figures)
    assert '<th scope="row">small</th><td>0</td><td>1,000</td>' in html
    assert '<th scope="row">large</th><td>0</td><td>77</td>' in html
    assert '<th scope="row">small</th><td>1</td><td class="text">length</td><td>0.510' in html
    assert '<th scope="row">large</th><td>1</td><td class="text">length</td><td>0.780' in html


def test_versions_name_the_packages_that_results_depend_on() -> None:
    assert {"python", "snakemake", "torch", "transformers", "numpy"} <= set(versions())
    assert re.match(r"\d+\.\d+", versions()["numpy"])


def test_the_stage_writes_the_page_and_names_a_missing_figure(
    tables: Tables, figures: Path, tmp_path: Path
) -> None:
    directory = figure_tables.write(tables, tmp_path / "tables")
    (tmp_path / "config.yaml").write_text("study: demo\n")
    command = ["--study", "demo", "--tables", str(directory), "--figures", str(figures)]
    command += ["--costs", str(directory / "costs.csv"), "--config", str(tmp_path / "config.yaml")]
    command += ["--style", "{}", "--margin", "0.02", "--output", str(tmp_path / "report.html")]
    main(command)
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    (figures / "small" / "roc.png").unlink()
    with pytest.raises(DistilleakError, match=r"small/roc\.png: no such figure"):
        main(command)


def with_undone() -> Tables:
    """A study in which a red list seems to help, and leaks as `kd` does once it is undone."""
    made = figure_tables.plausible(
        students=6, attacks=("loss", "zlib"), sizes=(2, 3), undone=("red_list",)
    )
    lower = {"difference": -0.05, "low": -0.07, "high": -0.03, "p_holm": 0.001}
    compared(made, "red_list", "kd", "auc", **lower)
    none = {"difference": 0.0, "low": 0.0, "high": 0.0, "p_holm": 1.0}
    compared(made, "red_list-undone", "kd", "auc", **none)
    return made


def test_a_method_that_is_undone_leaks_no_less_whatever_it_hides_from_others() -> None:
    made = with_undone()
    said = of_methods(made)
    assert "of the 5 methods compared" in said
    assert "red_list" not in said
    undone = {"model": "red_list-undone", "baseline": "kd", "metric": "auc"}
    change(made["comparisons"], undone, verdict="equivalent")
    assert "shown to be equivalent to kd, within the margin: red_list without map" in (
        of_methods(made)
    )
    # If the red list itself gives members away, that counts.
    compared(made, "red_list", "kd", "auc", difference=0.05, low=0.03, high=0.07)
    said = of_methods(made)
    assert re.search(r"more than kd: (.*and )?red_list \(AUC difference \+0\.050", said)
    assert "without map" not in said


def test_no_sentence_counts_an_undone_model_as_a_student() -> None:
    plain = figure_tables.plausible(students=6, attacks=("loss", "zlib"), sizes=(2, 3))
    counted = re.compile(r"\b\d+ (?:of|methods|models|students)")
    said, expected = (answer(made, "small", "loss") for made in (with_undone(), plain))
    assert [counted.findall(text) for text in said] == [counted.findall(text) for text in expected]


def test_the_report_shows_attacks_that_undo_a_method_beside_those_that_do_not() -> None:
    tables = of_pair(with_undone())
    shown = {table.name: {row[0] for row in table.rows} for table in tables}
    for name in ("leak", "summary", "attacks", "comparisons", "success", "luck", "epsilon"):
        assert {"red_list", "red_list without map"} <= shown[name], name
    for name in ("utility", "frontier"):
        assert "red_list" in shown[name]
        assert "red_list without map" not in shown[name]
