"""The loss that a student minimises."""

from typing import Literal

from pydantic import Field

from distilleak.settings.base import Settings


class ObjectiveSettings(Settings):
    """alpha CE + (1 - alpha) T^2 D(teacher_T, student_T) + gamma (1 - cos(h_teacher, h_student)),
    per predicted token."""

    alpha: float = Field(default=0.5, ge=0, le=1)
    """Weight of the true token relative to the teacher's distribution; 0 = soft labels only."""
    distillation_temperature: float = Field(default=2.0, gt=0, le=1e4)
    """T: it softens both the teacher's and the student's distribution."""
    divergence: Literal["forward_kl", "reverse_kl", "jensen_shannon", "hard_labels"] = "forward_kl"
    """D: `forward_kl` KL(teacher || student), `reverse_kl` KL(student || teacher), `jensen_shannon`
    beta KL(teacher || m) + (1 - beta) KL(student || m), m = beta teacher + (1 - beta) student,
    `hard_labels` -log student(the teacher's most likely token), as if the teacher returned nothing
    else; T = 1 leaves the student's distribution as it is."""
    beta: float = Field(default=0.5, gt=0, lt=1)
    """The teacher's share of the mixture in `jensen_shannon`."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the true token's probability that is spread over the vocabulary (Szegedy et al.
    2016, section 7)."""
    hidden_weight: float = Field(default=0.0, ge=0, le=1e6)
    """gamma: weight of the cosine distance between the final hidden states of teacher and student,
    which must be equally wide. Needs a teacher that is queried on every batch."""
