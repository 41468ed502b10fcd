def get_lesson(wildcards):
    """What a student learns from, besides the records: as much as its method asks for."""
    method = get_method(wildcards.model)
    teacher = f"{SEED}/{{pair}}/teacher"
    lesson = {}
    if method.needs_teacher and STUDY.stores_targets():
        lesson["targets"] = f"{teacher}/targets.npy"
    elif method.needs_teacher:
        lesson["teacher"] = f"{teacher}/model"
    if method.needs_vulnerability:
        lesson["vulnerability"] = f"{SEED}/{{pair}}/vulnerable.parquet"
    return {name: path.format(**wildcards) for name, path in lesson.items()}


rule train_student:
    input:
        unpack(get_lesson),
        records=rules.encode_records.output,
        tokenizer=rules.train_tokenizer.output,
        verdict=rules.audit_split.output,
        code=lambda wildcards: get_code(
            "train_student", f"methods.{METHODS[wildcards.model]['method']}"
        ),
    output:
        model=directory(f"{MODEL}/model"),
        facts=f"{MODEL}/facts.json",
        selection=f"{MODEL}/selection.parquet",
    wildcard_constraints:
        model="|".join(METHODS),
    params:
        method=lambda wildcards: canonical(METHODS[wildcards.model]),
        architecture=get_architecture("student"),
        training=canonical(STUDY.training.student),
        lesson=lambda wildcards: " ".join(
            f"--{name} {path}" for name, path in get_lesson(wildcards).items()
        ),
    threads: 1
    resources:
        mem_mb=2500,
    log:
        f"{LOGS}/train_student/{{seed}}.{{pair}}.{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/train_student/{{seed}}.{{pair}}.{{model}}.tsv"
    conda:
        "../../envs/distilleak.yaml"
    shell:
        "python -m distilleak.train_student --method {params.method:q} --records {input.records}"
        " --tokenizer {input.tokenizer} --architecture {params.architecture:q}"
        " --training {params.training:q} --seed {wildcards.seed} --threads {threads}"
        " {params.lesson} --output {output.model} --selection {output.selection}"
        " --facts {output.facts} > {log} 2>&1"
