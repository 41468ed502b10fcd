"""temperature: a temperature flattens the logits of vulnerable tokens."""

from typing import Literal

from pydantic import Field

from distilleak.methods._output_map import OutputMapMethod, OutputMapParameters


class Parameters(OutputMapParameters):
    """How much the logits of vulnerable tokens are flattened."""

    tau: float = Field(default=2.0, gt=0, le=1e4)
    """Temperature: the distance of a vulnerable token's logit from the centre is divided by
    `tau`."""
    centre: Literal["mean", "zero"] = "mean"
    """`mean`: the row's mean logit, so that a constant added to all logits changes nothing.
    `zero`: the raw logit is divided, as in the code of arXiv 2505.11837."""


class Method(OutputMapMethod[Parameters]):
    """centre + (z - centre) / tau on vulnerable tokens."""

    def scale_shift(self) -> tuple[float, float]:
        """Logits are not shifted."""
        return 1.0 / self.parameters.tau, 0.0

    def centred_on(self) -> str:
        """As configured."""
        return self.parameters.centre
