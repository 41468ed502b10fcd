"""The JSON schema of the configuration.

The settings classes are the one source: their docstrings become the descriptions. For every known
method, attack and corpus the schema lists its own parameters.
"""

from typing import Any

from pydantic import BaseModel

from distilleak import catalogue
from distilleak.settings.conditions import ConditionSettings
from distilleak.settings.training import EarlySettings
from distilleak.study.configuration import Configuration

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""Which JSON Schema it is."""


def schema() -> Schema:
    """The schema of a configuration file, JSON Schema draft 2020-12."""
    found = plain(Configuration.model_json_schema())
    definitions, properties = found["$defs"], found["properties"]
    for package, chooser in (("methods", "method"), ("attacks", "attack")):
        own_definitions, own_keys = entries(package, chooser)
        definitions |= own_definitions
        properties[package] |= own_keys
    own = {
        "training": {
            "type": "object",
            "description": "Keys of training.student that differ for this student.",
            "properties": definitions["PupilTrainingSettings"]["properties"],
            "additionalProperties": False,
        },
        "student": {
            "type": "object",
            "description": "Keys of the pair's student that differ for this one.",
            "properties": {
                key: definitions["ArchitectureSettings"]["properties"][key]
                for key in ("layers", "width", "heads", "options")
            },
            "additionalProperties": False,
        },
    }
    own["teacher"] = {"type": "string", "description": "One of `teachers`, to learn from."}
    definitions["EarlySettings"] = plain(EarlySettings.model_json_schema())
    properties["methods"]["additionalProperties"] = {
        "if": {"type": "object", "required": ["early"]},
        "then": {
            "properties": {"early": {"$ref": "#/$defs/EarlySettings"}},
            "additionalProperties": False,
        },
        "else": properties["methods"]["additionalProperties"],
    }
    properties["teachers"]["additionalProperties"] = {
        "type": "object",
        "properties": definitions["TeacherTrainingSettings"]["properties"],
        "additionalProperties": False,
    }
    definitions |= {
        f"method-{name}": _with(definitions[f"method-{name}"], **own)
        for name in catalogue.names("methods")
    }
    definitions["ConditionSettings"] = plain(ConditionSettings.model_json_schema())
    only = {
        "$ref": "#/$defs/ConditionSettings",
        "description": "Conditions that a passage has to meet to be used.",
    }
    definitions |= {
        f"source-{name}": _with(_entry("corpora", "source", name), only=only)
        for name in catalogue.names("corpora")
    }
    for section in (properties, definitions["BaseSettings"]["properties"]):
        section["corpus"] = {
            "description": section["corpus"]["description"],
            **_chosen("corpora", "source"),
        }
    own_pools = {
        "$ref": "#/$defs/PoolSettings",
        "description": "Pools of this corpus, instead of those of the study.",
    }
    definitions |= {
        f"corpus-{name}": _with(definitions[f"source-{name}"], pools=own_pools)
        for name in catalogue.names("corpora")
    }
    properties["corpora"]["additionalProperties"] = _chosen("corpora", "source", "corpus")
    return {"$schema": DIALECT, **found}


def entries(package: str, chooser: str) -> tuple[Schema, Schema]:
    """Of a section whose keys choose modules of a package: definitions, and what it allows."""
    names = catalogue.names(package)
    return (
        {f"{chooser}-{name}": _entry(package, chooser, name) for name in names},
        {
            "properties": {name: {"$ref": _at(chooser, name)} for name in names},
            "additionalProperties": _chosen(package, chooser),
        },
    )


def _with(entry: Schema, **more: Schema) -> Schema:
    return {**entry, "properties": {**entry["properties"], **more}}


def _chosen(package: str, chooser: str, kind: str | None = None) -> Schema:
    """An entry that says which module it is: that module's parameters and no others."""
    known = catalogue.names(package)
    return {
        "type": "object",
        "required": [chooser],
        "properties": {chooser: {"enum": known}},
        "allOf": [
            {
                "if": {"properties": {chooser: {"const": name}}, "required": [chooser]},
                "then": {"$ref": _at(kind or chooser, name)},
            }
            for name in known
        ],
    }


def _entry(package: str, chooser: str, name: str) -> Schema:
    """The parameters of one module, and the key that chooses it."""
    module = catalogue.load(package, name)
    parameters: type[BaseModel] = module.Parameters
    found = plain(parameters.model_json_schema())
    choice = {"const": name, "description": f"`{name}`, as which it is chosen."}
    return {
        **found,
        "description": " ".join((module.__doc__ or "").split("\n\n")[0].split()),
        "type": ["object", "null"],
        "properties": {chooser: choice, **found.get("properties", {})},
    }


def _at(chooser: str, name: str) -> str:
    return f"#/$defs/{chooser}-{name}"


def plain(value: Any) -> Any:
    """Without the titles that repeat the keys, and with descriptions on one line."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: plain(part)
        for key, part in value.items()
        if not (key == "title" and isinstance(part, str))
    }
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split())
    return kept
