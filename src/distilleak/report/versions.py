"""What results depend on besides the project itself."""

import platform
from importlib import metadata

PACKAGES = (
    "distilleak",
    "snakemake",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "matplotlib",
)


def versions() -> dict[str, str]:
    """Installed versions of what the results depend on; read without importing any of it."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
