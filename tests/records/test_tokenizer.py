"""The tokenizer, and cutting a record where a word ends."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram, WordLevel, WordPiece
from tokenizers.normalizers import NFKC
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import BpeTrainer, UnigramTrainer, WordPieceTrainer

from distilleak.errors import DistilleakError
from distilleak.files import write_json
from distilleak.guards import checksums
from distilleak.records import tokenizer as tokenization
from distilleak.records.framing import Framing

TEXTS = [
    "The Congress shall have power to lay and collect taxes, duties, imposts and excises.",
    "Fellow citizens of the Senate and of the House of Representatives: it's 1790 again.",
    "We hold these truths; they're self-evident \u2014 na\u00efve, \u00fcber-caf\u00e9 \U0001f600!",
] * 3
TOKENIZER = tokenization.train(TEXTS, 300)

PIECES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            " ",
            "  ",
            "\n",
            " \n",
            "\n\n \t",
            "\u00a0",
            "\u3000",
            "<|endoftext|>",
            "it's",
            "they're",
            "'",
            "''ll",
            "1790",
            "naïve",
            "über",
            "a" * 40,
            "\U0001f600" * 9,
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
            "漢字" * 8,
            "e\u0301",
            "\u200b",
            "\x00",
            "\ufeff",
            "The Congress shall have power to lay",
        ]
    ),
)
ANY_TEXT = st.lists(PIECES, max_size=12).map("".join)


def encode(text: str) -> list[int]:
    return list(TOKENIZER.encode(text, add_special_tokens=False).ids)


@settings(max_examples=1000, deadline=None)
@given(text=ANY_TEXT, length=st.integers(4, 40))
def test_the_tokens_are_those_of_the_text_that_is_kept(text: str, length: int) -> None:
    kept, tokens = tokenization.cut(TOKENIZER, text, length)
    assert text.startswith(kept)
    assert tokens == encode(kept)
    assert len(tokens) <= length
    assert bool(tokens) == bool(kept) == bool(text)
    assert TOKENIZER.decode(tokens) == kept


@settings(max_examples=300, deadline=None)
@given(words=st.lists(st.text("abcdefgh", min_size=1, max_size=6), min_size=1, max_size=30))
def test_the_cut_is_the_last_end_of_a_word_that_fits(words: list[str]) -> None:
    kept, _ = tokenization.cut(TOKENIZER, " ".join(words), 12)
    beginnings = [" ".join(words[:count]) for count in range(1, len(words) + 1)]
    assert kept == [text for text in beginnings if len(encode(text)) <= 12][-1]


def test_a_text_that_fits_is_left_as_it_is() -> None:
    assert tokenization.cut(TOKENIZER, TEXTS[0], 1000) == (TEXTS[0], encode(TEXTS[0]))


def test_a_first_word_that_is_too_long_is_cut_inside() -> None:
    kept, tokens = tokenization.cut(TOKENIZER, "x" * 30 + " and more", 10)
    assert 0 < len(kept) < 30
    assert len(tokens) <= 10


def test_a_length_that_one_character_may_exceed_is_refused() -> None:
    with pytest.raises(ValueError, match="below 4"):
        tokenization.cut(TOKENIZER, "text", 3)


def test_the_name_of_the_start_token_in_a_text_is_only_text() -> None:
    tokens = encode("a<|endoftext|>b")
    assert TOKENIZER.token_to_id(tokenization.START) == 0
    assert 0 not in tokens
    assert TOKENIZER.decode(tokens) == "a<|endoftext|>b"


def test_every_byte_has_a_token() -> None:
    text = "".join(chr(code) for code in [*range(256), 0x20AC, 0x10FFFF])
    assert TOKENIZER.decode(encode(text)) == text


def test_training_twice_gives_the_same_tokenizer() -> None:
    assert tokenization.train(TEXTS, 300).to_str() == TOKENIZER.to_str()


def test_texts_too_small_for_the_vocabulary_are_refused() -> None:
    with pytest.raises(
        DistilleakError, match=r"^tokenizer\.vocabulary: .*only \d+ tokens, not 5000"
    ):
        tokenization.train(TEXTS, 5000)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "tokenizer"
    tokenization.save(TOKENIZER, path, 64)
    return path


def test_a_loaded_tokenizer_gives_the_same_tokens(directory: Path) -> None:
    loaded = tokenization.load(directory)
    for text in [*TEXTS, "a<|endoftext|>b"]:
        assert list(loaded.encode(text, add_special_tokens=False).ids) == encode(text)


def test_auto_tokenizer_gives_the_same_tokens(directory: Path) -> None:
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    assert loaded.bos_token_id == loaded.eos_token_id == loaded.pad_token_id == 0
    assert loaded.model_max_length == 64
    for text in [*TEXTS, "a<|endoftext|>b", " \n two  blanks "]:
        assert loaded(text, add_special_tokens=False)["input_ids"] == encode(text)


def test_saving_twice_writes_the_same_bytes(directory: Path, tmp_path: Path) -> None:
    tokenization.save(tokenization.load(directory), tmp_path / "again", 64)
    for name in tokenization.FILES:
        assert (tmp_path / "again" / name).read_bytes() == (directory / name).read_bytes()


def test_a_missing_or_damaged_tokenizer_is_said_in_one_line(
    directory: Path, tmp_path: Path
) -> None:
    with pytest.raises(DistilleakError, match=r"tokenizer\.json: no such file; .*: rm -r "):
        tokenization.load(tmp_path)
    half = (directory / "tokenizer.json").read_bytes()
    (tmp_path / "tokenizer.json").write_bytes(half[: len(half) // 2])
    with pytest.raises(DistilleakError, match=r"tokenizer\.json: damaged tokenizer; .*: rm -r "):
        tokenization.load(tmp_path)


def test_a_causal_model_reads_the_start_token_before_a_record(directory: Path) -> None:
    assert tokenization.framing(directory, masked=False) == Framing(start=0)


def test_a_masked_model_reads_a_record_between_two_tokens_and_hides_some(tmp_path: Path) -> None:
    trained = tokenization.train(["some words to train on"] * 3, 260, masked=True)
    tokenization.save(trained, tmp_path / "tokenizer", 16)
    framing = tokenization.framing(tmp_path / "tokenizer", masked=True)
    assert framing == Framing(start=0, end=0, mask=1)
    assert trained.id_to_token(1) == tokenization.MASK


def test_a_tokenizer_without_the_token_that_is_needed_is_refused(directory: Path) -> None:
    with pytest.raises(DistilleakError, match=r"tokenizer_config\.json: no mask_token, .* masked"):
        tokenization.framing(directory, masked=True)


def test_a_special_token_may_be_written_as_a_mapping(directory: Path, tmp_path: Path) -> None:
    """As older tokenizers of the hub are."""
    copy = tmp_path / "old"
    shutil.copytree(directory, copy)
    token = {"content": tokenization.START, "lstrip": False}
    write_json({"bos_token": None, "eos_token": token}, copy / "tokenizer_config.json")
    checksums.seal(copy)
    assert tokenization.framing(copy, masked=False) == Framing(start=0)


def test_a_saved_tokenizer_that_fills_and_cuts_does_neither_here(
    directory: Path, tmp_path: Path
) -> None:
    shutil.copytree(directory, tmp_path / "filling")
    tokenizer = tokenization.load(directory)
    expected = tokenization.cut(tokenizer, "a few words that are cut", 8)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=20)
    tokenizer.save(str(tmp_path / "filling" / "tokenizer.json"))
    checksums.seal(tmp_path / "filling")
    found = tokenization.load(tmp_path / "filling")
    assert tokenization.cut(found, "a few words that are cut", 8) == expected
    assert len(found.encode("a").ids) == len(tokenization.load(directory).encode("a").ids)


@pytest.mark.parametrize("length", range(4, 12))
def test_a_character_that_is_read_as_several_words_can_be_cut_away(length: int) -> None:
    tokenizer = Tokenizer(WordLevel({"one": 0, "1": 1, "2": 2, "⁄": 3, "?": 4}, unk_token="?"))
    tokenizer.normalizer = NFKC()
    tokenizer.pre_tokenizer = Whitespace()
    text = "one one one ½ one ½"
    kept, tokens = tokenization.cut(tokenizer, text, length)
    assert text.startswith(kept)
    assert 0 < len(tokens) <= length


WORDS = ["ba", "dela", "kiro", "mu", "nolatesi", "pe", "ruso", "takimo", "vi", "zebalu"]


def without_rules_for_words(rewriting: normalizers.Normalizer) -> Tokenizer:
    """Merges learnt inside words, then applied to a whole text, whose spaces are rewritten."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    alphabet = list("\u2581\n\tabcdefghijklmnopqrstuvwxyz")
    tokenizer.train_from_iterator(
        WORDS,
        BpeTrainer(
            vocab_size=60,
            special_tokens=["<unk>"],
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    tokenizer.normalizer = rewriting
    tokenizer.pre_tokenizer = None
    return tokenizer


def as_gpt2() -> Tokenizer:
    return tokenization.train([" ".join(WORDS)] * 3, 290)


def as_llama_2() -> Tokenizer:
    return without_rules_for_words(
        normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    )


def as_llama_3() -> Tokenizer:
    tokenizer = as_gpt2()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(
                Regex(r"[^\r\n\p{L}]?\p{L}+|\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"
            ),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def as_gemma() -> Tokenizer:
    """Its rule for words looks for spaces that are no longer there; lines are added tokens."""
    tokenizer = without_rules_for_words(normalizers.Replace(" ", "\u2581"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.add_tokens([AddedToken(run, normalized=False) for run in ("\n", "\n\n")])
    return tokenizer


def as_metaspace_without_split() -> Tokenizer:
    tokenizer = without_rules_for_words(normalizers.Sequence([]))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return tokenizer


def as_albert() -> Tokenizer:
    tokenizer = Tokenizer(Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        WORDS, UnigramTrainer(vocab_size=40, unk_token="<unk>", special_tokens=["<unk>"])
    )
    return tokenizer


def as_bert() -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        WORDS, WordPieceTrainer(vocab_size=60, special_tokens=["[UNK]"], show_progress=False)
    )
    return tokenizer


STYLES = {
    "gpt2": as_gpt2(),
    "llama 2": as_llama_2(),
    "llama 3": as_llama_3(),
    "gemma": as_gemma(),
    "metaspace without split": as_metaspace_without_split(),
    "albert": as_albert(),
    "bert": as_bert(),
}


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=100, deadline=None)
@given(
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=30),
    gaps=st.lists(st.sampled_from([" ", " ", " ", "  ", "\n", "\n\n"]), min_size=30, max_size=30),
    length=st.integers(12, 30),
)
def test_whatever_the_style_of_the_tokenizer_a_record_ends_where_a_word_of_the_text_ends(
    style: str, words: list[str], gaps: list[str], length: int
) -> None:
    tokenizer = STYLES[style]
    text = "".join(gap + word for gap, word in zip(gaps, words, strict=False)).lstrip()
    kept, tokens = tokenization.cut(tokenizer, text, length)
    assert tokens == tokenizer.encode(kept, add_special_tokens=False).ids
    assert 0 < len(tokens) <= length
    ends = [
        end for end in range(1, len(text) + 1) if text[end : end + 1].isspace() or end == len(text)
    ]
    whole = [text[:end] for end in ends if not text[end - 1].isspace()]
    # White space after a word may be a word of the tokenizer's own.
    assert kept.rstrip() in whole
    fitting = [t for t in whole if len(tokenizer.encode(t, add_special_tokens=False).ids) <= length]
    assert kept.rstrip() == fitting[-1]


def test_a_text_without_white_space_is_cut_between_its_characters() -> None:
    kept, tokens = tokenization.cut(STYLES["llama 2"], "kiro" * 20, 10)
    assert 0 < len(tokens) <= 10
    assert ("kiro" * 20).startswith(kept)
