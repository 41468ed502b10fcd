"""What all distillation methods share unless their own entry says otherwise."""

from pydantic import Field

from distilleak.settings.objective import ObjectiveSettings


class DistillationSettings(ObjectiveSettings):
    """The objective, and how the teacher's logits reach the students."""

    stored_gib: float = Field(default=2.0, ge=0)
    """The teacher's exact logits on the members are stored once for all students where they take
    no more than this; otherwise every student runs the teacher again (GiB)."""
