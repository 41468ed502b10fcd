rule compute_evidence:
    input:
        records=get_data("records.parquet"),
        model=f"{MODEL}/model",
        code=get_code("compute_evidence"),
    output:
        get_pieces(PIECE_OF_MODEL, VIEWS),
    log:
        f"{LOGS}/compute_evidence/{{seed}}.{{pair}}.{{model}}{ITEM}.log",
    benchmark:
        f"{BENCHMARKS}/compute_evidence/{{seed}}.{{pair}}.{{model}}{ITEM}.tsv"
    wildcard_constraints:
        model="|".join(["teacher", *METHODS]),
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(2000),
        runtime=growing(4 * 60),
        python=get_python(1),
        shards=lambda wildcards: f"{SNAPSHOTS}/{wildcards.seed}.{wildcards.pair}.{wildcards.model}{get_item(wildcards)}.evidence",
    params:
        settings=get_evidence_settings(VIEWS),
        part=get_part,
        views=" ".join(VIEWS),
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
        code=get_code("compute_evidence"),
    output:
        get_pieces(PIECE_OF_MODEL, REFERENCE_VIEWS),
    log:
        f"{LOGS}/compute_reference_evidence/{{seed}}.{{pair}}.{{model}}{ITEM}.log",
    benchmark:
        f"{BENCHMARKS}/compute_reference_evidence/{{seed}}.{{pair}}.{{model}}{ITEM}.tsv"
    wildcard_constraints:
        model=r"reference-\d+",
    params:
        settings=get_evidence_settings(REFERENCE_VIEWS),
        part=get_part,
        views=" ".join(REFERENCE_VIEWS),
        seed=get_study_seed,
        directory=lambda wildcards, output: Path(output[0]).parent,
    message:
        "compute evidence of {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"


# Of a shadow's models also what the attack reads that finds its vulnerable members.
use rule compute_evidence as compute_shadow_evidence with:
    input:
        records=get_data("records.parquet"),
        model=f"{MODEL}/model",
        code=get_code("compute_evidence"),
    output:
        get_pieces(PIECE_OF_MODEL, SHADOW_VIEWS),
    log:
        f"{LOGS}/compute_shadow_evidence/{{seed}}.{{pair}}.{{model}}{ITEM}.log",
    benchmark:
        f"{BENCHMARKS}/compute_shadow_evidence/{{seed}}.{{pair}}.{{model}}{ITEM}.tsv"
    wildcard_constraints:
        seed=SHADOW,
        model="|".join(["teacher", *METHODS]),
    params:
        settings=get_evidence_settings(SHADOW_VIEWS),
        part=get_part,
        views=" ".join(SHADOW_VIEWS),
        seed=get_study_seed,
        directory=lambda wildcards, output: Path(output[0]).parent,
    message:
        "compute evidence of {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"


# All mixtures in one job: each student is asked once, however many mixtures it is part of.
MIXED = list(dict.fromkeys(student for name in MIXTURES for student in ENSEMBLES[name]))
MIXTURE_OPTIONS = " ".join(
    f"--mixture {name}={','.join(str(MIXED.index(student)) for student in ENSEMBLES[name])}"
    for name in MIXTURES
)


rule compute_mixture_evidence:
    input:
        records=get_data("records.parquet"),
        models=[f"{SEED}/{{pair}}/{student}/model" for student in MIXED],
        code=get_code("compute_evidence"),
    output:
        [
            file
            for name in MIXTURES
            for file in get_pieces(f"{SEED}/{{pair}}/{PIECE}{name}", VIEWS)
        ],
    log:
        f"{LOGS}/compute_mixture_evidence/{{seed}}.{{pair}}{ITEM}.log",
    benchmark:
        f"{BENCHMARKS}/compute_mixture_evidence/{{seed}}.{{pair}}.mixtures{ITEM}.tsv"
    # The longest job after training; begun last, it would run alone.
    priority: 5
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(2500),
        runtime=growing(12 * 60),
        python=get_python(1),
        shards=lambda wildcards: f"{SNAPSHOTS}/{wildcards.seed}.{wildcards.pair}.mixtures{get_item(wildcards)}.evidence",
    params:
        settings=get_evidence_settings(VIEWS),
        part=get_part,
        views=" ".join(VIEWS),
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
        models=[f"{SEED}/{{pair}}/{student}/model" for student in MIXED],
        code=get_code("compute_evidence"),
    output:
        [
            file
            for name in MIXTURES
            for file in get_pieces(
                f"{SEED}/{{pair}}/{PIECE}{name}", SHADOW_MIXTURE_VIEWS
            )
        ],
    log:
        f"{LOGS}/compute_shadow_mixture_evidence/{{seed}}.{{pair}}{ITEM}.log",
    benchmark:
        f"{BENCHMARKS}/compute_shadow_mixture_evidence/{{seed}}.{{pair}}.mixtures{ITEM}.tsv"
    wildcard_constraints:
        seed=SHADOW,
    params:
        settings=get_evidence_settings(SHADOW_MIXTURE_VIEWS),
        part=get_part,
        views=" ".join(SHADOW_MIXTURE_VIEWS),
        mixtures=MIXTURE_OPTIONS,
        seed=get_study_seed,
        directory=lambda wildcards, output: Path(output[0]).parents[2],


if SHARDS > 1:

    rule join_evidence:
        input:
            shards=gather.evidence(
                f"{RESULTS}/seed-{{{{seed}}}}/{{{{pair}}}}/shards/{{scatteritem}}/"
                "{{model}}/evidence/{{view}}.parquet"
            ),
            code=get_code("join_evidence"),
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
        message:
            "join evidence of {wildcards.model} (seed {wildcards.seed}, {wildcards.pair}, {wildcards.view})"
        shell:
            "python -m distilleak join_evidence --shards {input.shards} --output {output} > {log} 2>&1"
