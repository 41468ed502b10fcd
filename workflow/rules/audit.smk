# Finished models are queried, attacked and judged; nothing is trained.
from distilleak.audit import reading as audits


def read_audit():
    """The checked audit."""
    found = audits.read(SOURCES)
    # Texts and models may lie only where the audit is planned.
    if workflow.is_main_process:
        audits.check(found)
    return found


PLAN = ending_in_one_line(read_audit)
CONFIG = PLAN.configuration
AUDIT = CONFIG.audit

RESULTS = str(paths.study_directory(CONFIG.study))
MODEL = f"{RESULTS}/models/{{model}}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = str(paths.benchmarks_directory(RESULTS))
SNAPSHOTS = f"{RESULTS}/snapshots"

set_prefix(uses_hub=PLAN.uses_hub(), hardware=CONFIG.hardware)


wildcard_constraints:
    model="|".join(PLAN.models),


localrules:
    all,
    load_audit,
    copy_tokenizer,
    encode_records,
    audit_split,
    query_api,
    score_attacks,
    judge_audit,
    write_audit,


onstart:
    keep_out_of_git()


def get_checkpoint(wildcards):
    """The settings of a model as a stage reads them."""
    return canonical(PLAN.models[wildcards.model])


def get_files(*models):
    """The user's files that these models are read from."""
    return [
        file
        for model in models
        for file in ending_in_one_line(audits.local_files, model)
        if not contains_wildcard(file)
    ]


def get_file_contents(*models):
    """What is in them; a job runs again when it changes."""
    return ending_in_one_line(
        contents.digest,
        [file for model in models for file in audits.local_files(model)],
    )


TEXTS = ending_in_one_line(audits.text_files, PLAN)


# What `snakemake` makes if it is not told what.
WANTED = [
    f"{RESULTS}/report.html",
    f"{RESULTS}/card.md",
    f"{RESULTS}/verdict.json",
    f"{RESULTS}/exposed.parquet",
]


rule load_audit:
    input:
        [ancient(file) for file in TEXTS if not contains_wildcard(file)],
    output:
        passages=f"{RESULTS}/passages.parquet",
        split=f"{RESULTS}/split.parquet",
    log:
        f"{LOGS}/load_audit.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("load_audit", "corpora.local"),
        # A string would be searched for wildcards, and paths may hold braces.
        texts=lambda wildcards: canonical(AUDIT.texts),
        deduplication=canonical(CONFIG.deduplication),
        contents=ending_in_one_line(contents.digest, TEXTS),
    message:
        "load the texts and remove copies"
    shell:
        "python -m distilleak load_audit --texts {params.texts:q}"
        " --deduplication {params.deduplication:q} --passages {output.passages}"
        " --split {output.split} > {log} 2>&1"


rule copy_tokenizer:
    input:
        lambda wildcards: [
            ancient(file) for file in get_files(PLAN.cutter(wildcards.model))
        ],
    output:
        directory(f"{MODEL}/tokenizer"),
    log:
        f"{LOGS}/copy_tokenizer/{{model}}.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("copy_tokenizer"),
        checkpoints=lambda wildcards: canonical(
            [PLAN.cutter(wildcards.model).tokenizer.model_dump()]
        ),
        contents=lambda wildcards: get_file_contents(PLAN.cutter(wildcards.model)),
    message:
        "copy the tokenizer that cuts the texts for {wildcards.model}"
    shell:
        "python -m distilleak copy_tokenizer --checkpoints {params.checkpoints:q}"
        " --output {output} > {log} 2>&1"


rule encode_records:
    input:
        passages=rules.load_audit.output.passages,
        split=rules.load_audit.output.split,
        tokenizer=f"{MODEL}/tokenizer",
    output:
        f"{MODEL}/records.parquet",
    log:
        f"{LOGS}/encode_records/{{model}}.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("encode_records"),
        context=canonical(CONFIG.encoding.context),
        deduplication=canonical(CONFIG.deduplication),
    message:
        "encode the texts as {wildcards.model} reads them"
    shell:
        "python -m distilleak encode_records --passages {input.passages} --split {input.split}"
        " --tokenizer {input.tokenizer} --context {params.context} --labelled"
        " --deduplication {params.deduplication:q} --output {output} > {log} 2>&1"


# Without a model all records are alike, up to the cut: once for every tokenizer.
rule audit_split:
    input:
        records=f"{MODEL}/records.parquet",
    output:
        f"{MODEL}/blind.json",
    log:
        f"{LOGS}/audit_split/{{model}}.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("audit_split"),
        settings=canonical(CONFIG.gate),
        seed=CONFIG.seed,
    message:
        "compare members and non-members without a model, cut as {wildcards.model} reads them"
    shell:
        "python -m distilleak audit_split --records {input.records} --settings {params.settings:q}"
        " --seed {params.seed} --output {output} > {log} 2>&1"


