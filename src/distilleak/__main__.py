"""Run one stage on named files; `python -m distilleak STAGE --help` says what it reads and writes.

The workflow runs all of them in their order (`snakemake --cores all`).
"""

import gc
import importlib
import sys

from distilleak.catalogue import suggestion
from distilleak.stage import run

STAGES = (
    *("load_corpus", "split_records", "train_tokenizer", "copy_tokenizer", "encode_records"),
    *(
        "audit_split",
        "draw_shadow",
        "train_model",
        "store_targets",
        "find_vulnerable",
        "train_student",
        "take_epoch",
    ),
    *(
        "compute_evidence",
        "join_evidence",
        "score_attacks",
        "score_vote",
        "measure_metrics",
        "build_tables",
    ),
    *("measure_exposure", "draw_figure", "collect_costs", "write_report", "write_schema"),
    "forecast",
)


def main() -> None:
    """Run the stage that the command line names on the rest of the command line."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        print(
            f"usage: python -m distilleak STAGE [-h] ...\n\n{__doc__}\nStages: {', '.join(STAGES)}"
        )
        return
    if name not in STAGES:
        sys.exit(f"error: unknown stage {name!r}{suggestion(name, STAGES)}")
    # The collector looks through all that torch and transformers define, again and again while
    # they are imported and once more at the end, and finds nothing: a quarter of a small job.
    gc.disable()
    stage = importlib.import_module(f"distilleak.{name}")
    gc.freeze()
    gc.enable()
    run(stage.main, sys.argv[2:])


if __name__ == "__main__":
    main()
