import os
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
PACKAGE = ROOT / "src" / "distilleak"
sys.path.insert(0, str(PACKAGE.parent))

from snakemake.exceptions import WorkflowError
from snakemake_interface_executor_plugins.settings import DeploymentMethod

from distilleak import attacking, catalogue, closure, layout
from distilleak.errors import DistilleakError
from distilleak.settings import study as study_settings
from distilleak.settings.base import canonical_json as canonical
from distilleak.tables import FILES as TABLES

try:
    for file in workflow.configfiles:
        study_settings.read_yaml(file)
    STUDY = study_settings.load(config, " + ".join(map(str, workflow.configfiles)))
except DistilleakError as error:
    raise WorkflowError(str(error))

RESULTS = f"results/{STUDY.study}"
SEED = RESULTS + "/seed-{seed}"
MODEL = SEED + "/{pair}/{model}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"

METHODS = STUDY.method_entries()
ATTACKS = STUDY.attack_entries()
ENSEMBLES = STUDY.ensemble_members()
VOTES = [name for name in ENSEMBLES if name.startswith("vote-")]
MIXTURES = [name for name in ENSEMBLES if name.startswith("mixture-")]
FIGURES = catalogue.names("figures")
VIEWS = attacking.views_of(list(ATTACKS.values()))
# The reference models are trained only if an attack asks for them.
REFERENCES = [
    f"reference-{number}"
    for number in range(STUDY.references if attacking.references_of(list(ATTACKS.values())) else 0)
]
VULNERABILITY_ATTACK = ATTACKS[STUDY.vulnerability.attack]
SCORED = ["teacher", *METHODS, *ENSEMBLES]


wildcard_constraints:
    seed=r"\d+",
    pair="|".join(STUDY.pairs),
    model=r"[a-z0-9_-]+",


# Jobs run the code that lies beside this file, with the Python that runs Snakemake, unless an
# environment of their own is asked for.
PREFIX = f"export PYTHONPATH='{PACKAGE.parent}' TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1; "
if DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method:
    PREFIX += f"export PATH='{Path(sys.executable).parent}':\"$PATH\"; "
shell.prefix(PREFIX)


def get_code(*modules):
    """The package's files that these modules import: a job runs again when one of them changes."""
    files = {file for module in modules for file in closure.import_closure(PACKAGE, module)}
    return sorted(os.path.relpath(file) for file in files)


def get_method(model):
    """The configured method of a student: its module and its parameters."""
    return catalogue.load("methods", METHODS[model]["method"]).Method


def get_attack_code(entries):
    return get_code(*(f"attacks.{entry['attack']}" for entry in entries))


def get_views(directory, views):
    return [f"{directory}/evidence/{view}.parquet" for view in views]


def get_reference_evidence(wildcards):
    return [f"{SEED}/{{pair}}/{name}/evidence/plain.parquet" for name in REFERENCES]


def get_architecture(role):
    """Parameter function: the architecture of a role in the pair of a job."""
    return lambda wildcards: canonical(getattr(STUDY.pairs[wildcards.pair], role))


def evidence_directories(files):
    """The directories of some evidence files, as words of a command line."""
    return " ".join(str(Path(file).parent) for file in files)
