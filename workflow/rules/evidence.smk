rule compute_evidence:
    input:
        records=rules.encode_records.output,
        model=f"{MODEL}/model",
        code=get_code("compute_evidence"),
    output:
        get_views(MODEL, VIEWS),
    wildcard_constraints:
        model="|".join(["teacher", *METHODS]),
    params:
        settings=canonical(STUDY.evidence),
        views=" ".join(VIEWS),
        directory=f"{MODEL}/evidence",
    threads: 1
    resources:
        mem_mb=2000,
    log:
        f"{LOGS}/compute_evidence/{{seed}}.{{pair}}.{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/compute_evidence/{{seed}}.{{pair}}.{{model}}.tsv"
    conda:
        "../../envs/distilleak.yaml"
    shell:
        "python -m distilleak.compute_evidence --model {input.model} --records {input.records}"
        " --views {params.views} --settings {params.settings:q} --seed {wildcards.seed}"
        " --threads {threads} --output {params.directory} > {log} 2>&1"


# Attacks compare with a reference on the plain view only.
use rule compute_evidence as compute_reference_evidence with:
    output:
        get_views(MODEL, ["plain"]),
    wildcard_constraints:
        model=r"reference-\d+",
    params:
        settings=canonical(STUDY.evidence),
        views="plain",
        directory=f"{MODEL}/evidence",
    log:
        f"{LOGS}/compute_reference_evidence/{{seed}}.{{pair}}.{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/compute_reference_evidence/{{seed}}.{{pair}}.{{model}}.tsv"


# All mixtures in one job: each student is asked once, however many mixtures it is part of.
MIXED = list(dict.fromkeys(student for name in MIXTURES for student in ENSEMBLES[name]))


rule compute_mixture_evidence:
    input:
        records=rules.encode_records.output,
        models=[f"{SEED}/{{pair}}/{student}/model" for student in MIXED],
        code=get_code("compute_evidence"),
    output:
        [file for name in MIXTURES for file in get_views(f"{SEED}/{{pair}}/{name}", VIEWS)],
    params:
        settings=canonical(STUDY.evidence),
        views=" ".join(VIEWS),
        mixtures=" ".join(
            f"--mixture {name}={','.join(str(MIXED.index(student)) for student in ENSEMBLES[name])}"
            for name in MIXTURES
        ),
        directory=f"{SEED}/{{pair}}",
    threads: 1
    resources:
        mem_mb=2500,
    log:
        f"{LOGS}/compute_mixture_evidence/{{seed}}.{{pair}}.log",
    benchmark:
        f"{BENCHMARKS}/compute_mixture_evidence/{{seed}}.{{pair}}.mixtures.tsv"
    conda:
        "../../envs/distilleak.yaml"
    shell:
        "python -m distilleak.compute_evidence --model {input.models} {params.mixtures}"
        " --records {input.records} --views {params.views} --settings {params.settings:q}"
        " --seed {wildcards.seed} --threads {threads} --output {params.directory}"
        " > {log} 2>&1"
