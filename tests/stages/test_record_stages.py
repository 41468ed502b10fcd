"""From passages to records: load, split, train the tokenizer, encode."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from distilleak.errors import DistilleakError
from distilleak.records import tokenizer as tokenization
from distilleak.records.table import read_records
from distilleak.settings.base import canonical_json
from distilleak.stages import encode_records, load_corpus, split_records, train_tokenizer

POOLS = {"member": 40, "nonmember": 40, "holdout": 20, "auxiliary": 60}


class Study:
    """A directory with the files of the record stages, made from 200 passages in JSON Lines."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        rng = np.random.default_rng(0)
        words = ["congress", "treasury", "nation", "peace", "the", "of", "and", "commerce"]
        lines = [
            {
                # `zq<number>` occurs in this passage alone.
                "text": f"{' '.join(rng.choice(words, 30))} zq{row:03d}zq zq{row:03d}zq",
                "source": f"letter {row // 10}",
                "date": str(1800 + row),
            }
            for row in range(200)
        ]
        text = "\n".join(json.dumps(line) for line in [*lines, lines[7]])
        self.file("corpus.jsonl").write_text(text + "\n\n")

    def file(self, name: str) -> Path:
        return self.directory / name

    def repeat_beginnings(self) -> None:
        """Every text once more, with another end far behind the cut."""
        lines = [
            json.loads(line) for line in self.file("corpus.jsonl").read_text().split("\n")[:200]
        ]
        more = [
            {**line, "text": f"{line['text']} {' '.join(f'end{row}x{word}' for word in range(60))}"}
            for row, line in enumerate(lines)
        ]
        text = "\n".join(json.dumps(line) for line in [*lines, *more])
        self.file("corpus.jsonl").write_text(text + "\n")

    def load(self) -> None:
        corpus = {"source": "local", "parameters": {"path": str(self.file("corpus.jsonl"))}}
        output = str(self.file("passages.parquet"))
        load_corpus.main(["--corpus", canonical_json(corpus), "--output", output])

    def options(self, *names: str) -> list[str]:
        files = {
            "passages": "passages.parquet",
            "split": "split.parquet",
            "tokenizer": "tokenizer",
        }
        return [word for name in names for word in (f"--{name}", str(self.file(files[name])))]

    def split(self) -> None:
        output = ["--output", str(self.file("split.parquet"))]
        pools = ["--pools", canonical_json(POOLS), "--seed", "0"]
        split_records.main([*self.options("passages"), *pools, *output])

    def train(self, vocabulary: int = 300) -> None:
        output = ["--output", str(self.file("tokenizer")), "--context", "24"]
        settings = ["--settings", canonical_json({"vocabulary": vocabulary})]
        train_tokenizer.main([*self.options("passages", "split"), *settings, *output])

    def encode(self, *more: str) -> None:
        output = ["--output", str(self.file("records.parquet")), "--context", "24"]
        encode_records.main([*self.options("passages", "split", "tokenizer"), *output, *more])


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = Study(tmp_path)
    made.load()
    made.split()
    made.train()
    made.encode()
    return made


def test_passages_have_ids_and_copies_are_gone(study: Study) -> None:
    passages = pd.read_parquet(study.file("passages.parquet"))
    assert list(passages.columns) == ["passage_id", "source", "date", "text", "label"]
    assert passages["passage_id"].is_unique
    assert len(passages) == 200
    assert passages["passage_id"][7] == "local-007"
    assert passages["date"][7] == "1807"
    assert set(passages["label"]) == {""}


def test_the_tokenizer_never_saw_a_word_of_members_alone(study: Study) -> None:
    split = pd.read_parquet(study.file("split.parquet"))
    passages = pd.read_parquet(study.file("passages.parquet")).set_index("passage_id")
    auxiliary = split.loc[split["pool"] == "auxiliary", "record_id"]
    seen = tokenization.train(passages.loc[sorted(auxiliary), "text"], 300)
    assert tokenization.load(study.file("tokenizer")).to_str() == seen.to_str()


def test_a_word_that_occurs_in_members_only_is_no_token(study: Study) -> None:
    passages = pd.read_parquet(study.file("passages.parquet"))
    split = pd.read_parquet(study.file("split.parquet")).set_index("record_id")["pool"]
    pool = passages["passage_id"].map(split)
    for mark, wanted in (("member", False), ("nonmember", False), ("auxiliary", True)):
        text = passages["text"].where(pool != mark, passages["text"] + " secretword" * 50)
        passages.assign(text=text).to_parquet(study.file("passages.parquet"))
        study.train()
        vocabulary = tokenization.load(study.file("tokenizer")).get_vocab()
        assert ("\u0120secretword" in vocabulary) is wanted


def test_records_hold_the_text_that_their_tokens_spell(study: Study) -> None:
    records = pd.read_parquet(study.file("records.parquet"))
    passages = pd.read_parquet(study.file("passages.parquet")).set_index("passage_id")["text"]
    tokenizer = tokenization.load(study.file("tokenizer"))
    assert len(records) == sum(POOLS.values())
    for record, text, ids in zip(
        records["record_id"], records["text"], records["token_ids"], strict=True
    ):
        tokens = np.asarray(ids).tolist()
        assert tokenizer.decode(tokens) == text
        assert tokenizer.encode(text, add_special_tokens=False).ids == tokens
        assert 0 < len(tokens) <= 24
        whole = passages[record]
        assert whole.startswith(text)
        assert whole == text or whole[len(text)] == " "


