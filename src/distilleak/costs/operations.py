"""The expected cost of a job in floating-point operations and bytes, from the configuration.

It assumes that every record fills the context and that no method drops any, which can only
overestimate the cost.
"""

from collections.abc import Mapping

from distilleak.costs.jobs import Job
from distilleak.errors import DistilleakError
from distilleak.scoring.needs import NEIGHBOUR
from distilleak.settings.architecture import (
    ArchitectureSettings,
    CheckpointSettings,
    TeacherLayersSettings,
)
from distilleak.study import arms
from distilleak.study.arms import Arm
from distilleak.study.plan import Plan
from distilleak.study.weights import matrix_weights

EVIDENCE_BYTES = 30
"""Compressed bytes of evidence per token, in the default study."""


class Costs:
    """The costs of the jobs of one study.

    Args:
        plan: its plan, with counts in `pools`.
        sizes: maps the hub id or path of a pretrained model to its number of parameters.

    Raises:
        DistilleakError: the pools are fractions.
    """

    def __init__(self, plan: Plan, sizes: Mapping[str, float]) -> None:
        self.plan = plan
        self.study = plan.study
        self.configuration = plan.study.configuration
        self.sizes = sizes
        for corpus in self.study.corpora.values():
            if any(isinstance(size, float) for size in corpus.pools.sizes().values()):
                raise DistilleakError("pools: fractions; the forecast needs counts of records")

    def operations(self, job: Job) -> float:
        """Floating-point operations of a job that needs a model.

        Training takes 6 and querying 2 per token and weight of a matrix product (Kaplan et al.
        2020, arXiv 2001.08361, section 2.1); attention scores are left out.

        Raises:
            DistilleakError: the size of a pretrained model is not known.
        """
        pair, model = self._names(job)
        arm = self.study.arms[pair]
        training = self.configuration.training
        learned = self._members(arm) * self.configuration.encoding.context
        teacher = self._teacher(arm)
        if job.rule == "train_teacher":
            return 6 * teacher * learned * training.teacher.epochs
        if job.rule == "train_other_teacher":
            other = self.study.teachers[model.removeprefix("teacher-")]
            return 6 * teacher * learned * other.epochs
        if job.rule == "train_reference":
            return 6 * self._reference(arm) * learned * training.reference.epochs
        if job.rule == "train_student":
            student = self.study.students[model]
            stored = self.study.reads_stored_targets(student, arm)
            queried = 2 * teacher if student.method.needs_teacher and not stored else 0
            return (6 * self._student(arm, model) + queried) * learned * student.training.epochs
        if job.rule == "store_targets":
            return 2 * teacher * learned
        return 2 * self._queried(arm, model) * self._tokens(job, arm) / job.part

    def bytes(self, job: Job) -> float:
        """Bytes that a job leaves on disk; 0 if they are too few to matter."""
        made = job.rule in ("finish_student", "take_epoch", "undo_method")
        if not job.needs_model and not made:
            return 0.0
        pair, model = self._names(job)
        arm = self.study.arms[pair]
        if made:
            return 4 * self._student(arm, model)
        if job.rule in ("train_teacher", "train_other_teacher"):
            return 4 * self._teacher(arm)
        if job.rule == "train_reference":
            return 4 * self._reference(arm)
        if job.rule == "train_student":
            return 4 * self._student(arm, model) * self._epochs_kept(model)
        if job.rule == "store_targets":
            tokens = self._members(arm) * self.configuration.encoding.context
            return 4.0 * tokens * self.configuration.tokenizer.vocabulary
        copies = len(self.plan.mixtures) if "mixture" in job.rule else 1
        return EVIDENCE_BYTES * copies * self._tokens(job, arm) / job.part

    def _names(self, job: Job) -> tuple[str, str]:
        parts = job.wildcards.split(".")  # the seed is the first, or for a shadow the first two
        place = next(number for number, part in enumerate(parts) if part in self.study.arms)
        return parts[place], parts[place + 1]

    def _members(self, arm: Arm) -> int:
        pools = self.study.corpora[arm.corpus].pools
        canaries = self.configuration.canaries
        inserted = 0 if canaries is None else canaries.each * sum(canaries.repetitions)
        return int(pools.member + pools.shown) + inserted

    def _tokens(self, job: Job, arm: Arm) -> float:
        """Tokens that a model reads in all views of its evidence."""
        pools = self.study.corpora[arm.corpus].pools
        evaluated = pools.member + pools.nonmember + pools.holdout
        settings = self.configuration.evidence
        records = 0.0
        for view in self.plan.views[job.rule]:
            if view == "population":
                records += pools.population
            elif view == "tempered":
                records += pools.holdout
            elif view == "candidates" and self.configuration.canaries is not None:
                canaries = self.configuration.canaries
                kinds = len(canaries.repetitions) * canaries.each
                records += kinds * (canaries.candidates + 1)
            else:
                records += evaluated * (settings.neighbours if view == NEIGHBOUR else 1)
        context = self.configuration.encoding.context
        passes = 1
        if arm.masked:
            passes = context if settings.masking == "each" else settings.passes
        return records * context * passes

    def _epochs_kept(self, model: str) -> int:
        """How often a student is stored: after each epoch if another student is an early state."""
        return self.study.students[model].training.epochs if model in self.plan.kept else 1

    def _queried(self, arm: Arm, model: str) -> float:
        if model == "teacher" or model in self.plan.other_teachers:
            return self._teacher(arm)
        if model.startswith("reference-"):
            return self._reference(arm)
        if model.startswith("base-"):
            return self._weights(arm.bases[model.removeprefix("base-")])
        if model == "mixtures":
            return sum(self._student(arm, student) for student in self.plan.mixed)
        return self._student(arm, model)

    def _teacher(self, arm: Arm) -> float:
        return self._weights(arm.roles.teacher)

    def _student(self, arm: Arm, model: str) -> float:
        stripped = self.plan.stripped.get(model)
        student = self.study.students[model if stripped is None else stripped.of]
        start = student.starts[arm.pair]
        shape = arms.shape(start, arm.roles.teacher)
        if shape is None and isinstance(start, TeacherLayersSettings):
            return self._teacher(arm)  # a checkpoint does not say how many layers are left out
        return self._weights(shape or start)

    def _reference(self, arm: Arm) -> float:
        return self._weights(arm.reference)

    def _weights(self, settings: object) -> float:
        if isinstance(settings, ArchitectureSettings):
            return matrix_weights(settings, self.configuration.tokenizer.vocabulary)
        assert isinstance(settings, CheckpointSettings)
        for base in self.study.bases.values():
            if settings.directory == base.directory and base.vocabulary is not None:
                return self._weights(base.settings.model)
        name = settings.hub or settings.directory or settings.gguf or ""
        if name not in self.sizes:
            raise DistilleakError(
                f"{name}: its number of parameters is unknown; give it as in --size {name}=125e6"
            )
        return self.sizes[name]
