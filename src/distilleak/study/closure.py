"""The source files that a stage really imports, and what is in them, as a parameter of its rule."""

import hashlib
from collections.abc import Iterable
from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path


@cache
def import_closure(package: Path, module: str) -> tuple[Path, ...]:
    """The files of `package` that `module` imports, itself included, sorted.

    Nothing is run. Imports inside functions count; modules that are found by name at run time do
    not, which is what keeps one method independent of the others.

    Args:
        package: the directory of the package.
        module: name relative to it, such as "stages.train_student" or "methods.kd".
    """
    finder = ModuleFinder(path=[str(package.parent)])
    finder.run_script(str(package.joinpath(*module.split(".")).with_suffix(".py")))
    found = (getattr(module, "__file__", None) for module in finder.modules.values())
    return tuple(sorted({Path(file) for file in found if file and package in Path(file).parents}))


def digest(package: Path, files: Iterable[Path]) -> str:
    """SHA-256 of the names and contents of files of `package`, wherever it lies."""
    lines = sorted(f"{file.relative_to(package).as_posix()} {_content(file)}" for file in {*files})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def _content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
