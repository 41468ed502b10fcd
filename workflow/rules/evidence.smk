rule compute_evidence:
    input:
        records=get_data("records.parquet"),
        model=f"{MODEL}/model",
    output:
        get_pieces(["{model}"], PLAN.views["compute_evidence"]),
    log:
        f"{LOGS}/compute_evidence/{{seed}}.{{pair}}.{{model}}{PART}.log",
    benchmark:
        f"{BENCHMARKS}/compute_evidence/{{seed}}.{{pair}}.{{model}}{PART}.tsv"
    wildcard_constraints:
        model=one_of(QUERIED),
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        **without_rerun(
            python=get_python(1),
            shards=get_snapshots(f"{{seed}}.{{pair}}.{{model}}{PART}.evidence"),
        ),
        gpu=1,
        mem_mb=growing(2000),
        runtime=growing(4 * 60),
    params:
        code=get_code("compute_evidence"),
        settings=get_evidence_settings("compute_evidence"),
        part=get_part,
        views=" ".join(PLAN.views["compute_evidence"]),
        seed=get_study_seed,
        directory=lambda wildcards, output: Path(output[0]).parent,
    message:
        "compute evidence of {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "{resources.python} distilleak compute_evidence --model {input.model} --records {input.records}"
        " --views {params.views} --settings {params.settings:q} --seed {params.seed}"
        " --threads {threads} --shards {resources.shards} {params.part}"
        " --output {params.directory} > {log} 2>&1"


# Attacks compare with references and shadows on plain text only.
use rule compute_evidence as compute_reference_evidence with:
    input:
        records=get_data("records.parquet"),
        model=f"{MODEL}/model",
    output:
        get_pieces(["{model}"], PLAN.views["compute_reference_evidence"]),
    log:
        f"{LOGS}/compute_reference_evidence/{{seed}}.{{pair}}.{{model}}{PART}.log",
    benchmark:
        f"{BENCHMARKS}/compute_reference_evidence/{{seed}}.{{pair}}.{{model}}{PART}.tsv"
    wildcard_constraints:
        model=rf"reference-\d+|{one_of(PLAN.bases.values())}",
    params:
        code=get_code("compute_evidence"),
        settings=get_evidence_settings("compute_reference_evidence"),
        part=get_part,
        views=" ".join(PLAN.views["compute_reference_evidence"]),
        seed=get_study_seed,
        directory=lambda wildcards, output: Path(output[0]).parent,
    message:
        "compute evidence of {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"


# Further teachers, where an attacker holds them beside their students.
use rule compute_evidence as compute_teacher_evidence with:
    input:
        records=get_data("records.parquet"),
        model=f"{MODEL}/model",
    output:
        get_pieces(["{model}"], PLAN.views["compute_teacher_evidence"]),
    log:
        f"{LOGS}/compute_teacher_evidence/{{seed}}.{{pair}}.{{model}}{PART}.log",
    benchmark:
        f"{BENCHMARKS}/compute_teacher_evidence/{{seed}}.{{pair}}.{{model}}{PART}.tsv"
    wildcard_constraints:
        model=one_of(PLAN.other_teachers),
    params:
        code=get_code("compute_evidence"),
        settings=get_evidence_settings("compute_teacher_evidence"),
        part=get_part,
        views=" ".join(PLAN.views["compute_teacher_evidence"]),
        seed=get_study_seed,
        directory=lambda wildcards, output: Path(output[0]).parent,
    message:
        "compute evidence of {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"


# A shadow's teacher is queried in the views of the attack that finds its vulnerable members, too.
use rule compute_evidence as compute_shadow_evidence with:
    input:
        records=get_data("records.parquet"),
        model=f"{MODEL}/model",
    output:
        get_pieces(["{model}"], PLAN.views["compute_shadow_evidence"]),
    log:
        f"{LOGS}/compute_shadow_evidence/{{seed}}.{{pair}}.{{model}}{PART}.log",
    benchmark:
        f"{BENCHMARKS}/compute_shadow_evidence/{{seed}}.{{pair}}.{{model}}{PART}.tsv"
    wildcard_constraints:
        seed=SHADOW,
        model=one_of(QUERIED),
    params:
        code=get_code("compute_evidence"),
        settings=get_evidence_settings("compute_shadow_evidence"),
        part=get_part,
        views=" ".join(PLAN.views["compute_shadow_evidence"]),
        seed=get_study_seed,
        directory=lambda wildcards, output: Path(output[0]).parent,
    message:
        "compute evidence of {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"


