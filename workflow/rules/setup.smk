import os
import sys
from pathlib import Path
from shlex import quote

ROOT = Path(workflow.basedir)
PACKAGE = ROOT / "src" / "distilleak"
sys.path.insert(0, str(PACKAGE.parent))

from snakemake.io import contains_wildcard
from snakemake_interface_executor_plugins.settings import DeploymentMethod, ExecMode

from distilleak import paths
from distilleak.errors import DistilleakError
from distilleak.settings.base import canonical_json as canonical
from distilleak.study import closure, contents, reading, yaml_text


def read_sources():
    """What each configuration file and the command line give, by their names."""
    files = [Path(os.path.relpath(file)) for file in workflow.configfiles]
    # A path that leaves the working directory is easier to read in full.
    names = [file.resolve() if file.parts[0] == ".." else file for file in files]
    sources = {str(name): yaml_text.read_yaml(name) for name in names}
    sources["--config"] = reading.typed(dict(workflow.config_settings.config))
    return sources


def ending_in_one_line(function, *arguments):
    """What a function returns; a problem ends the run with one line that names file and key."""
    try:
        return function(*arguments)
    except DistilleakError as error:
        # A WorkflowError would add lines about where it was raised, which help nobody here.
        sys.exit(f"error: {error}")


# Snakemake fills in what stands in braces in the paths of rules; a colon ends an entry of PYTHONPATH.
if set("{}:") & set(str(ROOT.resolve())):
    sys.exit(
        f"error: {ROOT.resolve()}: no rules can run from a directory with braces or a colon in its "
        "name; rename it (the working directory and files of yours may have them)"
    )

SOURCES = ending_in_one_line(read_sources)


def set_prefix(*, uses_hub, hardware):
    """Set what every job's command begins with.

    Jobs run the code that lies beside this file, with the Python that runs Snakemake, unless the
    command line asks for an environment of their own.
    """
    prefix = (
        f"export PYTHONPATH={quote(str(PACKAGE.parent))} TOKENIZERS_PARALLELISM=false; "
    )
    # A file of the user's in the working directory is never imported, whatever it is called.
    prefix += "export PYTHONSAFEPATH=1; "
    # Where a stage says what is wrong if its log cannot be written, as on a full disk.
    prefix += "exec 3>&2; export DISTILLEAK_SCREEN=3; "
    # No network unless the configuration names something on a hub.
    if not uses_hub:
        prefix += "export HF_HUB_OFFLINE=1; "
    # How the machine is used is not a parameter of a rule: no model is trained again for it.
    prefix += f"export HARDWARE={quote(canonical(hardware))}; "
    if DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method:
        prefix += f'export PATH={quote(str(Path(sys.executable).parent))}:"$PATH"; '
    # Snakemake fills in what stands in braces, which a path may have, too.
    shell.prefix(prefix.translate(str.maketrans({"{": "{{", "}": "}}"})))


def keep_out_of_git():
    """Results are as private as the records: no version control takes them in by accident."""
    ignored = paths.results_directory() / ".gitignore"
    if not ignored.exists():
        ignored.parent.mkdir(exist_ok=True)
        ignored.write_text("*\n")


def growing(amount):
    """A resource of which each attempt requests more, as the one before may have run out of it."""
    return lambda wildcards, attempt: amount * attempt


def without_rerun(**words):
    """Words of a job's command that change none of its results, for the section `resources`.

    Snakemake runs a job again when its `params` have changed, and ignores its resources. So what
    decides only how fast a job is, or where it keeps its unfinished work, belongs here.
    """
    return words


def get_code(stage, *modules, also=()):
    """What is in the source files of a stage, of the modules that it finds by name, and of further
    files: as a parameter of its rule, it makes a job run again when one of them changes, but not
    when the project or the study has moved."""
    found = {
        file
        for module in (f"stages.{stage}", *modules)
        for file in closure.import_closure(PACKAGE, module)
    }
    return closure.digest(PACKAGE, found.union(also))


# Where the GPUs are counted (profiles/local), each job gets cards of its own. Elsewhere the cluster
# assigns them, or jobs share one card.
GPUS = workflow.global_resources.get("gpu").value or 0


def get_python(gpus):
    """The command that runs a module, in one process or in one for each GPU of the job."""
    cards = (
        f"python -m distilleak.machine.gpus --of {GPUS} --take {gpus} " if GPUS else ""
    )
    if gpus == 1:
        return f"{cards}python -m"
    # By default torchrun dies of SIGUSR1, which batch systems send on request, and leaves its
    # workers running.
    signals = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
    return f"{cards}torchrun --standalone --nproc-per-node {gpus} --signals-to-handle {signals} -m"


def one_of(names):
    """A pattern for one of these names, of which one may be empty; without names it matches nothing,
    since any word could be the name of a student."""
    known = sorted(set(names))
    return f"(?:{'|'.join(known)})" if known else "(?!)"
