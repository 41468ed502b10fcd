"""Finished models that lie on this machine: can they be queried, before anything is loaded?

Only configurations, the heads of weights and tokenizer files are read.
"""

from pathlib import Path

from distilleak.errors import DistilleakError
from distilleak.files import read_object
from distilleak.models import adapters, heads, quantisation
from distilleak.models.heads import Head
from distilleak.records import tokenizer_rules
from distilleak.settings.architecture import CheckpointSettings
from distilleak.settings.finished import FinishedSettings
from distilleak.settings.problems import ConfigurationError, shown

SPECIAL = ("bos_token", "eos_token", "cls_token", "sep_token", "mask_token")
"""The special tokens that may stand round a record or hide one of its tokens."""


def check(settings: FinishedSettings, key: str, context: int, prefix: int = 0) -> None:
    """Check a model of an audit.

    Of a model on a hub nothing is known yet, nor of a GGUF file more than that it is there.

    Args:
        settings: where the model lies.
        key: of the configuration, where it is named.
        context: tokens of the longest record.
        prefix: tokens before a record in the views that are asked for.

    Raises:
        ConfigurationError: it is missing, cannot be read, has too few positions, or an adapter does
            not fit its base; names the key.
    """
    try:
        head = _checked(settings)
    except DistilleakError as error:
        raise ConfigurationError(key, str(error)) from error
    except OSError as error:  # such as a name that is longer than the system allows
        raise ConfigurationError(
            key, f"{shown(error.filename)}: cannot be read: {error.strerror}"
        ) from error
    if head is None:
        return
    ends = 2 if head.kind == "masked" else 1
    needed = ends + prefix + context
    if head.positions is not None and head.positions < needed:
        raise ConfigurationError(
            key,
            f"{head.directory}: {head.positions} positions are too few: "
            f"{'start and end token' if ends == 2 else 'start token'}, evidence.prefix_tokens "
            f"({prefix}) and encoding.context ({context}) need {needed}",
        )


def same_tokenizer(first: FinishedSettings, second: FinishedSettings) -> bool | None:
    """Whether two models have tokenizers with the same rules; None if only loading can tell.

    Raises:
        DistilleakError: a tokenizer file is damaged.
    """
    places = [_place(settings.whole) for settings in (first, second)]
    if None in places:
        return None
    one, other = (Path(str(place)) for place in places)
    return True if one == other else tokenizer_rules.alike(one, other)


def same_reading(first: FinishedSettings, second: FinishedSettings) -> bool:
    """Whether it is certain that two models read every record as the same tokens.

    That includes the special tokens round it, which two tokenizers with the same rules may differ
    in. What only loading can tell is not certain.

    Raises:
        DistilleakError: a tokenizer file is damaged.
    """
    if first.tokenizer == second.tokenizer:
        return True
    if not same_tokenizer(first, second):
        return False
    one, other = (_special(Path(str(_place(settings.whole)))) for settings in (first, second))
    return one == other


def _special(place: Path) -> list[object]:
    """What the files of a tokenizer say about special tokens, file by file."""
    files = [place / "tokenizer_config.json", place / "special_tokens_map.json"]
    given = [read_object(file, {}) if file.is_file() else {} for file in files]
    tokens = [named.get(name) for named in given for name in SPECIAL]
    return [token.get("content") if isinstance(token, dict) else token for token in tokens]


def _checked(settings: FinishedSettings) -> Head | None:
    """The head of the model with the architecture, if it lies here."""
    own = _place(settings)
    if settings.adapts is None and own is not None and adapters.lies_in(own):
        raise adapters.alone(str(settings.directory))
    adapter = None
    if settings.adapts is not None:
        adapters.check_library(str(settings.directory))
        adapter = adapters.read(str(own))
    whole = settings.whole
    # A package may be installed only where the study runs.
    if whole.gguf is not None and ":" not in whole.gguf:
        heads.gguf_file(whole.gguf)
    place = _place(whole)
    if place is None:
        return None
    head = heads.read(place)
    heads.check_tokenizer(Path(place))
    quantised = quantisation.check(head.config, place)
    weights = heads.check_weights(head, may_be_quantised=True)
    if adapter is not None and not quantised:
        adapters.check_fit(adapter, head, weights)
    # Read here, so that a damaged value gets its key.
    _ = head.layers, head.positions
    if head.vocabulary is not None and head.vocabulary < head.needed_rows:
        raise DistilleakError(
            f"{place}: a vocabulary of {head.vocabulary} tokens, but its tokenizer has "
            f"{head.needed_rows}"
        )
    return head


def _place(settings: CheckpointSettings) -> str | None:
    """The directory of a model; None for another source."""
    return None if settings.directory is None else heads.model_directory(settings.directory)
