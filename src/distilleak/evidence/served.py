"""Evidence of a model behind an API: texts go to its server, log-probabilities of tokens come back.

A server says how likely each token of a text is, and nothing of the other tokens of its vocabulary.
So the columns that need the whole distribution are NaN, and `rank` is `UNKNOWN`: an attack that
reads them fails. Texts go to the server and nowhere else: no message and no log line holds one, nor
what the server says about one, since servers repeat in their errors what they were sent.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)
from tqdm import tqdm

from distilleak.errors import DistilleakError
from distilleak.evidence.answers import QUERY, UNKNOWN, Answer, Unusable, read_answer
from distilleak.evidence.shards import Shards
from distilleak.evidence.table import FLOAT_COLUMNS, schema
from distilleak.machine import signals
from distilleak.records.pools import EVIDENCE_POOLS, UTILITY_POOLS
from distilleak.records.table import Records, extent, iterate_records
from distilleak.settings.api import ApiSettings

log = logging.getLogger(__name__)

VIEWS = {
    "plain": EVIDENCE_POOLS,
    "lower": EVIDENCE_POOLS,
    "population": ("population",),
}
"""What a server can be shown, since it is made of texts and not of tokens -> its pools."""
WINDOW = 128
"""Records in a shard: so many answers at most are lost when a job is interrupted."""
MODEL = ""
"""The name of the only model in its shards."""
PROBES = (
    "The committee will meet again on Tuesday to read the minutes.",
    "Water boils at a lower temperature on a high mountain.",
    "She put the blue book back on the second shelf.",
)
"""Texts that a server is tried with; one is enough, unless the model ends there."""
_POLL = 0.2
"""Seconds between two looks whether the job is to end."""
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_SAID = 200
"""Characters of a server's explanation that a message shows."""
_BACKOFF = wait_exponential_jitter(multiplier=0.5, max=60.0, jitter=0.25)

logging.getLogger("httpx2").setLevel(logging.WARNING)  # it reports every query


