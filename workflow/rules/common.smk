import os
import sys
from pathlib import Path
from shlex import quote

ROOT = Path(workflow.basedir)
PACKAGE = ROOT / "src" / "distilleak"
sys.path.insert(0, str(PACKAGE.parent))

from snakemake.utils import update_config
from snakemake_interface_executor_plugins.settings import DeploymentMethod

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.settings.architecture import CheckpointSettings
from distilleak.settings.base import canonical_json as canonical
from distilleak.scoring import needs
from distilleak.settings.evidence import PREFIXES
from distilleak.study import closure, reading, weights
from distilleak.tables.names import FILES as TABLES


def read_study():
    """The checked configuration; a problem is one line that names the file which gave the key."""
    files = [Path(os.path.relpath(file)) for file in workflow.configfiles]
    # A long way up and down again says less than the whole path.
    names = [file.absolute() if file.parts[0] == ".." else file for file in files]
    try:
        sources = {str(name): reading.read_yaml(name) for name in names}
        sources["--config"] = reading.typed(dict(workflow.config_settings.config))
        merged = {}
        for given in sources.values():
            update_config(merged, given)
        return reading.load(merged, sources)
    except DistilleakError as error:
        # A WorkflowError would add lines of where it was raised, which help nobody here.
        sys.exit(f"error: {error}")


STUDY = read_study()

RESULTS = f"results/{STUDY.study}"
SEED = f"{RESULTS}/seed-{{seed}}"
MODEL = f"{SEED}/{{pair}}/{{model}}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
# What an interrupted job goes on from; no rule declares it, since declared outputs are deleted.
SNAPSHOTS = f"{RESULTS}/snapshots"

# Evidence that several jobs compute lies in pieces first.
SHARDS = STUDY.evidence.shards
PIECE = "shards/{scatteritem}/" if SHARDS > 1 else ""
ITEM = ".{scatteritem}" if SHARDS > 1 else ""
PIECE_OF_MODEL = f"{SEED}/{{pair}}/{PIECE}{{model}}"


scattergather:
    evidence=SHARDS,


# A pair on a corpus: what the wildcard `pair` stands for.
ARMS = STUDY.arms()
CORPORA = STUDY.corpus_entries()
DATA = sorted({arm.data for arm in ARMS.values()})
METHODS = STUDY.method_entries()
# Students that are an earlier epoch of another one, and those whose epochs are kept for them.
EARLY = {name: STUDY.early_of(name) for name in METHODS if STUDY.early_of(name)}
KEPT = {early.of for early in EARLY.values()}
# Students that are a trained one with another output: nothing is trained for them.
FINISHED = {
    name: STUDY.trained_as(name)
    for name in METHODS
    if name not in EARLY and name not in KEPT and STUDY.trained_as(name)
}
ATTACKS = STUDY.attack_entries()
ENSEMBLES = STUDY.ensemble_members()
VOTES = [name for name in ENSEMBLES if name.startswith("vote-")]
MIXTURES = [name for name in ENSEMBLES if name.startswith("mixture-")]
ENTRIES = list(ATTACKS.values())
# What no attack asks for is not computed: views, reference models, shadows, counts.
POPULATION = ["population"] if needs.population_of(ENTRIES) else []
VIEWS = [
    *needs.views_of(ENTRIES),
    *POPULATION,
    *(["candidates"] if STUDY.canaries else []),
]
REFERENCE_VIEWS = [
    "plain",
    *(POPULATION if needs.reference_population_of(ENTRIES) else []),
]
REFERENCES = [
    f"reference-{number}"
    for number in range(STUDY.references if needs.references_of(ENTRIES) else 0)
]
SHADOWS = [
    f"shadow-{number}"
    for number in range(STUDY.shadows if needs.shadows_of(ENTRIES) else 0)
]
CANARIES = f"--canaries {quote(canonical(STUDY.canaries))}" if STUDY.canaries else ""
# Figures that only some studies have the numbers for.
ABSENT = set() if STUDY.canaries else {"exposure"}
if all(STUDY.pools_of(corpus).design == "paired" for corpus in CORPORA):
    ABSENT.add("effects")
FIGURES = [name for name in catalogue.names("figures") if name not in ABSENT]
VULNERABILITY_ATTACK = ATTACKS[STUDY.vulnerability.attack]
SHADOW_POPULATION = POPULATION if needs.shadow_population_of(ENTRIES) else []
# The teacher of a shadow is asked as the attack that finds its vulnerable members wants it.
SHADOW_VIEWS = [*needs.views_of([VULNERABILITY_ATTACK]), *SHADOW_POPULATION]
SHADOW_MIXTURE_VIEWS = ["plain", *SHADOW_POPULATION]
SCORED = ["teacher", *METHODS, *ENSEMBLES]


# A shadow is a seed with another draw of members: the same rules train it.
SHADOW = r"\d+/shadow-\d+"
SEED_OR_SHADOW = r"\d+(?:/shadow-\d+)?"