rule compute_evidence:
    input:
        lambda wildcards: [
            ancient(file) for file in get_files(PLAN.models[wildcards.model])
        ],
        records=f"{MODEL}/records.parquet",
        tokenizer=f"{MODEL}/tokenizer",
    output:
        directory(f"{MODEL}/evidence"),
    log:
        f"{LOGS}/compute_evidence/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/compute_evidence/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(PLAN.finished),
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        **without_rerun(
            python=get_python(1),
            shards=lambda wildcards: f"{SNAPSHOTS}/{wildcards.model}.evidence",
        ),
        gpu=1,
        mem_mb=growing(4000),
        runtime=growing(4 * 60),
    params:
        code=get_code("compute_evidence"),
        checkpoint=get_checkpoint,
        contents=lambda wildcards: get_file_contents(PLAN.models[wildcards.model]),
        settings=lambda wildcards: canonical(
            PLAN.evidence_settings(PLAN.views(wildcards.model))
        ),
        views=lambda wildcards: " ".join(PLAN.views(wildcards.model)),
        seed=CONFIG.seed,
    message:
        "compute evidence of {wildcards.model}"
    shell:
        "{resources.python} distilleak compute_evidence --checkpoint {params.checkpoint:q}"
        " --tokenizer {input.tokenizer} --records {input.records} --views {params.views}"
        " --settings {params.settings:q} --seed {params.seed} --threads {threads}"
        " --shards {resources.shards} --output {output} > {log} 2>&1"


# A model behind an API is shown the texts.
rule query_api:
    input:
        records=f"{MODEL}/records.parquet",
    output:
        directory(f"{MODEL}/evidence"),
    log:
        f"{LOGS}/query_api/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/query_api/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(PLAN.served),
    conda:
        "../../envs/distilleak.yaml"
    resources:
        **without_rerun(
            shards=lambda wildcards: f"{SNAPSHOTS}/{wildcards.model}.evidence",
            settings=get_checkpoint,
        ),
        runtime=growing(12 * 60),
    params:
        code=get_code("query_api"),
        server=lambda wildcards: canonical(
            PLAN.models[wildcards.model].model_dump(include={"api", "model"})
        ),
        views=lambda wildcards: " ".join(PLAN.views(wildcards.model)),
    message:
        "query the server of {wildcards.model}"
    shell:
        "python -m distilleak query_api --settings {resources.settings:q} --records {input.records}"
        " --views {params.views} --shards {resources.shards} --output {output} > {log} 2>&1"


# The public model on the same tokens, token by token. Once for all models that read the same, and
# not at all for those that read as it does itself.
use rule compute_evidence as compute_base_evidence with:
    input:
        [ancient(file) for file in get_files(*filter(None, [AUDIT.base]))],
        records=f"{MODEL}/records.parquet",
        tokenizer=f"{MODEL}/tokenizer",
    output:
        directory(f"{MODEL}/base/evidence"),
    log:
        f"{LOGS}/compute_base_evidence/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/compute_base_evidence/{{model}}.tsv"
    resources:
        **without_rerun(
            python=get_python(1),
            shards=lambda wildcards: f"{SNAPSHOTS}/{wildcards.model}.base.evidence",
        ),
        gpu=1,
        mem_mb=growing(4000),
        runtime=growing(4 * 60),
    params:
        code=get_code("compute_evidence"),
        checkpoint=lambda wildcards: canonical(AUDIT.base) if AUDIT.base else "",
        contents=get_file_contents(*filter(None, [AUDIT.base])),
        settings=lambda wildcards: canonical(
            PLAN.evidence_settings(PLAN.base_views(wildcards.model))
        ),
        views=lambda wildcards: " ".join(PLAN.base_views(wildcards.model)),
        seed=CONFIG.seed,
    message:
        "compute evidence of the base on what {wildcards.model} reads"


