"""What imports what: the source files of a rule are exactly those that its stage imports.

A rule runs again when one of its source files changes. So a stage that imports too much reruns
unnecessarily, and a file that the closure misses would leave a stale result.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterable

import pytest
from architecture import (
    LEVEL_OF,
    MODULES,
    PACKAGE,
    PAGE,
    imports_of,
    name_of,
    page,
    wing_of,
)

from distilleak import catalogue
from distilleak.__main__ import STAGES
from distilleak.study.closure import import_closure

LIGHT = (
    "load_corpus",
    "split_records",
    "train_tokenizer",
    "encode_records",
    "audit_split",
    "find_vulnerable",
    "score_attacks",
    "score_vote",
    "measure_floors",
    "measure_metrics",
    "build_tables",
    "draw_figure",
    "collect_costs",
    "write_config",
    "write_audit",
    "write_report",
    "write_schema",
    "draw_shadow",
    "measure_exposure",
    "judge_audit",
    "query_api",
)
"""Stages that need no model: importing torch would cost each of them seconds."""
TOKENIZING = ("train_tokenizer", "encode_records", "measure_floors")


def test_every_module_with_a_command_line_is_a_stage() -> None:
    mains = {name for name, file in MODULES.items() if "\ndef main(" in file.read_text()}
    # `gpus` becomes the command of another stage and must not import anything on the way.
    assert mains - {"__main__", "machine.gpus"} == {f"stages.{stage}" for stage in STAGES}
    assert not imports_of("machine.gpus")


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


@pytest.mark.parametrize("stage", STAGES)
def test_the_closure_of_a_stage_is_what_it_imports(stage: str) -> None:
    module = f"stages.{stage}"
    assert closure(module) | {""} == reached_from(module)


@pytest.mark.parametrize("package", ["methods", "attacks", "figures", "corpora"])
def test_the_closure_of_a_named_module_is_what_it_imports(package: str) -> None:
    for name in catalogue.names(package):
        module = f"{package}.{name}"
        assert closure(module) | {""} == reached_from(module)


def test_scoring_does_not_depend_on_models() -> None:
    found = closure("stages.score_attacks")
    assert {"scoring.attacking", "attacks.base", "evidence.table", "ragged", "files"} <= found
    assert not wings_of(found) & {"models", "training", "methods", "metrics"}
    assert not found & {"evidence.probing", "evidence.statistics", "evidence.windows"}
    assert {name for name in found if name.startswith("attacks.")} == {"attacks.base"}


def test_training_a_student_does_not_depend_on_the_methods_of_others() -> None:
    found = closure("stages.train_student")
    assert {"methods.base", "training.loop", "training.objective", "models.making"} <= found
    assert {name for name in found if name.startswith("methods.")} == {"methods.base"}
    assert not wings_of(found) & {"attacks", "scoring", "figures", "metrics"}


def test_a_method_depends_on_its_own_surgery_only() -> None:
    surgery = {
        method: {
            name.rpartition(".")[2]
            for name in closure(f"methods.{method}")
            if name.startswith("models.surgery.")
        }
        for method in catalogue.names("methods")
    }
    assert not any(surgery[name] for name in ("kd", "no_teacher", "nonvulnerable", "subset"))
    assert surgery["nonorm"] == {"nonorm"}
    assert "bottleneck" in surgery["bottleneck"]
    assert "output_map" in surgery["red_list"] & surgery["temperature"]
    assert not (surgery["red_list"] & {"bottleneck", "nonorm"})


def test_only_what_reads_the_whole_configuration_depends_on_all_of_it() -> None:
    readers = {
        module: {stage for stage in STAGES if module in closure(f"stages.{stage}")}
        for module in ("study.configuration", "study.study")
    }
    assert readers == {
        "study.configuration": {"write_schema", "forecast", "export_base", "audit"},
        "study.study": {"forecast", "export_base", "audit"},
    }


def test_light_stages_import_no_torch() -> None:
    program = """
import importlib, json, sys
from distilleak import catalogue
from distilleak.__main__ import STAGES
from distilleak.study.closure import import_closure
heavy = {}
for stage in sys.argv[1:]:
    importlib.import_module(f"distilleak.stages.{stage}")
    heavy[stage] = sorted({"torch", "transformers", "tokenizers"} & sys.modules.keys())
for package in ("attacks", "figures", "corpora", "methods"):
    for name in catalogue.names(package):
        catalogue.load(package, name)
