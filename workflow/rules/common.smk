import os
import sys
from pathlib import Path
from shlex import quote

ROOT = Path(workflow.basedir)
PACKAGE = ROOT / "src" / "distilleak"
sys.path.insert(0, str(PACKAGE.parent))

from snakemake_interface_executor_plugins.settings import DeploymentMethod

from distilleak import paths
from distilleak.errors import DistilleakError
from distilleak.settings.architecture import CheckpointSettings
from distilleak.settings.base import canonical_json as canonical
from distilleak.study import closure, reading, roles
from distilleak.study.plan import Plan
from distilleak.tables.names import FILES as TABLES


def read_study():
    """The checked configuration; a problem is one line that names the file which gave the key."""
    files = [Path(os.path.relpath(file)) for file in workflow.configfiles]
    # A long way up and down again says less than the whole path.
    names = [file.absolute() if file.parts[0] == ".." else file for file in files]
    try:
        sources = {str(name): reading.read_yaml(name) for name in names}
        sources["--config"] = reading.typed(dict(workflow.config_settings.config))
        return reading.read(sources)
    except DistilleakError as error:
        # A WorkflowError would add lines of where it was raised, which help nobody here.
        sys.exit(f"error: {error}")


STUDY = read_study()
CONFIG = STUDY.configuration
PLAN = Plan(STUDY)
# A pair on a corpus: what the wildcard `pair` stands for.
ARMS = STUDY.arms
STUDENTS = STUDY.students
DATA = sorted({arm.data for arm in ARMS.values()})
CANARIES = f"--canaries {quote(canonical(CONFIG.canaries))}" if CONFIG.canaries else ""

RESULTS = str(paths.study_directory(CONFIG.study))
SEED = str(paths.seed_directory(RESULTS, "{seed}"))
MODEL = str(paths.model_directory(RESULTS, "{seed}", "{pair}", "{model}"))
LOGS = f"{RESULTS}/logs"
BENCHMARKS = str(paths.benchmarks_directory(RESULTS))
# What an interrupted job goes on from; no rule declares it, since declared outputs are deleted.
SNAPSHOTS = f"{RESULTS}/snapshots"

# Evidence that several jobs compute lies in parts first.
PARTS = CONFIG.evidence.shards
PART = ".{scatteritem}" if PARTS > 1 else ""


scattergather:
    evidence=PARTS,


# A shadow is a seed with another draw of members: the same rules train it.
SHADOW = r"\d+/shadow-\d+"
SEED_OR_SHADOW = r"\d+(?:/shadow-\d+)?"


def one_of(names):
    """A pattern for one of these names, of which one may be empty."""
    return f"(?:{'|'.join(sorted(set(names) or {'none'}))})"


wildcard_constraints:
    seed=r"\d+",
    pair="|".join(ARMS),
    # Directories below that of a seed, empty or beginning with a slash.
    split=one_of(arm.split for arm in ARMS.values()),
    data=one_of(DATA),
    scatteritem=r"\d+-of-\d+",
    model=r"[a-z0-9_-]+",


# Jobs run the code that lies beside this file, with the Python that runs Snakemake, unless an
# environment of their own is asked for.
PREFIX = f"export PYTHONPATH='{PACKAGE.parent}' TOKENIZERS_PARALLELISM=false; "
# No network unless the configuration names something on a hub.
if not STUDY.uses_hub():
    PREFIX += "export HF_HUB_OFFLINE=1; "
# How the machine is used is no parameter of a rule: no model is trained again for it.
BRACES = str.maketrans({"{": "{{", "}": "}}"})
PREFIX += f"export HARDWARE='{canonical(CONFIG.hardware).translate(BRACES)}'; "
if DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method:
    PREFIX += f"export PATH='{Path(sys.executable).parent}':\"$PATH\"; "
shell.prefix(PREFIX)


def growing(amount):
    """A resource of which each attempt asks for more: the last one may have run out of it."""
    return lambda wildcards, attempt: amount * attempt


def without_rerun(**words):
    """Words of a job's command that change none of its results, for the section `resources`.

    Snakemake runs a job again when its `params` have changed, and does not look at its resources.
    So what decides only how fast a job is, or where it keeps its unfinished work, is said here.
    """
    return words


def get_code(stage, *modules):
    """The package's files that a stage, and the modules that it finds by name, import: a job runs
    again when one of them changes."""
    files = {
        file
        for module in (f"stages.{stage}", *modules)
        for file in closure.import_closure(PACKAGE, module)
    }
    return sorted(os.path.relpath(file) for file in files)


# Where the GPUs are counted (profiles/local), each job gets cards of its own; elsewhere it is the
# cluster that hands them out, or jobs share one card.
GPUS = workflow.global_resources.get("gpu").value or 0


def get_python(gpus):
    """The command that runs a module: in one process, or in as many as a job has GPUs."""
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
    """Where a training keeps its unfinished work: `name` may hold wildcards of its rule."""
    return lambda wildcards: f"{SNAPSHOTS}/{name}".format(**wildcards)


def get_corpus(split):
    """The entry of the corpus whose split lies in this directory."""
    return STUDY.corpora[split.removeprefix("/")].entry


def read_corpus_files(entry):
    """The user's files that a corpus is made of; a missing one is reported before anything runs."""
    files = entry.module.files(entry.parameters)
    for file in files:
        if not os.path.isfile(file):
            sys.exit(f"error: corpus: {file}: no such file")
    return files


CORPUS_FILES = {
    name: read_corpus_files(corpus.entry) for name, corpus in STUDY.corpora.items()
}


