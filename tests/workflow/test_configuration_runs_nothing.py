"""Nothing in a configuration is evaluated, by Snakemake or by the rules, in any kind of run."""

import subprocess
import sys
from pathlib import Path

import pytest
from workflow_project import Project

RUNS = ("--dry-run", "--summary", "--list-rules", "--unlock", "--lint")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.new(tmp_path_factory.mktemp("runs-nothing") / "project")
    made = project.file("made")
    template = f"__use_yte__: true\nanswer: \"?open('{made}', 'w').write('x')\"\n"
    project.file("template.yaml").write_text(template + project.file("study.yaml").read_text())
    return project


def refused(project: Project, *options: str) -> str:
    """The only line of Snakemake's answer that begins with "error"; nothing was evaluated."""
    done = project.snakemake(*options)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    assert not project.file("made").exists()
    (line,) = (line for line in said.splitlines() if line.startswith("error: "))
    return line


def test_snakemake_itself_evaluates_expressions(project: Project) -> None:
    # The danger is real: without the profile that selects our loader, the expression is evaluated.
    options = ("--workflow-profile", "none", "--dry-run", "--configfile", "template.yaml")
    assert project.snakemake(*options).returncode != 0
    assert project.file("made").exists()
    project.file("made").unlink()


@pytest.mark.parametrize("run", RUNS)
def test_expressions_in_a_configuration_are_refused_before_they_are_evaluated(
    run: str, project: Project
) -> None:
    said = refused(project, run, "--configfile", "template.yaml")
    assert said.startswith("error: template.yaml: __use_yte__: a configuration is data, no expr")


def test_expressions_are_refused_under_every_profile_and_beside_other_files(
    project: Project,
) -> None:
    local = ("--profile", "profiles/local", "-n", "--configfile", "study.yaml", "template.yaml")
    assert "template.yaml: __use_yte__" in refused(project, *local)


def test_expressions_are_refused_when_snakemake_starts_elsewhere(
    project: Project, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "snakemake", "-n", "--snakefile", project.file("Snakefile")]
    done = subprocess.run(
        [*command, "--configfile", project.file("template.yaml")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "template.yaml: __use_yte__" in done.stderr
    assert not project.file("made").exists()


def test_expressions_in_the_default_configuration_are_refused(tmp_path: Path) -> None:
    project = Project.new(tmp_path / "project")
    default = project.file("config/config.yaml")
    made = project.file("made")
    template = f"__use_yte__: true\nanswer: \"?open('{made}', 'w').write('x')\"\n"
    default.write_text(template + default.read_text())
    assert "config/config.yaml: __use_yte__" in refused(project, "--dry-run")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: a: b\n", "error: bad.yaml, line 1: mapping values are not allowed here"),
        ("study: a\npools: [1\n", "error: bad.yaml, line 3: expected ',' or ']', but got"),
        (
            "study: a\nb: !!python/name:os.system\n",
            "error: bad.yaml, line 2: the tag !!python/name",
        ),
        ("- a\n", "error: bad.yaml: a configuration is a mapping of keys to values"),
        ("a: &a [*a]\n", "error: bad.yaml: more than 20000 values, aliases written out"),
    ],
)
def test_what_is_wrong_with_the_text_is_named_with_file_and_line(
    text: str, message: str, project: Project
) -> None:
    project.file("bad.yaml").write_text(text)
    assert refused(project, "-n", "--configfile", "bad.yaml").startswith(message)


def test_the_rules_use_the_package_beside_them_and_not_the_installed_one(tmp_path: Path) -> None:
    project = Project.new(tmp_path / "project")
    names = project.file("src/distilleak/tables/names.py")
    names.write_text(f"raise SystemExit('error: this is the package beside')\n{names.read_text()}")
    assert refused(project, "-n", "--configfile", "study.yaml") == (
        "error: this is the package beside"
    )


def test_a_missing_file_is_named(project: Project) -> None:
    assert refused(project, "-n", "--configfile", "none.yaml") == "error: none.yaml: no such file"
