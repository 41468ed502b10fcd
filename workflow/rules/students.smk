rule train_student:
    input:
        unpack(get_lesson),
        records=rules.encode_records.output,
        tokenizer=rules.train_tokenizer.output,
        verdict=ancient(f"{SEED}/blind.json"),
        code=lambda wildcards: get_code(
            "train_student", f"methods.{METHODS[wildcards.model]['method']}"
        ),
    output:
        model=directory(f"{MODEL}/model"),
        facts=f"{MODEL}/facts.json",
        selection=f"{MODEL}/selection.parquet",
    log:
        f"{LOGS}/train_student/{{seed}}.{{pair}}.{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/train_student/{{seed}}.{{pair}}.{{model}}.tsv"
    wildcard_constraints:
        model="|".join(METHODS),
    priority: 8
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        mem_mb=2500,
    params:
        method=lambda wildcards: canonical(METHODS[wildcards.model]),
        architecture=get_architecture("student"),
        training=canonical(STUDY.training.student),
        lesson=lambda wildcards: " ".join(
            f"--{name} {path}" for name, path in get_lesson(wildcards).items()
        ),
    message:
        "train student {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "python -m distilleak.train_student --method {params.method:q} --records {input.records}"
        " --tokenizer {input.tokenizer} --architecture {params.architecture:q}"
        " --training {params.training:q} --seed {wildcards.seed} --threads {threads}"
        " {params.lesson} --output {output.model} --selection {output.selection}"
        " --facts {output.facts} > {log} 2>&1"
