rule train_student:
    input:
        unpack(get_lesson),
        records=get_data("records.parquet"),
        tokenizer=get_data("tokenizer"),
        verdict=ancient(get_data("blind.json")),
        start=lambda wildcards: get_local_files(get_start(wildcards)),
        code=lambda wildcards: get_method_code(wildcards.model),
    output:
        model=directory(f"{MODEL}/model"),
        facts=f"{MODEL}/facts.json",
        selection=f"{MODEL}/selection.parquet",
    log:
        f"{LOGS}/train_student/{{seed}}.{{pair}}.{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/train_student/{{seed}}.{{pair}}.{{model}}.tsv"
    wildcard_constraints:
        seed=SEED_OR_SHADOW,
        model="|".join(METHODS),
    priority: 8
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        gpu=STUDY.hardware.gpus,
        mem_mb=growing(2500),
        runtime=growing(12 * 60),
        python=get_python(STUDY.hardware.gpus),
        snapshots=lambda wildcards: f"{SNAPSHOTS}/{wildcards.seed}.{wildcards.pair}.{wildcards.model}",
    params:
        method=lambda wildcards: canonical(METHODS[wildcards.model]),
        start=lambda wildcards: canonical(get_start(wildcards)),
        training=lambda wildcards: canonical(STUDY.training_of(wildcards.model)),
        seed=get_seed,
        teacher_start=get_teacher_start,
        lesson=lambda wildcards: " ".join(
            f"--{name} {path}" for name, path in get_lesson(wildcards).items()
        ),
    message:
        "train student {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "{resources.python} distilleak train_student --method {params.method:q} --records {input.records}"
        " --tokenizer {input.tokenizer} --student {params.start:q}"
        ' --training {params.training:q} --hardware "$HARDWARE" --seed {params.seed}'
        " --threads {threads} --snapshots {resources.snapshots}"
        " {params.lesson} {params.teacher_start} --output {output.model} --selection {output.selection}"
        " --facts {output.facts} > {log} 2>&1"
