"""Reading and checking a configuration: YAML files and command-line values, merged."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from snakemake.utils import update_config

from distilleak.errors import DistilleakError
from distilleak.settings.problems import MISSING, ConfigurationError, explained
from distilleak.study import pretrained, study, yaml_text
from distilleak.study.configuration import Configuration, Raw
from distilleak.study.study import Study


def read(sources: Mapping[str, Raw]) -> Study:
    """The study that several sources describe together, merged as Snakemake merges them.

    Raises:
        DistilleakError: names the source, the key, what is wrong and what is allowed.
    """
    return load(merged(sources), sources)


def merged(sources: Mapping[str, Raw]) -> Raw:
    """What several sources give together, later ones winning."""
    found: Raw = {}
    for given in sources.values():
        update_config(found, given)
    return found


def is_audit(sources: Mapping[str, Raw]) -> bool:
    """Whether a configuration is one of an audit."""
    return any("audit" in given for given in sources.values())


def load(raw: Mapping[str, Any], sources: Mapping[str, Raw]) -> Study:
    """Check a configuration.

    Args:
        raw: the merged configuration.
        sources: name -> what it gave, in the order in which they were merged, later ones winning.
            A problem is reported of the last one that gave the key, a missing key of all of them.

    Raises:
        DistilleakError: names the source, the key, what is wrong and what is allowed.
    """
    try:
        return study.resolve(Configuration.model_validate(dict(raw)))
    except ValidationError as error:
        problem = explained(error, Configuration)
        if problem.problem == MISSING and not raw.keys() & {"corpus", "corpora"}:
            # One of the two is needed, which a field alone cannot say.
            problem = ConfigurationError(problem.key, MISSING, [*problem.also, "corpus"])
    except ConfigurationError as error:
        problem = error
    raise DistilleakError(f"{origin(problem.key, sources)}: {problem}")


def check_models(given: Study, sources: Mapping[str, Raw]) -> None:
    """Check the pretrained models on this machine, in addition to what the configuration says.

    Args:
        given: what `read` gave.
        sources: what it was given.

    Raises:
        DistilleakError: names the source, the key, the model and what is wrong with it.
    """
    try:
        pretrained.check(given)
    except ConfigurationError as problem:
        raise DistilleakError(f"{origin(problem.key, sources)}: {problem}") from problem


def typed(given: Mapping[str, Any]) -> Raw:
    """The values of `--config` as YAML reads them.

    Snakemake does so itself for plain values, but leaves text inside lists and mappings.
    """
    return {
        key: _typed(value) if isinstance(value, dict | list) else value
        for key, value in given.items()
    }


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _typed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_typed(part) for part in value]
    return yaml_text.parse(value, "--config") if isinstance(value, str) else value


def origin(key: str, sources: Mapping[str, Raw]) -> str:
    """The source that gave the largest part of `key`, the last of several; all if none did."""
    given = {name: raw for name, raw in sources.items() if raw} or sources
    depths = {name: _depth(key.split("."), raw) for name, raw in given.items()}
    deepest = max(depths.values(), default=0)
    named = [name for name, depth in depths.items() if depth == deepest]
    return named[-1] if deepest else " + ".join(named)


def _depth(parts: list[str], value: Any) -> int:
    if not parts or not isinstance(value, dict) or parts[0] not in value:
        return 0
    return 1 + _depth(parts[1:], value[parts[0]])


def read_files(files: Sequence[str], given: Sequence[str]) -> Study:
    """The study that Snakemake would read from these files and `KEY=VALUE` words.

    Raises:
        DistilleakError: it is not valid.
    """
    sources: dict[str, Raw] = {file: yaml_text.read_yaml(file) for file in files}
    words = dict(word.split("=", 1) for word in given if "=" in word)
    if len(words) != len(given):
        raise DistilleakError(f"--config: {' '.join(given)}: KEY=VALUE is needed, each key once")
    sources["--config"] = typed(
        {key: yaml_text.parse(v, f"--config {key}") for key, v in words.items()}
    )
    return read(sources)
