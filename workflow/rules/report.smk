from distilleak.study import captions

# The stages find the tables by name; what those import lies in these two packages.
TABLE_CODE = [
    file
    for package in ("tables", "metrics")
    for file in PACKAGE.joinpath(package).glob("*.py")
]


rule build_tables:
    input:
        metrics=get_all(f"{MODEL}/metrics.parquet", PLAN.scored),
        bootstrap=get_all(f"{MODEL}/bootstrap.parquet", PLAN.scored),
        scores=get_all(f"{MODEL}/scores.parquet", PLAN.scored),
        evidence=get_all(f"{MODEL}/evidence/plain.parquet", ["teacher"]),
        vulnerable=expand(rules.find_vulnerable.output, seed=CONFIG.seeds, pair=ARMS),
        records=expand(rules.encode_records.output, seed=CONFIG.seeds, data=DATA),
        verdicts=expand(rules.audit_split.output, seed=CONFIG.seeds, data=DATA),
        floors=expand(rules.measure_floors.output, seed=CONFIG.seeds, data=DATA),
    output:
        expand("{results}/tables/{file}", results=RESULTS, file=TABLES),
    log:
        f"{LOGS}/build_tables.log",
    benchmark:
        f"{BENCHMARKS}/build_tables/all.tsv"
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("build_tables", also=TABLE_CODE),
        roster=ROSTER,
        evaluation=canonical(CONFIG.evaluation),
        results=lambda wildcards, output: Path(output[0]).parents[1],
        directory=lambda wildcards, output: Path(output[0]).parent,
    message:
        "build tables"
    shell:
        "python -m distilleak build_tables --results {params.results} --roster {params.roster:q}"
        " --evaluation {params.evaluation:q} --output {params.directory} > {log} 2>&1"


rule measure_exposure:
    input:
        evidence=get_all(
            f"{MODEL}/evidence/candidates.parquet",
            [*QUERIED, *PLAN.mixtures],
        ),
    output:
        expand(
            "{results}/tables/exposure.{kind}",
            results=RESULTS,
            kind=["csv", "md", "tex"],
        ),
    log:
        f"{LOGS}/measure_exposure.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("measure_exposure"),
        roster=ROSTER,
        canaries=CANARIES,
        results=lambda wildcards, output: Path(output[0]).parents[1],
        directory=lambda wildcards, output: Path(output[0]).parent,
    message:
        "measure exposure of canaries"
    shell:
        "python -m distilleak measure_exposure --results {params.results}"
        " --roster {params.roster:q} {params.canaries} --output {params.directory} > {log} 2>&1"


rule draw_figure:
    input:
        tables=rules.build_tables.output,
        exposure=lambda wildcards: (
            rules.measure_exposure.output if wildcards.figure == "exposure" else []
        ),
    output:
        png=report(
            f"{RESULTS}/figures/{{pair}}/{{figure}}.png",
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{pair}",
            labels={"figure": "{figure}"},
        ),
        pdf=f"{RESULTS}/figures/{{pair}}/{{figure}}.pdf",
    log:
        f"{LOGS}/draw_figure/{{pair}}.{{figure}}.log",
    wildcard_constraints:
        figure=one_of(PLAN.figures),
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=lambda wildcards: get_code("draw_figure", f"figures.{wildcards.figure}"),
        style=canonical(CONFIG.figures),
        tables=lambda wildcards, input: Path(input.tables[0]).parent,
        # For Snakemake's own report.
        caption=lambda wildcards: captions.caption(PACKAGE, wildcards.figure),
    message:
        "draw figure {wildcards.figure} ({wildcards.pair})"
    shell:
        "python -m distilleak draw_figure --figure {wildcards.figure} --pair {wildcards.pair}"
        " --tables {params.tables} --style {params.style:q} --png {output.png} --pdf {output.pdf}"
        " > {log} 2>&1"


rule collect_costs:
    input:
        # The benchmark files are complete when the tables are.
        tables=rules.build_tables.output,
        facts=get_all(f"{MODEL}/facts.json", ["teacher", *STUDENTS, *PLAN.references]),
    output:
        f"{RESULTS}/costs.csv",
    log:
        f"{LOGS}/collect_costs.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("collect_costs"),
        benchmarks=BENCHMARKS,
        results=lambda wildcards, output: Path(output[0]).parent,
    message:
        "collect costs"
    shell:
        "python -m distilleak collect_costs --benchmarks {params.benchmarks}"
        " --facts-root {params.results} --output {output} > {log} 2>&1"


rule write_config:
    output:
        f"{RESULTS}/config.json",
    log:
        f"{LOGS}/write_config.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code("write_config"),
        # Not a text of the rule, in which braces of a path would be wildcards.
        study=lambda wildcards: canonical(STUDY.complete()),
    message:
        "write the complete configuration"
    shell:
        "python -m distilleak write_config --study {params.study:q} --output {output} > {log} 2>&1"


rule write_report:
    input:
        tables=rules.build_tables.output,
        figures=expand(rules.draw_figure.output.png, pair=ARMS, figure=PLAN.figures),
        costs=rules.collect_costs.output,
        config=rules.write_config.output,
    output:
        report(
            f"{RESULTS}/report.html", caption="../report/report.rst", category="Report"
        ),
    log:
        f"{LOGS}/write_report.log",
    conda:
        "../../envs/distilleak.yaml"
    params:
        code=get_code(
            "write_report",
            also=[
                *TABLE_CODE,
                PACKAGE / "report/page.html.jinja",
                PACKAGE / "report/style.css",
            ],
        ),
        style=canonical(CONFIG.figures),
        study=CONFIG.study,
        margin=CONFIG.evaluation.margin,
        tables=lambda wildcards, input: Path(input.tables[0]).parent,
        figures=lambda wildcards, input: Path(input.figures[0]).parents[1],
        names=" ".join(PLAN.figures),
    message:
        "write the report"
    shell:
        "python -m distilleak write_report --study {params.study} --tables {params.tables}"
        " --figures {params.figures} --names {params.names} --costs {input.costs}"
        " --config {input.config} --style {params.style:q} --margin {params.margin}"
        " --output {output} > {log} 2>&1"