def one_of(directories):
    """A pattern for one of these directories, of which one may be empty."""
    return f"(?:{'|'.join(sorted(set(directories) or {'none'}))})"


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
PREFIX += f"export HARDWARE='{canonical(STUDY.hardware).translate(BRACES)}'; "
if DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method:
    PREFIX += f"export PATH='{Path(sys.executable).parent}':\"$PATH\"; "
shell.prefix(PREFIX)


def growing(amount):
    """A resource of which each attempt asks for more: the last one may have run out of it."""
    return lambda wildcards, attempt: amount * attempt


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
    # Of itself it dies of the signal that batch systems send by request, and its processes do not.
    signals = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
    return f"{cards}torchrun --standalone --nproc-per-node {gpus} --signals-to-handle {signals} -m"


def get_corpus(split):
    """The entry of the corpus whose split lies in this directory."""
    return CORPORA[split.removeprefix("/")]


def read_corpus_files(entry):
    """The user's files that a corpus is made of; a missing one is told before anything runs."""
    corpus = catalogue.load("corpora", entry["source"])
    files = corpus.files(corpus.Parameters.model_validate(entry["parameters"]))
    for file in files:
        if not os.path.isfile(file):
            sys.exit(f"error: corpus: {file}: no such file")
    return files


CORPUS_FILES = {name: read_corpus_files(entry) for name, entry in CORPORA.items()}


def get_corpus_files(wildcards):
    """The files of the corpus of a job."""
    return CORPUS_FILES[wildcards.split.removeprefix("/")]


def get_method(model):
    """A student's method, which says what it needs."""
    found = catalogue.load("methods", METHODS[model]["method"])
    return found.Method(found.Parameters.model_validate(METHODS[model]["parameters"]))


def get_teacher(wildcards):
    """The directory of the teacher that a student learns from."""
    other = STUDY.teacher_of(wildcards.model)
    return f"{SEED}/{{pair}}/teacher" + (f"-{other}" if other else "")


def get_start(wildcards):
    """What a student starts from."""
    return STUDY.student_of(wildcards.model, ARMS[wildcards.pair].pair)


def get_method_code(stage, model):
    """The files of a stage and of a student's method, or of all parts of a combination."""
    entry = METHODS[model]
    parts = [part["method"] for part in entry["parameters"].get("of", [])]
    return get_code(stage, *(f"methods.{name}" for name in [entry["method"], *parts]))


def get_views(directory, views):
    return [f"{directory}/evidence/{view}.parquet" for view in views]


def get_pieces(directory, views):
    """Evidence as a job writes it; pieces are deleted when they are joined."""
    files = get_views(directory, views)
    return temp(files) if SHARDS > 1 else files


def get_part(wildcards):
    """Which part of the evidence a job computes, as words of a command line."""
    return f"--part {wildcards.scatteritem}" if SHARDS > 1 else ""


def get_item(wildcards):
    """The same for the names of files."""
    return f".{wildcards.scatteritem}" if SHARDS > 1 else ""


def get_evidence_settings(views):
    """The settings that matter for these views: no other one makes a model be asked again."""
    unused = {"shards"}
    if not PREFIXES.keys() & set(views):
        unused |= {"prefix_tokens"}
    if needs.NEIGHBOUR not in views:
        unused |= {"neighbours", "neighbour_share"}
    return canonical(STUDY.evidence.model_dump(exclude=unused))


def get_reference_evidence(wildcards):
    return [
        f"{SEED}/{{pair}}/{name}/evidence/{view}.parquet".replace(
            "{seed}", str(get_study_seed(wildcards))
        )
        for name in REFERENCES
        for view in REFERENCE_VIEWS
    ]


def get_shadow_evidence(wildcards):
    return [
        f"{SEED}/{name}/{{pair}}/{{model}}/evidence/{view}.parquet"
        for name in SHADOWS
        for view in SHADOW_MIXTURE_VIEWS
    ]


def get_shadow_records(wildcards):
    return [get_data("records.parquet")(wildcards, name) for name in SHADOWS]


def get_data(file):
    """Input function: a file of records, tokenizer or blind verdict for the pair of a job.

    A shadow has records of its own and shares all else with the study.
    """

    def get(wildcards, *shadow):
        seed = "/".join([wildcards.seed, *shadow])
        if file != "records.parquet":
            seed = get_study_seed(wildcards)
        return f"{SEED}{{data}}/{file}".format(
            seed=seed, data=ARMS[wildcards.pair].data
        )

    return get


def get_study_seed(wildcards):
    """The seed of the study that a job is of."""
    return int(wildcards.seed.partition("/")[0])


def get_seed(wildcards):
    """The seed of a training: that of the job's study, or one for all. A shadow starts from other
    weights than the study, which nobody knows."""
    seed, *shadow = wildcards.seed.split("/")
    own = int(seed) if STUDY.training_seed is None else STUDY.training_seed
    return own + (10**6 * (1 + int(shadow[0].rpartition("-")[2])) if shadow else 0)


