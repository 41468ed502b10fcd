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


# What `snakemake` makes if it is not told what.
WANTED = [
    *get_kept_files(),
    *rules.collect_costs.output,
    *rules.write_config.output,
    *(rules.measure_exposure.output if CANARIES else []),
    f"{RESULTS}/report.html",
    *expand("{results}/tables/{file}", results=RESULTS, file=TABLES),
    *expand(
        "{results}/figures/{pair}/{figure}.{kind}",
        results=RESULTS,
        pair=ARMS,
        figure=PLAN.figures,
        kind=["png", "pdf"],
    ),
]
