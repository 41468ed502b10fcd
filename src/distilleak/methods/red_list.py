"""red_list: a fixed penalty subtracted from the logits of vulnerable tokens."""

from pydantic import Field

from distilleak.methods._output_map import OutputMapMethod, OutputMapParameters


class Parameters(OutputMapParameters):
    """How hard vulnerable tokens are penalised."""

    penalty: float = Field(default=1.0, gt=0, le=1e4)
    """Amount subtracted from the logit of a vulnerable token (nats)."""


class Method(OutputMapMethod[Parameters]):
    """z - penalty on vulnerable tokens."""

    def scale_shift(self) -> tuple[float, float]:
        """The scale is unchanged."""
        return 1.0, -self.parameters.penalty
