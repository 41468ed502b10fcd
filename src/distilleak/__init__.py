"""distilleak: does a distilled language model leak the data its teacher was trained on?

After `import distilleak`, `AutoModelForCausalLM` loads a student's directory like any other. The
student classes are registered when the auto classes of transformers are imported, so importing this
package alone does not import torch.
"""

import sys

# `python -m` puts the working directory first in the path, where a file of the user's may be named
# like a module that something here imports: `random.py`, `token.py`. While the package of a program
# is imported, its first argument is still "-m".
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    del sys.path[0]

import importlib
from types import ModuleType

import wrapt


@wrapt.when_imported("transformers.models.auto.modeling_auto")
def _register_students(_: ModuleType) -> None:
    # By name: otherwise the import closure of every stage would include the model classes.
    importlib.import_module("distilleak.models.surgery.base")
