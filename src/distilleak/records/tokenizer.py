"""The tokenizer: training, loading, cutting a text where a word ends."""

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from distilleak.errors import DistilleakError, refusal
from distilleak.files import as_json, atomic, read_object
from distilleak.guards import checksums
from distilleak.records.framing import Framing

START = "<|endoftext|>"
MASK = "<|mask|>"
PAD = "<|pad|>"
FILES = ("tokenizer.json", "tokenizer_config.json")
NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "causal": (("bos_token", "eos_token"),),
    "masked": (("cls_token", "bos_token"), ("sep_token", "eos_token"), ("mask_token",)),
}
"""The special tokens that a model of each kind reads besides a record; any one of a tuple."""


def train(texts: Iterable[str], vocabulary: int, masked: bool = False) -> Tokenizer:
    """Train a byte-level BPE tokenizer with `vocabulary` tokens; the start token has id 0.

    With `masked`, token 1 hides others, and token 2 fills short rows: RoBERTa counts positions from
    it.

    Raises:
        DistilleakError: the texts are too small for so large a vocabulary.
    """
    tokenizer = _literal(Tokenizer(BPE()))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.train_from_iterator(
        texts,
        BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[START, MASK, PAD] if masked else [START],
            initial_alphabet=ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if tokenizer.get_vocab_size() != vocabulary:
        raise DistilleakError(
            f"tokenizer.vocabulary: the texts that it learns from (those of the bases, else "
            f"pools.auxiliary) give only {tokenizer.get_vocab_size()} tokens, not {vocabulary}; "
            "choose fewer tokens or give more texts"
        )
    return tokenizer


def save(tokenizer: Tokenizer, path: str | Path, context: int) -> None:
    """Write a directory that `AutoTokenizer.from_pretrained` reads, atomically."""
    with atomic(path) as temporary:
        temporary.mkdir()
        tokenizer.save(str(temporary / FILES[0]))
        settings = as_json(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": context,
                "bos_token": START,
                "eos_token": START,
                "pad_token": START,
                "split_special_tokens": True,
                **(
                    {
                        "cls_token": START,
                        "sep_token": START,
                        "mask_token": MASK,
                        "pad_token": PAD,
                    }
                    if tokenizer.token_to_id(MASK) is not None
                    else {}
                ),
            }
        )
        (temporary / FILES[1]).write_text(settings, encoding="utf-8")
        checksums.seal(temporary)


def load(path: str | Path) -> Tokenizer:
    """Read a tokenizer directory.

    Raises:
        DistilleakError: it is missing or damaged.
    """
    checksums.verify(path, FILES)
    file = Path(path) / FILES[0]
    if not file.is_file():
        raise DistilleakError(f"{file}: no such file; {checksums.mending(path)}")
    try:
        return _literal(Tokenizer.from_file(str(file)))
    except Exception as error:  # the library raises plain Exception for whatever it cannot parse
        if refused := refusal(error):
            raise DistilleakError(f"{file}: cannot be read: {refused}") from error
        raise DistilleakError(f"{file}: damaged tokenizer; {checksums.mending(path)}") from error


def rows(tokenizer: Tokenizer) -> int:
    """The rows that a model needs for all tokens: their largest id plus one, however many."""
    return 1 + max(tokenizer.get_vocab().values(), default=-1)


def rules(tokenizer: Any) -> dict[str, Any]:
    """All that decides into which tokens a fast tokenizer of transformers cuts a text."""
    given: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    rules = {key: given[key] for key in ("normalizer", "pre_tokenizer", "model")}
    return rules | {"vocabulary": tokenizer.get_vocab()}


def copy_tokenizer(source: str | Path, target: Path) -> None:
    """Copy the tokenizer's files into a model directory.

    Raises:
        DistilleakError: one has changed or is missing.
    """
    checksums.verify(source, FILES)
    for name in FILES:
        shutil.copyfile(Path(source) / name, target / name)


