"""Taking out of a model what was put into it after training, as whoever holds its weights can."""

from collections.abc import Collection

from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models.surgery.base import changes_of, rebuild


def without(model: PreTrainedModel, parts: Collection[str], name: str) -> PreTrainedModel:
    """A copy of `model` without these changes; every other weight is as it was.

    Args:
        model: stays as it is.
        parts: modules of `distilleak.models.surgery`.
        name: of the model, for messages.

    Raises:
        DistilleakError: the model lacks one of them.
    """
    changes = changes_of(model)
    absent = [part for part in parts if part not in changes]
    if absent:
        there = ", ".join(changes) or "nothing"
        raise DistilleakError(f"{name}: no {absent[0]} to take out; the model has {there}")
    return rebuild(model, {part: changes[part] for part in changes if part not in parts})
