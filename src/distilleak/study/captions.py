"""The captions of the figures, for the rules: read without importing what draws."""

import ast
from pathlib import Path


def caption(package: Path, figure: str) -> str:
    """The constant `CAPTION` of the module of `figure`.

    Args:
        package: the directory of the package.
        figure: name of a module of `figures`.
    """
    source = (package / "figures" / f"{figure}.py").read_text(encoding="utf-8")
    (found,) = (
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CAPTION"
    )
    return str(ast.literal_eval(found))
