"""The verdict on made-up students whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from distilleak.audit import exposed
from distilleak.audit.bar import Bar
from distilleak.audit.judging import judge
from distilleak.audit.panel import Audited, Panel
from distilleak.errors import DistilleakError
from distilleak.metrics.epsilon import one_run
from distilleak.scoring.scores import Scores
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.settings.policy import PolicySettings

OPEN = Bar(True, 0.505, 0.483, 0.527, "length", None)
CLOSED = Bar(False, 0.8, 0.78, 0.82, "date", "Members and non-members can be told apart.")
SETTINGS = EvaluationSettings(replicates=100)
THREATS = {"loss": "query", "zlib": "query", "quotient": "pair"}
DEFAULT = PolicySettings()


def scores(members, nonmembers, shift=0.0, seed=0, common=None, drop=()):
    """Two attacks that find members by `shift` standard deviations, `loss` more than `zlib`."""
    rng = np.random.default_rng(seed)
    total = members + nonmembers
    label = np.arange(total) < members
    shared = rng.normal(size=total) if common is None else common
    attacks = {
        "loss": shared + 0.2 * rng.normal(size=total) + shift * label,
        "zlib": shared + 0.6 * rng.normal(size=total) + 0.8 * shift * label,
    }
    record_id = np.array([f"r{number:06d}" for number in range(total)], dtype=object)
    pool = np.where(label, "member", "nonmember").astype(object)
    kept = ~np.isin(np.arange(total), drop)
    return Scores(
        record_id[kept],
        pool[kept],
        label[kept],
        label[kept],
        {name: found[kept] for name, found in attacks.items()},
    )


def verdict(*models, bar=OPEN, policy=DEFAULT):
    panel = Panel([Audited(*model) for model in models], THREATS, SETTINGS, 0)
    found = judge(panel, bar, policy)
    # Every number has its place in a file: none is NaN, none of numpy.
    json.dumps(found, allow_nan=False)
    return found


def the(found, name):
    return next(model for model in found["models"] if model["name"] == name)


def test_a_student_that_memorised_fails():
    found = verdict(("v1", "student", scores(1000, 1000, 2.0)))
    student = the(found, "v1")
    assert (found["verdict"], student["verdict"]) == ("fail", "fail")
    assert student["auc"]["low"] > DEFAULT.max_auc
    assert student["tpr"]["low"] > DEFAULT.max_tpr
    assert student["epsilon"]["low"] > DEFAULT.max_epsilon
    assert student["more_records"] is None
    assert student["attack"] == "loss"
    assert student["threat"] == "query"
    assert "above the limit of 50 members" in " ".join(student["reasons"])
    assert found["next"][0].startswith("Do not ship v1.")


def test_a_student_that_gives_a_few_members_away_fails_whatever_its_auc():
    """The attack of the best AUC finds hardly anybody; another one finds 100 of 1,000."""
    found = scores(1000, 1000)
    rng = np.random.default_rng(3)
    few = rng.normal(size=2000)
    few[:100] += 6
    attacks = {"loss": rng.normal(size=2000) + 0.25 * found.teacher_member, "zlib": few}
    given = replace(found, attacks=attacks)
    panel = Panel([Audited("v1", "student", given)], THREATS, SETTINGS, 0)
    student = the(judge(panel, OPEN, DEFAULT), "v1")
    assert student["verdict"] == "fail"
    assert student["attack"] == "loss"
    assert student["auc"]["high"] < DEFAULT.max_auc
    assert student["tpr"]["attack"] == "zlib"
    assert student["tpr"]["low"] > DEFAULT.max_tpr
    assert "by zlib: the whole interval lies above" in student["reasons"][0]
    table = exposed.table([("v1", given, panel.strength(panel.models[0]))], 50).to_pandas()
    assert {*table["attack"]} == {"zlib"}
    assert {*table["record_id"]} <= {f"r{number:06d}" for number in range(100)}


def test_a_student_that_was_asked_the_beginnings_only_is_told_so():
    found = the(verdict(("v1", "student", scores(1000, 1000), 250)), "v1")
    assert found["records"] == {"members": 1000, "nonmembers": 1000, "cut": 250}
    assert "Of 250 of 2,000 texts only the beginning was judged" in found["reasons"][-1]


@pytest.mark.parametrize("seed", range(4))
def test_a_student_at_chance_passes_with_a_thousand_of_each(seed):
    found = verdict(("v1", "student", scores(1000, 1000, 0.0, seed)))
    student = the(found, "v1")
    assert (found["verdict"], student["verdict"]) == ("pass", "pass")
    assert student["auc"]["low"] < 0.5 < student["auc"]["high"] < DEFAULT.max_auc
    assert student["tpr"]["high"] < DEFAULT.max_tpr
    assert student["epsilon"]["low"] == 0
    assert found["records"] == {"members": 1000, "nonmembers": 1000}
    assert "may be shipped" in found["next"][0]


@pytest.mark.parametrize("shift", [0.0, 4.0])
def test_fifty_records_do_not_decide(shift):
    found = verdict(("v1", "student", scores(25, 25, shift)))
    student = the(found, "v1")
    assert (found["verdict"], student["verdict"]) == ("investigate", "investigate")
    assert student["reasons"][0] == (
        "25 members and 25 non-members are too few to decide; the policy asks for 100 of each."
    )
    assert student["more_records"] >= 75


def test_too_few_of_one_kind_do_not_decide_either():
    found = verdict(("v1", "student", scores(1000, 99)))
    assert found["verdict"] == "investigate"
    assert "1,000 members and 99 non-members are too few" in found["reasons"][0]


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_a_closed_gate_decides_nothing_whatever_the_numbers_are(shift):
    found = verdict(("v1", "student", scores(1000, 1000, shift)), bar=CLOSED)
    assert found["verdict"] == "investigate"
    assert the(found, "v1")["verdict"] == "investigate"
    assert the(found, "v1")["more_records"] is None
    assert found["reasons"][0] == CLOSED.explanation
    assert found["blind"]["passed"] is False
    assert found["next"][0].startswith("Collect non-members")


def test_a_student_near_a_limit_says_how_many_more_records_decide():
    found = verdict(("v1", "student", scores(400, 300, 0.3)))
    student = the(found, "v1")
    assert student["verdict"] == "investigate"
    auc, tpr = student["auc"], student["tpr"]
    assert auc["low"] < DEFAULT.max_auc < auc["high"]
    needed = []
    for ends, limit in ((auc, DEFAULT.max_auc), (tpr, DEFAULT.max_tpr)):
        if ends["low"] <= limit <= ends["high"]:
            end = ends["high"] if ends["value"] < limit else ends["low"]
            factor = ((end - ends["value"]) / (limit - ends["value"])) ** 2
            needed.append(400 * (factor - 1))
    assert student["more_records"] == pytest.approx(max(needed), rel=0.01, abs=1)
    assert f"{student['more_records']:,} more members" in found["next"][0]


def test_ties_and_a_constant_attack_are_judged():
    found = scores(400, 400)
    tied = {"loss": np.round(found.attacks["loss"]), "zlib": np.zeros(800)}
    student = the(verdict(("v1", "student", replace(found, attacks=tied))), "v1")
    zlib = next(each for each in student["attacks"] if each["attack"] == "zlib")
    assert zlib["auc"]["value"] == 0.5
    assert zlib["auc"]["low"] < 0.5 < zlib["auc"]["high"]
    assert zlib["tpr"]["value"] == 0
    assert 0 < zlib["tpr"]["high"] < 0.02
    assert student["attack"] == "loss"


def test_an_attack_that_finds_nobody_still_has_an_interval():
    constant = replace(scores(200, 200), attacks={"loss": np.zeros(400)})
    student = the(verdict(("v1", "student", constant)), "v1")
    for name in ("auc", "tpr", "fpr"):
        assert student[name]["low"] < student[name]["high"], name


def test_a_student_leakier_than_its_teacher_fails():
    common = np.random.default_rng(5).normal(size=4000)
    pair = [
        ("v1", "student", scores(2000, 2000, 0.4, 1, common)),
        ("teacher", "teacher", scores(2000, 2000, 0.0, 2, common)),
    ]
    policy = PolicySettings(max_auc=0.7, max_tpr=0.1, no_better_than_blind=False)
    found = verdict(*pair, policy=policy)
    student = the(found, "v1")
    assert student["versus"]["teacher"]["low"] > policy.margin
    assert student["verdict"] == "fail"
    assert "minus that of the teacher" in student["reasons"][0]
    assert the(found, "teacher")["verdict"] is None
    # Switched off, the rule says nothing; the difference is shown all the same.
    lenient = policy.model_copy(update={"no_leakier_than_teacher": False})
    allowed = the(verdict(*pair, policy=lenient), "v1")
    assert allowed["verdict"] == "pass"
    assert allowed["versus"]["teacher"]["low"] > policy.margin
    assert "teacher" not in " ".join(allowed["reasons"])


def test_pairing_by_record_makes_the_difference_narrow():
    common = np.random.default_rng(5).normal(size=2000)
    student = ("v1", "student", scores(1000, 1000, 0.5, 1, common))
    paired = verdict(student, ("teacher", "teacher", scores(1000, 1000, 0.5, 2, common)))
    apart = verdict(student, ("teacher", "teacher", scores(1000, 1000, 0.5, 2)))
    width = [
        found["high"] - found["low"]
        for found in (the(each, "v1")["versus"]["teacher"] for each in (paired, apart))
    ]
    assert width[0] < 0.5 * width[1]


def test_rules_compare_on_the_records_that_both_models_have():
    common = np.random.default_rng(5).normal(size=800)
    whole = scores(400, 400, 0.3, 1, common)
    missing = range(0, 800, 7)
    found = verdict(
        ("v1", "student", whole),
        ("base", "base", scores(400, 400, 0.0, 2, common, missing)),
    )
    members = 400 - len([record for record in missing if record < 400])
    nonmembers = 400 - len([record for record in missing if record >= 400])
    said = f"on {members} members and {nonmembers} non-members"
    assert any(said in reason for reason in the(found, "v1")["reasons"])
    # The same as if the student had only those.
    fewer = verdict(
        ("v1", "student", scores(400, 400, 0.3, 1, common, missing)),
        ("base", "base", scores(400, 400, 0.0, 2, common, missing)),
    )
    assert the(found, "v1")["versus"]["base"] == the(fewer, "v1")["versus"]["base"]
    assert the(found, "v1")["records"] == {"members": 400, "nonmembers": 400, "cut": 0}


def test_rules_without_their_model_are_skipped_and_say_so():
    reasons = " ".join(the(verdict(("v1", "student", scores(200, 200))), "v1")["reasons"])
    for role in ("teacher", "base"):
        skipped = f"no leakier than the {role} was skipped: the audit has no {role}."
        assert skipped in reasons


def test_a_rule_with_hardly_a_common_record_is_skipped_too():
    found = verdict(
        ("v1", "student", scores(200, 200)),
        ("base", "base", scores(200, 200, drop=range(50, 200))),
    )
    assert "share 50 members and 200 non-members only" in " ".join(the(found, "v1")["reasons"])
    assert the(found, "v1")["versus"]["base"] is None


def test_a_student_better_than_the_blind_classifier_fails():
    loose = PolicySettings(max_auc=0.9, max_tpr=0.9, max_epsilon=5.0)
    leaky = ("v1", "student", scores(1000, 1000, 0.5))
    assert verdict(leaky, policy=loose)["verdict"] == "fail"
    lenient = loose.model_copy(update={"no_better_than_blind": False})
    assert verdict(leaky, policy=lenient)["verdict"] == "pass"
    high = Bar(True, 0.65, 0.62, 0.68, "length", None)
    assert verdict(leaky, bar=high, policy=loose)["verdict"] == "pass"


def test_a_policy_may_ask_that_rules_are_shown_to_be_kept():
    student = ("v1", "student", scores(1000, 1000))
    strict = PolicySettings(rules_must_be_shown=True)
    assert verdict(student)["verdict"] == "pass"
    found = the(verdict(student, policy=strict), "v1")
    assert found["verdict"] == "investigate"
    assert found["more_records"] > 0
    assert "the data do not show whether the margin of 0.02 is exceeded" in found["reasons"][0]


def test_one_failing_candidate_fails_all_and_one_open_candidate_leaves_all_open():
    good = ("good", "student", scores(1000, 1000, 0.0, 1))
    bad = ("bad", "student", scores(1000, 1000, 2.0, 2))
    few = (
        "few",
        "student",
        scores(1000, 1000, 0.0, 3, drop=[*range(60, 1000), *range(1060, 2000)]),
    )
    found = verdict(good, few, bad)
    assert found["verdict"] == "fail"
    verdicts = [model["verdict"] for model in found["models"]]
    assert verdicts == ["pass", "investigate", "fail"]
    assert len(found["reasons"]) == len(found["next"]) == 3
    assert verdict(good, few)["verdict"] == "investigate"
    # A candidate is judged as if it were alone.
    assert the(found, "good") == the(verdict(good), "good")


def test_attacks_that_hold_the_teacher_as_well_are_shown_and_not_picked():
    found = scores(200, 200)
    label = found.teacher_member.astype(float)
    both = replace(found, attacks=found.attacks | {"quotient": label})
    student = the(verdict(("v1", "student", both)), "v1")
    assert student["attack"] != "quotient"
    assert student["attacks"][-1]["attack"] == "quotient"
    assert student["attacks"][-1]["auc"]["value"] == 1


def test_epsilon_is_at_the_confidence_of_the_low_ends():
    """There are four criteria: three limits, and the rule on the blind classifier."""
    found = scores(500, 500)
    perfect = replace(found, attacks={"loss": found.teacher_member.astype(float)})
    student = the(verdict(("v1", "student", perfect)), "v1")
    expected = one_run(600, 60, 60, SETTINGS.delta, 1 - 0.025 / 4)
    assert student["epsilon"]["low"] == pytest.approx(expected, abs=1e-6)
    assert student["epsilon"]["attack"] == "loss"


def test_the_most_exposed_members_are_listed_by_id():
    found = scores(100, 100, 1.0)
    tied = found.attacks["loss"].copy()
    tied[:3] = 9.0
    panel = Panel(
        [Audited("v1", "student", replace(found, attacks={"loss": tied}))], THREATS, SETTINGS, 0
    )
    (model,) = panel.models
    table = exposed.table([("v1", model.scores, panel.strength(model))], 10).to_pylist()
    assert [row["rank"] for row in table[:4]] == [1, 1, 1, 4]
    assert [row["record_id"] for row in table[:3]] == ["r000000", "r000001", "r000002"]
    others = tied[~found.teacher_member]
    for row in table:
        score = tied[np.flatnonzero(found.record_id == row["record_id"])[0]]
        assert row["score"] == score
        assert row["nonmembers_as_high"] == (others >= score).mean()
        assert row["rank"] == 1 + (tied[found.teacher_member] > score).sum()
        assert (row["model"], row["attack"], row["turned"]) == ("v1", "loss", False)
    assert len(table) == 10


def test_under_a_turned_attack_the_lowest_scores_are_the_most_exposed():
    found = scores(100, 100, 1.0)
    turned = replace(found, attacks={"loss": -found.attacks["loss"]})
    tables = []
    for each in (found, turned):
        only = replace(each, attacks={"loss": each.attacks["loss"]})
        panel = Panel([Audited("v1", "student", only)], THREATS, SETTINGS, 0)
        strength = panel.strength(panel.models[0])
        tables.append(exposed.table([("v1", only, strength)], 100).to_pydict())
    for column in ("record_id", "rank", "nonmembers_as_high"):
        assert tables[0][column] == tables[1][column]
    assert set(tables[1]["turned"]) == {True}


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([("v1", "pupil", 0)], "model 'v1': role 'pupil'; allowed: student, teacher, base"),
        ([("v1", "student", 0), ("v1", "student", 0)], "model 'v1' is given twice"),
        ([("v1", "student", 0), ("a", "base", 0), ("b", "base", 0)], "model 'a': a second base"),
        ([("a", "teacher", 0)], "no student among a"),
    ],
)
def test_models_that_make_no_audit_are_refused(models, message):
    with pytest.raises(DistilleakError, match=message):
        verdict(*((name, role, scores(20, 20)) for name, role, _ in models))


def test_models_that_disagree_on_a_label_are_refused():
    other = scores(21, 19)
    with pytest.raises(DistilleakError, match=r"'r000020' is a non-member in the scores of 'v1'"):
        verdict(("v1", "student", scores(20, 20)), ("base", "base", other))


def test_an_attack_without_a_threat_model_is_refused():
    found = scores(20, 20)
    other = replace(found, attacks={"new": found.attacks["loss"]})
    with pytest.raises(DistilleakError, match="threats: 'new', an attack on 'v1', has None"):
        verdict(("v1", "student", other))


def test_fewer_records_than_folds_are_refused_with_the_name_of_the_model():
    with pytest.raises(DistilleakError, match="model 'v1': 3 members for 5 folds"):
        verdict(("v1", "student", scores(3, 20)))
