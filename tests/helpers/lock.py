"""The lock files: every package of constraints.txt with the hashes of its files.

uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q \\
    -c constraints.txt --extra gguf --extra lora --extra slurm --extra test pyproject.toml |
    python tests/helpers/lock.py WHEEL ...

writes the files of `HEADS`. The WHEELs are builds of torch for CPUs alone.
"""

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASE, LOCK, CPU_LOCK = (ROOT / f"requirements{kind}.lock" for kind in ("-base", "", "-cpu"))
CONSTRAINTS = ROOT / "constraints.txt"
HEADS = {
    BASE: """\
# What requirements.lock and requirements-cpu.lock share: all but torch.
# Made by tests/helpers/lock.py.
""",
    LOCK: """\
# Every package of constraints.txt with the SHA-256 of its files, for
# `pip install --require-hashes -r requirements.lock`; torch is that of the package index, with the
# packages that it needs for a GPU on Linux. Made by tests/helpers/lock.py.
-r requirements-base.lock
""",
    CPU_LOCK: """\
# The same with a build of torch for CPUs alone, which pip must be able to find (`--find-links`).
# Made by tests/helpers/lock.py.
-r requirements-base.lock
""",
}


@dataclass(frozen=True)
class Locked:
    """A package in a lock file.

    Attributes:
        name: normalised.
        version: the only one.
        marker: where it is installed; empty for everywhere.
        hashes: SHA-256 of each of its files.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    def text(self) -> str:
        """As a requirement."""
        head = f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")
        return " \\\n".join([head, *(f"    --hash=sha256:{digest}" for digest in self.hashes)])


def normal(name: str) -> str:
    """The name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: Path = CONSTRAINTS) -> dict[str, str]:
    """Package -> version of constraints.txt."""
    lines = file.read_text().splitlines()
    pinned = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, version in pinned}


def parse(text: str) -> list[Locked]:
    """The packages of a lock file, or of what uv prints.

    Raises:
        ValueError: a line is none of a pinned requirement with hashes.
    """
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith(("#", "-r ")):
            continue
        head, *hashes = line.split("--hash=sha256:")
        given = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)(?: ; (.+))?", head.strip())
        if given is None or not hashes:
            raise ValueError(f"no pinned package with hashes: {line[:80]}")
        digests = tuple(digest.strip() for digest in hashes)
        found.append(Locked(normal(given[1]), given[2], (given[3] or "").strip(), digests))
    return found


def of_wheels(package: Locked, wheels: Iterable[Path]) -> Locked:
    """The package, allowed to be one of these files alone."""
    digests = sorted(hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels)
    return replace(package, hashes=tuple(digests))


def split(packages: Iterable[Locked], known: Mapping[str, str]) -> tuple[list[Locked], ...]:
    """(all others, torch, what torch needs for a GPU)."""
    others, torch, gpu = [], [], []
    for each in packages:
        if each.name == "torch":
            torch.append(each)
        elif each.name not in known and "'linux'" in each.marker:
            gpu.append(each)
        # Nobody trains a model inside a browser.
        elif "== 'emscripten'" not in each.marker:
            others.append(each)
    return others, torch, gpu


def main() -> None:
    """Write the lock files."""
    others, torch, gpu = split(parse(sys.stdin.read()), pins())
    cpu = [of_wheels(each, map(Path, sys.argv[1:])) for each in torch]
    for path, chosen in ((BASE, others), (LOCK, torch + gpu), (CPU_LOCK, cpu)):
        lines = [each.text() for each in sorted(chosen, key=lambda each: each.name)]
        path.write_text(HEADS[path] + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
