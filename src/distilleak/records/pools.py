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
UTILITY_POOLS = ("holdout",)
"""The pools on which utility is measured; where finished models are audited there are none."""
