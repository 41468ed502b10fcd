rule score_attacks:
    input:
        records=get_data("records.parquet"),
        evidence=get_views(MODEL, PLAN.attacked_views),
        references=get_reference_evidence,
        base=get_base_evidence if PLAN.compares_with_base else [],
        teacher=get_held_teacher_evidence,
        shadows=get_shadow_evidence,
        shadow_records=get_shadow_records,
        tokenizer=get_data("tokenizer") if PLAN.counts_tokens else [],
    output:
        f"{MODEL}/scores.parquet",
    log:
        f"{LOGS}/score_attacks/{{seed}}.{{pair}}.{{model}}.log",
    wildcard_constraints:
        model=one_of([*QUERIED, *PLAN.mixtures]),
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code(
            "score_attacks",
            *(f"attacks.{entry['attack']}" for entry in PLAN.attacks.values()),
        ),
        attacks=canonical(PLAN.attacks),
        evidence=lambda wildcards, input: Path(input.evidence[0]).parent,
        references=lambda wildcards, input: evidence_directories(input.references),
        base=lambda wildcards, input: (
            f"--base {Path(input.base[0]).parent}" if input.base else ""
        ),
        teacher=lambda wildcards, input: (
            f"--teacher {Path(input.teacher[0]).parent}" if input.teacher else ""
        ),
        shadows=lambda wildcards, input: " ".join(
            f"--shadow {directory} {records}"
            for directory, records in zip(
                dict.fromkeys(str(Path(file).parent) for file in input.shadows),
                input.shadow_records,
                strict=True,
            )
        ),
        tokenizer=lambda wildcards, input: (
            f"--tokenizer {input.tokenizer}" if input.tokenizer else ""
        ),
    message:
        "score attacks on {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "python -m distilleak score_attacks --records {input.records}"
        " --evidence {params.evidence} --references {params.references}"
        " {params.base} {params.teacher} {params.shadows} {params.tokenizer}"
        " --attacks {params.attacks:q} --output {output} > {log} 2>&1"


rule score_vote:
    input:
        scores=lambda wildcards: [
            f"{SEED}/{{pair}}/{model}/scores.parquet".format(**wildcards)
            for model in PLAN.ensembles[wildcards.model].attacked
        ],
    output:
        f"{MODEL}/scores.parquet",
    log:
        f"{LOGS}/score_vote/{{seed}}.{{pair}}.{{model}}.log",
    wildcard_constraints:
        model=one_of(PLAN.votes),
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("score_vote"),
        evaluation=canonical({"folds": CONFIG.evaluation.folds}),
    message:
        "score attacks on {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "python -m distilleak score_vote --scores {input.scores} --seed {wildcards.seed}"
        " --evaluation {params.evaluation:q} --output {output} > {log} 2>&1"


rule measure_floors:
    input:
        records=f"{SEED}{{data}}/records.parquet",
        tokenizer=f"{SEED}{{data}}/tokenizer",
        public=lambda wildcards: get_public_texts(get_arm(wildcards.data)),
    output:
        str(paths.floors_file(RESULTS, "{seed}", "{data}")),
    log:
        f"{LOGS}/measure_floors/{{seed}}{{data}}.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("measure_floors"),
        public=lambda wildcards, input: (
            f"--public {' '.join(input.public)}" if input.public else ""
        ),
        evaluation=canonical(CONFIG.evaluation),
    message:
        "measure count models (seed {wildcards.seed})"
    shell:
        "python -m distilleak measure_floors --records {input.records} {params.public}"
        " --tokenizer {input.tokenizer} --evaluation {params.evaluation:q}"
        " --seed {wildcards.seed} --output {output} > {log} 2>&1"


rule measure_metrics:
    input:
        unpack(get_utility),
        scores=f"{MODEL}/scores.parquet",
    output:
        metrics=f"{MODEL}/metrics.parquet",
        bootstrap=f"{MODEL}/bootstrap.parquet",
    log:
        f"{LOGS}/measure_metrics/{{seed}}.{{pair}}.{{model}}.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("measure_metrics"),
        evaluation=canonical(CONFIG.evaluation),
        utility=get_utility_options,
    message:
        "measure metrics of {wildcards.model} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "python -m distilleak measure_metrics --scores {input.scores} {params.utility}"
        " --evaluation {params.evaluation:q} --seed {wildcards.seed} --pair {wildcards.pair}"
        " --model {wildcards.model} --metrics {output.metrics} --bootstrap {output.bootstrap}"
        " > {log} 2>&1"
