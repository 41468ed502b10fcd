"""threats: what the attacker of each attack holds, knows and may train."""

import pandas as pd

from distilleak.scoring.threats import THREATS
from distilleak.tables.base import Columns
from distilleak.tables.printing import Findings, Printed
from distilleak.tables.results import StudyResults

COLUMNS: Columns = {
    "attack": str,
    "threat": str,
    "holds": str,
    "knows": str,
    "trains": str,
    "student_alone": bool,
}
VOTE = "votes of ensembles"
"""Stands for an attack in the row of ensembles by vote, which every attack is made on."""


def build(study: StudyResults) -> pd.DataFrame:
    """The table: a row for each attack, and one more where there are ensembles by vote."""
    named = dict(study.roster.threats)
    if any(model.kind == "vote" for _, model in study.roster.models()):
        named[VOTE] = "several"
    rows = [
        (attack, name, threat.holds, threat.knows, threat.trains, threat.student_alone)
        for attack, name in named.items()
        for threat in [THREATS[name]]
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed(findings: Findings) -> list[Printed]:
    """A row for each threat model, in the order of the closed list."""
    rows = findings.rows("threats")
    of_threat = {name: [row for row in rows if row["threat"] == name] for name in THREATS}
    return [
        Printed(
            "threats",
            "Threat models",
            "What whoever attacks holds of the models, what they know, what they may train, and "
            "the attacks of this study that they can make. Every attack is shown with the name of "
            "its threat model, in brackets. The strongest of all attacks is picked among those on "
            "one model alone: what can be found with the teacher at hand is no leak of a student.",
            ("threat model", "holds", "knows", "may train", "attacks"),
            [
                (
                    name,
                    *(found[0][column] for column in ("holds", "knows", "trains")),
                    ", ".join(row["attack"] for row in found),
                )
                for name, found in of_threat.items()
                if found
            ],
        )
    ]
