"""What is wrong with a configuration, in one line: the key, the problem and what is allowed."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.settings.architecture import STARTS, TAGS

Location = tuple[int | str, ...]

MISSING = "missing"
_WANTED = {
    "bool_type": "should be true or false",
    "dict_type": "should be a mapping of keys to values",
    "float_type": "should be a number",
    "int_from_float": "should be a whole number",
    "int_type": "should be a whole number",
    "list_type": "should be a list",
    "model_type": "should be a mapping of keys to values",
    "string_type": "should be text",
    "too_short": "should not be empty",
}


LONGEST_VALUE = 60
"""Characters of a value that a message shows."""
MOST_KEYS = 20
"""Keys with one problem that a message names."""
LONGEST_PROBLEM = 600
"""Characters of a problem: lists of what is allowed fit, a list of a thousand seeds does not."""


class ConfigurationError(DistilleakError):
    """A problem with one key of the configuration.

    Attributes:
        key: the full key, such as `training.student.epochs`.
        problem: what is wrong, and what is allowed.
        also: further keys with the same problem.
    """

    def __init__(self, key: str, problem: str, also: Sequence[str] = ()) -> None:
        self.key = key
        self.problem = problem
        self.also = also
        keys = [
            shortened(name if name.isprintable() else repr(name), LONGEST_VALUE * 2)
            for name in (key, *also)
        ]
        more = f" and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else ""
        super().__init__(f"{', '.join(keys[:MOST_KEYS])}{more}: {shortened(problem)}")


def shortened(text: str, longest: int = LONGEST_PROBLEM) -> str:
    """`text` in one line, its middle left out if it is too long for a message."""
    line = "".join(character if character.isprintable() else " " for character in text)
    if len(line) <= longest:
        return line
    return f"{line[: longest // 2]} ... {line[-(longest // 2) :]}"


def shown(value: object) -> str:
    """A value as a message shows it, whatever its size."""
    return shortened(repr(value), LONGEST_VALUE)


def explained(error: ValidationError, model: type[BaseModel], *above: str) -> ConfigurationError:
    """The first problem that pydantic found in `model`, which is located at the key `above`.

    Missing keys are one problem together.
    """
    # A mistyped key is also a missing one; the mistyped one is what to fix.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    alike = [found for found in error.errors() if found["type"] == first["type"] == "missing"]
    key, *also = [
        ".".join(str(part) for part in (*above, *_location(found)) if part not in TAGS)
        for found in alike or [first]
    ]
    return ConfigurationError(key, _problem(first, _location(first), model), also)


def _location(error: ErrorDetails) -> Location:
    return error["loc"][:-1] if _is_of_key(error) else error["loc"]


def _is_of_key(error: ErrorDetails) -> bool:
    """Whether the problem is a key itself, which pydantic marks by this word in the location."""
    return error["type"] != "extra_forbidden" and error["loc"][-1:] == ("[key]",)


def _problem(error: ErrorDetails, location: Location, model: type[BaseModel]) -> str:
    value = error["input"]
    if error["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        return f"unknown key{catalogue.suggestion(str(location[-1]), known)}"
    if error["type"] == "missing":
        return MISSING
    if _is_of_key(error):
        return f"names must be text; put {shown(value)} in quotes"
    if error["type"] == "union_tag_invalid":
        allowed = [words for tag, words in STARTS.items() if tag in error["ctx"]["expected_tags"]]
        return f"cannot be {STARTS[error['ctx']['tag']]}; allowed: {', '.join(allowed)}"
    wanted = _WANTED.get(error["type"])
    if wanted is None:
        wanted = error["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if value is None:
        keys = ", ".join(_keys_at(model, location))
        return f"is empty; its keys are {keys}" if keys else f"is empty; it {wanted}"
    if isinstance(value, dict | list):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"{wanted}, not a {kind}" if error["type"].endswith("_type") else wanted
    return f"{wanted}, not {shown(value)}{_hint(error, value)}"


def _hint(error: ErrorDetails, value: Any) -> str:
    """How to write what was probably meant."""
    if error["type"] == "string_type":
        return "; put it in quotes"
    if error["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return catalogue.suggestion(str(value), allowed)
    if isinstance(value, str) and error["type"] in ("float_type", "int_type", "size"):
        try:
            number = Decimal(value)
        except InvalidOperation:
            return ""
        if not number.is_finite():
            return ""
        # Written out, 1e999999 would have a million digits.
        written = f"{number:f}" if abs(number.adjusted()) < 20 else "it with a decimal point"
        return f"; YAML reads this as text, write {written}"
    return ""


def _keys_at(model: type[BaseModel], location: Location) -> Sequence[str]:
    """The keys of the section at `location`; empty if it is not a section."""
    annotation: Any = model
    for part in location:
        if part in TAGS:
            annotation = TAGS[str(part)]
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            annotation = field.annotation if field else None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return list(annotation.model_fields)
    return []
