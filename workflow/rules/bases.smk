# Base models: what pairs start from, trained on public texts of their own. All seeds share them, and
# no draw of members changes them.


use rule load_corpus as load_base_texts with:
    input:
        texts=lambda wildcards: watched(BASE_FILES[wildcards.base]),
    output:
        f"{BASE}/passages.parquet",
    log:
        f"{LOGS}/load_base_texts/{{base}}.log",
    benchmark:
        f"{BENCHMARKS}/load_base_texts/{{base}}.tsv"
    wildcard_constraints:
        base=one_of(STUDY.public),
    params:
        code=lambda wildcards: get_code(
            "load_corpus", f"corpora.{STUDY.bases[wildcards.base].texts.entry.name}"
        ),
        corpus=lambda wildcards: canonical(
            STUDY.bases[wildcards.base].texts.entry.named()
        ),
        only=lambda wildcards: canonical(STUDY.bases[wildcards.base].texts.only),
        deduplication=canonical(CONFIG.deduplication),
        contents=lambda wildcards: get_contents(BASE_FILES[wildcards.base]),
        apart="",
    message:
        "load the public texts of base {wildcards.base}"


use rule train_tokenizer as train_base_tokenizer with:
    input:
        passages=f"{BASE}/passages.parquet",
    output:
        directory(f"{BASE}/tokenizer"),
    log:
        f"{LOGS}/train_base_tokenizer/{{base}}.log",
    wildcard_constraints:
        base=one_of(name for name in OWN_GROUPS if not is_checkpoint(name)),
    params:
        code=get_code("train_tokenizer"),
        settings=canonical(CONFIG.tokenizer),
        context=lambda wildcards: STUDY.bases[wildcards.base].settings.training.row,
        masked=lambda wildcards: (
            "--masked" if STUDY.bases[wildcards.base].kind == "masked" else ""
        ),
        split="",
    message:
        "train the tokenizer of base {wildcards.base}"


use rule copy_tokenizer as copy_checkpoint_tokenizer with:
    input:
        files=lambda wildcards: get_start_inputs(
            STUDY.bases[wildcards.base].settings.model
        ),
    output:
        directory(f"{BASE}/tokenizer"),
    log:
        f"{LOGS}/copy_checkpoint_tokenizer/{{base}}.log",
    wildcard_constraints:
        base=one_of(name for name in OWN_GROUPS if is_checkpoint(name)),
    params:
        code=get_code("copy_tokenizer"),
        checkpoints=lambda wildcards: canonical(
            [STUDY.bases[wildcards.base].settings.model.model_dump()]
        ),
        contents=lambda wildcards: get_start_contents(
            STUDY.bases[wildcards.base].settings.model
        ),
    message:
        "copy the tokenizer of base {wildcards.base}"


rule train_base:
    input:
        passages=lambda wildcards: f"{get_group(wildcards.base)}/passages.parquet",
        tokenizer=lambda wildcards: f"{get_group(wildcards.base)}/tokenizer",
        start=lambda wildcards: get_start_inputs(
            STUDY.bases[wildcards.base].settings.model
        ),
    output:
        model=directory(f"{BASE}/model"),
        facts=f"{BASE}/facts.json",
    log:
        f"{LOGS}/train_base/{{base}}.log",
    benchmark:
        f"{BENCHMARKS}/train_base/{{base}}.tsv"
    wildcard_constraints:
        base=one_of(OWN_BASES),
    priority: 20
    conda:
        "../../envs/distilleak.yaml"
    threads: 1
    resources:
        **without_rerun(
            python=get_python(CONFIG.hardware.gpus),
            snapshots=get_snapshots("base-{base}"),
        ),
        gpu=CONFIG.hardware.gpus,
        mem_mb=growing(3000),
        runtime=growing(24 * 60),
    params:
        code=get_code("train_base"),
        start=lambda wildcards: canonical(STUDY.bases[wildcards.base].settings.model),
        contents=lambda wildcards: get_start_contents(
            STUDY.bases[wildcards.base].settings.model
        ),
        training=lambda wildcards: canonical(
            STUDY.bases[wildcards.base].settings.training
        ),
        seed=lambda wildcards: STUDY.bases[wildcards.base].settings.seed,
    message:
        "train base {wildcards.base}"
    shell:
        "{resources.python} distilleak train_base --passages {input.passages}"
        " --tokenizer {input.tokenizer} --model {params.start:q}"
        ' --training {params.training:q} --hardware "$HARDWARE" --seed {params.seed}'
        " --threads {threads} --snapshots {resources.snapshots}"
        " --output {output.model} --facts {output.facts} > {log} 2>&1"


# All base models of a study, and nothing else of it.
rule bases:
    input:
        expand(f"{BASE}/facts.json", base=OWN_BASES),
        expand(f"{BASE}/model", base=OWN_BASES),
    message:
        "the base models are complete"
