"""What decides about evidence, so that models are not queried again for anything else."""

from collections.abc import Sequence
from typing import Any

from distilleak.scoring.needs import NEIGHBOUR
from distilleak.settings.evidence import PREFIXES, EvidenceSettings


def deciding(settings: EvidenceSettings, views: Sequence[str]) -> dict[str, Any]:
    """The settings of the evidence that matter for these views, as JSON."""
    unused = {"shards"}
    if not PREFIXES.keys() & {*views}:
        unused |= {"prefix_tokens"}
    if NEIGHBOUR not in views:
        unused |= {"neighbours", "neighbour_share"}
    return settings.model_dump(mode="json", exclude=unused)
