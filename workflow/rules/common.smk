from distilleak.settings.architecture import CheckpointSettings
from distilleak.study import pretrained, roles, texts
from distilleak.study.plan import Plan
from distilleak.tables.names import FILES as TABLES


def read_study():
    """The checked study."""
    found = reading.read(SOURCES)
    # The models may lie only where they are trained, so jobs elsewhere do not look for them.
    if workflow.is_main_process:
        reading.check_models(found, SOURCES)
    return found


STUDY = ending_in_one_line(read_study)
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


wildcard_constraints:
    seed=r"\d+",
    pair="|".join(ARMS),
    # Directories below that of a seed, empty or beginning with a slash.
    split=one_of(arm.split for arm in ARMS.values()),
    data=one_of(DATA),
    scatteritem=r"\d+-of-\d+",
    model=r"[a-z0-9_-]+",


set_prefix(uses_hub=STUDY.uses_hub(), hardware=CONFIG.hardware)


def get_snapshots(name):
    """Where a job keeps its unfinished work; `name` may hold wildcards of its rule."""
    return lambda wildcards: f"{SNAPSHOTS}/{name}".format(**wildcards)
