"""A shorter start: what no stage uses of torch and transformers is not imported with them.

A model class brings torch's compiler, its distributed tensors and SciPy's optimisers along: more
than a third of the time of a small job. Here

- `torch._dynamo`, the compiler, and `torch.distributed.tensor` are in their places from the start,
  but run their code only when something of them is used beyond the marks that libraries put on
  their functions, and the question whether a weight is a distributed tensor (`_Waiting`);
- transformers does not find SciPy, scikit-learn and torch's distributed tensors. They are optional
  there: for losses of object detection, speculative decoding, and models that are divided among
  devices;
- transformers searches the files of its models once instead of twice.

Where accelerate is installed, as for GGUF files and adapters, it imports the compiler by itself, so
that less is saved.

Other versions than those in `VERSIONS` are imported as they are, and so is everything in a program
that imports this package and in one of several processes.
"""

import functools
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import wrapt

VERSIONS = {"torch": ((2, 11), (2, 13)), "transformers": ((5, 17), (5, 23))}
"""The oldest and the newest version of which the tests have seen that this changes nothing."""
ABSENT = ("is_scipy_available", "is_sklearn_available", "is_torch_distributed_available")
"""Functions of transformers that say whether something optional is there."""


def spare() -> None:
    """Arrange that transformers, when it is imported, imports only what stages use."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        wrapt.register_post_import_hook(_on_import, "transformers.utils.import_utils")


def known(library: ModuleType) -> bool:
    """Whether the version of torch or transformers is one of `VERSIONS`."""
    oldest, newest = VERSIONS[library.__name__]
    found = re.match(r"(\d+)\.(\d+)", library.__version__)
    return found is not None and oldest <= (int(found[1]), int(found[2])) <= newest


def _on_import(switches: ModuleType) -> None:
    """Called while transformers is being imported, before anything reads its `switches`."""
    torch = sys.modules.get("torch")
    if torch is None or not known(torch) or not known(sys.modules["transformers"]):
        return
    sys.meta_path.insert(0, _Parts())
    _postpone_compiler(torch._disable_dynamo)
    # What saves a model looks whether a weight is one of these.
    _postpone("torch.distributed.tensor", {"DTensor": _NoTensor}, [], lambda: None)
    for name in ABSENT:
        setattr(switches, name, _no)
    search = "create_import_structure_from_path"
    setattr(switches, search, functools.cache(getattr(switches, search)))


def _no() -> bool:
    return False


class _Waiting(ModuleType):
    """A package whose code has not run yet. A name that it lacks runs it, as does a part of it."""

    def __getattr__(self, name: str) -> Any:
        self.__dict__["_run"]()
        return getattr(self, name)


class _Parts(MetaPathFinder):
    """Runs a waiting package before a part of it is imported, as Python does with any package."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package = sys.modules.get(name.rpartition(".")[0])
        if not isinstance(package, _Waiting):
            return None
        package.__dict__["_run"]()
        part = sys.modules.get(name)
        if part is None:
            return None
        # Python asks the part itself, once it is there, how to import it.
        loader = _Imported(part)
        part.__spec__ = ModuleSpec(name, loader)
        return part.__spec__


class _Imported(Loader):
    """Of a part that its package has imported itself, so that its code does not run twice."""

    def __init__(self, part: ModuleType) -> None:
        self._part, self._spec = part, part.__spec__

    def create_module(self, _: ModuleSpec) -> ModuleType:
        return self._part

    def exec_module(self, _: ModuleType) -> None:
        self._part.__spec__ = self._spec


def _postpone(
    name: str, stand_ins: Mapping[str, Any], parts: Sequence[str], after: Callable[[], None]
) -> None:
    """Put a package in its place without running its code.

    Args:
        name: its name; it lies in one that is imported.
        stand_ins: what it holds before its code runs, and no longer.
        parts: modules of the package that are imported now, and need none of the others.
        after: called when its code has run.
    """
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    loader = spec.loader
    package = importlib.util.module_from_spec(spec)

    def run() -> None:
        package.__class__ = ModuleType
        for stand_in in (*stand_ins, "_run"):
            delattr(package, stand_in)
        loader.exec_module(package)
        after()

    around, _, last = name.rpartition(".")
    sys.modules[name] = package
    setattr(sys.modules[around], last, package)
    for part in parts:
        importlib.import_module(f"{name}.{part}")
    vars(package).update(stand_ins, _run=run)
    package.__class__ = _Waiting


class _NoTensor:
    """In the place of `DTensor`: no tensor is one before the code has run that makes them."""


class _Marks:
    """The marks that functions get while the compiler waits.

    Until then nothing is compiled, so they only have to be remembered.

    Args:
        later: torch's own `_disable_dynamo`, which asks the compiler at the first call only.
    """

    def __init__(self, later: Callable[..., Any]) -> None:
        self._later = later
        self._marked: list[tuple[str, Any]] = []
        self._called: list[Any] = []

    def allow_in_graph(self, function: Any) -> Any:
        self._marked.append(("allow_in_graph", function))
        return function

    def assume_constant_result(self, function: Any) -> Any:
        self._marked.append(("assume_constant_result", function))
        return function

    def graph_break(self, msg: str = "") -> None:
        """Nothing, outside of what is compiled."""

    def disable(
        self,
        fn: Any = None,
        recursive: bool = True,
        *,
        reason: str | None = None,
        wrapping: bool = True,
    ) -> Any:
        if wrapping:
            return self._later(fn, recursive)
        # The first call of such a function. It keeps what it gets here for the next calls.
        self._called.append(fn)
        return fn

    def put_on(self) -> None:
        """Put the marks on now that the compiler is there."""
        compiler = sys.modules["torch._dynamo"]
        for mark, function in self._marked:
            getattr(compiler, mark)(function)
        for function in self._called:
            # So that the next call asks the compiler.
            delattr(function, "__dynamo_disable")


def _postpone_compiler(later: Callable[..., Any]) -> None:
    marks = _Marks(later)
    names = ("allow_in_graph", "assume_constant_result", "disable", "graph_break")
    _postpone(
        "torch._dynamo",
        {name: getattr(marks, name) for name in names},
        # Which the masks of transformers need.
        ["_trace_wrapped_higher_order_op"],
        marks.put_on,
    )
