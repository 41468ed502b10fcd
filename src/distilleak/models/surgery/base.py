"""Model classes whose surgery is written in their configuration, so that it survives save and load.

For each supported base class, `Surgered<Base>` has a model type of its own. The stock type must not
be kept: an unaware program would silently load NoNorm weights into a LayerNorm. Without
`import distilleak` the Auto classes refuse such a directory instead.

This module is imported as soon as transformers' own auto classes are, in the middle of the import
of whatever needs them. So it names no model class before the first configuration of its type.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import transformers
from transformers import AutoConfig, PreTrainedConfig

from distilleak import catalogue
from distilleak.models.family_fields import SURGERED
from distilleak.models.family_table import FAMILIES, Family

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Changes = dict[str, dict[str, Any]]
_AUTO = {"causal": "AutoModelForCausalLM", "masked": "AutoModelForMaskedLM"}


def _surgered_config(name: str, family: Family) -> type[PreTrainedConfig]:
    """Derive and register the surgered configuration class of a family."""

    class Config(family.config):  # type: ignore[misc,name-defined]
        model_type = SURGERED + name
        surgery: dict[str, Any] | None = None

        def __post_init__(self, **options: Any) -> None:
            super().__post_init__(**options)
            model_class(name)

    Config.__name__ = Config.__qualname__ = f"Surgered{family.config.__name__}"
    AutoConfig.register(Config.model_type, Config)
    return Config


CONFIGS = {name: _surgered_config(name, family) for name, family in FAMILIES.items()}


@cache
def model_class(name: str) -> type[PreTrainedModel]:
    """The surgered model class of a family, registered with its Auto class."""
    family = FAMILIES[name]

    class Model(family.model):  # type: ignore[misc,name-defined]
        config_class = CONFIGS[name]

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            # In the order of their names: saving sorts the keys, and loading must build the same.
            for change, settings in sorted((config.surgery or {}).items()):
                catalogue.load("models.surgery", change).apply(self, **settings)

    Model.__name__ = Model.__qualname__ = f"Surgered{family.model_name}"
    # Looked up now: in the middle of the import of transformers the class is not yet final.
    getattr(transformers, _AUTO[family.kind]).register(CONFIGS[name], Model)
    return Model


def operate(model: PreTrainedModel, changes: Changes) -> PreTrainedModel:
    """A copy of `model` with `changes` added to those that it has; `model` stays as it is.

    Every weight that exists on both sides with the same shape is copied; what is new keeps the
    start that its surgery module gives it.

    Raises:
        DistilleakError: the model is of no supported family, or its shape does not allow a change.
    """
    return rebuild(model, {**changes_of(model), **changes})


def changes_of(model: PreTrainedModel) -> Changes:
    """The changes that a model has."""
    return getattr(model.config, "surgery", None) or {}


def rebuild(model: PreTrainedModel, changes: Changes) -> PreTrainedModel:
    """A copy of `model` with `changes` in place of those that it has; otherwise as `operate`."""
    from distilleak.models import families

    name = families.name(model)
    settings = model.config.to_dict()
    settings.pop("surgery", None)
    settings.pop("model_type")
    made: Any = CONFIGS[name]
    config = made(
        **settings,
        surgery=changes,
        attn_implementation=model.config._attn_implementation,
    )
    changed = model_class(name)(config)
    known = changed.state_dict()
    kept = {
        name: weight
        for name, weight in model.state_dict().items()
        if name in known and known[name].shape == weight.shape
    }
    changed.load_state_dict(kept, strict=False)
    return families.like(changed, model)
