"""The jobs of a study that Snakemake would run now."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distilleak.paths import seed_directory, study_directory
from distilleak.study.study import Study

SAME = {"train_kept_student": "train_student"}
"""Maps a rule to another that does the same work, so that their measurements count together."""
ONE_JOB = ("build_tables", "measure_exposure")
"""Rules with one job for the complete study, whatever it writes."""
OF_BASES = ("load_base_texts", "train_base_tokenizer", "copy_checkpoint_tokenizer", "train_base")
"""Rules with one job for each base."""
SEED = r"(?P<seed>\d+(?:/shadow-\d+)?)"
"""A seed of the study, or one of its shadows."""


@dataclass(frozen=True)
class Job:
    """One job of a study.

    Attributes:
        rule: its rule.
        wildcards: as in the name of its benchmark file, with dots instead of slashes:
            `<seed>.<pair>.<model>`, and the part of the evidence if there are several.
        outputs: the files that it writes.
    """

    rule: str
    wildcards: str
    outputs: tuple[str, ...] = ()

    @property
    def part(self) -> int:
        """The number of jobs that share its work."""
        last = self.wildcards.rpartition(".")[2]
        return int(last.partition("-of-")[2]) if "-of-" in last else 1

    @property
    def needs_model(self) -> bool:
        """Whether it runs on a GPU if there is one, for a time that the configuration tells; that
        of a base depends on how long its texts are."""
        return self.rule.startswith(("train_", "compute_", "store_")) and (
            self.rule not in ("train_tokenizer", *OF_BASES)
        )


def pending(table: str, study: Study) -> Iterator[Job]:
    """The jobs that would run according to the output of `snakemake --summary`."""
    outputs: dict[tuple[str, str], list[str]] = {}
    pattern = _model_path(study)
    for row in csv.DictReader(io.StringIO(table), delimiter="\t"):
        if row["plan"] == "update pending":
            name = _wildcards(row["rule"], row["output_file"], study, pattern)
            rule = SAME.get(row["rule"], row["rule"])
            outputs.setdefault((rule, name), []).append(row["output_file"])
    for (rule, name), files in outputs.items():
        yield Job(rule, name, tuple(files))


def _model_path(study: Study) -> re.Pattern[str]:
    pairs = "|".join(map(re.escape, study.arms))
    home = re.escape(str(study_directory(study.configuration.study)))
    return re.compile(
        rf"{seed_directory(home, SEED)}/(?P<pair>{pairs})"
        r"(?:/shards/(?P<part>\d+-of-\d+))?/(?P<model>[a-z0-9_-]+)/"
    )


def _wildcards(rule: str, output: str, study: Study, pattern: re.Pattern[str]) -> str:
    """The wildcards of the job that writes `output`, as in the name of its benchmark file."""
    found = pattern.match(output)
    if rule in ONE_JOB:
        return "all"
    if rule in OF_BASES:
        return Path(output).relative_to(study_directory(study.configuration.study)).parts[1]
    if found is None:
        # Named after the directory of a corpus, of a seed, or of both.
        place = Path(output).relative_to(study_directory(study.configuration.study)).with_suffix("")
        if rule == "load_corpus":
            return ".".join([*place.parent.parts, "all"])
        if rule == "audit_split":
            return ".".join(place.parent.parts).removeprefix("seed-")
        return ".".join(place.parts)
    model = "mixtures" if "mixture" in rule else found["model"]
    parts = [found["seed"].replace("/", "."), found["pair"], model, found["part"]]
    return ".".join(part for part in parts if part)
