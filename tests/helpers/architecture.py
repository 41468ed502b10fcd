"""What imports what in the package, and docs/architecture.md, made of that and of docstrings.

python tests/helpers/architecture.py        # writes docs/architecture.md
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "distilleak"
PAGE = ROOT / "docs" / "architecture.md"
LEVELS = (
    ("stages",),
    ("audit",),
    ("costs",),
    ("study",),
    ("report",),
    ("figures",),
    ("tables",),
    ("scoring",),
    ("attacks",),
    ("training",),
    ("methods",),
    ("evidence",),
    ("models", "floors"),
    ("blind", "records"),
    ("corpora",),
    ("metrics", "machine"),
    ("settings",),
    ("guards",),
    ("files", "catalogue", "ragged", "paths", "seeding", "errors"),
)
"""The wings of the package and its own modules, the highest first: every import points down. Wings
of one level do not know each other."""
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}


FLOW = (
    ("texts become passages, without copies", ("load_corpus",), "records"),
    ("passages are drawn into pools", ("split_records",), "records"),
    (
        "they are cut, encoded, and drawn again for shadows",
        ("train_tokenizer", "copy_tokenizer", "encode_records", "draw_shadow"),
        "records",
    ),
    ("the blind gate judges the split", ("audit_split",), "records"),
    ("teacher and reference models are trained", ("train_model",), "teacher"),
    (
        "the teacher's logits are stored, its vulnerable members found",
        ("store_targets", "find_vulnerable"),
        "teacher",
    ),
    (
        "students are trained, made from trained ones, undone",
        ("train_student", "finish_student", "take_epoch", "undo_method"),
        "students",
    ),
    ("all models are queried", ("compute_evidence", "join_evidence"), "evidence"),
    (
        "attacks are scored and measured",
        ("score_attacks", "score_vote", "measure_floors", "measure_metrics"),
        "scores",
    ),
    (
        "tables, figures and the report are made",
        (
            "build_tables",
            "measure_exposure",
            "draw_figure",
            "collect_costs",
            "write_config",
            "write_report",
        ),
        "report",
    ),
    (
        "or: finished students are queried where they lie, and judged by a policy",
        ("load_audit", "query_api", "judge_audit", "write_audit"),
        "audit",
    ),
)
"""What a study does, in order: the step, the stages that do it, the file of their rules."""
APART = ("audit", "forecast", "write_schema")
"""Stages that no rule runs."""


def name_of(file: Path) -> str:
    """The name of a module below the package: `attacks.loss`; empty for the package itself."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}
PACKAGES = {name_of(file) for file in PACKAGE.rglob("__init__.py")}


def wing_of(module: str) -> str:
    """The wing in which a module lies, or the module itself."""
    return module.partition(".")[0]


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
    return frozenset(inside & MODULES.keys() - PACKAGES)


def summary(module: str) -> str:
    """The first sentence of a module's docstring, without its own name in front."""
    text = ast.get_docstring(ast.parse(MODULES[module].read_text())) or ""
    said = " ".join(text.split("\n\n")[0].split())
    return said.removeprefix(f"{module.rpartition('.')[2]}: ")


def page() -> str:
    """The text of docs/architecture.md."""
    return "\n".join([*_head(), *(line for wing in _wings() for line in _section(wing))])


def _head() -> Iterator[str]:
    yield "# Architecture"
    yield ""
    yield "Made by `python tests/helpers/architecture.py` from the docstrings and the imports of"
    yield "`src/distilleak/`; a test holds it in sync."
    yield ""
    yield "## How a study runs"
    yield ""
    yield "Each rule of the workflow runs one stage, `python -m distilleak STAGE`, on named files."
    yield "A stage reads them, calls what the wings below it offer, and writes its own."
    yield ""
    yield "| step | stages | rules |"
    yield "|---|---|---|"
    for step, stages, rules in FLOW:
        names = ", ".join(f"`{stage}`" for stage in stages)
        yield f"| {step} | {names} | `workflow/rules/{rules}.smk` |"
    apart = ", ".join(f"`{stage}`" for stage in APART)
    yield ""
    yield f"No rule runs {apart}: people do."
    yield ""
    yield "## What imports what"
    yield ""
    yield "The package is made of wings, folders that each hold one part of that work. Every import"
    yield "points down this list. What stands side by side does not know each other, except that"
    yield "everything may raise `errors`."
    yield ""
    for names in LEVELS:
        if len(names) > 1:
            yield "1. Side by side:"
        for name in names:
            yield f"{'1.' if len(names) == 1 else '   -'} `{name}`: {summary(name)}"
    yield ""


def _wings() -> Iterable[str]:
    return (name for names in LEVELS for name in names if name in PACKAGES)


def _section(wing: str) -> Iterator[str]:
    inside = [module for module in MODULES if wing_of(module) == wing and module not in PACKAGES]
    known = {wing_of(other) for module in inside for other in imports_of(module)} - {wing}
    yield f"## {wing}"
    yield ""
    yield summary(wing)
    yield ""
    if known:
        listed = ", ".join(f"`{name}`" for name in sorted(known, key=_order))
        yield f"Imports: {listed}."
        yield ""
    yield "| module | what it is |"
    yield "|---|---|"
    for module in inside:
        yield f"| `{module.partition('.')[2]}` | {summary(module)} |"
    yield ""


def _order(wing: str) -> tuple[int, str]:
    return LEVEL_OF[wing], wing


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
