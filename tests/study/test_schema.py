"""config/schema.json is what editors see of the settings classes."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from distilleak import catalogue
from distilleak.stages.write_schema import main
from distilleak.study.schema import schema

CONFIG = Path(__file__).parents[2] / "config"
STUDIES = sorted({*CONFIG.glob("*.yaml")} - {CONFIG / "audit.yaml"})
VALIDATOR = jsonschema.Draft202012Validator(schema())


def configuration(**changes: Any) -> Any:
    found = yaml.safe_load((CONFIG / "config.yaml").read_text())
    for key, value in changes.items():
        *sections, last = key.split("__")
        section = found
        for name in sections:
            section = section[name]
        section[last] = value
    return found


def test_the_file_is_what_the_settings_say(tmp_path: Path) -> None:
    main(["--output", str(tmp_path / "schema.json")])
    written = (tmp_path / "schema.json").read_text()
    assert written == (CONFIG / "schema.json").read_text(), (
        "run: python -m distilleak write_schema --output config/schema.json"
    )


def test_it_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.name)
def test_every_configuration_fits(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seedz": [0]}, "'seedz' was unexpected"),
        ({"pools__membr": 3}, "'membr' was unexpected"),
        ({"training__student__epoch": 3}, "'epoch' was unexpected"),
        ({"methods__kd": {"alhpa": 0.5}}, "'alhpa' was unexpected"),
        ({"methods__kd": {"alpha": "much"}}, "'much' is not of type 'number'"),
        ({"methods__bottleneck": {"reduction": 1}}, "1 is less than or equal to the minimum of 1"),
        ({"methods__kd_soft": {}}, "'method' is a required property"),
        ({"methods__kd_soft": {"method": "kdd"}}, "'kdd' is not one of"),
        ({"methods__kd_soft": {"method": "kd", "penalty": 1.0}}, "'penalty' was unexpected"),
        ({"methods__kd": {"method": "nonorm"}}, "'kd' was expected"),
        ({"attacks__min_k": {"kk": 0.1}}, "'kk' was unexpected"),
        ({"attacks__min_k_10": {"attack": "min_k", "k": 2.0}}, "2.0 is greater than"),
        ({"corpus": {"source": "sotu", "path": "x"}}, "'path' was unexpected"),
        ({"corpus": {"source": "local"}}, "'path' is a required property"),
    ],
)
def test_a_mistake_is_marked(changes: dict[str, Any], message: str) -> None:
    errors = [error.message for error in VALIDATOR.iter_errors(configuration(**changes))]
    assert len(errors) == 1
    assert message in errors[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"methods__kd_soft": {"method": "kd", "alpha": 0.0}},
        {"methods__kd": None},
        {"attacks__min_k_10": {"attack": "min_k", "k": 0.1}},
        {"corpus": {"source": "local", "path": "passages.jsonl"}},
        {"pools": dict.fromkeys(["member", "nonmember", "holdout", "auxiliary"], 0.25)},
    ],
)
def test_a_variant_is_accepted(changes: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(configuration(**changes))] == []


def test_every_module_and_key_has_a_description() -> None:
    found = json.loads((CONFIG / "schema.json").read_text())
    for package, chooser in (("methods", "method"), ("attacks", "attack"), ("corpora", "source")):
        for name in catalogue.names(package):
            assert f"{chooser}-{name}" in found["$defs"]
    for section, definition in found["$defs"].items():
        assert definition["description"], section
        assert definition["additionalProperties"] is False, section
        for key, value in definition["properties"].items():
            assert value.get("description"), f"{section}.{key}"
