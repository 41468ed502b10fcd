"""Threat models: what whoever attacks holds and knows, and what they may train.

Every attack names one of them (`THREAT`). Scoring does not need them, so it imports none of this.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Threat:
    """One row of the table of threat models.

    Attributes:
        holds: of the models.
        knows: of the data and of how the models were made.
        trains: what models.
        student_alone: whether it attacks a student without its teacher, so that what it finds is a
            leak of the student.
    """

    holds: str
    knows: str
    trains: str
    student_alone: bool = True


_QUERY = "the probability of each token of any text"
_TEXTS = "texts of the members' distribution"
_LIKE = f"{_TEXTS}, tokenizer, architecture"
_REFERENCES = "reference models on those texts"

THREATS = {
    "query": Threat(_QUERY, "nothing", "nothing"),
    "logits": Threat(
        "the probabilities of all tokens at each place of any text", "nothing", "nothing"
    ),
    "distribution": Threat(_QUERY, _TEXTS, "nothing"),
    "base": Threat(
        f"{_QUERY}, by the model and by the public one that it starts from", "nothing", "nothing"
    ),
    "members": Threat(_QUERY, f"{_TEXTS}, some of the members", "nothing"),
    "references": Threat(
        "the probability of each token of any text, and whether it is the likeliest",
        _LIKE,
        _REFERENCES,
    ),
    "shadows": Threat(
        _QUERY,
        f"{_LIKE}, the method with its settings",
        "teachers and students, on halves of the records that are attacked",
    ),
    "pair": Threat(f"{_QUERY}, by student and teacher", _LIKE, _REFERENCES, student_alone=False),
    "several": Threat(
        "what the attack holds, of every student of the ensemble", "the same", "the same"
    ),
    "weights": Threat(
        "the weights, so also the model without its output map", "the method", "nothing"
    ),
}
"""The closed list: name -> threat model. No attack names the last two. `several` is that of
ensembles by vote, `weights` that against which a method with `where: inference` is no protection.
"""