def framing(path: str | Path, masked: bool) -> Framing:
    """How a model with the tokenizer in directory `path` reads a record.

    A causal model reads the beginning-of-text token before it, the end-of-text token if there is no
    other, as GPT-2 does; a masked one reads it between classification and separator token.

    Raises:
        DistilleakError: the tokenizer lacks a token that is needed.
    """
    kind = "masked" if masked else "causal"
    tokenizer, settings = load(path), _settings(path)
    found = []
    for names in NEEDED[kind]:
        number = _special(tokenizer, settings, *names)
        if number is None:
            raise lacking(str(Path(path) / FILES[1]), names, kind)
        found.append(number)
    return Framing(*found)


def lacking(shown: str, names: Sequence[str], kind: str) -> DistilleakError:
    """The error of a tokenizer without any of some special tokens that a model needs."""
    return DistilleakError(f"{shown}: no {' and no '.join(names)}, which a {kind} model needs")


def padding_token(path: str | Path) -> int | None:
    """The id of the token that fills short rows, if the tokenizer has one."""
    return _special(load(path), _settings(path), "pad_token")


def _settings(path: str | Path) -> dict[str, Any]:
    return read_object(Path(path) / FILES[1], {})


def _special(tokenizer: Tokenizer, settings: dict[str, Any], *names: str) -> int | None:
    """The id of the first of these special tokens that the settings name and the tokenizer has."""
    for name in names:
        token = settings.get(name)
        text = token.get("content") if isinstance(token, dict) else token
        found = tokenizer.token_to_id(text) if text else None
        if found is not None:
            return int(found)
    return None


def save_pretrained(tokenizer: Any, path: str | Path) -> None:
    """Write a checkpoint's fast tokenizer with the files that this module reads, atomically."""
    if tokenizer.chat_template is not None:
        # It would be written to a file that is not kept, and the library does not check it.
        tokenizer.chat_template = None
    with atomic(path) as temporary:
        tokenizer.save_pretrained(temporary)
        for file in temporary.iterdir():
            if file.name not in FILES:
                file.unlink()
        checksums.seal(temporary)


def cut(tokenizer: Tokenizer, text: str, length: int) -> tuple[str, list[int]]:
    """The longest start of `text`, in full words and at most `length` tokens, and its tokens.

    Words are those of the tokenizer, whose spaces stand before them, and end before white space at
    the latest: a tokenizer without rules for words, such as those of Llama and Gemma, calls a whole
    text or paragraph one word. The tokens are always those of encoding the returned text; merely
    dropping the last tokens would not give that. Only a first word longer than `length` is cut
    inside.

    Raises:
        ValueError: `length` is below 4, and one character may take four tokens.
    """
    if length < 4:
        raise ValueError(f"length {length} is below 4")
    while True:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        if len(encoding.ids) <= length:
            return text, encoding.ids
        # A character that is normalised to several words may end behind the text's last one.
        text = text[: min(_end(encoding, text, length), len(text) - 1)]


def _end(encoding: Encoding, text: str, length: int) -> int:
    """Characters of `text` up to the last end of a word among the first `length` of more tokens."""
    words, offsets = encoding.word_ids, encoding.offsets
    inside = length
    while inside and words[inside] == words[inside - 1]:
        inside -= 1
    whole = int(offsets[inside - 1][1]) if inside else 0
    # From here on no character fits.
    limit = min(int(offsets[length][0]), len(text) - 1)
    for end in range(limit, whole, -1):
        if text[end].isspace() and not text[end - 1].isspace():
            return end
    # If all is in the first word: up to the character that no longer fits.
    return whole or max(1, limit)


def _literal(tokenizer: Tokenizer) -> Tokenizer:
    """The name of a special token inside a text is text: no record can hold the token itself."""
    tokenizer.encode_special_tokens = True
    # A saved tokenizer may fill and cut: what is scored would not be the text.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
