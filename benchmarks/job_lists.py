"""Print the jobs that every configuration would run, to compare two versions of the workflow.

    python benchmarks/job_lists.py > before.txt     # in one checkout
    python benchmarks/job_lists.py > after.txt      # in the other
    diff before.txt after.txt

One line per file that the study writes, with the rule that writes it; with
`--commands` also one line per job, with the command that it runs. Neither contains source files of
the package, so moving them changes nothing here.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Print the jobs of the configurations that the command line names, by default all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "configfiles",
        nargs="*",
        type=Path,
        # An audit is of files that lie elsewhere.
        default=sorted({*ROOT.glob("config/*.yaml")} - {ROOT / "config" / "audit.yaml"}),
        help="configurations (default: all studies in config/)",
    )
    parser.add_argument(
        "--commands", action="store_true", help="also print the commands of the jobs"
    )
    arguments = parser.parse_args()
    for file in arguments.configfiles:
        print(f"== {file.stem}", flush=True)
        for line in sorted(files(file)):
            print(line)
        if arguments.commands:
            for line in sorted(commands(file)):
                print(line)


def files(configfile: Path) -> list[str]:
    """One line per file of a study: the file and its rule."""
    header, *rows = snakemake(configfile, "--summary")
    names = header.split("\t")
    if "output_file" not in names:
        return [header, *rows]
    found = (dict(zip(names, row.split("\t"), strict=True)) for row in rows)
    return [f"{row['output_file']}\t{row['rule']}" for row in found]


def commands(configfile: Path) -> list[str]:
    """The shell command of every job of a study."""
    start = "Shell command: "
    lines = snakemake(configfile, "-n", "-p", "--quiet", "host")
    return [line for line in lines if line.startswith(start)]


def snakemake(configfile: Path, *words: str) -> list[str]:
    """The lines that Snakemake prints in an empty directory, where nothing has run yet; where it
    refuses the configuration, which may need models that are not here, the lines of its error."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [*command, "--configfile", str(configfile.resolve()), *words],
            cwd=empty,
            capture_output=True,
            text=True,
            check=False,
        )
    return (done.stderr if done.returncode else done.stdout).strip().splitlines()


if __name__ == "__main__":
    main()
