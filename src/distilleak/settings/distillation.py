"""What all distillation methods share unless their own entry overrides it."""

from pydantic import Field

from distilleak.settings.objective import ObjectiveSettings


class DistillationSettings(ObjectiveSettings):
    """The objective, and how the teacher's logits reach the students."""

    stored_gib: float = Field(default=2.0, ge=0, le=1e6)
    """If the teacher's exact logits on the members take no more than this (GiB), they are stored
    once for all students; otherwise every student runs the teacher again."""
