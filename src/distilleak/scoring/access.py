"""Which attacks a model behind an API allows, and why the others are left out.

Its server gives the probability of each token of a text: `logp`, in tokens of its own.
"""

from collections.abc import Mapping, Sequence

from distilleak.attacks.base import Needs
from distilleak.scoring.needs import Entry, module_of


def left_out(attacks: Mapping[str, Entry], views: Sequence[str]) -> dict[str, str]:
    """Name of each attack that such a model does not allow -> why, after "needs".

    Args:
        attacks: name -> configured attack.
        views: those that a server can be shown.
    """
    reasons = {name: _reason(entry, views) for name, entry in attacks.items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _reason(entry: Entry, views: Sequence[str]) -> str | None:
    module = module_of(entry)
    needs: Needs = module.NEEDS
    if needs.references or needs.shadows or needs.teacher:
        return "needs further models with the same tokens, and those of a server are its own"
    if needs.frequencies:
        return "needs how often each token occurs elsewhere, and the tokens of a server are its own"
    absent = [view for view in needs.views if view not in views]
    if absent:
        return f"needs the view {absent[0]}, which is made of tokens, and a server is shown texts"
    if module.THREAT == "logits":
        return (
            "needs the probabilities of all tokens at each place, and a server gives only those "
            "of the text's own tokens"
        )
    return None
