"""A small model behind an API on the loopback, with the answers of several kinds of server.

Packages that score prompts are too large to install for a test (vLLM) or have to be compiled
(llama-cpp-python), so this is a server of the standard library around a model of transformers. Its
answers have the form of theirs; `tests/evidence/test_real_servers.py` tries out the real ones.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

Kind = Literal["vllm", "llama_cpp", "shifted", "generated_only", "without", "null_inside"]
NAME = "tiny"


@dataclass
class Service:
    """A model that is served, and what happens to queries of it.

    Attributes:
        kind: `vllm` gives ids and no start token; `llama_cpp` gives strings and reads a start token
            that it does not show; `shifted` is `llama_cpp` for a model without one, which gives
            every token the number of its neighbour; `generated_only` scores no prompt; `without`
            gives no log-probabilities; `null_inside` has a hole.
        start: id of the start token.
        key: what the server wants.
        failures: status of the answers after the first proper one, to the query that tries it out.
        delay: seconds before an answer.
        refuses: a text that is too long.
        seen: texts that were scored.
        most: queries that were answered at a time.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    start: int
    kind: Kind = "vllm"
    key: str | None = None
    failures: list[int] = field(default_factory=list)
    delay: float = 0.0
    refuses: str | None = None
    seen: list[str] = field(default_factory=list)
    most: int = 0
    url: str = ""
    _running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """A completion."""
        text: str = body["prompt"]
        with self._lock:
            self.seen.append(text)
            self._running += 1
            self.most = max(self.most, self._running)
        time.sleep(self.delay)
        ids: list[int] = self.tokenizer.encode(text).ids
        read = [self.start, *ids] if self.kind == "llama_cpp" else ids
        scores = self._log_p(read)
        new = int(scores[-1].argmax())
        values = [None, *_of(scores, read[1:]), float(scores[-1, new])]
        with self._lock:
            self._running -= 1
        usage = {"prompt_tokens": len(read), "completion_tokens": 1}
        return {"choices": [{"index": 0, "logprobs": self._said(ids, new, values, body)}]} | {
            "usage": usage
        }

    def _said(
        self, ids: list[int], new: int, values: list[float | None], body: dict[str, Any]
    ) -> dict[str, Any] | None:
        words = [self.tokenizer.decode([token]) for token in [*ids, new]]
        starts = [len(self.tokenizer.decode(ids[:end])) for end in range(len(ids) + 1)]
        if self.kind == "without":
            return None
        if self.kind == "generated_only":
            words, values, starts = words[-1:], values[-1:], starts[-1:]
        if self.kind == "llama_cpp":
            values = [None, *values[2:]]
        if self.kind == "shifted":
            words, starts, values = words[:-1], starts[:-1], [None, *values[2:]]
        if self.kind == "null_inside":
            values[2] = None
        if self.kind == "vllm" and body["return_tokens_as_token_ids"]:
            words = [f"token_id:{token}" for token in [*ids, new]]
        return {"tokens": words, "token_logprobs": values, "text_offset": starts}

    @torch.no_grad()
    def _log_p(self, ids: Sequence[int]) -> torch.Tensor:
        return torch.log_softmax(self.model(input_ids=torch.tensor([ids])).logits[0], -1)


def _of(scores: torch.Tensor, tokens: Sequence[int]) -> list[float]:
    return [float(scores[place, token]) for place, token in enumerate(tokens)]


@contextmanager
def served(service: Service) -> Iterator[Service]:
    """Inside the block the service answers at its `url`."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path != "/v1/models":
                self._reply(404, {"detail": "Not Found"})
                return
            self._reply(200, {"object": "list", "data": [{"id": NAME}, {"id": "other"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            failure = service.failures.pop(0) if service.seen and service.failures else None
            if failure is not None:
                self._reply(failure, {"error": {"message": f"cannot read {body['prompt']}"}})
            elif body["prompt"] == service.refuses:
                self._reply(400, {"error": {"message": f"too long: {body['prompt']}"}})
            else:
                self._reply(200, service.answer(body))

        def _reply(self, status: int, answer: object) -> None:
            if service.key and self.headers["Authorization"] != f"Bearer {service.key}":
                status, answer = 401, {"error": "who are you?"}
            sent = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # a client that has hung up
                super().handle_error(request, client_address)

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
