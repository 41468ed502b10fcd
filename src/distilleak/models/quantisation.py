"""Quantised weights of a finished model: which are read, and what that takes.

They are read back into full precision, as those of GGUF files are. What is measured is the model
with the weights that quantising left; how its own kernels would round in between is not.
"""

import importlib.util
from collections.abc import Mapping
from typing import Any

from distilleak.errors import DistilleakError

LIBRARIES: dict[str, tuple[str, ...]] = {
    "bitsandbytes": ("bitsandbytes", "accelerate"),
    "compressed-tensors": ("compressed_tensors", "accelerate"),
    "fp8": ("accelerate",),
}
"""Method, as `quant_method` in config.json names it -> the packages that read it."""


def check(config: Mapping[str, Any], shown: str) -> bool:
    """Check whether weights are quantised in a way that can be read here.

    Args:
        config: what `config.json` says.
        shown: how messages call the model.

    Returns:
        Whether they are quantised.

    Raises:
        DistilleakError: they are in another way, or a package is missing that reads them.
    """
    given = config.get("quantization_config")
    if given is None:
        return False
    method = given.get("quant_method") if isinstance(given, Mapping) else None
    # Configurations of bitsandbytes from before there were others do not name it.
    if isinstance(given, Mapping) and (given.get("load_in_4bit") or given.get("load_in_8bit")):
        method = "bitsandbytes"
    if not isinstance(method, str) or method not in LIBRARIES:
        raise DistilleakError(
            f"{shown}: quantization_config in config.json: weights quantised by "
            f"{str(method)[:40]!r} are not read back into full precision; read are those of "
            f"{', '.join(LIBRARIES)}, and GGUF files"
        )
    missing = [name for name in LIBRARIES[method] if importlib.util.find_spec(name) is None]
    if missing:
        packages = " ".join(name.replace("_", "-") for name in missing)
        raise DistilleakError(
            f"{shown}: quantization_config in config.json: reading weights quantised by "
            f"{method} needs {packages}: pip install {packages}"
        )
    return True
