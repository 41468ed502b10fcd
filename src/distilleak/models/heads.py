"""What can be known of a model on this machine without loading it: `config.json`, heads of weights.

No torch and no transformers: a plan looks into the models of a study before anything is trained,
and loading a model begins with the same look.
"""

import importlib.util
import json
import operator
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from distilleak.errors import DistilleakError
from distilleak.models import family_fields
from distilleak.settings.architecture import CausalFamily, Kind, MaskedFamily

ADAPTERS = re.compile(
    r"adapter_config\.json|(.*(adapter|lora|ia3).*|prompt_embeddings.*|soft_prompt.*)"
    r"\.(safetensors|bin|pt|pth|ckpt|npz)",
    re.IGNORECASE,
)
"""Files beside a model's weights, or one folder below, that change it: those of peft, diffusers,
MLX, torchtune and LLaVA."""
WEIGHTS = re.compile(r"(model|pytorch_model|consolidated)\b.*\.safetensors")
"""Names under which the weights of a model itself lie in safetensors, in whatever precision."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
"""Files of which one at least makes a tokenizer, the usual one first."""
ATTENTION = ("eager", "sdpa", "flex_attention")
"""Implementations of attention that transformers and torch contain; all others are kernels that are
fetched and run, or packages of their own."""
_POINTER = b"version https://git-lfs.github.com/"
_DAMAGE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    IndexError,
    OverflowError,
)
"""What JSON that holds something else than expected raises when it is taken apart."""
_LONGEST_HEAD = 100_000_000
"""Bytes of the head of a safetensors file; its library reads no longer one."""
_EMBEDDINGS = re.compile(r"(?:^|\.)(?:wte|embed_in|embed_tokens|word_embeddings)\.weight$")
_EMBEDDED = ("embedding_size", "word_embed_proj_dim")
"""Fields with the width of the embeddings, in families in which it is not that of the blocks."""
_BLOCK = re.compile(r"(?:^|\.)(?:h|layers?)\.(\d+)\.")


@dataclass(frozen=True)
class Head:
    """The head of a model directory.

    Attributes:
        directory: where it lies, as messages call it.
        family: as Hugging Face calls it, without what surgery adds.
        config: what `config.json` says.
    """

    directory: str
    family: str
    config: Mapping[str, Any]

    @property
    def kind(self) -> Kind:
        """Whether the model predicts the next token or masked tokens."""
        return "masked" if self.family in get_args(MaskedFamily) else "causal"

    @property
    def layers(self) -> int | None:
        """Transformer blocks; None where `config.json` leaves them to the family's default."""
        return self._number(family_fields.field(self.family, "layers"))

    @property
    def vocabulary(self) -> int | None:
        """Rows of the embeddings; None where `config.json` leaves them to the default."""
        return self._number("vocab_size")

    @property
    def positions(self) -> int | None:
        """The longest sequence; None where `config.json` leaves it to the family's default."""
        given = self._number(family_fields.field(self.family, "positions"))
        if given is None or self.family != "roberta":
            return given
        # It counts from the position after its padding token's.
        padding = self.config.get("pad_token_id", 1)
        return given - (padding + 1 if isinstance(padding, int) else 0)

    @cached_property
    def tokens(self) -> Mapping[str, int] | None:
        """The tokens of `tokenizer.json` without added ones, and their ids; None without the file.

        Raises:
            DistilleakError: the file is damaged.
        """
        file = Path(self.directory, "tokenizer.json")
        return _tokens(file)[0] if file.is_file() else None

    @cached_property
    def needed_rows(self) -> int:
        """The largest id of `tokenizer.json`, of added tokens too, plus one; 0 without the file.

        Raises:
            DistilleakError: the file is damaged.
        """
        file = Path(self.directory, "tokenizer.json")
        return (
            1 + max(max(ids.values(), default=-1) for ids in _tokens(file)) if file.is_file() else 0
        )

    def _number(self, field: str) -> int | None:
        value = self.config.get(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise DistilleakError(
                f"{self.directory}/config.json: {field} should be a whole number of 1 or more, not "
                f"{_short(value)}"
            )
        return value


def read(directory: str | Path) -> Head:
    """The head of a model directory of a user's.

    Raises:
        DistilleakError: there is no model, or one that would not be read: of an unsupported type,
            with code of its own, with adapters beside the weights, not downloaded.
    """
    place = Path(directory)
    file = place / "config.json"
    if not file.is_file():
        missing = "config.json is missing" if place.is_dir() else "no such directory"
        raise DistilleakError(f"{directory}: no model here ({missing})")
    refuse_pointers(place)
    _refuse_adapters(place)
    config = read_config(file, str(directory))
    found = Head(str(directory), config["model_type"].removeprefix(family_fields.SURGERED), config)
    if found.family not in _supported():
        raise unsupported(str(directory), config["model_type"])
    refuse_other_direction(config, found.kind, str(directory))
    _check_heads(found)
    return found


def quantised(shown: str) -> DistilleakError:
    """The error of a model with quantised weights, where none are read."""
    return DistilleakError(
        f"{shown}: quantization_config in config.json: quantised weights are read from GGUF files "
        "only; give a model in full precision"
    )


def _check_heads(head: Head) -> None:
    """Check that the attention heads divide the width, where each has the same share of it."""
    # Gemma's have a width of their own, whether its configuration says which or not.
    if head.config.get("head_dim") is not None or head.family == "gemma":
        return
    heads, width = (
        head._number(family_fields.field(head.family, ours)) for ours in ("heads", "width")
    )
    if heads is not None and width is not None and width % heads:
        raise DistilleakError(
            f"{head.directory}: {heads} attention heads in config.json do not divide the width "
            f"{width}"
        )


def check_weights(head: Head, may_be_quantised: bool = False) -> dict[str, list[int]]:
    """Compare the heads of the safetensors files with `config.json`.

    Args:
        head: of the model.
        may_be_quantised: whether quantised weights are read, too.

    Returns:
        Name -> shape of each weight.

    Raises:
        DistilleakError: there are no weights, a file is cut off, or the weights have another shape.
    """
    if head.config.get("quantization_config") is not None and not may_be_quantised:
        raise quantised(head.directory)
    place = Path(head.directory)
    if "transformers_weights" in head.config:
        raise DistilleakError(
            f"{head.directory}: transformers_weights in config.json names another file of weights; "
            "only model.safetensors is read, so delete the line if that is meant"
        )
    index = place / "model.safetensors.index.json"
    # Where both lie, the library reads the single file.
    sharded = index.is_file() and not (place / "model.safetensors").is_file()
    if sharded:
        files = [place / name for name in sorted(set(_weight_map(index).values()))]
    else:
        files = [place / "model.safetensors"]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        where = f" ({missing.name} is missing)" if sharded else ""
        raise DistilleakError(
            f"{head.directory}: no model.safetensors{where}; weights in pickle files are not read"
        )
    for file in files:
        refuse_pointer(file)
    found = {name: shape for file in files for name, shape in shapes(file).items()}
    for name, shape in found.items():
        if not _EMBEDDINGS.search(name):
            continue
        fields = (*_EMBEDDED, family_fields.field(head.family, "width"))
        width = next((head.config[field] for field in fields if field in head.config), None)
        for size, given, kind, field in (
            (shape[0], head.vocabulary, "rows", "vocab_size"),
            (shape[-1], width, "columns", "the width"),
        ):
            if given not in (None, size):
                raise DistilleakError(
                    f"{head.directory}: the weights do not fit the configuration: {name} has "
                    f"{size} {kind}, but {field} in config.json is {_short(given)}"
                )
    numbers = {number for name in found if (number := block(name)) is not None}
    if numbers and head.layers not in (None, max(numbers) + 1):
        field = family_fields.field(head.family, "layers")
        raise DistilleakError(
            f"{head.directory}: the weights do not fit the configuration: they are of "
            f"{max(numbers) + 1} blocks, but {field} in config.json is {head.layers}"
        )
    return found


def block(weight: str) -> int | None:
    """The number of the transformer block that a weight is of, by its name."""
    found = _BLOCK.search(weight)
    return int(found[1]) if found else None


def read_config(file: Path, shown: str) -> dict[str, Any]:
    """What a `config.json` says, after the refusal of all that would run code.

    Raises:
        DistilleakError: it is damaged, or names code.
    """
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DistilleakError(f"{shown}: damaged model (config.json is not JSON)") from error
    if not isinstance(given, dict) or not isinstance(given.get("model_type"), str):
        raise DistilleakError(f"{shown}: damaged model (config.json has no model_type)")
    if "auto_map" in given:
        raise DistilleakError(
            f"{shown}: needs Python code of its own, which is never run; use a model of "
            f"{', '.join(_supported())}"
        )
    refuse_kernels(given, shown)
    return given


def refuse_kernels(config: Mapping[str, Any], shown: str) -> None:
    """Refuse an implementation of attention that would be fetched and run.

    Raises:
        DistilleakError: names the field, the kernel and what is allowed.
    """
    for field in ("_attn_implementation", "attn_implementation", "experts_implementation"):
        given = config.get(field)
        for value in given.values() if isinstance(given, dict) else [given]:
            if value is not None and value not in ATTENTION:
                raise DistilleakError(
                    f"{shown}: {field} in config.json is {_short(value)}, code from outside, which "
                    f"is never run; delete the line, or say one of {', '.join(ATTENTION)}"
                )


def refuse_other_direction(config: Mapping[str, Any], kind: Kind, shown: str) -> None:
    """Refuse a causal model that sees what follows, and a masked one that does not.

    A score would depend on the padding, and with it on the other records of a batch.

    Raises:
        DistilleakError: names the field.
    """
    causal = {"is_causal": False, "use_bidirectional_attention": True}
    for field, wrong in (causal if kind == "causal" else {"is_decoder": True}).items():
        if field in config and bool(config[field]) is wrong:
            raise DistilleakError(
                f"{shown}: {field} in config.json is {_short(config[field])}, which makes it no "
                f"{kind} language model"
            )


def unsupported(shown: str, model_type: str) -> DistilleakError:
    """The error of a model of another type."""
    return DistilleakError(
        f"{shown}: model type {_short(model_type)} is not supported; supported are "
        f"{', '.join(_supported())}"
    )


def check_tokenizer(directory: Path) -> None:
    """Check that a directory has a tokenizer, in one of the forms that become a fast one.

    Raises:
        DistilleakError: it has none.
    """
    if not any((directory / name).is_file() for name in TOKENIZERS):
        raise DistilleakError(f"{directory}: no tokenizer here ({TOKENIZERS[0]} is missing)")


def refuse_pointers(directory: Path) -> None:
    """Refuse configurations and tokenizers of which only the pointer was cloned.

    Raises:
        DistilleakError: names the first of them.
    """
    for pattern in ("*.json", "merges.txt", "vocab.txt"):
        for file in sorted(directory.glob(pattern)):
            # To open a named pipe would wait for its writer for ever.
            if file.is_file():
                refuse_pointer(file)


def refuse_pointer(file: Path) -> None:
    """Refuse a file of which only the pointer was cloned.

    Raises:
        DistilleakError: it is one.
    """
    try:
        with file.open("rb") as opened:
            beginning = opened.read(len(_POINTER))
    except OSError as error:
        raise DistilleakError(f"{file}: cannot be read ({error.strerror})") from error
    if beginning == _POINTER:
        raise DistilleakError(
            f"{file}: only a pointer of git-lfs, not the file itself; fetch it with `git lfs pull`"
        )


def gguf_file(given: str) -> Path:
    """The GGUF file that a configuration names: a path, or `package:path`.

    Raises:
        DistilleakError: the package or the file is not there, the package lies in another one, or
            the file is no GGUF file.
    """
    file = _inside_package(given) if ":" in given else Path(given)
    if not file.is_file():
        raise DistilleakError(f"{given}: no such file")
    refuse_pointer(file)
    return file


def model_directory(given: str) -> str:
    """The model directory that a configuration names: a path, or `package:path`.

    Raises:
        DistilleakError: the package is not there, or lies in another one.
    """
    if ":" not in given or Path(given).is_dir():
        return given
    return str(_inside_package(given))


def _inside_package(given: str) -> Path:
    package, _, inside = given.partition(":")
    # Finding what lies below a package would run the package.
    if not package.isidentifier():
        raise DistilleakError(f"{given}: {package!r} is not the name of a top-level package")
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise DistilleakError(f"{given}: the Python package {package!r} is not installed")
    return Path(found.submodule_search_locations[0], inside)


def _refuse_adapters(directory: Path) -> None:
    """Refuse what would change the model and is not read: the study would be of another model."""
    index = directory / "model.safetensors.index.json"
    read = {*_weight_map(index).values()} if index.is_file() else set()
    for file in sorted(file for pattern in ("*", "*/*") for file in directory.glob(pattern)):
        move = "or move the file away to study the model without them"
        if ADAPTERS.fullmatch(file.name):
            raise DistilleakError(
                f"{file}: adapters are not read, and without them this is another model; merge "
                f"them into the weights (peft: merge_and_unload), {move}"
            )
        if (
            file.parent == directory
            and file.suffix == ".safetensors"
            and not WEIGHTS.fullmatch(file.name)
            and file.name not in read
        ):
            raise DistilleakError(
                f"{file}: only model.safetensors is read, and these weights may make it another "
                f"model; merge them into it, {move}"
            )


def _weight_map(index: Path) -> dict[str, str]:
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {str(name): str(file) for name, file in found.items()}
    except _DAMAGE as error:
        raise DistilleakError(f"{index}: damaged (no weight_map in it)") from error


def shapes(file: Path) -> dict[str, list[int]]:
    """The names and shapes of the weights in a safetensors file, from its head alone.

    Raises:
        DistilleakError: the file is damaged or cut off.
    """
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > _LONGEST_HEAD:
                raise ValueError("its head is too long")
            head = json.loads(opened.read(length))
        weights = {name: entry for name, entry in head.items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in weights.values()), default=0)
        found = {name: [int(size) for size in entry["shape"]] for name, entry in weights.items()}
        if file.stat().st_size != 8 + length + end:
            raise ValueError(f"{file.stat().st_size} bytes instead of {8 + length + end}")
    except OSError as error:
        raise DistilleakError(f"{file}: cannot be read ({error.strerror})") from error
    except (*_DAMAGE, struct.error) as error:
        cut_off = isinstance(error, struct.error | json.JSONDecodeError)
        reason = "its head is damaged or cut off" if cut_off else str(error)
        raise DistilleakError(f"{file}: its weights cannot be read ({reason})") from error
    return {name: shape for name, shape in found.items() if shape}


def _tokens(file: Path) -> tuple[dict[str, int], dict[str, int]]:
    """The tokens of a tokenizer file and those that were added to them, with their ids."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        own = found["model"]["vocab"]
        if isinstance(own, list):  # of a unigram model: [token, log-probability]
            own = {token: number for number, (token, _) in enumerate(own)}
        added = {token["content"]: token["id"] for token in found.get("added_tokens") or []}
        return (
            {token: operator.index(number) for token, number in own.items()},
            {token: operator.index(number) for token, number in added.items()},
        )
    except _DAMAGE as error:
        raise DistilleakError(f"{file}: no tokenizer (the file is damaged)") from error


def _supported() -> list[str]:
    return [*get_args(CausalFamily), *get_args(MaskedFamily)]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
