"""What a device can compute in."""

import torch


def has_bfloat16(device: str) -> bool:
    """Whether a device has bfloat16, which some GPUs can only imitate."""
    return device == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
