rule load_corpus:
    input:
        texts=lambda wildcards: watched(get_corpus_files(wildcards)),
        public=PUBLIC,
    output:
        f"{RESULTS}{{split}}/passages.parquet",
    log:
        f"{LOGS}/load_corpus{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/load_corpus{{split}}/all.tsv"
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=lambda wildcards: get_code(
            "load_corpus", f"corpora.{get_texts(wildcards.split).entry.name}"
        ),
        corpus=lambda wildcards: canonical(get_texts(wildcards.split).entry.named()),
        only=lambda wildcards: canonical(get_texts(wildcards.split).only),
        deduplication=canonical(CONFIG.deduplication),
        contents=lambda wildcards: get_contents(get_corpus_files(wildcards)),
        apart=APART,
    message:
        "load the corpus and remove copies"
    shell:
        "python -m distilleak load_corpus --corpus {params.corpus:q} --only {params.only:q} {params.apart}"
        " --deduplication {params.deduplication:q} --output {output} > {log} 2>&1"


rule split_records:
    input:
        passages=f"{RESULTS}{{split}}/passages.parquet",
    output:
        f"{SEED}{{split}}/split.parquet",
    log:
        f"{LOGS}/split_records/{{seed}}{{split}}.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("split_records"),
        seed=get_split_seed,
        pools=lambda wildcards: canonical(
            STUDY.corpora[wildcards.split.removeprefix("/")].pools
        ),
    message:
        "split records into pools (seed {wildcards.seed})"
    shell:
        "python -m distilleak split_records --passages {input.passages} --pools {params.pools:q}"
        " --seed {params.seed} --output {output} > {log} 2>&1"


rule train_tokenizer:
    input:
        passages=lambda wildcards: f"{RESULTS}{get_arm(wildcards.data).split}/passages.parquet",
        split=lambda wildcards: f"{RESULTS}/seed-{wildcards.seed}{get_arm(wildcards.data).split}/split.parquet",
    output:
        directory(f"{SEED}{{data}}/tokenizer"),
    log:
        f"{LOGS}/train_tokenizer/{{seed}}{{data}}.log",
    wildcard_constraints:
        data=one_of(arm.data for arm in ARMS.values() if not arm.checkpoints),
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("train_tokenizer"),
        settings=canonical(CONFIG.tokenizer),
        context=canonical(CONFIG.encoding.context),
        masked=lambda wildcards: "--masked" if get_arm(wildcards.data).masked else "",
        split=lambda wildcards, input: f"--split {input.split}",
    message:
        "train tokenizer (seed {wildcards.seed})"
    shell:
        "python -m distilleak train_tokenizer --passages {input.passages} {params.split}"
        " --settings {params.settings:q} --context {params.context} {params.masked}"
        " --output {output} > {log} 2>&1"


rule copy_tokenizer:
    input:
        files=lambda wildcards: get_start_inputs(*get_arm(wildcards.data).checkpoints),
    output:
        directory(f"{SEED}{{data}}/tokenizer"),
    log:
        f"{LOGS}/copy_tokenizer/{{seed}}{{data}}.log",
    wildcard_constraints:
        data=one_of(
            arm.data for arm in ARMS.values() if arm.checkpoints and not arm.base
        ),
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("copy_tokenizer"),
        checkpoints=lambda wildcards: canonical(
            [settings.model_dump() for settings in get_arm(wildcards.data).checkpoints]
        ),
        contents=lambda wildcards: get_start_contents(
            *get_arm(wildcards.data).checkpoints
        ),
    message:
        "copy the tokenizer of the pretrained models (seed {wildcards.seed})"
    shell:
        "python -m distilleak copy_tokenizer --checkpoints {params.checkpoints:q}"
        " --output {output} > {log} 2>&1"


# The tokenizer of bases of the study is there before they are trained, so that records can be judged
# before that.
rule use_base_tokenizer:
    input:
        tokenizer=lambda wildcards: f"{get_group(get_arm(wildcards.data).base)}/tokenizer",
    output:
        directory(f"{SEED}{{data}}/tokenizer"),
    log:
        f"{LOGS}/use_base_tokenizer/{{seed}}{{data}}.log",
    wildcard_constraints:
        data=one_of(arm.data for arm in ARMS.values() if arm.base),
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("copy_tokenizer"),
    message:
        "copy the tokenizer of the base models (seed {wildcards.seed})"
    shell:
        "python -m distilleak copy_tokenizer --ready {input.tokenizer} --output {output}"
        " > {log} 2>&1"


rule encode_records:
    input:
        passages=lambda wildcards: f"{RESULTS}{get_arm(wildcards.data).split}/passages.parquet",
        split=lambda wildcards: f"{RESULTS}/seed-{wildcards.seed}{get_arm(wildcards.data).split}/split.parquet",
        tokenizer=f"{SEED}{{data}}/tokenizer",
        public=PUBLIC,
    output:
        f"{SEED}{{data}}/records.parquet",
    log:
        f"{LOGS}/encode_records/{{seed}}{{data}}.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("encode_records"),
        seed=get_split_seed,
        context=canonical(CONFIG.encoding.context),
        deduplication=canonical(CONFIG.deduplication),
        labelled=get_labelled,
        apart=APART,
        canaries=CANARIES,
    message:
        "encode records (seed {wildcards.seed})"
    shell:
        "python -m distilleak encode_records --passages {input.passages} --split {input.split}"
        " --tokenizer {input.tokenizer} --context {params.context}"
        " --deduplication {params.deduplication:q} {params.labelled} {params.apart} {params.canaries}"
        " --seed {params.seed} --output {output} > {log} 2>&1"


rule draw_shadow:
    input:
        records=f"{SEED}{{data}}/records.parquet",
    output:
        f"{SEED}/shadow-{{number}}{{data}}/records.parquet",
    log:
        f"{LOGS}/draw_shadow/{{seed}}/shadow-{{number}}{{data}}.log",
    wildcard_constraints:
        number=r"\d+",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("draw_shadow"),
        by_source=get_by_source,
    message:
        "draw the records of shadow {wildcards.number} (seed {wildcards.seed})"
    shell:
        "python -m distilleak draw_shadow --records {input.records} --number {wildcards.number}"
        " {params.by_source} --seed {wildcards.seed} --output {output} > {log} 2>&1"


rule audit_split:
    input:
        records=f"{SEED}{{data}}/records.parquet",
    output:
        f"{SEED}{{data}}/blind.json",
    log:
        f"{LOGS}/audit_split/{{seed}}{{data}}.log",
    benchmark:
        f"{BENCHMARKS}/audit_split/{{seed}}{{data}}.tsv"
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("audit_split"),
        seed=get_split_seed,
        settings=canonical(CONFIG.gate),
        by_source=get_by_source,
    message:
        "audit the split without a model (seed {wildcards.seed})"
    shell:
        "python -m distilleak audit_split --records {input.records} --settings {params.settings:q}"
        " {params.by_source} --seed {params.seed} --output {output} > {log} 2>&1"