# The teacher on the same tokens, for attacks that hold both.
use rule compute_base_evidence as compute_teacher_evidence with:
    input:
        [ancient(file) for file in get_files(*filter(None, [PLAN.teacher]))],
        records=f"{MODEL}/records.parquet",
        tokenizer=f"{MODEL}/tokenizer",
    output:
        directory(f"{MODEL}/teacher/evidence"),
    log:
        f"{LOGS}/compute_teacher_evidence/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/compute_teacher_evidence/{{model}}.tsv"
    resources:
        **without_rerun(
            python=get_python(1),
            shards=lambda wildcards: f"{SNAPSHOTS}/{wildcards.model}.teacher.evidence",
        ),
        gpu=1,
        mem_mb=growing(4000),
        runtime=growing(4 * 60),
    params:
        code=get_code("compute_evidence"),
        checkpoint=lambda wildcards: canonical(PLAN.teacher) if PLAN.teacher else "",
        contents=get_file_contents(*filter(None, [PLAN.teacher])),
        settings=lambda wildcards: canonical(
            PLAN.evidence_settings(PLAN.teacher_views(wildcards.model))
        ),
        views=lambda wildcards: " ".join(PLAN.teacher_views(wildcards.model)),
        seed=CONFIG.seed,
    message:
        "compute evidence of the teacher on what {wildcards.model} reads"


rule score_attacks:
    input:
        records=f"{MODEL}/records.parquet",
        evidence=f"{MODEL}/evidence",
        base=lambda wildcards: (
            f"{RESULTS}/models/{PLAN.base_evidence(wildcards.model)}"
            if PLAN.queries_base(wildcards.model)
            else []
        ),
        teacher=lambda wildcards: (
            f"{RESULTS}/models/{PLAN.teacher_evidence(wildcards.model)}"
            if PLAN.queries_teacher(wildcards.model)
            else []
        ),
        tokenizer=lambda wildcards: (
            f"{MODEL}/tokenizer" if PLAN.counts_tokens(wildcards.model) else []
        ),
    output:
        f"{MODEL}/scores.parquet",
    log:
        f"{LOGS}/score_attacks/{{model}}.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=lambda wildcards: get_code(
            "score_attacks",
            *(
                f"attacks.{e['attack']}"
                for e in PLAN.attacks_on(wildcards.model).values()
            ),
        ),
        attacks=lambda wildcards: canonical(PLAN.attacks_on(wildcards.model)),
        held=lambda wildcards, input: " ".join(
            f"--{option} {directory}"
            for option, directory in (
                ("references", input.base),
                ("base", input.base),
                ("teacher", input.teacher),
                ("tokenizer", input.tokenizer),
            )
            if directory
        ),
    message:
        "score attacks on {wildcards.model}"
    shell:
        "python -m distilleak score_attacks --records {input.records} --evidence {input.evidence}"
        " {params.held} --attacks {params.attacks:q} --output {output} > {log} 2>&1"


rule judge_audit:
    input:
        scores=expand(f"{MODEL}/scores.parquet", model=PLAN.models),
        blind=expand(rules.audit_split.output[0], model=PLAN.gated),
        passages=rules.load_audit.output.passages,
        records=expand(f"{MODEL}/records.parquet", model=PLAN.models),
    output:
        verdict=f"{RESULTS}/verdict.json",
        exposed=f"{RESULTS}/exposed.parquet",
    log:
        f"{LOGS}/judge_audit.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("judge_audit"),
        models=lambda wildcards, input: " ".join(
            f"--model {name} {PLAN.role(name)} {scores} --records {name} {records}"
            for name, scores, records in zip(
                PLAN.models, input.scores, input.records, strict=True
            )
        ),
        policy=canonical(CONFIG.policy),
        evaluation=canonical(CONFIG.evaluation),
        threats=canonical(PLAN.threats),
        left_out=canonical(PLAN.left_out),
        study=CONFIG.study,
        seed=CONFIG.seed,
    message:
        "judge the students"
    shell:
        "python -m distilleak judge_audit {params.models} --blind {input.blind}"
        " --passages {input.passages}"
        " --policy {params.policy:q} --evaluation {params.evaluation:q}"
        " --threats {params.threats:q} --left-out {params.left_out:q}"
        " --study {params.study} --seed {params.seed} --verdict {output.verdict} --exposed {output.exposed} > {log} 2>&1"


rule write_audit:
    input:
        verdict=rules.judge_audit.output.verdict,
    output:
        report=f"{RESULTS}/report.html",
        card=f"{RESULTS}/card.md",
        figures=directory(f"{RESULTS}/figures"),
    log:
        f"{LOGS}/write_audit.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code(
            "write_audit",
            also=[PACKAGE / "audit/page.html.jinja", PACKAGE / "report/style.css"],
        ),
    message:
        "write the page of the audit"
    shell:
        "python -m distilleak write_audit --verdict {input.verdict} --report {output.report}"
        " --card {output.card} --figures {output.figures} > {log} 2>&1"
