# Input functions and the words of command lines that follow from them.


def get_texts(split):
    """The texts of the corpus whose split lies in this directory."""
    return STUDY.corpora[split.removeprefix("/")].texts


def get_group(base):
    """The directory of texts and tokenizer of a base."""
    return paths.base_directory(RESULTS, STUDY.bases[base].group)


def is_checkpoint(base):
    """Whether a base goes on from a pretrained model."""
    return STUDY.bases[base].kind is None


# The public texts from which all records are kept apart.
PUBLIC = [str(get_group(name) / "passages.parquet") for name in STUDY.public]
APART = f"--apart {' '.join(PUBLIC)}" if PUBLIC else ""


def get_public_texts(arm):
    """The texts of the bases that the models of a pair start from."""
    groups = dict.fromkeys(
        STUDY.bases[name].group for name in STUDY.starts_of(arm.pair).values()
    )
    return [str(get_group(name) / "passages.parquet") for name in groups]


def read_files(source):
    """The user's files of these texts; a missing one is reported before anything runs."""
    try:
        files = source.entry.module.files(source.entry.parameters)
        for file in files:
            if not os.path.isfile(file):
                sys.exit(f"error: {source.key}: {file}: no such file")
    except DistilleakError as error:
        sys.exit(f"error: {error}")
    return files


def read_corpus_files(corpus):
    """Those of a corpus, which has to have enough passages."""
    files = read_files(corpus.texts)
    # A job on a cluster node has been planned elsewhere.
    if workflow.exec_mode == ExecMode.DEFAULT:
        try:
            texts.check(corpus)
        except DistilleakError as error:
            sys.exit(f"error: {error}")
    return files


CORPUS_FILES = {
    name: read_corpus_files(corpus) for name, corpus in STUDY.corpora.items()
}
BASE_FILES = {name: read_files(STUDY.bases[name].texts) for name in STUDY.public}


def get_corpus_files(wildcards):
    """Those of the corpus whose split lies in this directory."""
    return CORPUS_FILES[wildcards.split.removeprefix("/")]


def watched(files):
    """Files of the user's as inputs of a rule that has `get_contents` of them among its params.

    Their contents count, so their dates do not, except those of files that are only sampled. A name
    that Snakemake takes for a pattern is left out.
    """
    return [
        file if not os.path.isfile(file) or contents.is_large(file) else ancient(file)
        for file in files
        if not contains_wildcard(file)
    ]


def get_contents(files):
    """What is in files of the user's; a job runs again when it changes."""
    try:
        return contents.digest([file for file in files if os.path.isfile(file)])
    except DistilleakError as error:
        sys.exit(f"error: {error}")


def get_teacher(wildcards):
    """The directory of the teacher that a student learns from."""
    return f"{SEED}/{{pair}}/{PLAN.teacher(wildcards.model)}"


def get_start(wildcards):
    """What a student starts from."""
    return STUDENTS[wildcards.model].starts[ARMS[wildcards.pair].pair]


def get_method_code(stage, model):
    """The code of a stage that runs a student's method, with all its parts for a combination."""
    entry = STUDENTS[model].entry
    parts = [part["method"] for part in getattr(entry.parameters, "of", [])]
    return get_code(stage, *(f"methods.{name}" for name in [entry.name, *parts]))


def get_views(directory, views):
    return [str(paths.evidence_file(directory, view)) for view in views]


def get_pieces(models, views):
    """Evidence of these models as a job writes it; parts are deleted when they are joined."""
    directories = [
        (
            paths.part_directory(RESULTS, "{seed}", "{pair}", "{scatteritem}", model)
            if PARTS > 1
            else f"{SEED}/{{pair}}/{model}"
        )
        for model in models
    ]
    files = [file for directory in directories for file in get_views(directory, views)]
    return temp(files) if PARTS > 1 else files


