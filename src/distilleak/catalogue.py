"""Finding methods, attacks, figures and corpora by name: one module each, named after itself.

Modules are found by listing a package's files, so an addition is one new file, and a stage that
uses one of them does not depend on the others.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType

from distilleak.errors import DistilleakError


def names(package: str) -> list[str]:
    """The sorted names of the modules in `distilleak.<package>`, without `base` and `_private`."""
    found = importlib.import_module(f"distilleak.{package}").__path__
    return sorted(
        module.name
        for module in pkgutil.iter_modules(found)
        if module.name != "base" and not module.name.startswith("_")
    )


def load(package: str, name: str) -> ModuleType:
    """Import the module `name` of `distilleak.<package>`.

    Raises:
        DistilleakError: there is no module of this name; the message lists the names there are.
    """
    known = names(package)
    if name not in known:
        kind = {"corpora": "corpus"}.get(package, package.rpartition(".")[2].removesuffix("s"))
        raise DistilleakError(f"unknown {kind} {name!r}{suggestion(name, known)}")
    return importlib.import_module(f"distilleak.{package}.{name}")


def suggestion(name: str, known: Sequence[str]) -> str:
    """The end of an error about an unknown name: the closest known name, then all known names."""
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{guess} allowed: {', '.join(known)}"
