"""The pools of records."""

POOLS = (
    "member",
    "nonmember",
    "holdout",
    "auxiliary",
    "population",
    "shown",
    "public",
    "canary",
    "candidate",
)
EVIDENCE_POOLS = ("member", "nonmember", "holdout")
"""The pools on which evidence is computed: the evaluation, and the defender's hold-out."""
