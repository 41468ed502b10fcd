"""What a server says about a text: reading the answers of OpenAI-compatible completions.

A query asks for one token more than the text and for the text to be echoed, so an answer holds the
tokens of the text and those generated, one after the other. Messages name what is wrong with an
answer and never what it holds: texts are private.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

UNKNOWN = -1
"""In place of the id of a token whose id the server does not give."""
QUERY = {
    "max_tokens": 1,  # 0 means no limit to the server of llama-cpp-python
    "echo": True,
    "logprobs": 1,
    "temperature": 0,
    "return_tokens_as_token_ids": True,  # vLLM; others do not know it
}
"""What a completion is asked for, besides `model` and `prompt`."""
_ID = re.compile(r"token_id:(\d+)")
_ROUNDING = 1e-3
"""How far above 0 rounding may lift the logarithm of a probability near 1, in nats."""


class Unusable(Exception):  # noqa: N818  # a reason, which the caller completes to a line
    """Why an answer cannot be used."""


class _Logprobs(BaseModel):
    tokens: list[str]
    token_logprobs: list[float | None]
    text_offset: list[int] | None = None


class _Choice(BaseModel):
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(default=0, ge=0)


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage


@dataclass(frozen=True)
class Answer:
    """What a server says about a text.

    Attributes:
        token_id: (tokens,) ids of the tokens that have a log-probability, or `UNKNOWN`.
        logp: (tokens,) natural logarithms of their probabilities.
        unscored: tokens without: 1 if the first one has none, since nothing stands before it.
        generated: tokens after the text.
        reaches: where the first of those begins, in characters of the text; None if there is none,
            or the server gives ids and no characters.
    """

    token_id: NDArray[np.int32]
    logp: NDArray[np.float32]
    unscored: int
    generated: int
    reaches: int | None


def read_answer(found: Any) -> Answer:
    """Read a completion, as decoded from JSON.

    Raises:
        Unusable: it lacks the log-probabilities of the text, or they are none.
    """
    try:
        completion = _Completion.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Unusable(f"no completion in OpenAI's format ({place}: {first['msg']})") from None
    said = completion.choices[0].logprobs
    if said is None or not said.token_logprobs:
        raise Unusable("no log-probabilities")
    if len(said.tokens) != len(said.token_logprobs):
        raise Unusable(
            f"{len(said.tokens)} tokens and {len(said.token_logprobs)} log-probabilities"
        )
    generated = completion.usage.completion_tokens
    end = len(said.tokens) - generated
    if end <= 0:
        raise Unusable("log-probabilities of generated tokens only, none of the text")
    values = said.token_logprobs[:end]
    unscored = int(values[0] is None)
    if None in values[unscored:]:
        raise Unusable(f"no log-probability of token {1 + values.index(None, unscored)} of {end}")
    logp = np.array(values[unscored:], np.float64)
    wrong = np.flatnonzero(~np.isfinite(logp) | (logp > _ROUNDING))
    if len(wrong):
        at = int(wrong[0])
        raise Unusable(
            f"the log-probability {logp[at]} of token {1 + unscored + at} of {end}; "
            "it must be finite and not above 0"
        )
    token_id = _ids(said.tokens[unscored:end])
    starts = said.text_offset
    counted = starts is not None and len(starts) > end and UNKNOWN in token_id
    return Answer(
        token_id=token_id,
        logp=np.minimum(logp, 0.0).astype(np.float32),
        unscored=unscored,
        generated=generated,
        reaches=starts[end] if starts is not None and counted else None,
    )


def _ids(tokens: list[str]) -> NDArray[np.int32]:
    found = [_ID.fullmatch(token) for token in tokens]
    return np.array([UNKNOWN if match is None else int(match[1]) for match in found], np.int32)
