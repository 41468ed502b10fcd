rule load_corpus:
    input:
        texts=get_corpus_files(),
        code=get_code("load_corpus", f"corpora.{STUDY.corpus_entry()['source']}"),
    output:
        f"{RESULTS}/passages.parquet",
    log:
        f"{LOGS}/load_corpus.log",
    benchmark:
        f"{BENCHMARKS}/load_corpus/all.tsv"
    conda:
        "../../envs/distilleak.yaml"
    params:
        corpus=canonical(STUDY.corpus_entry()),
        deduplication=canonical(STUDY.deduplication),
    message:
        "load the corpus and remove copies"
    shell:
        "python -m distilleak.load_corpus --corpus {params.corpus:q}"
        " --deduplication {params.deduplication:q} --output {output} > {log} 2>&1"


rule split_records:
    input:
        passages=rules.load_corpus.output,
        code=get_code("split_records"),
    output:
        f"{SEED}/split.parquet",
    log:
        f"{LOGS}/split_records/{{seed}}.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        pools=canonical(STUDY.pools),
    message:
        "split records into pools (seed {wildcards.seed})"
    shell:
        "python -m distilleak.split_records --passages {input.passages} --pools {params.pools:q}"
        " --seed {wildcards.seed} --output {output} > {log} 2>&1"


rule train_tokenizer:
    input:
        passages=rules.load_corpus.output,
        split=rules.split_records.output,
        code=get_code("train_tokenizer"),
    output:
        directory(f"{SEED}/tokenizer"),
    log:
        f"{LOGS}/train_tokenizer/{{seed}}.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        settings=canonical(STUDY.tokenizer),
        context=canonical(STUDY.encoding.context),
    message:
        "train tokenizer (seed {wildcards.seed})"
    shell:
        "python -m distilleak.train_tokenizer --passages {input.passages} --split {input.split}"
        " --settings {params.settings:q} --context {params.context} --output {output}"
        " > {log} 2>&1"


rule encode_records:
    input:
        passages=rules.load_corpus.output,
        split=rules.split_records.output,
        tokenizer=rules.train_tokenizer.output,
        code=get_code("encode_records"),
    output:
        f"{SEED}/records.parquet",
    log:
        f"{LOGS}/encode_records/{{seed}}.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        context=canonical(STUDY.encoding.context),
    message:
        "encode records (seed {wildcards.seed})"
    shell:
        "python -m distilleak.encode_records --passages {input.passages} --split {input.split}"
        " --tokenizer {input.tokenizer} --context {params.context} --output {output} > {log} 2>&1"


rule audit_split:
    input:
        records=rules.encode_records.output,
        code=get_code("audit_split"),
    output:
        f"{SEED}/blind.json",
    log:
        f"{LOGS}/audit_split/{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/audit_split/{{seed}}.tsv"
    conda:
        "../../envs/distilleak.yaml"
    params:
        settings=canonical(STUDY.gate),
    message:
        "audit the split without a model (seed {wildcards.seed})"
    shell:
        "python -m distilleak.audit_split --records {input.records} --settings {params.settings:q}"
        " --seed {wildcards.seed} --on-failure stop --output {output} > {log} 2>&1"
