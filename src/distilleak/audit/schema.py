"""The JSON schema of the configuration of an audit."""

from distilleak.audit.configuration import AuditConfiguration
from distilleak.study.schema import DIALECT, Schema, entries, plain

_FILES = [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]


def schema() -> Schema:
    """The schema of a configuration file with `audit`, JSON Schema draft 2020-12."""
    found = plain(AuditConfiguration.model_json_schema())
    definitions, properties = found["$defs"], found["properties"]
    attacks, keys = entries("attacks", "attack")
    definitions |= attacks
    # Besides null, which means every attack that needs no training.
    properties["attacks"]["anyOf"][0] |= keys
    section = definitions["AuditSection"]["properties"]
    for side in ("members", "nonmembers", "auxiliary"):
        given = section[side]
        long = given.pop("anyOf", [{"$ref": given.pop("$ref", None)}])
        section[side] = {**given, "anyOf": [*_FILES, *long]}
    # The pattern of names alone would let any other name through.
    section["models"]["additionalProperties"] = False
    return {"$schema": DIALECT, **found}
