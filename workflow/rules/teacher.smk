# Everything that trains has the blind verdict as an input: a split whose pools can be distinguished
# without a model is refused before it costs anything. The verdict is only a condition: another one
# that lets the split pass changes no model.


rule train_teacher:
    input:
        records=get_data("records.parquet"),
        tokenizer=get_data("tokenizer"),
        verdict=ancient(get_data("blind.json")),
        start=lambda wildcards: get_start_inputs(ARMS[wildcards.pair].roles.teacher),
    output:
        model=directory(f"{SEED}/{{pair}}/teacher/model"),
        facts=f"{SEED}/{{pair}}/teacher/facts.json",
    log:
        f"{LOGS}/train_teacher/{{seed}}.{{pair}}.log",
    benchmark:
        f"{BENCHMARKS}/train_teacher/{{seed}}.{{pair}}.teacher.tsv"
    wildcard_constraints:
        seed=SEED_OR_SHADOW,
    # Everything else waits for the teacher.
    priority: 10
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        **without_rerun(
            python=get_python(CONFIG.hardware.gpus),
            snapshots=get_snapshots("{seed}.{pair}.teacher"),
        ),
        gpu=CONFIG.hardware.gpus,
        mem_mb=growing(2000),
        runtime=growing(12 * 60),
    params:
        code=get_code("train_model"),
        start=lambda wildcards: canonical(ARMS[wildcards.pair].roles.teacher),
        contents=lambda wildcards: get_start_contents(
            ARMS[wildcards.pair].roles.teacher
        ),
        training=canonical(CONFIG.training.teacher),
        seed=get_seed,
    message:
        "train teacher (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "{resources.python} distilleak train_model --records {input.records} --role teacher"
        " --tokenizer {input.tokenizer} --model {params.start:q}"
        ' --training {params.training:q} --hardware "$HARDWARE" --seed {params.seed}'
        " --threads {threads} --snapshots {resources.snapshots}"
        " --output {output.model} --facts {output.facts} > {log} 2>&1"


# Teachers that are trained differently, for the students that choose them.
use rule train_teacher as train_other_teacher with:
    output:
        model=directory(f"{SEED}/{{pair}}/teacher-{{other}}/model"),
        facts=f"{SEED}/{{pair}}/teacher-{{other}}/facts.json",
    log:
        f"{LOGS}/train_other_teacher/{{seed}}.{{pair}}.{{other}}.log",
    benchmark:
        f"{BENCHMARKS}/train_other_teacher/{{seed}}.{{pair}}.teacher-{{other}}.tsv"
    wildcard_constraints:
        seed=SEED_OR_SHADOW,
        other=one_of(STUDY.teachers),
    resources:
        **without_rerun(
            python=get_python(CONFIG.hardware.gpus),
            snapshots=get_snapshots("{seed}.{pair}.teacher-{other}"),
        ),
        gpu=CONFIG.hardware.gpus,
        mem_mb=growing(2000),
        runtime=growing(12 * 60),
    params:
        code=get_code("train_model"),
        start=lambda wildcards: canonical(ARMS[wildcards.pair].roles.teacher),
        contents=lambda wildcards: get_start_contents(
            ARMS[wildcards.pair].roles.teacher
        ),
        training=lambda wildcards: canonical(STUDY.teachers[wildcards.other]),
        seed=get_seed,
    message:
        "train teacher {wildcards.other} (seed {wildcards.seed}, {wildcards.pair})"


rule train_reference:
    input:
        records=get_data("records.parquet"),
        tokenizer=get_data("tokenizer"),
        verdict=ancient(get_data("blind.json")),
        start=lambda wildcards: get_start_inputs(ARMS[wildcards.pair].reference),
    output:
        model=directory(f"{SEED}/{{pair}}/reference-{{number}}/model"),
        facts=f"{SEED}/{{pair}}/reference-{{number}}/facts.json",
    log:
        f"{LOGS}/train_reference/{{seed}}.{{pair}}.{{number}}.log",
    benchmark:
        f"{BENCHMARKS}/train_reference/{{seed}}.{{pair}}.reference-{{number}}.tsv"
    wildcard_constraints:
        number=r"\d+",
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        **without_rerun(
            python=get_python(CONFIG.hardware.gpus),
            snapshots=get_snapshots("{seed}.{pair}.reference-{number}"),
        ),
        gpu=CONFIG.hardware.gpus,
        mem_mb=growing(2000),
        runtime=growing(12 * 60),
    params:
        code=get_code("train_model"),
        start=lambda wildcards: canonical(ARMS[wildcards.pair].reference),
        contents=lambda wildcards: get_start_contents(ARMS[wildcards.pair].reference),
        training=canonical(CONFIG.training.reference),
        seed=get_seed,
    message:
        "train reference model {wildcards.number} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "{resources.python} distilleak train_model --records {input.records}"
        " --role reference-{wildcards.number}"
        " --tokenizer {input.tokenizer} --model {params.start:q}"
        ' --training {params.training:q} --hardware "$HARDWARE" --seed {params.seed}'
        " --threads {threads} --snapshots {resources.snapshots}"
        " --output {output.model} --facts {output.facts} > {log} 2>&1"


