"""Evidence of a model behind an API, from a server on the loopback."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from command_line import as_words
from pydantic import ValidationError
from served_model import NAME, Kind, Service, served
from tiny_evidence import EVALUATED, POOLS, START, Site, log_p_of, make_site

from distilleak.errors import DistilleakError
from distilleak.evidence.answers import Unusable, read_answer
from distilleak.evidence.served import check_server
from distilleak.evidence.table import SCHEMA, View, read_view
from distilleak.files import read_table, write_table
from distilleak.machine.signals import EXIT_STATUS
from distilleak.models import making
from distilleak.records import tokenizer as tokenization
from distilleak.records.pools import EVIDENCE_POOLS
from distilleak.records.table import Records, read_records
from distilleak.settings.api import ApiSettings
from distilleak.settings.problems import explained
from distilleak.stages import query_api

UNKNOWN = ("mean_logp", "std_logp", "top_logp", "log1m_p")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("served"))


class Servers:
    """Starts servers of the site's model that end with the test."""

    def __init__(self, site: Site, stack: ExitStack) -> None:
        self.model = making.load(site.path("gpt2"), "cpu")
        self.tokenizer = tokenization.load(site.path("tokenizer"))
        self._stack = stack

    def start(self, kind: Kind = "vllm", **more: Any) -> Service:
        service = Service(self.model, self.tokenizer, START, kind=kind, **more)
        return self._stack.enter_context(served(service))


@pytest.fixture
def servers(site: Site) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(site, stack)


def settings_of(service: Service, **changes: Any) -> ApiSettings:
    return ApiSettings.model_validate({"api": service.url, "model": NAME} | changes)


def words(
    site: Site, service: Service, output: Path, views: tuple[str, ...] = ("plain",), **changes: Any
) -> list[str]:
    shards = {"shards": changes.pop("shards")} if "shards" in changes else {}
    return as_words(
        settings=settings_of(service, **changes).model_dump_json(),
        records=site.path("records.parquet"),
        views=views,
        output=output,
        **shards,
    )


def evaluated(site: Site) -> Records:
    return read_records(site.path("records.parquet"), EVIDENCE_POOLS)


def expected(servers: Servers, context: list[int], tokens: list[int]) -> list[float]:
    """float64 log p of all tokens after `context`, which is not empty."""
    found = log_p_of(servers.model, context, np.array(tokens))
    return [float(found[place, token]) for place, token in enumerate(tokens)]


def row(view: View, name: str, record: int) -> np.ndarray[Any, Any]:
    column = getattr(view, name)
    return np.asarray(column.values[column.offsets[record] : column.offsets[record + 1]])


def test_without_a_start_token_all_tokens_but_the_first_are_scored(
    site: Site, servers: Servers, tmp_path: Path
) -> None:
    service = servers.start("vllm")
    query_api.main(words(site, service, tmp_path))
    records = evaluated(site)
    view = read_view(tmp_path / "plain.parquet", records.record_id)
    assert len(view.record_id) == EVALUATED
    for number, tokens in enumerate(records.tokens):
        first, *others = tokens.tolist()
        assert row(view, "token_id", number).tolist() == others
        np.testing.assert_allclose(
            row(view, "logp", number), expected(servers, [first], others), rtol=0, atol=2e-6
        )


def test_behind_a_start_token_that_is_not_shown_the_numbers_are_those_behind_it(
    site: Site, servers: Servers, tmp_path: Path
) -> None:
    query_api.main(words(site, servers.start("llama_cpp"), tmp_path))
    records = evaluated(site)
    view = read_view(tmp_path / "plain.parquet", records.record_id)
    for number, tokens in enumerate(records.tokens):
        first, *others = tokens.tolist()
        assert set(row(view, "token_id", number)) == {-1}
        np.testing.assert_allclose(
            row(view, "logp", number), expected(servers, [START, first], others), rtol=0, atol=2e-6
        )


def test_what_a_server_does_not_say_is_unknown(
    site: Site, servers: Servers, tmp_path: Path
) -> None:
    service = servers.start()
    query_api.main(words(site, service, tmp_path))
    table = read_table(tmp_path / "plain.parquet", SCHEMA)
    view = read_view(tmp_path / "plain.parquet")
    for name in UNKNOWN:
        assert np.isnan(getattr(view, name).values).all()
    assert set(view.rank.values) == {-1}
    assert table.schema.metadata == {
        b"model": NAME.encode(),
        b"server": service.url.encode(),
        b"view": b"plain",
    }


