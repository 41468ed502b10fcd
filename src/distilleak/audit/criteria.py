"""The criteria that a student is judged by: each an estimate, a limit, and a sentence on both."""

from dataclasses import dataclass

from distilleak.metrics.limits import Estimate, Side, more_records, side
from distilleak.metrics.picked_epsilon import Bound


@dataclass(frozen=True)
class Criterion:
    """What one limit or rule says of a student.

    Attributes:
        side: of the limit on which the interval lies.
        sentence: the estimate, its interval, the attack and the limit, in words.
        more: how many more records of each kind would decide; None if decided, or if no number
            would.
        must_be_shown: whether it keeps the student from passing while it is open.
    """

    side: Side
    sentence: str
    more: int | None
    must_be_shown: bool = True

    @property
    def open(self) -> bool:
        """Whether it keeps the student from passing, without failing it."""
        return self.side == "open" and self.must_be_shown


@dataclass(frozen=True)
class Basis:
    """On what an estimate rests: the attack, as a sentence names it, and the records."""

    attack: str
    members: int
    nonmembers: int


def of_tpr(tpr: Estimate, fpr: Estimate, limit: float, basis: Basis) -> Criterion:
    """How many members are found."""
    said = (
        f"Of 1,000 members an attacker finds {_shown(tpr, 1000)} and accuses {_shown(fpr, 1000)} "
        f"of 1,000 others, by {basis.attack}"
    )
    return _of_interval(tpr, limit, said, f"{_number(1000 * limit)} members", basis)


def of_auc(auc: Estimate, limit: float, basis: Basis) -> Criterion:
    """How often a member and a non-member are told apart."""
    said = (
        "Shown a member and a non-member, an attacker names the right one in "
        f"{_shown(auc, 100)} of 100 cases, by {basis.attack}"
    )
    return _of_interval(auc, limit, said, f"{_number(100 * limit)} cases", basis)


def of_epsilon(bound: Bound, limit: float, delta: float, attack: str) -> Criterion:
    """What privacy is refuted. A lower bound has no upper end, so it is never open."""
    refuted = f"every privacy with an epsilon below {bound.epsilon:.2f}"
    said = (
        f"The guesses of {attack} refute {refuted if bound.epsilon > 0 else 'no privacy'} "
        f"(delta {delta:g})"
    )
    if bound.epsilon > limit:
        return Criterion("above", f"{said}: more than the limit of {limit:g}.", None)
    return Criterion("below", f"{said}; the limit is {limit:g}.", None)


def of_rule(
    difference: Estimate, margin: float, against: str, basis: Basis, *, must_be_shown: bool
) -> Criterion:
    """Whether the AUC exceeds that of `against`, which completes "the AUC of"."""
    found = side(difference, margin)
    verdict = {
        "below": f"the margin of {margin:g} is not exceeded",
        "above": f"the margin of {margin:g} is exceeded",
        "open": f"the data do not show whether the margin of {margin:g} is exceeded",
    }[found]
    ends = f"{_signed(difference.low)} to {_signed(difference.high)}"
    return Criterion(
        found,
        f"The AUC minus that of {against} is {_signed(difference.value)} ({ends}), on "
        f"{basis.members:,} members and {basis.nonmembers:,} non-members: {verdict}.",
        _more(difference, margin, basis) if found == "open" and must_be_shown else None,
        must_be_shown,
    )


def _of_interval(
    estimate: Estimate, limit: float, said: str, allowed: str, basis: Basis
) -> Criterion:
    found = side(estimate, limit)
    verdict = {
        "below": f"the whole interval lies below the limit of {allowed}",
        "above": f"the whole interval lies above the limit of {allowed}",
        "open": f"the interval contains the limit of {allowed}",
    }[found]
    more = _more(estimate, limit, basis) if found == "open" else None
    return Criterion(found, f"{said}: {verdict}.", more)


def _more(estimate: Estimate, limit: float, basis: Basis) -> int | None:
    return more_records(estimate, limit, basis.members, basis.nonmembers)


def _shown(estimate: Estimate, of: int) -> str:
    low, high = _number(of * estimate.low), _number(of * estimate.high)
    return f"{_number(of * estimate.value)} ({low} to {high})"


def _number(value: float) -> str:
    """With one decimal, unless that is 0."""
    return f"{value:.1f}".removesuffix(".0")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
