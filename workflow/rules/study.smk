include: "common.smk"
include: "inputs.smk"
include: "records.smk"
include: "bases.smk"
include: "teacher.smk"
include: "students.smk"
include: "evidence.smk"
include: "scores.smk"
include: "report.smk"


# They take seconds each, and would wait for minutes in the queue of a cluster.
localrules:
    all,
    split_records,
    copy_tokenizer,
    use_base_tokenizer,
    copy_checkpoint_tokenizer,
    bases,
    draw_shadow,
    find_vulnerable,
    score_attacks,
    score_vote,
    measure_floors,
    measure_metrics,
    build_tables,
    measure_exposure,
    draw_figure,
    collect_costs,
    write_config,
    write_report,


# Before the first job, whatever was asked for; a dry run and a finished study change nothing.
onstart:
    keep_out_of_git()


rule all:
    default_target: True
    input:
        get_kept_files(),
        costs=rules.collect_costs.output,
        config=rules.write_config.output,
        exposure=rules.measure_exposure.output if CANARIES else [],
        report=f"{RESULTS}/report.html",
        tables=expand("{results}/tables/{file}", results=RESULTS, file=TABLES),
        figures=expand(
            "{results}/figures/{pair}/{figure}.{kind}",
            results=RESULTS,
            pair=ARMS,
            figure=PLAN.figures,
            kind=["png", "pdf"],
        ),
    message:
        f"{RESULTS}/report.html and all that it shows are complete"
