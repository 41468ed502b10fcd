"""Which models Opacus's own per-sample gradients can handle: `python benchmarks/per_sample.py`.

Each model type is tried with tied and untied weights, and with its own positions or positions given
for every row. The result is compared with gradients of single records, computed one at a time as in
the DP-SGD of this package.
"""

import sys
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from opacus import GradSampleModule

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from tiny_training import CAUSAL, MASKED, VOCABULARY, records

from distilleak.models import families
from distilleak.models.batches import Batch, training_batch
from distilleak.models.family_table import FAMILIES
from distilleak.settings.architecture import ArchitectureSettings

TOKENS = [record for record in records(40) if len(record) == 12] or records(4)[:1]


def build(family: str, tied: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    options = {"tie_word_embeddings": tied}
    shape = {"type": family, "layers": 2, "width": 32, "heads": 4, "positions": 64}
    if family == "roberta":
        options["pad_token_id"] = 1
    settings = ArchitectureSettings.model_validate(shape | {"options": options})
    return families.build(settings, VOCABULARY, 0).double()


def read(rows: list[int], family: str) -> Batch:
    framing = MASKED if FAMILIES[family].kind == "masked" else CAUSAL
    return training_batch(
        TOKENS, rows, framing, "cpu", vocabulary=VOCABULARY, share=0.15, seed=0, epoch=0
    )


def losses(model: torch.nn.Module, now: Batch, positions: bool) -> torch.Tensor:
    given = {}
    if positions:
        first = families._first_position(families.of(plain(model)), plain(model).config)
        width = now.input_ids.shape[1]
        given["position_ids"] = torch.arange(first, first + width).expand(now.input_ids.shape)
    logits = model(input_ids=now.input_ids, **given).logits[now.mask]
    each = F.cross_entropy(logits, now.labels, reduction="none")
    rows = now.mask.nonzero(as_tuple=True)[0]
    sums = torch.zeros(len(now.rows), dtype=torch.float64).index_add(0, rows, each)
    return sums / now.mask.sum(dim=1)


def plain(model: torch.nn.Module) -> torch.nn.Module:
    return getattr(model, "_module", model)


def answer(family: str, tied: bool, positions: bool) -> str:
    model = build(family, tied).train()
    rows = list(range(len(TOKENS)))
    expected = [
        torch.autograd.grad(
            losses(model, read([row], family), positions)[0],
            list(model.parameters()),
            allow_unused=True,
        )
        for row in rows
    ]
    try:
        witness = GradSampleModule(build(family, tied).train(), loss_reduction="sum")
        losses(witness, read(rows, family), positions).sum().backward()
        worst = 0.0
        for number, weight in enumerate(witness.parameters()):
            for row in rows:
                one = expected[row][number]
                one = torch.zeros_like(weight) if one is None else one
                found = weight.grad_sample
                found = torch.zeros_like(weight) if found is None else found[row]
                worst = max(worst, float((found - one).abs().max()))
    except Exception as error:  # any error is a result
        return f"{type(error).__name__}: {' '.join(str(error).split())[:90]}"
    return "as one at a time" if worst < 1e-8 else f"differs by up to {worst:.2g}"


def main() -> None:
    warnings.simplefilter("ignore")
    for family in FAMILIES:
        for tied in (True, False):
            for positions in (False, True):
                words = (
                    f"{'tied' if tied else 'untied'}, positions {'given' if positions else 'own'}"
                )
                print(f"{family:12} {words:24} {answer(family, tied, positions)}", flush=True)


if __name__ == "__main__":
    main()
