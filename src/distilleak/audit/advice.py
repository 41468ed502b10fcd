"""What to do after a verdict, in words of whoever decides."""

from collections.abc import Mapping, Sequence
from typing import Any


def what_next(students: Sequence[Mapping[str, Any]], *, open_gate: bool) -> list[str]:
    """A sentence on each student, or on the records, if the blind gate is closed.

    Args:
        students: as verdict.json has them: `name`, `verdict` and `more_records`.
        open_gate: whether members and non-members cannot be told apart without a model.
    """
    if not open_gate:
        return [
            "Collect non-members that differ from the members in nothing but the training: from "
            "the same sources, of the same dates and lengths, processed in the same way.",
            "Then audit again: no limit is judged before.",
        ]
    return [_advice(student) for student in students]


def _advice(student: Mapping[str, Any]) -> str:
    name, more = student["name"], student["more_records"]
    if student["verdict"] == "pass":
        return (
            f"{name} may be shipped under this policy; keep this verdict with it. It holds for "
            "these weights, these records and these attacks."
        )
    if student["verdict"] == "fail":
        return (
            f"Do not ship {name}. Train it with less of the members (fewer epochs, public texts, "
            "differential privacy) and audit it again; exposed.parquet lists the members that are "
            "found most easily."
        )
    if more is None:
        return (
            f"Do not ship {name} yet. Its estimate lies on a limit, and no number of records is "
            "sure to decide; train it with less of the members, or reconsider the policy."
        )
    return (
        f"Do not ship {name} yet. Audit it on about {more:,} more members and as many more "
        "non-members: that would decide if the estimates stay as they are."
    )