class _Passing(Exception):  # noqa: N818  # may be over the next time
    """A query failed for the moment.

    Args:
        reason: why, for a message.
        pause: seconds that the server wants to be left alone.
    """

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class Server:
    """A connection to a server, to be used in an `async with` block.

    Raises:
        DistilleakError: the variable for the key is not set.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._client = httpx2.AsyncClient(
            headers=_headers(settings),
            timeout=settings.timeout,
            limits=httpx2.Limits(max_connections=settings.concurrency),
        )

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def models(self) -> list[str]:
        """The names of the models that the server has.

        Raises:
            DistilleakError: it cannot be reached, or gives no such list.
        """
        root = self._settings.root
        try:
            response = await self._send("GET", "models")
        except _Passing as error:
            raise DistilleakError(f"{root}: {error}; is the server running?") from error
        if response.status_code != HTTPStatus.OK:
            raise DistilleakError(
                f"{root}/models: the server answers {_status(response)}; the URL of an "
                "OpenAI-compatible server usually ends in /v1"
            )
        try:
            return [str(model["id"]) for model in response.json()["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise DistilleakError(
                f"{root}/models: not a list of models in OpenAI's form"
            ) from error

    async def try_out(self, text: str) -> Answer:
        """The answer on a text that is not private; what the server objects is shown.

        Raises:
            DistilleakError: there is none that can be used.
        """
        where = f"{self._settings.root}: model {self._settings.model!r}"
        try:
            response = await self._complete(text)
        except _Passing as error:
            raise DistilleakError(f"{where}: {error}") from error
        if response.status_code != HTTPStatus.OK:
            raise DistilleakError(
                f"{where}: the server refuses to give log-probabilities of a text with "
                f"{_status(response)}{_explanation(response)}"
            )
        try:
            return read_answer(_json(response))
        except Unusable as error:
            raise DistilleakError(
                f"{where}: the server answers with {error}; needed is one that scores prompts "
                "('echo' with 'logprobs'), as that of vLLM does"
            ) from error

    async def score(self, record_id: str, text: str) -> Answer:
        """The answer on a record, after as many tries as are allowed.

        Raises:
            DistilleakError: there is none that can be used.
        """
        where = f"{self._settings.root}: record {record_id!r}"
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Passing),
            stop=stop_after_attempt(1 + self._settings.retries),
            wait=_pause,
            reraise=True,
        )
        try:
            response: httpx2.Response = await retrying(self._complete, text)
        except _Passing as error:
            raise DistilleakError(
                f"{where}: {error}, {1 + self._settings.retries} times; run again to resume there"
            ) from error
        if response.status_code != HTTPStatus.OK:
            raise DistilleakError(
                f"{where}: the server refuses its text ({len(text)} characters) with "
                f"{_status(response)}; most often it is longer than the model's context"
            )
        try:
            answer = read_answer(_json(response))
        except Unusable as error:
            raise DistilleakError(f"{where}: the server answers with {error}") from error
        if not len(answer.logp):
            raise DistilleakError(
                f"{where}: the server scores none of its tokens, since nothing stands before the "
                "only one; leave such short texts out"
            )
        return answer

    async def _complete(self, text: str) -> httpx2.Response:
        body = {"model": self._settings.model, "prompt": text, **QUERY}
        return await self._send("POST", "completions", body)

    async def _send(self, method: str, place: str, body: object = None) -> httpx2.Response:
        """One query.

        Raises:
            _Passing: it failed for the moment.
            DistilleakError: the key is refused.
        """
        url = f"{self._settings.root}/{place}"
        try:
            response = await self._client.request(method, url, json=body)
        except httpx2.TimeoutException as error:
            raise _Passing(f"no answer within {self._settings.timeout:g} seconds") from error
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise _Passing(f"no server answers ({reason})") from error
        if response.status_code in _BUSY or response.status_code >= 500:
            raise _Passing(f"the server answers {_status(response)}", _wanted(response))
        if response.status_code in _REFUSED:
            variable = self._settings.key_variable
            used = f"the key in {variable}" if variable else "queries without a key (key_variable)"
            raise DistilleakError(
                f"{self._settings.root}: the server refuses {used} with {_status(response)}"
            )
        return response


def check_server(settings: ApiSettings) -> None:
    """Try out a server, before anything costly.

    Raises:
        DistilleakError: it is down, refuses the key, lacks the model, or gives no
            log-probabilities of a text's tokens.
    """
    asyncio.run(_check(settings))


async def _check(settings: ApiSettings) -> None:
    async with Server(settings) as server:
        models = await server.models()
        if settings.model not in models:
            raise DistilleakError(
                f"{settings.root}: no model {settings.model!r}; the server has "
                f"{', '.join(models) or 'none'}"
            )
        for probe in PROBES:
            answer = await server.try_out(probe)
            if not answer.generated:
                continue
            if answer.reaches is not None and answer.reaches < len(probe):
                # The server of llama-cpp-python does so where a model has no start token.
                raise DistilleakError(
                    f"{settings.root}: model {settings.model!r}: the server gives each token the "
                    "log-probability of another one, since there is no start token; serve the "
                    "model with a start token, or with vLLM"
                )
            break


def compute(
    settings: ApiSettings,
    records: str,
    views: Sequence[str],
    shards: Shards,
    stopped: Callable[[], bool],
) -> None:
    """Write the shards that are not there yet.

    Args:
        settings: of the server.
        records: records.parquet.
        views: names in `VIEWS`.
        shards: what is there, and where to write.
        stopped: whether the job is to end.

    Raises:
        DistilleakError: the server fails, or refuses a record.
        Interrupted: the job is to end; the shards that are done are there.
    """
    counts = {view: extent(records, VIEWS[view], UTILITY_POOLS)[0] for view in views}
    asyncio.run(_compute(settings, records, counts, shards, stopped))


async def _compute(
    settings: ApiSettings,
    records: str,
    counts: dict[str, int],
    shards: Shards,
    stopped: Callable[[], bool],
) -> None:
    async with Server(settings) as server:
        for view, count in counts.items():
            unscored = 0
            with tqdm(desc=view, total=count, disable=None) as bar:
                windows = iterate_records(records, VIEWS[view], WINDOW)
                for number, some in enumerate(windows):
                    if shards.finished([MODEL], view, number):
                        bar.update(len(some.record_id))
                        continue
                    found = await _window(server, settings, view, some, bar, stopped)
                    shards.write({MODEL: _table(some, found)}, view, number)
                    unscored += sum(answer.unscored for answer in found)
            log.info("%s: %d records", view, count)
            if unscored:
                log.info(
                    "%s: the server gives the first token of %d texts no log-probability, since "
                    "nothing stands before it: left out",
                    view,
                    unscored,
                )


async def _window(
    server: Server,
    settings: ApiSettings,
    view: str,
    records: Records,
    bar: "tqdm[Any]",
    stopped: Callable[[], bool],
) -> list[Answer]:
    """The answers on these records, in their order."""
    free = asyncio.Semaphore(settings.concurrency)

    async def ask(record_id: str, text: str) -> Answer:
        async with free:
            return await server.score(record_id, text.lower() if view == "lower" else text)

    tasks = [
        asyncio.create_task(ask(record_id, text))
        for record_id, text in zip(records.record_id, records.text, strict=True)
    ]
    waiting = set(tasks)
    try:
        while waiting:
            done, waiting = await asyncio.wait(
                waiting, timeout=_POLL, return_when=asyncio.FIRST_EXCEPTION
            )
            for task in done:
                task.result()
            bar.update(len(done))
            if waiting and stopped():
                raise signals.Interrupted(f"{view}, record {records.record_id[0]!r}")
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [task.result() for task in tasks]


def file_schema(settings: ApiSettings, view: str) -> pa.Schema:
    """The schema of an evidence file; its metadata say where it comes from."""
    source = {"model": settings.model, "server": settings.root, "view": view}
    return schema(masked=False, copies=False).with_metadata(source)


def _table(records: Records, answers: Sequence[Answer]) -> pa.Table:
    offsets = np.cumsum([0, *(len(answer.logp) for answer in answers)]).astype(np.int32)
    nothing = np.full(offsets[-1], np.nan, np.float32)
    columns = {
        **dict.fromkeys(FLOAT_COLUMNS, nothing),
        "token_id": np.concatenate([answer.token_id for answer in answers]),
        "logp": np.concatenate([answer.logp for answer in answers]),
        "rank": np.full(offsets[-1], UNKNOWN, np.int32),
    }
    form = schema(masked=False, copies=False)
    lists: dict[str, pa.Array] = {
        name: pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
        for name, values in columns.items()
    }
    lists["record_id"] = pa.array(records.record_id)
    return pa.table([lists[name] for name in form.names], schema=form)


def _headers(settings: ApiSettings) -> dict[str, str]:
    if settings.key_variable is None:
        return {}
    key = os.environ.get(settings.key_variable, "").strip()
    if not key:
        raise DistilleakError(
            f"{settings.root}: the environment variable {settings.key_variable} (key_variable), "
            "which holds the key of the server, is not set"
        )
    return {"Authorization": f"Bearer {key}"}


def _pause(state: RetryCallState) -> float:
    """Seconds until the next try: what the server wants, at least as long as always."""
    error = state.outcome.exception() if state.outcome is not None else None
    wanted = error.pause if isinstance(error, _Passing) else None
    return max(_BACKOFF(state), min(wanted or 0.0, _BACKOFF.max))


def _wanted(response: httpx2.Response) -> float | None:
    """Seconds in a Retry-After header; it may also hold a date, which is rare and not read."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None


def _status(response: httpx2.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".strip()


def _json(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise Unusable("what is not JSON") from error


def _explanation(response: httpx2.Response) -> str:
    """What the server objects, in one line; servers write it in several places."""
    try:
        found = response.json()
    except ValueError:
        return ""
    found = found.get("error", found.get("detail", found)) if isinstance(found, dict) else found
    if isinstance(found, dict):
        found = found.get("message", found)
    return f": {' '.join(str(found).split())[:_SAID]}"
