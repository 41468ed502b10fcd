"""What a job will cost: floating-point operations and bytes, from the configuration.

Records are taken to fill the context and no method to drop any: both give too much, not too little.
"""

from collections.abc import Mapping, Sequence

from distilleak.costs.jobs import Job
from distilleak.errors import DistilleakError
from distilleak.scoring.needs import NEIGHBOUR
from distilleak.settings.architecture import (
    ArchitectureSettings,
    CheckpointSettings,
    TeacherLayersSettings,
)
from distilleak.study.arms import Arm, student_shape
from distilleak.study.study import Study
from distilleak.study.weights import matrix_weights

EVIDENCE_BYTES = 30
"""Bytes of evidence per token, as compressed, in the default study."""


class Costs:
    """The costs of the jobs of one study.

    Args:
        study: its configuration, with counts in `pools`.
        sizes: hub id or path of a pretrained model -> its parameters.
        views: views of evidence by rule.

    Raises:
        DistilleakError: the pools are fractions.
    """

    def __init__(
        self, study: Study, sizes: Mapping[str, float], views: Mapping[str, Sequence[str]]
    ) -> None:
        self.study = study
        self.sizes = sizes
        self.views = views
        self.arms = study.arms()
        self.methods = study.method_entries()
        for corpus in study.corpus_entries():
            if any(isinstance(size, float) for size in study.pools_of(corpus).sizes().values()):
                raise DistilleakError("pools: fractions; the forecast needs counts of records")

    def operations(self, job: Job) -> float:
        """Floating-point operations of a job that needs a model.

        Training takes 6 and asking 2 per weight of a matrix product and token (Kaplan et al. 2020,
        arXiv 2001.08361, section 2.1); attention scores are left out.

        Raises:
            DistilleakError: the size of a pretrained model is not known.
        """
        pair, model = self._names(job)
        arm = self.arms[pair]
        training = self.study.training
        learned = self._members(arm) * self.study.encoding.context
        teacher = self._teacher(arm)
        if job.rule == "train_teacher":
            return 6 * teacher * learned * training.teacher.epochs
        if job.rule == "train_other_teacher":
            other = self.study.teacher_training(model.removeprefix("teacher-"))
            return 6 * teacher * learned * other.epochs
        if job.rule == "train_reference":
            return 6 * self._reference(arm) * learned * training.reference.epochs
        if job.rule == "train_student":
            alone = self.methods[model]["method"] == "no_teacher"
            asked = 0 if alone or self.study.reads_stored_targets(model, arm) else 2 * teacher
            own = self._student(arm, model)
            return (6 * own + asked) * learned * self.study.training_of(model).epochs
        if job.rule == "store_targets":
            return 2 * teacher * learned
        return 2 * self._asked(arm, model) * self._tokens(job, arm) / job.part

    def bytes(self, job: Job) -> float:
        """Bytes that a job leaves on the disk; 0 where they are too few to matter."""
        made = job.rule in ("finish_student", "take_epoch")
        if not job.needs_model and not made:
            return 0.0
        pair, model = self._names(job)
        arm = self.arms[pair]
        if made:
            return 4 * self._student(arm, model)
        if job.rule in ("train_teacher", "train_other_teacher"):
            return 4 * self._teacher(arm)
        if job.rule == "train_reference":
            return 4 * self._reference(arm)
        if job.rule == "train_student":
            return 4 * self._student(arm, model) * self._epochs_kept(model)
        if job.rule == "store_targets":
            tokens = self._members(arm) * self.study.encoding.context
            return 4.0 * tokens * self.study.tokenizer.vocabulary
        mixtures = sum(name.startswith("mixture-") for name in self.study.ensemble_members())
        copies = mixtures if "mixture" in job.rule else 1
        return EVIDENCE_BYTES * copies * self._tokens(job, arm) / job.part

    def _names(self, job: Job) -> tuple[str, str]:
        parts = job.wildcards.split(".")  # the first or, of a shadow, the first two are the seed
        place = next(number for number, part in enumerate(parts) if part in self.arms)
        return parts[place], parts[place + 1]

    def _members(self, arm: Arm) -> int:
        pools = self.study.pools_of(arm.corpus)
        inserted = 0
        if self.study.canaries is not None:
            inserted = self.study.canaries.each * sum(self.study.canaries.repetitions)
        return int(pools.member + pools.shown) + inserted

    def _tokens(self, job: Job, arm: Arm) -> float:
        """Tokens that a model reads in all views of its evidence."""
        pools = self.study.pools_of(arm.corpus)
        evaluated = pools.member + pools.nonmember + pools.holdout
        settings = self.study.evidence
        records = 0.0
        for view in self.views[job.rule]:
            if view == "population":
                records += pools.population
            elif view == "candidates" and self.study.canaries is not None:
                canaries = self.study.canaries
                kinds = len(canaries.repetitions) * canaries.each
                records += kinds * (canaries.candidates + 1)
            else:
                records += evaluated * (settings.neighbours if view == NEIGHBOUR else 1)
        context = self.study.encoding.context
        passes = 1
        if arm.masked:
            passes = context if settings.masking == "each" else settings.passes
        return records * context * passes

    def _epochs_kept(self, model: str) -> int:
        """How many times a student is stored: after every epoch if another one is early of it."""
        origins = [early.of for name in self.methods if (early := self.study.early_of(name))]
        return self.study.training_of(model).epochs if model in origins else 1

    def _asked(self, arm: Arm, model: str) -> float:
        if model == "teacher":
            return self._teacher(arm)
        if model.startswith("reference-"):
            return self._reference(arm)
        if model == "mixtures":
            members = self.study.ensemble_members()
            mixed = {s for name, names in members.items() if name[:3] == "mix" for s in names}
            return sum(self._student(arm, student) for student in mixed)
        return self._student(arm, model)

    def _teacher(self, arm: Arm) -> float:
        return self._weights(arm.pair.teacher)

    def _student(self, arm: Arm, model: str) -> float:
        start = self.study.student_of(model, arm.pair)
        shape = student_shape(arm.pair.model_copy(update={"student": start}))
        if shape is None and isinstance(start, TeacherLayersSettings):
            return self._teacher(arm)  # how many layers it leaves out, a checkpoint does not say
        return self._weights(shape or start)

    def _reference(self, arm: Arm) -> float:
        return self._weights(arm.reference())

    def _weights(self, settings: object) -> float:
        if isinstance(settings, ArchitectureSettings):
            return matrix_weights(settings, self.study.tokenizer.vocabulary)
        assert isinstance(settings, CheckpointSettings)
        name = settings.hub or settings.directory or settings.gguf or ""
        if name not in self.sizes:
            raise DistilleakError(
                f"{name}: its number of parameters is not known here; add --size {name}=125e6"
            )
        return self.sizes[name]