def test_the_views_are_those_that_are_made_of_texts(
    site: Site, servers: Servers, tmp_path: Path
) -> None:
    service = servers.start()
    query_api.main(words(site, service, tmp_path, views=("lower", "population")))
    records = evaluated(site)
    view = read_view(tmp_path / "lower.parquet", records.record_id)
    for number, text in enumerate(records.text):
        first, *others = servers.tokenizer.encode(text.lower()).ids
        np.testing.assert_allclose(
            row(view, "logp", number), expected(servers, [first], others), rtol=0, atol=2e-6
        )
    population = read_records(site.path("records.parquet"), ["population"])
    found = read_view(tmp_path / "population.parquet")
    assert [*found.record_id] == population.record_id
    assert len(found.record_id) == POOLS["population"]


def test_the_log_says_once_how_many_first_tokens_are_left_out_and_holds_no_text(
    site: Site, servers: Servers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        query_api.main(words(site, servers.start(), tmp_path))
    said = [line for line in caplog.messages if "first token" in line]
    assert len(said) == 1
    assert f"the first token of {EVALUATED} texts" in said[0]
    assert not any(text in line for text in evaluated(site).text for line in caplog.messages)
    assert not any("HTTP" in line for line in caplog.messages)


def test_queries_are_on_their_way_together_but_never_too_many(
    site: Site, servers: Servers, tmp_path: Path
) -> None:
    service = servers.start(delay=0.05)
    query_api.main(words(site, service, tmp_path, concurrency=3))
    assert service.most == 3


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_query_that_fails_for_the_moment_is_repeated(
    site: Site, servers: Servers, tmp_path: Path, status: int
) -> None:
    query_api.main(words(site, servers.start(), tmp_path / "without"))
    service = servers.start(failures=[status] * 2)
    query_api.main(words(site, service, tmp_path / "with", concurrency=1, retries=2))
    assert service.failures == []
    assert sorted(service.seen[1:]) == sorted(evaluated(site).text)
    one, two = (read_view(tmp_path / name / "plain.parquet") for name in ("without", "with"))
    assert one.logp.equals(two.logp)
    assert one.token_id.equals(two.token_id)


def test_a_server_that_keeps_failing_gets_one_line_and_loses_nothing(
    site: Site, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilleak.evidence.served.WINDOW", 4)
    whole, part = tmp_path / "whole", tmp_path / "part"
    service = servers.start()
    query_api.main(words(site, service, whole))
    service.seen.clear()

    class Breaking(list[int]):
        """From the tenth record on the server fails."""

        def __bool__(self) -> bool:
            return len(service.seen) > 10

        def pop(self, index: Any = -1) -> int:
            return 503

    service.failures = Breaking()
    arguments = words(site, service, part, shards=tmp_path / "kept", concurrency=1, retries=1)
    with pytest.raises(
        DistilleakError, match=r"/v1: record 'r\d+': the server answers 503"
    ) as raised:
        query_api.main(arguments)
    assert str(raised.value).endswith(
        "the server answers 503 Service Unavailable, 2 times; run again to resume there"
    )
    assert not (part / "plain.parquet").exists()
    service.failures, service.seen = [], []
    query_api.main(arguments)
    # The first two windows of four are there; one query tries the server out.
    assert len(service.seen) == 1 + EVALUATED - 8
    assert (part / "plain.parquet").read_bytes() == (whole / "plain.parquet").read_bytes()
    assert not (tmp_path / "kept").exists()


def test_a_text_that_the_server_refuses_is_named_and_not_shown(
    site: Site, servers: Servers, tmp_path: Path
) -> None:
    records = evaluated(site)
    service = servers.start(refuses=records.text[5])
    with pytest.raises(DistilleakError) as raised:
        query_api.main(words(site, service, tmp_path))
    assert str(raised.value) == (
        f"{service.url}: record {records.record_id[5]!r}: the server refuses its text "
        f"({len(records.text[5])} characters) with 400 Bad Request; most often it is longer than "
        "the model's context"
    )


def test_a_record_of_one_token_without_a_start_token_is_named(
    site: Site, servers: Servers, tmp_path: Path
) -> None:
    short = Site(tmp_path)
    table = read_table(site.path("records.parquet"))
    place = table["pool"].to_pylist().index("member")
    texts = table["text"].to_pylist()
    texts[place] = "a"
    column = table.schema.get_field_index("text")
    write_table(table.set_column(column, "text", pa.array(texts)), short.path("records.parquet"))
    named = table["record_id"][place].as_py()
    with pytest.raises(DistilleakError, match=rf"record '{named}': the server scores none of its"):
        query_api.main(words(short, servers.start("vllm"), tmp_path / "evidence"))


def test_a_stopped_job_is_resumed_to_the_same_bytes(
    site: Site, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilleak.evidence.served.WINDOW", 4)
    whole, part = tmp_path / "whole", tmp_path / "part"
    service = servers.start()
    query_api.main(words(site, service, whole))
    service.delay, service.seen = 0.2, []
    arguments = words(site, service, part, shards=tmp_path / "kept", concurrency=1)
    code = (
        "import sys; from distilleak.evidence import served; served.WINDOW = 4; "
        "from distilleak.stages import base, query_api; base.run(query_api.main, sys.argv[1:])"
    )
    job = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True, env=os.environ
    )
    while len(service.seen) < 8:
        assert job.poll() is None, job.stderr and job.stderr.read()
        time.sleep(0.02)
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate(timeout=60)
    assert job.returncode == EXIT_STATUS
    assert said.splitlines()[-1].startswith("interrupted; run again to continue from plain, record")
    assert not any(text in said for text in evaluated(site).text)
    assert not (part / "plain.parquet").exists()
    service.delay, service.seen = 0.0, []
    again = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=os.environ
    )
    assert again.returncode == 0, again.stderr
    assert 1 <= len(service.seen) - 1 <= EVALUATED - 4
    assert (part / "plain.parquet").read_bytes() == (whole / "plain.parquet").read_bytes()


def refused(service: Service, **changes: Any) -> str:
    with pytest.raises(DistilleakError) as raised:
        check_server(settings_of(service, **changes))
    return str(raised.value)


def test_a_server_that_can_be_used_is_tried_out_with_one_query(servers: Servers) -> None:
    for kind in ("vllm", "llama_cpp"):
        service = servers.start(kind)
        check_server(settings_of(service))
        assert len(service.seen) == 1


def test_a_server_that_is_down_is_named(servers: Servers) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    settings = ApiSettings(api=url, model=NAME)
    with pytest.raises(DistilleakError, match=rf"^{url}: no server answers \(.*\); is the server"):
        check_server(settings)


def test_a_server_that_takes_too_long_is_named(servers: Servers) -> None:
    service = servers.start(delay=2)
    said = refused(service, timeout=0.5)
    assert said == f"{service.url}: model 'tiny': no answer within 0.5 seconds"


def test_a_wrong_path_is_named(servers: Servers) -> None:
    service = servers.start()
    url = service.url.removesuffix("/v1") + "/api"
    assert refused(service, api=url) == (
        f"{url}/models: the server answers 404 Not Found; the URL of an OpenAI-compatible server "
        "usually ends in /v1"
    )
    check_server(settings_of(service, api=service.url.removesuffix("/v1")))


def test_an_unknown_model_is_answered_by_those_that_there_are(servers: Servers) -> None:
    service = servers.start()
    assert refused(service, model="large") == (
        f"{service.url}: no model 'large'; the server has tiny, other"
    )


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("without", "the server answers with no log-probabilities; needed is"),
        ("generated_only", "the server answers with log-probabilities of generated tokens only"),
        ("null_inside", "the server answers with no log-probability of token 3 of"),
        ("shifted", "the server gives each token the log-probability of another one"),
    ],
)
def test_a_server_without_what_is_needed_is_told_so(
    servers: Servers, kind: Kind, reason: str
) -> None:
    service = servers.start(kind)
    assert refused(service).startswith(f"{service.url}: model 'tiny': {reason}")


