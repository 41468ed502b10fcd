"""YAML read as plain data: nothing in it is evaluated, nothing in it can grow without bounds.

Configurations are exchanged between people. So a file may hold mappings, lists, text, numbers,
true, false and null, and nothing else. It is as large as it looks, since every alias is written out
and counted. Whatever is wrong with it is one line that names the file and, where it can, the line.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from distilleak.errors import DistilleakError

BYTES = 2**20
"""Size of the largest file that is read; the largest of this repository has 20 thousand bytes."""
VALUES = 20_000
"""Most values that a text may hold, aliases written out: a few lines can stand for 10^9 of them."""
DEPTH = 32
"""How deep mappings and lists may be nested."""
BITS = 1024
"""Size of the largest whole number; Python refuses to print those of thousands of digits."""
TEMPLATE = "__use_yte__"
"""The key by which a file requests that Snakemake evaluates its `?expressions`."""

_TOO_LARGE = (
    f"more than {VALUES} values, aliases written out, or nested more than {DEPTH} deep, which no "
    "configuration is"
)
_ALLOWED = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool")}
_ALLOWED |= {"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"}


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a configuration file: YAML, or JSON if its name ends in `.json`.

    Raises:
        DistilleakError: it cannot be read, is not YAML, gives a key twice, is no mapping, or asks
            for expressions to be evaluated.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(BYTES + 1)
    except FileNotFoundError as error:
        raise DistilleakError(f"{path}: no such file") from error
    except OSError as error:
        raise DistilleakError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > BYTES:
        raise DistilleakError(f"{path}: larger than {BYTES} bytes, which no configuration is")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DistilleakError(f"{path}, line {line}: not UTF-8 text ({error.reason})") from error
    read = _json if str(path).endswith(".json") else parse
    value = read(text, str(path))
    if not isinstance(value, dict):
        raise DistilleakError(f"{path}: a configuration is a mapping of keys to values")
    if TEMPLATE in value:
        raise DistilleakError(
            f"{path}: {TEMPLATE}: a configuration is data, no expression in it is evaluated; "
            "write the values themselves, and leave this key out"
        )
    return value


def parse(text: str, name: str) -> Any:
    """The plain data that a YAML text stands for; nothing in them is shared between two places.

    Args:
        text: a single YAML document.
        name: of the file or option, for errors.

    Raises:
        DistilleakError: it is not such a text.
    """
    try:
        return _copied(yaml.load(text, _Plain), name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(error.problem or error.context).split())
        if problem.startswith("but "):
            problem = f"{error.context}, {problem}"
        raise DistilleakError(f"{name}{where}: {problem[:200]}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DistilleakError(
            f"{name}, line {line}: not YAML: the character U+{error.character:04X} is not allowed"
        ) from error


class _Plain(yaml.SafeLoader):
    """YAML in which a key that is given twice, or a value that is no plain data, is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._count += 1
        self._depth += 1
        if self._count > VALUES or self._depth > DEPTH:
            raise yaml.composer.ComposerError(
                None, None, _TOO_LARGE, parent.start_mark if parent else None
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong("a key is text, not a list or a mapping", key)
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise _wrong(f"key {name!r} is given twice", key)
            seen.add(name)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        # A mapping merged twice into the next one, forty times, would have 2^40 keys.
        if len(node.value) > VALUES:
            raise _wrong(f"merges to more than {VALUES} keys", node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag not in _ALLOWED:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            raise _wrong(f"the tag {tag} is not allowed; write plain text, numbers and lists", node)
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, IndexError, OverflowError) as error:
            kind = node.tag.rpartition(":")[2]
            raise _wrong(f"not a value of the type {kind} that YAML takes it for", node) from error


# Text that looks like a date stays text: no key takes a date, and not every such text is one.
_Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _wrong(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _copied(value: Any, name: str) -> Any:
    """A copy in which every alias is written out, so that a change in one place stays there."""
    count = 0

    def copy(part: Any, depth: int) -> Any:
        nonlocal count
        count += 1
        if count > VALUES or depth > DEPTH:
            raise DistilleakError(f"{name}: {_TOO_LARGE}")
        if isinstance(part, dict):
            return {copy(key, depth): copy(inner, depth + 1) for key, inner in part.items()}
        if isinstance(part, list):
            return [copy(inner, depth + 1) for inner in part]
        if isinstance(part, str) and any("\ud800" <= character <= "\udfff" for character in part):
            raise DistilleakError(f"{name}: {part[:40]!r} holds half a character (a surrogate)")
        if isinstance(part, int) and part.bit_length() > BITS:
            raise DistilleakError(f"{name}: holds a whole number of more than {BITS} bits")
        return part

    return copy(value, 0)


def _json(text: str, name: str) -> Any:
    """As `parse`, for JSON, in which 1e-05 is a number."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise DistilleakError(f"{name}: key {key!r} is given twice")
            found[key] = value
        return found

    try:
        return _copied(json.loads(text, object_pairs_hook=once), name)
    except json.JSONDecodeError as error:
        raise DistilleakError(f"{name}, line {error.lineno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise DistilleakError(f"{name}: {_TOO_LARGE}") from error
    except ValueError as error:
        raise DistilleakError(f"{name}: not JSON: {error}") from error