def get_teacher(wildcards):
    """The directory of the teacher that a student learns from."""
    return f"{SEED}/{{pair}}/{PLAN.teacher(wildcards.model)}"


def get_start(wildcards):
    """What a student starts from."""
    return STUDENTS[wildcards.model].starts[ARMS[wildcards.pair].pair]


def get_method_code(stage, model):
    """The files of a stage that runs a student's method, of all its parts for a combination."""
    entry = STUDENTS[model].entry
    parts = [part["method"] for part in getattr(entry.parameters, "of", [])]
    return get_code(stage, *(f"methods.{name}" for name in [entry.name, *parts]))


def get_views(directory, views):
    return [str(paths.evidence_file(directory, view)) for view in views]


def get_pieces(models, views):
    """Evidence of these models as a job writes it; parts are deleted when they are joined."""
    if PARTS == 1:
        return [
            file
            for model in models
            for file in get_views(f"{SEED}/{{pair}}/{model}", views)
        ]
    directories = [
        paths.part_directory(RESULTS, "{seed}", "{pair}", "{scatteritem}", model)
        for model in models
    ]
    return temp(
        [file for directory in directories for file in get_views(directory, views)]
    )


def get_part(wildcards):
    """Which part of the evidence a job computes, as words of a command line."""
    return f"--part {wildcards.scatteritem}" if PARTS > 1 else ""


def get_evidence_settings(rule):
    """The settings that matter for what this rule computes."""
    return canonical(PLAN.evidence_settings(PLAN.views[rule]))


def get_reference_evidence(wildcards):
    seed = get_study_seed(wildcards)
    return [
        file
        for name in PLAN.references
        for file in get_views(
            paths.model_directory(RESULTS, seed, wildcards.pair, name),
            PLAN.views["compute_reference_evidence"],
        )
    ]


def get_shadow_evidence(wildcards):
    return [
        file
        for name in PLAN.shadows
        for file in get_views(
            f"{SEED}/{name}/{{pair}}/{{model}}",
            PLAN.views["compute_shadow_mixture_evidence"],
        )
    ]


def get_shadow_records(wildcards):
    return [get_data("records.parquet")(wildcards, name) for name in PLAN.shadows]


def get_data(file):
    """Input function: a file of records, tokenizer or blind verdict for the pair of a job.

    A shadow has records of its own and shares all else with the study.
    """

    def get(wildcards, *shadow):
        seed = "/".join([wildcards.seed, *shadow])
        if file != "records.parquet":
            seed = get_study_seed(wildcards)
        data = ARMS[wildcards.pair].data
        return str(paths.data_directory(RESULTS, seed, data) / file)

    return get


def get_study_seed(wildcards):
    """The seed of the study that a job is of."""
    return int(wildcards.seed.partition("/")[0])


def get_seed(wildcards):
    """The seed of a training."""
    return PLAN.training_seed(wildcards.seed)


def get_split_seed(wildcards):
    """The seed of what the data are drawn with."""
    return PLAN.split_seed(get_study_seed(wildcards))


def get_arm(data):
    """An arm whose records lie in this directory; what concerns them is the same for all."""
    return next(arm for arm in ARMS.values() if arm.data == data)


def get_local_files(settings):
    """The files of a pretrained model that lies on this machine."""
    if isinstance(settings, CheckpointSettings):
        return settings.local_files()
    return []


def evidence_directories(files):
    """The directories of some evidence files, as words of a command line."""
    return " ".join(dict.fromkeys(str(Path(file).parent) for file in files))


def get_lesson(wildcards):
    """The files that a student learns from, besides the records."""
    lesson = PLAN.lesson(wildcards.model, ARMS[wildcards.pair])
    teacher = get_teacher(wildcards)
    found = {
        "targets": (lesson.targets, f"{teacher}/targets.npy"),
        "teacher": (lesson.teacher, f"{teacher}/model"),
        "vulnerability": (
            lesson.vulnerability,
            f"{SEED}/{{pair}}/vulnerable.parquet",
        ),
    }
    return {
        name: path.format(**wildcards)
        for name, (needed, path) in found.items()
        if needed
    }


def get_lesson_options(wildcards):
    """The same as words of a command line."""
    words = [f"--{name} {path}" for name, path in get_lesson(wildcards).items()]
    return " ".join(words)


def get_teacher_start(wildcards):
    """For a student that must not know the teacher: the start of the layers that it copies."""
    arm = ARMS[wildcards.pair]
    if not PLAN.lesson(wildcards.model, arm).teacher_start:
        return ""
    return f"--teacher-start {quote(canonical(arm.roles.teacher))}"


def get_utility(wildcards):
    """What utility is measured on; a vote has no next-token distribution, so it has none."""
    if wildcards.model in PLAN.votes:
        return {}
    directory = MODEL.format(**wildcards)
    found = {
        "evidence": str(paths.evidence_file(directory, "plain")),
        "records": get_data("records.parquet")(wildcards),
    }
    if wildcards.model not in PLAN.mixtures:
        found["facts"] = f"{directory}/facts.json"
    if wildcards.model in STUDENTS:
        found["selection"] = f"{directory}/selection.parquet"
    return found


def get_utility_options(wildcards):
    """The same as words of a command line."""
    found = get_utility(wildcards)
    if "evidence" in found:
        found["evidence"] = Path(found["evidence"]).parent
    return " ".join(f"--{name} {path}" for name, path in found.items()) or "--majority"


def get_all(pattern, models):
    """The files of these models in all pairs and seeds."""
    return expand(pattern, seed=CONFIG.seeds, pair=ARMS, model=models)


def get_layout():
    """The models of the study, in the order in which tables and figures show them."""
    return roles.roster(PLAN)
