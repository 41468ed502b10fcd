"""What the repository promises outside the code: pins, environments, the README's commands."""

import hashlib
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from lock import BASE, CPU_LOCK, HEADS, LOCK, Locked, normal, of_wheels, parse, pins, split
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
CONFIGURED = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIGURED["project"]


def test_every_dependency_is_pinned() -> None:
    extras = [name for extra in PROJECT["optional-dependencies"].values() for name in extra]
    for wanted in map(Requirement, (*PROJECT["dependencies"], *extras)):
        assert pins()[normal(wanted.name)] in wanted.specifier


def test_the_build_backend_is_pinned_and_part_of_the_constraints() -> None:
    assert CONFIGURED["build-system"]["requires"] == [f"setuptools=={pins()['setuptools']}"]


@pytest.mark.parametrize("lock", [LOCK, CPU_LOCK], ids=lambda lock: lock.name)
def test_a_lock_file_has_every_constraint_at_its_version_with_hashes(lock: Path) -> None:
    assert "\n-r requirements-base.lock\n" in lock.read_text()
    packages = parse(BASE.read_text()) + parse(lock.read_text())
    locked = {package.name: package for package in packages}
    assert len(locked) == len(packages)
    assert {name: locked[name].version for name in pins()} == pins()
    # A `pip freeze` on a CPU with Linux lacks what others need.
    more = [package.marker for name, package in locked.items() if name not in pins()]
    others = ("sys_platform == 'win32'", *(["sys_platform == 'linux'"] if lock == LOCK else []))
    assert all(any(other in marker for other in others) for marker in more), more


@pytest.mark.parametrize("file", HEADS, ids=lambda file: file.name)
def test_a_lock_file_names_hashes_and_no_place(file: Path) -> None:
    text = file.read_text()
    assert text.startswith(HEADS[file])
    for line in text.removeprefix(HEADS[file]).splitlines():
        assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?|[\w.-]+==\S+( ; .+)? \\", line)
        assert "//" not in line
        assert "@" not in line
    for package in parse(text):
        assert len(set(package.hashes)) == len(package.hashes)


def test_the_lock_file_for_cpus_allows_no_other_torch() -> None:
    ((usual,), (cpu,)) = (
        [package for package in parse(file.read_text()) if package.name == "torch"]
        for file in (LOCK, CPU_LOCK)
    )
    assert cpu.version == usual.version
    assert not set(cpu.hashes) & set(usual.hashes)
    assert [package.name for package in parse(CPU_LOCK.read_text())] == ["torch"]


def test_packages_are_divided_into_those_of_all_torch_and_a_gpu(tmp_path: Path) -> None:
    names = {
        "numpy": "",
        "torch": "",
        "greenlet": "platform_machine == 'x86_64' and sys_platform == 'linux'",
        "nvidia-cublas": "sys_platform == 'linux'",
        "colorama": "sys_platform == 'win32'",
        "browser": "sys_platform == 'emscripten'",
    }
    digest = "0bb9d1a5bb1e5e2eb0b53e8d6dd0d4d6b5e18d3e1d9a2e7a6a9f0b1c2d3e4f50"
    packages = [Locked(name, "1", marker, (digest,)) for name, marker in names.items()]
    assert parse("\n".join(package.text() for package in packages)) == packages
    parts = split(packages, {"numpy": "1", "torch": "1", "greenlet": "1"})
    assert [[package.name for package in part] for part in parts] == [
        ["numpy", "greenlet", "colorama"],
        ["torch"],
        ["nvidia-cublas"],
    ]
    wheel = tmp_path / "torch-1+cpu-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    (found,) = of_wheels(packages[1], [wheel]).hashes
    assert found == hashlib.sha256(b"wheel").hexdigest()


@pytest.mark.parametrize("line", ["a>=1", "a==1", "-e .", "a @ file:///a", "--index-url x"])
def test_what_is_not_pinned_with_a_hash_is_no_lock_file(line: str) -> None:
    with pytest.raises(ValueError, match="no pinned package with hashes"):
        parse(line)


def test_torch_is_pinned_to_a_public_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", pins()["torch"])


def test_the_conda_environment_has_the_dependencies_of_the_package_at_their_pins() -> None:
    environment = yaml.safe_load((ROOT / "envs" / "distilleak.yaml").read_text())
    python, pip, packages = environment["dependencies"]
    assert (python.split()[0], pip) == ("python", "pip")
    # Jobs run in an environment that Snakemake creates, so they do not need Snakemake itself.
    wanted = {normal(Requirement(text).name) for text in PROJECT["dependencies"]} - {"snakemake"}
    listed = dict(line.split("==") for line in packages["pip"])
    assert {normal(name): version for name, version in listed.items()} == {
        name: pins()[name] for name in wanted
    }


def test_the_versions_that_are_supported_include_those_of_machines_with_gpus() -> None:
    supported = {each.name: each.specifier for each in map(Requirement, PROJECT["dependencies"])}
    assert "2.11.0" in supported["torch"]
    assert "5.17.0" in supported["transformers"]
    assert "2.10.0" not in supported["torch"]


def test_the_first_two_commands_of_the_readme_install_and_run() -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    study, tests = blocks[0].strip(), blocks[1].strip()
    assert re.fullmatch(r"pip install \S.* && snakemake --cores all", study)
    assert re.fullmatch(r"pip install \S.* && pytest", tests)


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()
