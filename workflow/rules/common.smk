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
from distilleak.settings.architecture import CheckpointSettings
from distilleak.settings.base import canonical_json as canonical
from distilleak.study import (
    closure,
    contents,
    pretrained,
    reading,
    roles,
    texts,
    yaml_text,
)
from distilleak.study.plan import Plan
from distilleak.tables.names import FILES as TABLES


def read_study():
    """The checked study; a problem ends the run with one line that names file and key."""
    files = [Path(os.path.relpath(file)) for file in workflow.configfiles]
    # A path that leaves the working directory is easier to read in full.
    names = [file.resolve() if file.parts[0] == ".." else file for file in files]
    try:
        sources = {str(name): yaml_text.read_yaml(name) for name in names}
        sources["--config"] = reading.typed(dict(workflow.config_settings.config))
        found = reading.read(sources)
        # The models may lie only where they are trained, so jobs elsewhere do not look for them.
        if workflow.is_main_process:
            reading.check_models(found, sources)
        return found
    except DistilleakError as error:
        # A WorkflowError would add lines about where it was raised, which help nobody here.
        sys.exit(f"error: {error}")


# Snakemake fills in what stands in braces in the paths of rules; a colon ends an entry of PYTHONPATH.
if set("{}:") & set(str(ROOT.resolve())):
    sys.exit(
        f"error: {ROOT.resolve()}: no rules can run from a directory with braces or a colon in its "
        "name; rename it (the working directory and files of yours may have them)"
    )

STUDY = read_study()
CONFIG = STUDY.configuration
PLAN = Plan(STUDY)
# What the wildcard `pair` stands for: a pair on a corpus.
ARMS = STUDY.arms
STUDENTS = STUDY.students
# Bases that the study trains, and those of them that hold texts and tokenizer for others, too.
OWN_BASES = [base.name for base in STUDY.bases.values() if not base.shipped]
OWN_GROUPS = [name for name in STUDY.public if not STUDY.bases[name].shipped]
# Models of which there is evidence on all views that attacks read.
QUERIED = ["teacher", *STUDENTS, *PLAN.stripped]
# Which models there are, in the order in which figures and tables show them.
ROSTER = canonical(roles.roster(PLAN))
DATA = sorted({arm.data for arm in ARMS.values()})
CANARIES = f"--canaries {quote(canonical(CONFIG.canaries))}" if CONFIG.canaries else ""

RESULTS = str(paths.study_directory(CONFIG.study))
SEED = str(paths.seed_directory(RESULTS, "{seed}"))
MODEL = str(paths.model_directory(RESULTS, "{seed}", "{pair}", "{model}"))
BASE = str(paths.base_directory(RESULTS, "{base}"))
LOGS = f"{RESULTS}/logs"
BENCHMARKS = str(paths.benchmarks_directory(RESULTS))
# From here an interrupted job resumes; no rule declares it, since declared outputs are deleted.
SNAPSHOTS = f"{RESULTS}/snapshots"

# Where several jobs compute the evidence of a model, it lies in parts until they are joined.
PARTS = CONFIG.evidence.shards
PART = ".{scatteritem}" if PARTS > 1 else ""


scattergather:
    evidence=PARTS,


# A shadow is a seed with another draw of members: the same rules train it.
SHADOW = r"\d+/shadow-\d+"
SEED_OR_SHADOW = r"\d+(?:/shadow-\d+)?"


def one_of(names):
    """A pattern for one of these names, of which one may be empty; without names it matches nothing,
    since any word could be the name of a student."""
    known = sorted(set(names))
    return f"(?:{'|'.join(known)})" if known else "(?!)"


wildcard_constraints:
    seed=r"\d+",
    pair="|".join(ARMS),
    # Directories below that of a seed, empty or beginning with a slash.
    split=one_of(arm.split for arm in ARMS.values()),
    data=one_of(DATA),
    scatteritem=r"\d+-of-\d+",
    model=r"[a-z0-9_-]+",


# Jobs run the code that lies beside this file, with the Python that runs Snakemake, unless the
# command line asks for an environment of their own.
PREFIX = (
    f"export PYTHONPATH={quote(str(PACKAGE.parent))} TOKENIZERS_PARALLELISM=false; "
)
# A file of the user's in the working directory is never imported, whatever it is called.
PREFIX += "export PYTHONSAFEPATH=1; "
# Where a stage says what is wrong if its log cannot be written, as on a full disk.
PREFIX += "exec 3>&2; export DISTILLEAK_SCREEN=3; "
# No network unless the configuration names something on a hub.
if not STUDY.uses_hub():
    PREFIX += "export HF_HUB_OFFLINE=1; "
# How the machine is used is not a parameter of a rule: no model is trained again for it.
PREFIX += f"export HARDWARE={quote(canonical(CONFIG.hardware))}; "
if DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method:
    PREFIX += f'export PATH={quote(str(Path(sys.executable).parent))}:"$PATH"; '
# Snakemake fills in what stands in braces, which a path may have, too.
shell.prefix(PREFIX.translate(str.maketrans({"{": "{{", "}": "}}"})))


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


def get_snapshots(name):
    """Where a job keeps its unfinished work; `name` may hold wildcards of its rule."""
    return lambda wildcards: f"{SNAPSHOTS}/{name}".format(**wildcards)
