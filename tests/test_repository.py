"""What the repository promises outside the code: pins, environments, the README's commands."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, version in pinned}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_pinned() -> None:
    extras = [name for extra in PROJECT["optional-dependencies"].values() for name in extra]
    wanted = {normal(name) for name in (*PROJECT["dependencies"], *extras)}
    assert wanted - set(pins()) == set()


def test_torch_is_pinned_to_a_public_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", pins()["torch"])


def test_the_conda_environment_has_the_dependencies_of_the_package_at_their_pins() -> None:
    environment = yaml.safe_load((ROOT / "envs" / "distilleak.yaml").read_text())
    python, pip, packages = environment["dependencies"]
    assert (python.split()[0], pip) == ("python", "pip")
    # Jobs run in an environment that Snakemake creates, so they do not need Snakemake itself.
    wanted = {normal(name) for name in PROJECT["dependencies"]} - {"snakemake"}
    listed = dict(line.split("==") for line in packages["pip"])
    assert {normal(name): version for name, version in listed.items()} == {
        name: pins()[name] for name in wanted
    }


def test_the_first_two_commands_of_the_readme_install_and_run() -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    study, tests = blocks[0].strip(), blocks[1].strip()
    assert re.fullmatch(r"pip install \S.* && snakemake --cores all", study)
    assert re.fullmatch(r"pip install \S.* && pytest", tests)


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()