# All mixtures in one job: each student is queried once, however many mixtures it is part of.
MIXTURE_OPTIONS = " ".join(
    f"--mixture {name}={','.join(str(PLAN.mixed.index(s)) for s in PLAN.ensembles[name].attacked)}"
    for name in PLAN.mixtures
)


rule compute_mixture_evidence:
    input:
        records=get_data("records.parquet"),
        models=[f"{SEED}/{{pair}}/{model}/model" for model in PLAN.mixed],
    output:
        get_pieces(PLAN.mixtures, PLAN.views["compute_mixture_evidence"]),
    log:
        f"{LOGS}/compute_mixture_evidence/{{seed}}.{{pair}}{PART}.log",
    benchmark:
        f"{BENCHMARKS}/compute_mixture_evidence/{{seed}}.{{pair}}.mixtures{PART}.tsv"
    # The longest job after training: if it started last, it would run alone.
    priority: 5
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        **without_rerun(
            python=get_python(1),
            shards=get_snapshots(f"{{seed}}.{{pair}}.mixtures{PART}.evidence"),
        ),
        gpu=1,
        mem_mb=growing(2500),
        runtime=growing(12 * 60),
    params:
        code=get_code("compute_evidence"),
        settings=get_evidence_settings("compute_mixture_evidence"),
        part=get_part,
        views=" ".join(PLAN.views["compute_mixture_evidence"]),
        mixtures=MIXTURE_OPTIONS,
        seed=get_study_seed,
        directory=lambda wildcards, output: Path(output[0]).parents[2],
    message:
        "compute evidence of mixtures (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "{resources.python} distilleak compute_evidence --model {input.models} {params.mixtures}"
        " --records {input.records} --views {params.views} --settings {params.settings:q}"
        " --seed {params.seed} --threads {threads} --shards {resources.shards} {params.part}"
        " --output {params.directory} > {log} 2>&1"


use rule compute_mixture_evidence as compute_shadow_mixture_evidence with:
    input:
        records=get_data("records.parquet"),
        models=[f"{SEED}/{{pair}}/{model}/model" for model in PLAN.mixed],
    output:
        get_pieces(PLAN.mixtures, PLAN.views["compute_shadow_mixture_evidence"]),
    log:
        f"{LOGS}/compute_shadow_mixture_evidence/{{seed}}.{{pair}}{PART}.log",
    benchmark:
        f"{BENCHMARKS}/compute_shadow_mixture_evidence/{{seed}}.{{pair}}.mixtures{PART}.tsv"
    wildcard_constraints:
        seed=SHADOW,
    params:
        code=get_code("compute_evidence"),
        settings=get_evidence_settings("compute_shadow_mixture_evidence"),
        part=get_part,
        views=" ".join(PLAN.views["compute_shadow_mixture_evidence"]),
        mixtures=MIXTURE_OPTIONS,
        seed=get_study_seed,
        directory=lambda wildcards, output: Path(output[0]).parents[2],


if PARTS > 1:

    rule join_evidence:
        input:
            parts=gather.evidence(
                f"{RESULTS}/seed-{{{{seed}}}}/{{{{pair}}}}/shards/{{scatteritem}}/"
                "{{model}}/evidence/{{view}}.parquet"
            ),
        output:
            f"{MODEL}/evidence/{{view}}.parquet",
        log:
            f"{LOGS}/join_evidence/{{seed}}.{{pair}}.{{model}}.{{view}}.log",
        wildcard_constraints:
            seed=SEED_OR_SHADOW,
            view=r"[a-z_]+",
        localrule: True
        conda:
            "../../envs/distilleak.yaml"
        params:
            code=get_code("join_evidence"),
        message:
            "join evidence of {wildcards.model} (seed {wildcards.seed}, {wildcards.pair}, {wildcards.view})"
        shell:
            "python -m distilleak join_evidence --parts {input.parts} --output {output} > {log} 2>&1"