def test_records_are_read_by_pool_in_the_order_of_their_ids(study: Study) -> None:
    table = pd.read_parquet(study.file("records.parquet")).set_index("record_id")
    records = read_records(study.file("records.parquet"), ["member", "holdout"])
    assert records.record_id == sorted(records.record_id)
    assert sorted(records.pool.tolist()) == ["holdout"] * 20 + ["member"] * 40
    for record, pool, text, tokens in zip(
        records.record_id, records.pool, records.text, records.tokens, strict=True
    ):
        assert pool == table.loc[record, "pool"]
        assert text == table.loc[record, "text"]
        assert tokens.tolist() == np.asarray(table.loc[record, "token_ids"]).tolist()


def test_a_pool_without_records_is_an_error(study: Study) -> None:
    table = pd.read_parquet(study.file("records.parquet"))
    table[table["pool"] != "holdout"].to_parquet(study.file("records.parquet"))
    with pytest.raises(DistilleakError, match=r"records\.parquet: no record in pool 'holdout'"):
        read_records(study.file("records.parquet"), ["member", "holdout"])


def test_a_split_of_other_passages_is_an_error(study: Study) -> None:
    passages = pd.read_parquet(study.file("passages.parquet"))
    gone = pd.read_parquet(study.file("split.parquet"))["record_id"][0]
    passages[passages["passage_id"] != gone].to_parquet(study.file("passages.parquet"))
    with pytest.raises(DistilleakError, match=rf"passages\.parquet: no passage '{gone}', which"):
        study.encode()


def test_records_that_differ_only_behind_the_cut_are_kept_once_and_counted(tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.repeat_beginnings()
    for step in (study.load, study.split, study.train, study.encode):
        step()
    assert len(pd.read_parquet(study.file("passages.parquet"))) == 400
    records = pd.read_parquet(study.file("records.parquet"))
    drawn = pd.read_parquet(study.file("split.parquet"))
    assert records["text"].is_unique
    assert records["text"].nunique() < len(drawn)
    metadata = pq.read_schema(study.file("records.parquet")).metadata
    lost = drawn["pool"].value_counts().sub(records["pool"].value_counts())
    assert json.loads(metadata[b"copies_removed"]) == lost[lost > 0].to_dict()


def test_a_split_by_labels_leaves_no_copy_of_a_member_that_was_not_drawn(tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.repeat_beginnings()
    for step in (study.load, study.split, study.train):
        step()
    passages = pd.read_parquet(study.file("passages.parquet"))
    drawn = pd.read_parquet(study.file("split.parquet")).set_index("record_id")["pool"]
    pools = passages["passage_id"].map(drawn)
    # The whole corpus of which nothing was drawn is known to have been trained on.
    label = np.where(pools.isna() | (pools == "member"), "member", "nonmember")
    passages.assign(label=label).to_parquet(study.file("passages.parquet"))
    study.encode("--labelled")
    tokenizer = tokenization.load(study.file("tokenizer"))
    trained = {
        tokenization.cut(tokenizer, text, 24)[0] for text in passages["text"][label == "member"]
    }
    records = pd.read_parquet(study.file("records.parquet"))
    others = records.loc[records["pool"] != "member", "text"]
    assert len(others) > 20
    assert not others.isin(trained).any()
    study.encode()
    records = pd.read_parquet(study.file("records.parquet"))
    assert records.loc[records["pool"] != "member", "text"].isin(trained).any()


def test_a_vocabulary_larger_than_the_auxiliary_texts_give_is_an_error(study: Study) -> None:
    message = r"tokenizer\.vocabulary: the texts .* not 5000; choose fewer tokens or give more"
    with pytest.raises(DistilleakError, match=message):
        study.train(vocabulary=5000)


STAGES = {
    "passages.parquet": [Study.split, Study.train, Study.encode],
    "split.parquet": [Study.train, Study.encode],
    "tokenizer/tokenizer.json": [Study.encode],
}


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98])
def test_a_file_cut_off_in_a_copy_is_one_line_and_spoils_no_result(
    name: str, share: float, study: Study
) -> None:
    whole = study.file(name).read_bytes()
    study.file(name).write_bytes(whole[: int(share * len(whole))])
    results = {path: path.read_bytes() for path in study.directory.rglob("*") if path.is_file()}
    # Of a directory all is deleted: Snakemake does not miss a file inside it.
    advice = rf": rm -r {study.file('tokenizer')}$" if "/" in name else "delete it and run again"
    for stage in STAGES[name]:
        with pytest.raises(DistilleakError, match=rf"damaged .*{advice}") as caught:
            stage(study)
        assert str(study.file(name)) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert results == {
        path: path.read_bytes() for path in study.directory.rglob("*") if path.is_file()
    }


def test_a_records_file_cut_off_anywhere_is_one_line(study: Study) -> None:
    file = study.file("records.parquet")
    whole = file.read_bytes()
    for length in [*range(0, len(whole), 97), len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(DistilleakError, match=r"records\.parquet: damaged Parquet file"):
            read_records(file, ["member"])


def test_a_records_file_with_wrong_bytes_is_read_or_one_line(study: Study) -> None:
    file = study.file("records.parquet")
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    refusals = []
    for place in rng.choice(len(whole), 150, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        file.write_bytes(damaged)
        try:
            read_records(file, ["member"])
        except DistilleakError as error:
            refusals.append(str(error))
    assert len(refusals) > 100
    assert not any("\n" in line for line in refusals)
