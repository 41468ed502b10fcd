"""A model behind an API: where its server is, what it is called there, how it is queried."""

import re
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from distilleak.settings.base import Settings

_VARIABLE = re.compile(r"DISTILLEAK_[A-Z0-9_]+")
"""A configuration may come from others: it must not send other secrets of an environment."""
_VERSION = "/v1"


class ApiSettings(Settings):
    """A model that an OpenAI-compatible server runs, which gives log-probabilities of prompts."""

    api: str
    """URL of the server, such as `http://localhost:8000/v1`."""
    model: str = Field(min_length=1)
    """What the server calls the model."""
    key_variable: str | None = None
    """The environment variable that holds the key, if the server wants one: `DISTILLEAK_KEY` or
    another name that begins with `DISTILLEAK_`. The key itself never stands in a configuration."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """How many texts are on their way to the server at a time."""
    timeout: float = Field(default=120, gt=0, le=86400)
    """Seconds after which an answer is given up."""
    retries: int = Field(default=5, ge=0, le=20)
    """How often a query is repeated that fails for the moment: no connection, no answer in time, a
    busy server (429) or an error of its own (5xx). The pauses double from half a second on."""

    # Of both fields at once: a message about one field would show its value, which may be a secret.
    @model_validator(mode="after")
    def _holds_no_secret(self) -> "ApiSettings":
        url = urlsplit(self.api)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("api should be a URL that begins with http:// or https://")
        if url.username is not None or url.password is not None or url.query or url.fragment:
            raise ValueError(
                "api should be a URL without user, password, '?' and '#'; a key belongs into an "
                "environment variable, whose name is key_variable"
            )
        if self.key_variable is not None and not _VARIABLE.fullmatch(self.key_variable):
            raise ValueError(
                "key_variable should be the name of an environment variable that begins with "
                "DISTILLEAK_, such as DISTILLEAK_KEY, and not the key itself"
            )
        return self

    @property
    def root(self) -> str:
        """The URL below which the endpoints lie; `/v1` if `api` names only the server."""
        root = self.api.rstrip("/")
        return root if urlsplit(root).path else root + _VERSION
