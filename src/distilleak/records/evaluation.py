"""The pools on which attacks are judged."""

EVALUATION_POOLS = ("member", "nonmember")
