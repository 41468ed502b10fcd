rule score_attacks:
    input:
        records=rules.encode_records.output,
        evidence=get_views(MODEL, VIEWS),
        references=get_reference_evidence,
        code=[*get_code("score_attacks"), *get_attack_code(ATTACKS.values())],
    output:
        f"{MODEL}/scores.parquet",
    wildcard_constraints:
        model="|".join(["teacher", *METHODS, *MIXTURES]),
    params:
        attacks=canonical(ATTACKS),
        evidence=f"{MODEL}/evidence",
        references=lambda wildcards, input: evidence_directories(input.references),
    log:
        f"{LOGS}/score_attacks/{{seed}}.{{pair}}.{{model}}.log",
    conda:
        "../../envs/distilleak.yaml"
    shell:
        "python -m distilleak.score_attacks --records {input.records}"
        " --evidence {params.evidence} --references {params.references}"
        " --attacks {params.attacks:q} --output {output} > {log} 2>&1"


rule score_vote:
    input:
        scores=lambda wildcards: [
            f"{SEED}/{{pair}}/{student}/scores.parquet".format(**wildcards)
            for student in ENSEMBLES[wildcards.model]
        ],
        code=get_code("score_vote"),
    output:
        f"{MODEL}/scores.parquet",
    wildcard_constraints:
        model="|".join(VOTES or ["vote"]),
    params:
        evaluation=canonical(STUDY.evaluation),
    log:
        f"{LOGS}/score_vote/{{seed}}.{{pair}}.{{model}}.log",
    conda:
        "../../envs/distilleak.yaml"
    shell:
        "python -m distilleak.score_vote --scores {input.scores} --seed {wildcards.seed}"
        " --evaluation {params.evaluation:q} --output {output} > {log} 2>&1"


def get_utility(wildcards):
    """What utility is measured on; a vote has no next-token distribution, so it has none."""
    if wildcards.model in VOTES:
        return {}
    directory = f"{SEED}/{{pair}}/{{model}}".format(**wildcards)
    found = {
        "evidence": f"{directory}/evidence/plain.parquet",
        "records": f"{SEED}/records.parquet".format(**wildcards),
    }
    if wildcards.model not in MIXTURES:
        found["facts"] = f"{directory}/facts.json"
    if wildcards.model in METHODS:
        found["selection"] = f"{directory}/selection.parquet"
    return found


def get_utility_options(wildcards):
    found = get_utility(wildcards)
    if "evidence" in found:
        found["evidence"] = Path(found["evidence"]).parent
    return " ".join(f"--{name} {path}" for name, path in found.items()) or "--majority"


rule measure_metrics:
    input:
        unpack(get_utility),
        scores=f"{MODEL}/scores.parquet",
        code=get_code("measure_metrics"),
    output:
        metrics=f"{MODEL}/metrics.parquet",
        bootstrap=f"{MODEL}/bootstrap.parquet",
    params:
        evaluation=canonical(STUDY.evaluation),
        utility=get_utility_options,
    log:
        f"{LOGS}/measure_metrics/{{seed}}.{{pair}}.{{model}}.log",
    conda:
        "../../envs/distilleak.yaml"
    shell:
        "python -m distilleak.measure_metrics --scores {input.scores} {params.utility}"
        " --evaluation {params.evaluation:q} --seed {wildcards.seed} --pair {wildcards.pair}"
        " --model {wildcards.model} --metrics {output.metrics} --bootstrap {output.bootstrap}"
        " > {log} 2>&1"
