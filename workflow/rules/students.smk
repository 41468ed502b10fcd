rule train_student:
    input:
        unpack(get_lesson),
        records=get_data("records.parquet"),
        tokenizer=get_data("tokenizer"),
        verdict=ancient(get_data("blind.json")),
        start=lambda wildcards: get_start_inputs(get_start(wildcards)),
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
        model=one_of(PLAN.trained),
    priority: 8
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        **without_rerun(
            python=get_python(CONFIG.hardware.gpus),
            snapshots=get_snapshots("{seed}.{pair}.{model}"),
        ),
        gpu=CONFIG.hardware.gpus,
        mem_mb=growing(2500),
        runtime=growing(12 * 60),
    params:
        code=lambda wildcards: get_method_code("train_student", wildcards.model),
        method=lambda wildcards: canonical(STUDENTS[wildcards.model].entry.named()),
        start=lambda wildcards: canonical(get_start(wildcards)),
        contents=lambda wildcards: get_start_contents(get_start(wildcards)),
        training=lambda wildcards: canonical(STUDENTS[wildcards.model].training),
        seed=get_seed,
        teacher_start=get_teacher_start,
        epochs="",
        lesson=get_lesson_options,
    message:
        "train student {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "{resources.python} distilleak train_student --method {params.method:q} --records {input.records}"
        " --tokenizer {input.tokenizer} --student {params.start:q}"
        ' --training {params.training:q} --hardware "$HARDWARE" --seed {params.seed}'
        " --threads {threads} --snapshots {resources.snapshots}"
        " {params.lesson} {params.teacher_start} {params.epochs} --output {output.model} --selection {output.selection}"
        " --facts {output.facts} > {log} 2>&1"


# Students of which another one is an early epoch: all their epochs are kept, so that another choice
# among them trains nothing again.
use rule train_student as train_kept_student with:
    output:
        model=directory(f"{MODEL}/model"),
        facts=f"{MODEL}/facts.json",
        selection=f"{MODEL}/selection.parquet",
        epochs=directory(f"{MODEL}/epochs"),
    wildcard_constraints:
        seed=SEED_OR_SHADOW,
        model=one_of(PLAN.kept),
    params:
        code=lambda wildcards: get_method_code("train_student", wildcards.model),
        method=lambda wildcards: canonical(STUDENTS[wildcards.model].entry.named()),
        start=lambda wildcards: canonical(get_start(wildcards)),
        contents=lambda wildcards: get_start_contents(get_start(wildcards)),
        training=lambda wildcards: canonical(STUDENTS[wildcards.model].training),
        seed=get_seed,
        teacher_start=get_teacher_start,
        epochs=lambda wildcards, output: f"--epochs {output.epochs}",
        lesson=get_lesson_options,


rule finish_student:
    input:
        trained=lambda wildcards: f"{SEED}/{{pair}}/{PLAN.finished[wildcards.model]}/model",
        facts=lambda wildcards: f"{SEED}/{{pair}}/{PLAN.finished[wildcards.model]}/facts.json",
        vulnerability=f"{SEED}/{{pair}}/vulnerable.parquet",
        records=get_data("records.parquet"),
        tokenizer=get_data("tokenizer"),
    output:
        model=directory(f"{MODEL}/model"),
        facts=f"{MODEL}/facts.json",
        selection=f"{MODEL}/selection.parquet",
    log:
        f"{LOGS}/finish_student/{{seed}}.{{pair}}.{{model}}.log",
    wildcard_constraints:
        seed=SEED_OR_SHADOW,
        model=one_of(PLAN.finished),
    priority: 8
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=lambda wildcards: get_method_code("finish_student", wildcards.model),
        method=lambda wildcards: canonical(STUDENTS[wildcards.model].entry.named()),
        seed=get_seed,
    message:
        "finish student {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "python -m distilleak finish_student --method {params.method:q} --records {input.records}"
        " --tokenizer {input.tokenizer} --trained {input.trained} --trained-facts {input.facts}"
        " --seed {params.seed} --threads {threads} --vulnerability {input.vulnerability}"
        " --output {output.model} --selection {output.selection} --facts {output.facts} > {log} 2>&1"


# As an attacker does who holds the weights. A student that was made from another one of the study
# needs no job: undone, it is that one.
rule undo_method:
    input:
        model=lambda wildcards: f"{SEED}/{{pair}}/{PLAN.stripped[wildcards.model].of}/model",
        tokenizer=get_data("tokenizer"),
    output:
        model=directory(f"{MODEL}/model"),
    log:
        f"{LOGS}/undo_method/{{seed}}.{{pair}}.{{model}}.log",
    wildcard_constraints:
        seed=SEED_OR_SHADOW,
        model=one_of(PLAN.stripped),
    priority: 8
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=lambda wildcards: get_method_code(
            "undo_method", PLAN.stripped[wildcards.model].of
        ),
        parts=lambda wildcards: " ".join(PLAN.stripped[wildcards.model].parts),
    message:
        "undo the method of {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "python -m distilleak undo_method --model {input.model} --remove {params.parts}"
        " --tokenizer {input.tokenizer} --threads {threads} --output {output.model} > {log} 2>&1"


rule take_epoch:
    input:
        epochs=lambda wildcards: f"{SEED}/{{pair}}/{PLAN.early[wildcards.model].of}/epochs",
        selection=lambda wildcards: f"{SEED}/{{pair}}/{PLAN.early[wildcards.model].of}/selection.parquet",
    output:
        model=directory(f"{MODEL}/model"),
        facts=f"{MODEL}/facts.json",
        selection=f"{MODEL}/selection.parquet",
    log:
        f"{LOGS}/take_epoch/{{seed}}.{{pair}}.{{model}}.log",
    wildcard_constraints:
        seed=SEED_OR_SHADOW,
        model=one_of(PLAN.early),
    localrule: True
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("take_epoch"),
        epoch=lambda wildcards: PLAN.early[wildcards.model].epoch,
    message:
        "take an early epoch as {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "python -m distilleak take_epoch --epochs {input.epochs} --epoch {params.epoch}"
        " --selected {input.selection} --output {output.model} --selection {output.selection}"
        " --facts {output.facts} > {log} 2>&1"