def test_the_key_comes_from_the_environment(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = servers.start(key="secret-1")
    monkeypatch.delenv("DISTILLEAK_KEY", raising=False)
    assert refused(service) == (
        f"{service.url}: the server refuses queries without a key (key_variable) with 401 "
        "Unauthorized"
    )
    assert refused(service, key_variable="DISTILLEAK_KEY") == (
        f"{service.url}: the environment variable DISTILLEAK_KEY (key_variable), which holds the "
        "key of the server, is not set"
    )
    monkeypatch.setenv("DISTILLEAK_KEY", "secret-2")
    said = refused(service, key_variable="DISTILLEAK_KEY")
    assert (
        said == f"{service.url}: the server refuses the key in DISTILLEAK_KEY with 401 Unauthorized"
    )
    monkeypatch.setenv("DISTILLEAK_KEY", "secret-1")
    check_server(settings_of(service, key_variable="DISTILLEAK_KEY"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"api": "localhost:8000"}, "begins with http:// or https://"),
        ({"api": "ftp://localhost"}, "begins with http:// or https://"),
        ({"api": "http://me:hush@localhost/v1"}, "without user, password"),
        ({"api": "http://localhost/v1?key=hush"}, "without user, password"),
        ({"key_variable": "sk-hush"}, "and not the key itself"),
        ({"key_variable": "HUSH_ACCESS_KEY"}, "that begins with DISTILLEAK_"),
    ],
)
def test_no_secret_stands_in_a_configuration_or_in_a_message(
    changes: dict[str, Any], reason: str
) -> None:
    given = {"api": "http://localhost:8000/v1", "model": NAME} | changes
    with pytest.raises(ValidationError) as raised:
        ApiSettings.model_validate(given)
    said = str(explained(raised.value, ApiSettings, "audit", "models", "v1"))
    assert said.startswith("audit.models.v1: ")
    assert reason in said
    assert "hush" not in said.lower()


