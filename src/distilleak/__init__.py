"""distilleak: does a distilled language model leak the data its teacher was trained on?

After `import distilleak`, a student's directory loads with `AutoModelForCausalLM` like any other.
The classes are registered when transformers' own auto classes are imported, so that importing this
package alone stays free of torch.
"""

import importlib
from types import ModuleType

import wrapt


@wrapt.when_imported("transformers.models.auto.modeling_auto")
def _register_students(_: ModuleType) -> None:
    # By name: the import closure of every stage would otherwise hold the model classes.
    importlib.import_module("distilleak.models.surgery.base")