# What teacher and students were before the study, for attacks that compare with it.
rule take_base:
    input:
        records=get_data("records.parquet"),
        tokenizer=get_data("tokenizer"),
        start=lambda wildcards: get_start_inputs(
            ARMS[wildcards.pair].bases[wildcards.role]
        ),
    output:
        model=directory(f"{SEED}/{{pair}}/base-{{role}}/model"),
        facts=f"{SEED}/{{pair}}/base-{{role}}/facts.json",
    log:
        f"{LOGS}/take_base/{{seed}}.{{pair}}.{{role}}.log",
    wildcard_constraints:
        role=one_of(PLAN.bases),
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=get_code("train_model"),
        start=lambda wildcards: canonical(ARMS[wildcards.pair].bases[wildcards.role]),
        contents=lambda wildcards: get_start_contents(
            ARMS[wildcards.pair].bases[wildcards.role]
        ),
        training=canonical({"epochs": 0, "learning_rate": 1.0}),
        seed=get_seed,
    message:
        "take the public model of the {wildcards.role} (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "python -m distilleak train_model --records {input.records} --role base-{wildcards.role}"
        " --tokenizer {input.tokenizer} --model {params.start:q}"
        " --training {params.training:q} --seed {params.seed} --threads {threads}"
        " --output {output.model} --facts {output.facts} > {log} 2>&1"


rule store_targets:
    input:
        records=get_data("records.parquet"),
        teacher=rules.train_teacher.output.model,
    output:
        f"{SEED}/{{pair}}/teacher/targets.npy",
    log:
        f"{LOGS}/store_targets/{{seed}}.{{pair}}.log",
    benchmark:
        f"{BENCHMARKS}/store_targets/{{seed}}.{{pair}}.teacher.tsv"
    wildcard_constraints:
        seed=SEED_OR_SHADOW,
    priority: 10
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        **without_rerun(
            python=get_python(1),
            batch_tokens=CONFIG.evidence.batch_tokens,
        ),
        gpu=1,
        mem_mb=growing(2000),
        runtime=growing(4 * 60),
    params:
        code=get_code("store_targets"),
    message:
        "store the teacher's logits (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "{resources.python} distilleak store_targets --records {input.records} --teacher {input.teacher}"
        " --batch-tokens {resources.batch_tokens} --threads {threads} --output {output}"
        " > {log} 2>&1"


rule find_vulnerable:
    input:
        records=get_data("records.parquet"),
        evidence=get_views(f"{SEED}/{{pair}}/teacher", PLAN.finder_views),
        references=(get_reference_evidence if PLAN.finder_needs_references else []),
        base=get_base_evidence if PLAN.finder_needs_base else [],
    output:
        f"{SEED}/{{pair}}/vulnerable.parquet",
    log:
        f"{LOGS}/find_vulnerable/{{seed}}.{{pair}}.log",
    wildcard_constraints:
        seed=SEED_OR_SHADOW,
    priority: 10
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("find_vulnerable", f"attacks.{PLAN.finder['attack']}"),
        attack=canonical(PLAN.finder),
        fpr=canonical(CONFIG.vulnerability.fpr),
        evidence=lambda wildcards, input: Path(input.evidence[0]).parent,
        references=lambda wildcards, input: evidence_directories(input.references),
        base=lambda wildcards, input: (
            f"--base {Path(input.base[0]).parent}" if input.base else ""
        ),
    message:
        "find vulnerable members (seed {wildcards.seed}, {wildcards.pair})"
    shell:
        "python -m distilleak find_vulnerable --records {input.records}"
        " --evidence {params.evidence} --references {params.references} {params.base}"
        " --attack {params.attack:q} --fpr {params.fpr} --output {output} > {log} 2>&1"
