"""Model classes whose surgery is written in their configuration, so that it survives save and load.

For each supported base class, `Surgered<Base>` has a model type of its own. The stock type must not
be kept: an unaware program would silently load NoNorm weights into a LayerNorm. Without
`import distilleak` the Auto classes refuse such a directory instead.
"""

from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedConfig,
    PreTrainedModel,
)

from distilleak import catalogue

Changes = dict[str, dict[str, Any]]


def _surgered(
    config_base: type[PreTrainedConfig], model_base: type[PreTrainedModel]
) -> type[PreTrainedModel]:
    """Derive and register the surgered configuration and model class of a family."""

    class Config(config_base):  # type: ignore[misc,valid-type]
        model_type = f"distilleak_{config_base.model_type}"
        surgery: dict[str, Any] | None = None

    class Model(model_base):  # type: ignore[misc,valid-type]
        config_class = Config

        def __init__(self, config: Config) -> None:
            super().__init__(config)
            # In the order of their names: saving sorts the keys, and loading must build the same.
            for name, settings in sorted((config.surgery or {}).items()):
                catalogue.load("surgery", name).apply(self, **settings)

    for made, base in ((Config, config_base), (Model, model_base)):
        made.__name__ = made.__qualname__ = f"Surgered{base.__name__}"
    AutoConfig.register(Config.model_type, Config)
    AutoModelForCausalLM.register(Config, Model)
    return Model


FAMILIES: dict[type[PreTrainedModel], type[PreTrainedModel]] = {
    GPT2LMHeadModel: _surgered(GPT2Config, GPT2LMHeadModel),
}


def operate(model: PreTrainedModel, changes: Changes) -> PreTrainedModel:
    """A copy of `model` with `changes` added to those that it has; `model` stays as it is.

    Every weight that exists on both sides with the same shape is copied; what is new keeps the
    start that its surgery module gives it.
    """
    plain = next(base for base in FAMILIES if isinstance(model, base))
    made: Any = FAMILIES[plain]
    settings = model.config.to_dict()
    before = settings.pop("surgery", None) or {}
    settings.pop("model_type")
    changed = made(made.config_class(**settings, surgery={**before, **changes}))
    known = changed.state_dict()
    kept = {
        name: weight
        for name, weight in model.state_dict().items()
        if name in known and known[name].shape == weight.shape
    }
    changed.load_state_dict(kept, strict=False)
    return changed.to(device=model.device, dtype=model.dtype).train(model.training)  # type: ignore[no-any-return]