@pytest.mark.parametrize(
    ("api", "root"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://example.org/models/openai", "https://example.org/models/openai"),
    ],
)
def test_the_version_is_added_to_the_url_of_a_bare_server(api: str, root: str) -> None:
    assert ApiSettings(api=api, model=NAME).root == root


def completion(**changes: Any) -> dict[str, Any]:
    said = {"tokens": ["a", "b", "c"], "token_logprobs": [None, -1.5, -0.5]} | changes
    usage = {"prompt_tokens": 2, "completion_tokens": 1}
    return {"choices": [{"logprobs": said}], "usage": usage}


def test_an_answer_holds_the_tokens_of_the_text_alone() -> None:
    answer = read_answer(completion())
    assert answer.logp.tolist() == [-1.5]
    assert answer.token_id.tolist() == [-1]
    assert (answer.unscored, answer.generated, answer.reaches) == (1, 1, None)
    scored = read_answer(completion(token_logprobs=[-2.0, 1e-6, -0.5], text_offset=[0, 1, 2]))
    assert scored.logp.tolist() == [-2.0, 0.0]
    assert (scored.unscored, scored.reaches) == (0, 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token_logprobs": [None, 0.5, -1.0]}, "the log-probability 0.5 of token 2 of 2"),
        ({"token_logprobs": [None, float("-inf"), -1.0]}, "the log-probability -inf of token 2"),
        ({"token_logprobs": [None, float("nan"), -1.0]}, "the log-probability nan of token 2"),
        ({"token_logprobs": [None, None, -1.0]}, "no log-probability of token 2 of 2"),
        ({"token_logprobs": [None, -1.0]}, "3 tokens and 2 log-probabilities"),
        ({"token_logprobs": ["private", None, -1.0]}, "no completion in OpenAI's format"),
        ({"tokens": "private"}, "no completion in OpenAI's format"),
    ],
)
def test_an_answer_that_cannot_be_used_has_a_reason_without_its_contents(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Unusable) as raised:
        read_answer(completion(**changes))
    assert reason in str(raised.value)
    assert "private" not in str(raised.value)


@pytest.mark.parametrize("found", [None, [], {}, {"choices": []}, {"error": "busy"}])
def test_other_json_is_no_answer(found: object) -> None:
    with pytest.raises(Unusable, match="no completion in OpenAI's format"):
        read_answer(json.loads(json.dumps(found)))
