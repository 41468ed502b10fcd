"""The corpora of a study, each with the pools that it is split into."""

from dataclasses import dataclass, field

from pydantic import ValidationError

from distilleak.settings.conditions import ConditionSettings
from distilleak.settings.pools import PoolSettings
from distilleak.settings.problems import ConfigurationError, explained
from distilleak.study import entries
from distilleak.study.configuration import Configuration, Raw
from distilleak.study.entries import Entry

ALL = ConditionSettings()
"""No condition at all."""


@dataclass(frozen=True)
class Texts:
    """A source of passages, and which of them are used.

    Attributes:
        entry: the module of the source and its parameters.
        only: the conditions that a passage has to meet.
        key: where it stands in the configuration.
    """

    entry: Entry
    only: ConditionSettings
    key: str = field(compare=False)

    def flat(self) -> Raw:
        """Itself in the form of a configuration, with every default written out."""
        only = self.only.model_dump(mode="json", exclude_none=True)
        return {**self.entry.flat(), **({"only": only} if only else {})}


@dataclass(frozen=True)
class Corpus:
    """A source of passages and its split.

    Attributes:
        texts: where the passages are from.
        pools: its own, or those of the study.
        pools_key: where its pools stand in the configuration.
    """

    texts: Texts
    pools: PoolSettings
    pools_key: str = "pools"

    @property
    def entry(self) -> Entry:
        """The module of its source and its parameters."""
        return self.texts.entry


def resolve(configuration: Configuration) -> dict[str, Corpus]:
    """Name -> corpus; where there is one corpus, its name is empty.

    Raises:
        ConfigurationError: there is none, or both one and several; or an entry is wrong.
    """
    if (configuration.corpus is None) == (not configuration.corpora):
        raise ConfigurationError("corpus", "give either `corpus` or `corpora`")
    if configuration.corpus is not None:
        return {"": Corpus(texts("corpus", configuration.corpus), configuration.pools)}
    return {name: _named(configuration, name) for name in configuration.corpora}


def texts(key: str, raw: Raw) -> Texts:
    """The texts that the entry at `key` describes.

    Raises:
        ConfigurationError: it is wrong.
    """
    given = dict(raw)
    only = given.pop("only", None)
    entry = entries.resolve("corpora", "source", key, None, given)
    if only is None:
        return Texts(entry, ALL, key)
    try:
        return Texts(entry, ConditionSettings.model_validate(only), key)
    except ValidationError as error:
        raise explained(error, ConditionSettings, *key.split("."), "only") from error


def _named(configuration: Configuration, name: str) -> Corpus:
    raw = dict(configuration.corpora[name])
    own = raw.pop("pools", None)
    found = texts(f"corpora.{name}", raw)
    if own is None:
        return Corpus(found, configuration.pools)
    try:
        pools = PoolSettings.model_validate(own)
    except ValidationError as error:
        raise explained(error, PoolSettings, "corpora", name, "pools") from error
    return Corpus(found, pools, f"corpora.{name}.pools")