heavy["catalogues"] = sorted({"torch", "transformers"} & sys.modules.keys())
print(json.dumps(heavy))
"""
    # Those that need the tokenizer come last, since the next stages see what one imports.
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


IN_THE_GROUND = {("errors", "files"), ("errors", "catalogue")}
OWN = 8
"""With more modules than this beside the wings, the tree no longer shows the architecture."""


def wings_of(modules: Iterable[str]) -> set[str]:
    return {wing_of(module) for module in modules}


def test_the_levels_name_all_wings_and_modules() -> None:
    top = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    wings = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert top | wings == set(LEVEL_OF)
    assert len(list(PACKAGE.glob("*.py"))) <= OWN


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"", "__main__"}))
def test_no_import_points_up(module: str) -> None:
    wing = wing_of(module)
    for imported in imports_of(module):
        other = wing_of(imported)
        if other == wing or (other, wing) in IN_THE_GROUND:
            continue
        assert LEVEL_OF[other] > LEVEL_OF[wing], f"{module} imports {imported}"


def test_no_imports_are_circular() -> None:
    finished: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join([*above, module])
        if module not in finished:
            for imported in imports_of(module):
                visit(imported, (*above, module))
            finished.add(module)

    for module in MODULES:
        visit(module, ())


ALLOWED = {
    "attacks": ("attacks", "evidence.table", "ragged", "errors", "settings.base"),
    "evidence.table": ("ragged", "files", "errors"),
    "ragged": (),
    "errors": (),
    "files": ("errors",),
    "models.surgery": (
        "models.surgery",
        "models.families",
        "models.family_fields",
        "models.family_table",
        "models.batches",
        "catalogue",
        "errors",
    ),
    "tables": (
        "tables",
        "scoring.scores",
        "scoring.threats",
        "evidence.table",
        "floors.floor",
        "records.evaluation",
        "records.pools",
        "records.table",
        "metrics",
        "settings",
        "catalogue",
        "guards",
        "files",
        "paths",
        "errors",
    ),
    "figures": (
        "figures",
        "tables.reading",
        "tables.wording",
        "floors.floor",
        "settings.figures",
        "errors",
    ),
    "metrics": ("metrics", "errors", "seeding"),
    "methods": ("methods", "models.surgery", "models.batches", "settings", "catalogue", "errors"),
    "corpora": ("corpora", "settings.base", "settings.conditions", "errors"),
    "settings": ("settings", "catalogue", "errors"),
    "study.plan": ("study", "scoring.needs", "settings", "tables.roster", "catalogue", "errors"),
}
"""Wings that may import less than everything below them: attacks know only evidence, figures
compute nothing, metrics are arrays in and arrays out."""


@pytest.mark.parametrize("part", ALLOWED)
def test_some_wings_know_less_than_lies_below_them(part: str) -> None:
    for module in MODULES:
        if module != part and not module.startswith(f"{part}."):
            continue
        for imported in imports_of(module):
            assert any(
                imported == low or imported.startswith(f"{low}.") for low in ALLOWED[part]
            ), f"{module} imports {imported}"


COMMANDS = {"machine.gpus"}
"""Modules outside the stages with a command line of their own."""


def test_command_lines_are_read_in_stages_only() -> None:
    for module, file in MODULES.items():
        if not module.startswith("stages.") and module not in COMMANDS:
            assert "argparse" not in file.read_text(), module


@pytest.mark.parametrize("stage", STAGES)
def test_the_arguments_of_a_stage_are_read_in_its_main_and_go_no_further(stage: str) -> None:
    """`main` hands on values, or all of them as a mapping; no other function sees the namespace."""
    tree = ast.parse(MODULES[f"stages.{stage}"].read_text())
    parent = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        assert getattr(node, "attr", getattr(node, "id", "")) != "Namespace"
        if not isinstance(node, ast.Attribute) or node.attr != "parse_args":
            continue
        assignment = parent[parent[node]]
        assert isinstance(assignment, ast.Assign)
        (target,) = assignment.targets
        assert isinstance(target, ast.Name)
        main = parent[assignment]
        assert isinstance(main, ast.FunctionDef)
        assert main.name == "main"
        for use in ast.walk(main):
            if isinstance(use, ast.Name) and use.id == target.id and use is not target:
                around = parent[use]
                whole = isinstance(around, ast.Call) and ast.unparse(around.func) == "vars"
                assert whole or isinstance(around, ast.Attribute), ast.unparse(around)


def test_nothing_imports_a_stage() -> None:
    stages = {f"stages.{stage}" for stage in STAGES}
    for module in MODULES:
        assert not imports_of(module) & stages, module


def test_the_architecture_page_matches_the_code() -> None:
    assert PAGE.read_text() == page(), "run: python tests/helpers/architecture.py"
