"""Evidence from the server of a package, which is too large to be installed for every run.

vLLM is started where DISTILLEAK_VLLM names a Python that has it installed. It serves a base model
of this package.
"""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from command_line import as_words
from tiny_evidence import log_p_of
from tiny_study import sentences

from distilleak.evidence.table import read_view
from distilleak.files import write_table
from distilleak.models import making
from distilleak.records import tokenizer as tokenization
from distilleak.stages import query_api

BASE = Path(query_api.__file__).parents[1] / "bases" / "sotu_small"
VLLM = os.environ.get("DISTILLEAK_VLLM", "")
STARTING = 600
"""Seconds that a server may take to start."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str], url: str, log: Path, **variables: str) -> Iterator[None]:
    """A server, from the time at which it answers at `url` to the end of the block."""
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | variables)
        try:
            end = time.monotonic() + STARTING
            while not answers(url):
                assert server.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < end, log.read_text()[-2000:]
                time.sleep(1)
            yield
        finally:
            server.terminate()
            server.wait(timeout=60)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/models", timeout=5) as response:
            return bool(json.load(response)["data"])
    except OSError:
        return False


def write_records(path: Path) -> list[str]:
    texts = [f"{text} {number}" for number, text in enumerate(sentences(12, seed=4))]
    pools = ["member", "nonmember", "holdout"] * 4
    member = pa.array([pool == "member" for pool in pools])
    columns = {
        "record_id": [f"r{number:03}" for number in range(len(texts))],
        "pool": pools,
        "teacher_member": member,
        "student_member": member,
        "text": texts,
        "token_ids": pa.array([[0]] * len(texts), pa.list_(pa.int32())),
    }
    write_table(pa.table(columns), path)
    return texts


@pytest.mark.skipif(not VLLM, reason="DISTILLEAK_VLLM names no Python with vllm")
def test_vllm_says_what_the_model_says(tmp_path: Path) -> None:
    texts = write_records(tmp_path / "records.parquet")
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    command = [
        *(VLLM, "-m", "vllm.entrypoints.openai.api_server", "--model", str(BASE)),
        *("--served-model-name", "small", "--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", "float32", "--enforce-eager"),
    ]
    variables = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with running(command, url, tmp_path / "log", **variables):
        query_api.main(
            as_words(
                settings=json.dumps({"api": url, "model": "small"}),
                records=tmp_path / "records.parquet",
                output=tmp_path,
            )
        )
    view = read_view(tmp_path / "plain.parquet")
    model = making.load(str(BASE), "cpu", torch.float32)
    tokenizer = tokenization.load(BASE)
    for number, text in enumerate(texts):
        first, *others = tokenizer.encode(text).ids
        found = slice(*view.logp.offsets[number : number + 2])
        assert view.token_id.values[found].tolist() == others
        log_p = log_p_of(model, [first], np.array(others))
        expected = log_p[torch.arange(len(others)), torch.tensor(others)]
        np.testing.assert_allclose(view.logp.values[found], expected, rtol=0, atol=5e-5)
