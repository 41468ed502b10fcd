"""Close the blind gate when members can be distinguished from non-members without any model."""

import argparse
import logging
from collections.abc import Sequence

from distilleak.blind.gate import explain, judge
from distilleak.blind.reading import read_records
from distilleak.errors import DistilleakError
from distilleak.guards import sealed_json
from distilleak.settings.gate import GateSettings
from distilleak.stages import base

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage.

    Raises:
        DistilleakError: the records are unusable, or the gate is closed and `on_failure` is `stop`.
    """
    arguments = _parser().parse_args(argv)
    records = read_records(arguments.records)
    verdict = judge(records, arguments.settings, arguments.seed, by_source=arguments.by_source)
    log.info("blind AUC %.3f (%s), p = %.2g", verdict.auc, verdict.classifier, verdict.p_value)
    if not verdict.passed:
        if arguments.settings.on_failure == "stop":
            raise DistilleakError(f"{arguments.records}: {explain(verdict)}")
        log.warning("%s: %s", arguments.records, explain(verdict))
    sealed_json.write(verdict.as_json(), arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument(
        "--settings",
        type=base.settings_argument(GateSettings),
        required=True,
        help="JSON: settings of the gate",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of folds and permutations")
    parser.add_argument(
        "--by-source",
        action="store_true",
        help="pools have whole documents, which folds and permutations keep together",
    )
    parser.add_argument("--output", required=True, help="JSON of the verdict to write")
    return parser