def get_split_seed(wildcards):
    """The seed of what the data are drawn with: that of the job's study, or one for all."""
    return get_study_seed(wildcards) if STUDY.split_seed is None else STUDY.split_seed


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
    """What a student learns from, besides the records: as much as its method asks for."""
    method = get_method(wildcards.model)
    teacher = get_teacher(wildcards)
    lesson = {}
    arm = ARMS[wildcards.pair]
    stored = STUDY.reads_stored_targets(wildcards.model, arm)
    if method.needs_teacher and stored:
        lesson["targets"] = f"{teacher}/targets.npy"
    asked = method.needs_teacher and (not stored or arm.copies_layers)
    if asked or arm.has_checkpoint_vocabulary:
        lesson["teacher"] = f"{teacher}/model"
    if method.needs_vulnerability:
        lesson["vulnerability"] = f"{SEED}/{{pair}}/vulnerable.parquet"
    return {name: path.format(**wildcards) for name, path in lesson.items()}


def get_teacher_start(wildcards):
    """For a student that must not know the teacher: the start of the layers that it copies."""
    arm = ARMS[wildcards.pair]
    if not arm.copies_layers or get_method(wildcards.model).needs_teacher:
        return ""
    return f"--teacher-start {quote(canonical(arm.pair.teacher))}"


def get_utility(wildcards):
    """What utility is measured on; a vote has no next-token distribution, so it has none."""
    if wildcards.model in VOTES:
        return {}
    directory = MODEL.format(**wildcards)
    found = {
        "evidence": f"{directory}/evidence/plain.parquet",
        "records": get_data("records.parquet")(wildcards),
    }
    if wildcards.model not in MIXTURES:
        found["facts"] = f"{directory}/facts.json"
    if wildcards.model in METHODS:
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
    return expand(pattern, seed=STUDY.seeds, pair=ARMS, model=models)


def get_role(model):
    """What a student is in the comparison at equal utility: trivial ways of leaking less have to be
    beaten; where no member is seen or privacy is formal, that is a strong alternative.
    """
    if METHODS[model]["method"] == "public" or STUDY.teacher_of(model) is not None:
        return "strong"
    if METHODS[model]["method"] not in ("kd", "no_teacher"):
        return "method"
    private = STUDY.training_of(model).privacy is not None
    # A larger student is a way to more utility, not one to less leakage.
    larger = any(
        weights.student_weights(STUDY, arm, model)
        > weights.student_weights(STUDY, arm, None)
        for arm in ARMS.values()
    )
    return "strong" if private or larger else "trivial"


def get_guarantee(model):
    """The budget of DP-SGD, as figures and tables say it beside the name of a model."""
    found = []
    if model == "teacher":
        found = [("", STUDY.training.teacher.privacy)]
    elif model in METHODS:
        found = [("", STUDY.training_of(model).privacy)]
        if other := STUDY.teacher_of(model):
            found.append(("teacher ", STUDY.teacher_training(other).privacy))
    said = [f"{whose}epsilon {p.epsilon:g}" for whose, p in found if p is not None]
    return f" ({', '.join(said)})" if said else ""


def get_sweep(model):
    """The method whose strength this student is a step of, if it is one."""
    method = METHODS[model]["method"]
    swept = get_role(model) == "method" and method != "combination"
    return method if swept and STUDY.differs_in_strength_alone(model) else ""


def get_layout():
    """Which models there are, in the order in which figures and tables show them."""
    students = [
        {
            "model": name,
            "kind": "student",
            "method": entry["method"],
            "role": get_role(name),
            "sweep": get_sweep(name),
            "members": [],
        }
        for name, entry in METHODS.items()
    ]
    ensembles = [
        {"model": name, "kind": kind, "method": kind, "members": members}
        for name, members in ENSEMBLES.items()
        for kind in [name.partition("-")[0]]
    ]
    teacher = {
        "model": "teacher",
        "kind": "teacher",
        "method": "teacher",
        "members": [],
    }
    models = [
        {
            **model,
            "label": model["model"].replace("_", " ").replace("-", " ")
            + get_guarantee(model["model"]),
        }
        for model in [teacher, *students, *ensembles]
    ]
    return {
        "seeds": STUDY.seeds,
        "differing": " and ".join(
            name
            for name, fixed in (
                ("split", STUDY.split_seed),
                ("training", STUDY.training_seed),
            )
            if fixed is None or len(STUDY.seeds) == 1
        ),
        "headline_attack": STUDY.figures.headline_attack,
        "attacks": list(ATTACKS),
        "pairs": {
            pair: {
                "models": models,
                "data": arm.data,
                # Of a pretrained model it is not known before its files are read.
                "vocabulary": (None if arm.checkpoints else STUDY.tokenizer.vocabulary),
            }
            for pair, arm in ARMS.items()
        },
    }
