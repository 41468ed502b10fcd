"""The tokenizer: training, loading, cutting a text where a word ends."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from distilleak.errors import DistilleakError
from distilleak.files import atomic, write_json

START = "<|endoftext|>"
FILES = ("tokenizer.json", "tokenizer_config.json")


def train(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Train a byte-level BPE tokenizer with `vocabulary` tokens; the start token has id 0.

    Raises:
        DistilleakError: the texts are too small for so large a vocabulary.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.train_from_iterator(
        texts,
        BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[START],
            initial_alphabet=ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if tokenizer.get_vocab_size() != vocabulary:
        raise DistilleakError(
            f"tokenizer.vocabulary: the auxiliary texts give only {tokenizer.get_vocab_size()} "
            f"tokens, not {vocabulary}; ask for fewer or enlarge pools.auxiliary"
        )
    return tokenizer


def save(tokenizer: Tokenizer, path: str | Path, context: int) -> None:
    """Write a directory that `AutoTokenizer.from_pretrained` reads, atomically."""
    with atomic(path) as temporary:
        temporary.mkdir()
        tokenizer.save(str(temporary / FILES[0]))
        write_json(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": context,
                "bos_token": START,
                "eos_token": START,
                "pad_token": START,
            },
            temporary / FILES[1],
        )


def load(path: str | Path) -> Tokenizer:
    """Read a tokenizer directory.

    Raises:
        DistilleakError: it is missing or damaged.
    """
    file = Path(path) / FILES[0]
    if not file.is_file():
        raise DistilleakError(f"{file}: no such file")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception for whatever it cannot parse
        raise DistilleakError(f"{file}: damaged tokenizer; delete it and run again") from error


def copy_tokenizer(source: str | Path, target: Path) -> None:
    """Copy the tokenizer's files into a model directory."""
    for name in FILES:
        shutil.copyfile(Path(source) / name, target / name)


def start_token(tokenizer: Tokenizer) -> int:
    """The id of the token that precedes every record."""
    return int(tokenizer.token_to_id(START))


def cut(tokenizer: Tokenizer, text: str, length: int) -> tuple[str, list[int]]:
    """The longest beginning of `text` of whole words with at most `length` tokens, and its tokens.

    Encoding the returned text gives the returned tokens: a cut inside a word would not. A first
    word longer than `length` is cut inside, and its beginning encoded anew.
    """
    encoding = tokenizer.encode(text, add_special_tokens=False)
    if len(encoding.ids) <= length:
        return text, encoding.ids
    end = length
    while end and encoding.word_ids[end] == encoding.word_ids[end - 1]:
        end -= 1
    if end:
        return text[: encoding.offsets[end - 1][1]], encoding.ids[:end]
    shorter = text[: max(1, encoding.offsets[length - 1][1] - 1)]
    return cut(tokenizer, shorter, length) if len(shorter) < len(text) else (text, encoding.ids[:length])