def get_part(wildcards):
    """Which part of the evidence a job computes, as words of a command line."""
    return f"--part {wildcards.scatteritem}" if PARTS > 1 else ""


def get_evidence_settings(rule):
    """The settings that matter for what this rule computes."""
    return canonical(PLAN.evidence_settings(PLAN.views[rule]))


def get_reference_evidence(wildcards):
    seed = get_study_seed(wildcards)
    # No attack may need one, as with any number of references.
    alone = [get_base(wildcards)] if CONFIG.references == "base" and PLAN.bases else []
    return [
        file
        for name in PLAN.references or alone
        for file in get_views(
            paths.model_directory(RESULTS, seed, wildcards.pair, name),
            PLAN.views["compute_reference_evidence"],
        )
    ]


def get_base(wildcards):
    """The public model that the attacked one starts from; without a name it is the teacher's."""
    return PLAN.base(getattr(wildcards, "model", "teacher"))


def get_base_evidence(wildcards):
    seed = get_study_seed(wildcards)
    directory = paths.model_directory(
        RESULTS, seed, wildcards.pair, get_base(wildcards)
    )
    return get_views(directory, ["plain"])


def get_held_teacher_evidence(wildcards):
    """The evidence of the teacher that an attacker holds beside a model, if there is one."""
    if wildcards.model not in PLAN.held_teachers:
        return []
    return get_views(
        f"{SEED}/{{pair}}/{PLAN.held_teachers[wildcards.model]}",
        PLAN.views["compute_teacher_evidence"],
    )


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


def get_pools(data):
    """The pools that these records are drawn into."""
    return STUDY.corpora[get_arm(data).split.removeprefix("/")].pools


def get_labelled(wildcards):
    """Whether the corpus says what a model was trained on before, as words of a command line."""
    return "--labelled" if get_pools(wildcards.data).assignment == "labels" else ""


def get_by_source(wildcards):
    """Whether whole documents are drawn, as words of a command line."""
    return "--by-source" if get_pools(wildcards.data).by == "source" else ""


def get_start_inputs(*several):
    """What jobs read that start from these models: the user's files, and bases of this study."""
    own = [start.directory for start in several if is_own_base(start)]
    return [*watched(get_local_files(*several)), *own]


def get_start_contents(*several):
    """What is in the files that models start from; a job runs again when it changes."""
    try:
        inside = [
            file for start in several for file in pretrained.packaged_files(start)
        ]
    except DistilleakError as error:
        sys.exit(f"error: {error}")
    return get_contents([*get_local_files(*several), *inside])


def is_own_base(start):
    """Whether a model starts from a base that this study trains."""
    made = {STUDY.bases[name].directory for name in OWN_BASES}
    return isinstance(start, CheckpointSettings) and start.directory in made


