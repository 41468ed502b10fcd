"""Judge finished students: pass, fail or investigate, by a policy, from the scores of all attacks.

Writes the verdict (verdict.json), and which members are found most easily, by id (exposed.parquet).
"""

import argparse
from collections.abc import Sequence

from distilleak.audit import exposed
from distilleak.audit.bar import highest, read_bar
from distilleak.audit.beginnings import cut
from distilleak.audit.judging import judge
from distilleak.audit.panel import Audited, Panel
from distilleak.files import write_table
from distilleak.guards import sealed_json
from distilleak.records.evaluation import EVALUATION_POOLS
from distilleak.report.versions import versions
from distilleak.scoring.scores import read_scores
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.settings.policy import PolicySettings
from distilleak.stages import base


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    policy: PolicySettings = arguments.policy
    records = dict(arguments.records)
    models = []
    for name, role, path in arguments.model:
        scores = read_scores(path).of(EVALUATION_POOLS)
        shorter = cut(arguments.passages, records[name], scores) if name in records else 0
        models.append(Audited(name, role, scores, shorter))
    panel = Panel(models, arguments.threats, arguments.evaluation, arguments.seed)
    verdict = judge(panel, highest(map(read_bar, arguments.blind)), policy)
    found = [(model.name, model.scores, panel.strength(model)) for model in models]
    write_table(exposed.table(found, policy.exposed), arguments.exposed)
    added = {
        "study": arguments.study,
        "left_out": arguments.left_out,
        "versions": versions(),
    }
    sealed_json.write(verdict | added, arguments.verdict)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument(
        "--model",
        nargs=3,
        action="append",
        required=True,
        metavar=("NAME", "ROLE", "SCORES"),
        help="a model, its role (student, teacher, base) and its scores.parquet; may be repeated",
    )
    parser.add_argument(
        "--blind",
        nargs="+",
        required=True,
        help="verdict of the blind gate; of several, on records that are cut in several ways, one "
        "that is closed counts, or else the highest AUC",
    )
    parser.add_argument("--passages", help="passages.parquet: the complete texts")
    parser.add_argument(
        "--records",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "RECORDS"),
        help="a model and its records.parquet, to count the texts that are cut; needs --passages",
    )
    parser.add_argument(
        "--policy",
        type=base.settings_argument(PolicySettings),
        required=True,
        help="JSON: limits, rules and confidence",
    )
    parser.add_argument(
        "--evaluation",
        type=base.settings_argument(EvaluationSettings),
        required=True,
        help="JSON: folds, replicates, the one-run audit",
    )
    parser.add_argument(
        "--threats",
        type=base.settings_argument(dict[str, str]),
        required=True,
        help="JSON: {attack: the name of its threat model}",
    )
    parser.add_argument(
        "--left-out",
        type=base.settings_argument(dict[str, str]),
        required=True,
        help="JSON: {attack: why it was not tried}",
    )
    parser.add_argument("--study", required=True, help="name of the audit")
    parser.add_argument("--seed", type=int, required=True, help="seed of folds and resampling")
    parser.add_argument("--verdict", required=True, help="verdict.json to write")
    parser.add_argument("--exposed", required=True, help="exposed.parquet to write; private")
    return parser
