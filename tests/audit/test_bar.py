"""What an audit reads of the blind gate."""

import numpy as np
import pytest
from scipy import stats

from distilleak.audit.bar import Bar, highest, read_bar
from distilleak.blind.gate import judge
from distilleak.blind.kernels import BlindRecords
from distilleak.errors import DistilleakError
from distilleak.guards import sealed_json
from distilleak.metrics.limits import Tails
from distilleak.settings.gate import GateSettings


def gate(tmp_path, *, alike):
    """The verdict of the real gate on records that differ in date and length, or do not."""
    rng = np.random.default_rng(0)
    member = np.arange(120) < 60
    older = np.where(member & (not alike), 1950, 1990)
    records = BlindRecords(
        [" ".join(rng.choice(["river", "stone", "cloud"], 30)) for _ in member],
        [f"s{number}" for number in range(120)],
        [f"{year + rng.integers(20)}" for year in older],
        member,
    )
    path = tmp_path / "blind.json"
    found = judge(records, GateSettings(), 0)
    sealed_json.write(found.as_json(), path)
    return path, found


def test_an_open_gate_needs_no_explanation(tmp_path):
    path, found = gate(tmp_path, alike=True)
    best = found.classifiers[found.classifier]
    assert read_bar(path) == Bar(True, best.auc, best.low, best.high, found.classifier, None)


def test_a_closed_gate_says_by_what_the_pools_differ(tmp_path):
    path, found = gate(tmp_path, alike=False)
    bar = read_bar(path)
    assert not bar.passed
    assert bar.auc == found.auc > 0.9
    said = bar.explanation
    assert said.startswith("Members and non-members can be told apart without any model, by ")
    for pool in ("member", "nonmember"):
        assert f"median date {found.separates[pool].date}" in said
        assert f"median length {found.separates[pool].length:g} characters" in said
    assert "100% from sources that the others do not have" in said


def test_a_bar_is_never_below_chance_and_its_ends_are_at_the_tails_of_the_difference():
    bar = Bar(True, 0.45, 0.40, 0.50, "length", None).estimate(Tails(0.005, 0.025))
    assert (bar.value, bar.low) == pytest.approx((0.5, 0.45))
    assert bar.high == pytest.approx(0.5 + 0.05 * stats.norm.ppf(0.995) / stats.norm.ppf(0.975))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"passed": 1}, "'passed' is int, not bool"),
        ({"classifier": "colour"}, "no key 'colour'"),
        ({"classifiers": {"length": {"auc": 0.5, "low": 0.4}}}, "no key 'high'"),
    ],
)
def test_a_damaged_verdict_is_refused(tmp_path, damage, message):
    whole = {
        "passed": True,
        "auc": 0.5,
        "classifier": "length",
        "p_value": 0.5,
        "classifiers": {"length": {"auc": 0.5, "low": 0.4, "high": 0.6}},
        "separates": {},
    }
    path = tmp_path / "blind.json"
    sealed_json.write(whole | damage, path)
    with pytest.raises(DistilleakError, match=message) as refusal:
        read_bar(path)
    assert str(path) in str(refusal.value)


def test_of_several_cuts_a_closed_gate_counts_or_else_the_highest_bar():
    low, high = (Bar(True, auc, auc - 0.02, auc + 0.02, "length", None) for auc in (0.5, 0.54))
    closed = Bar(False, 0.53, 0.52, 0.54, "length", "They differ.")
    assert highest([low, high]) == high
    assert highest([high, closed, low]) == closed