def get_local_files(*several):
    """The files of the user's pretrained models that lie on this machine."""
    return [
        file
        for settings in several
        if isinstance(settings, CheckpointSettings) and not is_own_base(settings)
        for file in settings.local_files()
    ]


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
    """What utility is measured on. A vote has no next-token distribution, so it has none; an undone
    model has that of the released one, and of its training nothing but which members it saw.
    """
    if wildcards.model in PLAN.votes:
        return {}
    if wildcards.model in PLAN.stripped:
        released = PLAN.stripped[wildcards.model].of
        return {
            "selection": f"{SEED}/{{pair}}/{released}/selection.parquet".format(
                **wildcards
            )
        }
    if wildcards.model in PLAN.undone_mixtures:
        return {}
    directory = MODEL.format(**wildcards)
    found = {
        "evidence": get_views(directory, ["plain", "tempered"]),
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
        found["evidence"] = Path(found["evidence"][0]).parent
    words = [f"--{name} {path}" for name, path in found.items()]
    return " ".join(["--majority"] if wildcards.model in PLAN.votes else words)


def get_all(pattern, models):
    """The files of these models in all pairs and seeds."""
    return expand(pattern, seed=CONFIG.seeds, pair=ARMS, model=models)


def get_kept_files():
    """All files between the corpus and the tables.

    Snakemake does not make a file again that is gone, as one whose job has failed, if all that was
    once made of it is there: the report would be complete, and of an older configuration. So the
    whole study requests every file.
    """
    shadows = [f"{seed}/{name}" for seed in CONFIG.seeds for name in PLAN.shadows]
    every = [*CONFIG.seeds, *shadows]
    teachers = {"teacher", *map(PLAN.teacher, STUDENTS)}
    lessons = {
        pair: [PLAN.lesson(student, arm) for student in STUDENTS]
        for pair, arm in ARMS.items()
    }
    vulnerable = any(
        lesson.vulnerability for each in lessons.values() for lesson in each
    )
    stored = [
        pair for pair, each in lessons.items() if any(lesson.targets for lesson in each)
    ]
    splits = {arm.split for arm in ARMS.values()}
    data = str(paths.data_directory(RESULTS, "{seed}", "{data}"))
    (view,) = get_views(MODEL, ["{view}"])
    # Pattern, and the values of its wildcards.
    kept = [
        (f"{RESULTS}{{split}}/passages.parquet", {}),
        (f"{SEED}{{split}}/split.parquet", {}),
        (f"{BASE}/passages.parquet", {"base": STUDY.public}),
        (f"{BASE}/tokenizer", {"base": OWN_GROUPS}),
        (f"{BASE}/model", {"base": OWN_BASES}),
        (f"{BASE}/facts.json", {"base": OWN_BASES}),
        (f"{data}/tokenizer", {}),
        (f"{data}/blind.json", {}),
        (str(paths.floors_file(RESULTS, "{seed}", "{data}")), {}),
        (f"{data}/records.parquet", {"seed": every}),
        (f"{MODEL}/model", {"seed": every, "model": [*teachers, *STUDENTS]}),
        (f"{MODEL}/facts.json", {"seed": every, "model": [*teachers, *STUDENTS]}),
        (f"{MODEL}/selection.parquet", {"seed": every, "model": STUDENTS}),
        (f"{MODEL}/epochs", {"seed": every, "model": PLAN.kept}),
        (f"{MODEL}/model", {"seed": every, "model": PLAN.stripped}),
        *(
            (f"{MODEL}/{file}", {"model": [*PLAN.references, *PLAN.bases.values()]})
            for file in ("model", "facts.json")
        ),
        (f"{SEED}/{{pair}}/teacher/targets.npy", {"seed": every, "pair": stored}),
        (
            f"{SEED}/{{pair}}/vulnerable.parquet",
            {"seed": every if vulnerable else CONFIG.seeds},
        ),
        (f"{MODEL}/scores.parquet", {"model": PLAN.scored}),
        (f"{MODEL}/metrics.parquet", {"model": PLAN.scored}),
        (f"{MODEL}/bootstrap.parquet", {"model": PLAN.scored}),
        *(
            (view, {"seed": seeds, "model": models, "view": PLAN.views[rule]})
            for rule, seeds, models in (
                ("compute_evidence", CONFIG.seeds, QUERIED),
                ("compute_mixture_evidence", CONFIG.seeds, PLAN.mixtures),
                (
                    "compute_reference_evidence",
                    CONFIG.seeds,
                    [*PLAN.references, *PLAN.bases.values()],
                ),
                ("compute_teacher_evidence", CONFIG.seeds, PLAN.other_teachers),
                ("compute_shadow_evidence", shadows, QUERIED),
                ("compute_shadow_mixture_evidence", shadows, PLAN.mixtures),
            )
        ),
    ]
    usual = {"seed": CONFIG.seeds, "split": splits, "pair": ARMS, "data": DATA}
    return [
        file
        for pattern, values in kept
        for file in expand(pattern, **{**usual, **values})
    ]
