"""An example of verdict.json: a candidate of each verdict, their teacher and their base."""

import copy
import json
from pathlib import Path
from typing import Any

from distilleak.audit.verdict import Verdict, read

EXAMPLE = Path(__file__).parents[1] / "audit" / "verdict.json"
_FOUND = json.loads(EXAMPLE.read_text(encoding="utf-8"))


def example(**changes: Any) -> dict[str, Any]:
    """The content of the example, to be changed at will."""
    return copy.deepcopy(_FOUND) | changes


def verdict(content: dict[str, Any], directory: Path) -> Verdict:
    """What `content` is as a verdict, by way of a file."""
    file = directory / "verdict.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return read(file)


def without_numbers() -> dict[str, Any]:
    """The example where nothing could be measured."""
    content = example()
    content["blind"] |= dict.fromkeys(("auc", "low", "high", "classifier"))
    nothing = dict.fromkeys(("value", "low", "high"))
    for model in content["models"]:
        model |= {"attack": None, "threat": None, "epsilon": None}
        model |= {name: dict(nothing) for name in ("auc", "tpr", "fpr")}
        model["versus"] = dict.fromkeys(("teacher", "base", "blind"))
        for attack in model["attacks"]:
            attack |= {"auc": dict(nothing), "tpr": dict(nothing)}
    return content


def closed() -> dict[str, Any]:
    """The example with members and non-members that differ by themselves."""
    words = "members and non-members can be distinguished without a model, by dates (AUC 0.910)"
    content = example(verdict="investigate", reasons=["The blind gate is closed."], next=[])
    content["blind"] |= {"passed": False, "auc": 0.91, "low": 0.89, "high": 0.93}
    content["blind"] |= {"classifier": "dates", "explanation": f"{words}. words zebra yak"}
    for model in content["models"]:
        if model["role"] == "student":
            model |= {"verdict": "investigate", "reasons": ["The blind gate is closed."]}
    return content


def alone() -> dict[str, Any]:
    """The example with its first candidate alone, which passes."""
    content = example(verdict="pass", reasons=["v1 keeps to the policy."], next=[])
    content["models"] = content["models"][:1]
    content["models"][0]["versus"] |= {"teacher": None, "base": None}
    return content


NASTY = "<script>alert('1')</script> | $x$ `a` *b* & [d](http://e) \" onerror=\"e"


def with_nasty_names() -> dict[str, Any]:
    """The example with texts that would be markup, had they not been escaped."""
    content = example(study=NASTY, reasons=[NASTY], next=[NASTY])
    content["blind"]["classifier"] = content["blind"]["explanation"] = NASTY
    content["left_out"] = content["versions"] = {NASTY: NASTY}
    content["policy"][NASTY] = NASTY
    for model in content["models"]:
        model |= {"name": NASTY, "attack": NASTY, "threat": NASTY, "reasons": [NASTY]}
        for attack in model["attacks"]:
            attack |= {"attack": NASTY, "threat": NASTY}
    return content
