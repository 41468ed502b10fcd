"""What imports what: the source files of a rule are those that its stage imports, and no others.

A rule runs again when one of its source files changes. So a stage that imports too much reruns for
nothing, and a file that the closure misses would leave a stale result.
"""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import distilleak
from distilleak import catalogue
from distilleak.__main__ import STAGES
from distilleak.closure import import_closure

PACKAGE = Path(distilleak.__path__[0])
LIGHT = (
    *("load_corpus", "split_records", "train_tokenizer", "encode_records", "audit_split"),
    *("find_vulnerable", "score_attacks", "score_vote", "measure_metrics", "build_tables"),
    *("draw_figure", "collect_costs", "write_report", "write_schema", "draw_shadow"),
    *("measure_exposure",),
)
"""Stages that need no model: importing torch would cost each of them seconds."""
TOKENIZING = ("train_tokenizer", "encode_records")


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def test_every_module_with_a_command_line_is_a_stage() -> None:
    mains = {name for name, file in MODULES.items() if "\ndef main(" in file.read_text()}
    # `cards` becomes the command of another stage and must not import anything on the way.
    assert mains - {"__main__", "cards"} == set(STAGES)
    assert not imports_of("cards")


@cache
def imports_of(module: str) -> frozenset[str]:
    """The package's modules that `module` imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    inside = {name.removeprefix("distilleak.") for name in found if name.startswith("distilleak.")}
    return frozenset(inside & MODULES.keys() - {""})


def reached_from(module: str) -> set[str]:
    """`module`, all that it imports, all that those import, and the packages that they lie in."""
    found: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        packages = {name.rpartition(".")[0]} - {""}
        waiting |= (imports_of(name) | packages) - found
    return {*found, ""}


def closure(module: str) -> set[str]:
    return {name_of(file) for file in import_closure(PACKAGE, module)}


@pytest.mark.parametrize("module", STAGES)
def test_the_closure_of_a_stage_is_what_it_imports(module: str) -> None:
    assert closure(module) | {""} == reached_from(module)


@pytest.mark.parametrize("package", ["methods", "attacks", "figures", "corpora"])
def test_the_closure_of_a_named_module_is_what_it_imports(package: str) -> None:
    for name in catalogue.names(package):
        module = f"{package}.{name}"
        assert closure(module) | {""} == reached_from(module)


def test_scoring_does_not_depend_on_models() -> None:
    found = closure("score_attacks")
    assert {"attacking", "attacks.base", "evidence", "ragged", "records", "files"} <= found
    assert not found & {"models", "training", "batches", "probing", "objective", "targets"}
    assert not {name for name in found if name.startswith(("methods", "surgery", "metrics"))}
    assert {name for name in found if name.startswith("attacks.")} == {"attacks.base"}


def test_training_a_student_does_not_depend_on_the_methods_of_others() -> None:
    found = closure("train_student")
    assert {"methods.base", "training", "objective", "models"} <= found
    assert {name for name in found if name.startswith("methods.")} == {"methods.base"}
    assert not {name for name in found if name.startswith(("attacks", "figures", "metrics"))}


def test_a_method_depends_on_its_own_surgery_only() -> None:
    surgery = {
        method: {name for name in closure(f"methods.{method}") if name.startswith("surgery.")}
        for method in catalogue.names("methods")
    }
    assert surgery["kd"] == surgery["no_teacher"] == surgery["nonvulnerable"] == set()
    assert surgery["nonorm"] == {"surgery.nonorm"}
    assert "surgery.bottleneck" in surgery["bottleneck"]
    assert "surgery.output_map" in surgery["red_list"] & surgery["temperature"]
    assert not (surgery["red_list"] & {"surgery.bottleneck", "surgery.nonorm"})


def test_only_what_reads_the_whole_configuration_depends_on_all_of_it() -> None:
    readers = {module for module in STAGES if "settings.study" in closure(module)}
    assert readers == {"write_schema", "forecast"}


def test_light_stages_import_no_torch() -> None:
    program = """
import importlib, json, sys
from distilleak import catalogue
from distilleak.__main__ import STAGES
heavy = {}
for stage in sys.argv[1:]:
    importlib.import_module(f"distilleak.{stage}")
    heavy[stage] = sorted({"torch", "transformers", "tokenizers"} & sys.modules.keys())
for package in ("attacks", "figures", "corpora", "methods"):
    for name in catalogue.names(package):
        catalogue.load(package, name)
heavy["catalogues"] = sorted({"torch", "transformers"} & sys.modules.keys())
print(json.dumps(heavy))
"""
    # Those that need the tokenizer last: what one stage imports, the next ones find.
    order = sorted(LIGHT, key=TOKENIZING.__contains__)
    done = subprocess.run(
        [sys.executable, "-c", program, *order],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    for stage, found in json.loads(done.stdout).items():
        assert found == [] or (found == ["tokenizers"] and stage in (*TOKENIZING, "catalogues"))


ALLOWED = {
    "attacks": ("attacks", "evidence", "ragged", "errors", "settings.base"),
    "figures": ("figures", "settings.figures", "catalogue", "errors"),
    "metrics": ("metrics", "errors", "seeding"),
    "methods": ("methods", "surgery", "settings", "batches", "catalogue", "errors"),
    "surgery": ("surgery", "families", "family_table", "batches", "catalogue", "errors"),
    "corpora": ("corpora", "settings.base", "errors"),
    "tables": (
        *("tables", "metrics", "scores", "evidence", "records", "layout", "files", "errors"),
        "settings.base",
    ),
    "settings": ("settings", "catalogue", "errors", "methods.base"),
    "evidence": ("ragged", "files", "errors"),
    "records": ("files", "errors"),
    "files": ("errors",),
    "ragged": (),
    "errors": (),
}
"""What a part of the package may import: what lies below it."""


@pytest.mark.parametrize("part", ALLOWED)
def test_dependencies_point_one_way(part: str) -> None:
    for module in MODULES:
        if module != part and not module.startswith(f"{part}."):
            continue
        for imported in imports_of(module):
            allowed = (part, *ALLOWED[part])
            assert any(imported == low or imported.startswith(f"{low}.") for low in allowed), (
                f"{module} imports {imported}"
            )


def test_nothing_imports_a_stage() -> None:
    for module in MODULES:
        assert not imports_of(module) & set(STAGES), module
