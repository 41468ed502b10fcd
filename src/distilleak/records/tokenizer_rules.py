"""Whether two tokenizers cut every text into the same tokens, as far as their files tell.

What a tokenizer puts round a text, and how it pads and truncates, are no part of that: records are
encoded without it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilleak.errors import DistilleakError

_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What JSON that holds something else than expected raises when it is taken apart."""
_DECIDING = ("add_prefix_space", "do_lower_case", "legacy", "strip_accents")
"""Fields of tokenizer_config.json by which transformers may change the rules of the other."""


def rules(text: str) -> dict[str, Any]:
    """All in the text of a `tokenizer.json` that decides into which tokens a text is cut.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: it is no such text.
    """
    given = json.loads(text)
    model = dict(given["model"])
    words = model.pop("vocab")
    # A unigram model has [token, log-probability], in the order of their ids.
    scores = None if isinstance(words, Mapping) else words
    ids = dict(words) if scores is None else {token: row for row, (token, _) in enumerate(scores)}
    if model.get("merges"):
        # Older files write a pair as one text.
        model["merges"] = [
            pair.split(" ", 1) if isinstance(pair, str) else pair for pair in model["merges"]
        ]
    added = given.get("added_tokens") or []
    return {
        "vocabulary": {**ids, **{token["content"]: token["id"] for token in added}},
        "scores": scores,
        "model": model,
        "normalizer": given.get("normalizer"),
        "pre_tokenizer": given.get("pre_tokenizer"),
        # The name of a special token inside a text is text, however it may be matched.
        "matched": [token for token in added if not token.get("special")],
    }


def equal(first: str | Path, second: str | Path) -> bool:
    """Whether two directories that a stage wrote hold tokenizers with the same rules.

    Raises:
        DistilleakError: a `tokenizer.json` is missing or damaged.
    """
    return _read(Path(first)) == _read(Path(second))


def alike(first: str | Path, second: str | Path) -> bool | None:
    """Whether two model directories of a user's have tokenizers with the same rules.

    Returns:
        None where only loading them can tell: a directory has no `tokenizer.json`, or files that
        another version or class of the library wrote, with the same vocabulary in both.

    Raises:
        DistilleakError: a file is damaged.
    """
    places = [Path(first), Path(second)]
    if not all((place / "tokenizer.json").is_file() for place in places):
        return None
    mine, other = map(_read, places)
    if mine["vocabulary"] != other["vocabulary"]:
        return False
    same = mine == other and _class(places[0]) == _class(places[1])
    return True if same else None


def _read(place: Path) -> dict[str, Any]:
    file = place / "tokenizer.json"
    try:
        return rules(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DistilleakError(f"{file}: cannot be read ({error.strerror})") from error
    except _DAMAGE as error:
        raise DistilleakError(f"{file}: no tokenizer (the file is damaged)") from error


def _class(place: Path) -> list[Any]:
    """What says how transformers builds the tokenizer in a directory."""
    given = _object(place / "tokenizer_config.json")
    named = given.get("tokenizer_class") or _object(place / "config.json").get("model_type")
    return [str(named).removesuffix("Fast"), *(given.get(field) for field in _DECIDING)]


def _object(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DistilleakError(f"{file}: damaged (not JSON)") from error
    if not isinstance(found, dict):
        raise DistilleakError(f"{file}: damaged (not a mapping)")
    return found
