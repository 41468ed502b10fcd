"""The corpora of a study, each with the pools that it is split into."""

from dataclasses import dataclass

from pydantic import ValidationError

from distilleak.settings.pools import PoolSettings
from distilleak.settings.problems import ConfigurationError, explained
from distilleak.study import entries
from distilleak.study.configuration import Configuration
from distilleak.study.entries import Entry


@dataclass(frozen=True)
class Corpus:
    """A source of passages and its split.

    Attributes:
        entry: its module and parameters.
        pools: its own, or those of the study.
        pools_key: where its pools stand in the configuration.
    """

    entry: Entry
    pools: PoolSettings
    pools_key: str = "pools"


def resolve(configuration: Configuration) -> dict[str, Corpus]:
    """Name -> corpus; where there is one corpus, its name is empty.

    Raises:
        ConfigurationError: there is none, or both one and several; or an entry is wrong.
    """
    if (configuration.corpus is None) == (not configuration.corpora):
        raise ConfigurationError("corpus", "give either `corpus` or `corpora`")
    if configuration.corpus is not None:
        entry = entries.resolve("corpora", "source", "corpus", None, configuration.corpus)
        return {"": Corpus(entry, configuration.pools)}
    return {name: _named(configuration, name) for name in configuration.corpora}


def _named(configuration: Configuration, name: str) -> Corpus:
    raw = dict(configuration.corpora[name])
    own = raw.pop("pools", None)
    entry = entries.resolve("corpora", "source", f"corpora.{name}", None, raw)
    if own is None:
        return Corpus(entry, configuration.pools)
    try:
        pools = PoolSettings.model_validate(own)
    except ValidationError as error:
        raise explained(error, PoolSettings, "corpora", name, "pools") from error
    return Corpus(entry, pools, f"corpora.{name}.pools")
