"""Records that are the same once they are cut: one is kept, and its pool is left to chance."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from distilleak.errors import DistilleakError
from distilleak.records import tokenizer as tokenization
from distilleak.records.copies import cut_members, without_copies
from distilleak.settings.deduplication import DeduplicationSettings

WORDS = [f"word{number}" for number in range(300)]
SETTINGS = DeduplicationSettings()


def text(seed: int, edits: int = 0) -> str:
    rng = np.random.default_rng(seed)
    words = list(rng.choice(WORDS, 40))
    for place in range(edits):
        words[5 * place] = f"edit{place}"
    return " ".join(words)


def table(pools: dict[str, list[str]], tokens: dict[str, list[int]] | None = None) -> pa.Table:
    """Records of these texts; without `tokens`, only equal texts have the same ones."""
    rows = [(pool, text) for pool, texts in pools.items() for text in texts]
    known = tokens or {text: list(text.encode()) for _, text in rows}
    return pa.table(
        {
            "record_id": [f"r{row:03d}" for row in range(len(rows))],
            "pool": [pool for pool, _ in rows],
            "text": [text for _, text in rows],
            "token_ids": pa.array([known[text] for _, text in rows], pa.list_(pa.int32())),
        }
    )


def test_one_of_exact_and_near_copies_is_kept_across_all_pools() -> None:
    records = table(
        {
            "member": [text(0), text(1), text(2)],
            "nonmember": [text(0), text(1, edits=1), text(3)],
            "holdout": [text(3, edits=2), text(4)],
        }
    )
    kept, removed = without_copies(records, {}, SETTINGS)
    assert kept["record_id"].to_pylist() == ["r000", "r001", "r002", "r005", "r007"]
    assert removed == {"nonmember": 2, "holdout": 1}


def test_without_copies_the_table_stays_as_it_is() -> None:
    records = table({"member": [text(0)], "nonmember": [text(1)]})
    kept, removed = without_copies(records, {}, SETTINGS)
    assert kept.equals(records)
    assert not removed


def test_how_often_a_text_occurs_says_nothing_of_the_pool_in_which_it_is_kept() -> None:
    repeated = [text(seed) for seed in range(20) for _ in range(6)]
    once = [text(seed) for seed in range(20, 140)]
    rng = np.random.default_rng(0)
    pools: Counter[str] = Counter()
    for _ in range(20):
        member = rng.permutation(len(repeated + once)) % 2 == 0
        records = table({"member": repeated + once}).set_column(
            1, "pool", pa.array(np.where(member, "member", "nonmember"))
        )
        kept, _ = without_copies(records, {}, SETTINGS)
        assert len(kept) == 140
        texts = set(repeated)
        pools.update(
            row["pool"] for row in kept.select(["pool", "text"]).to_pylist() if row["text"] in texts
        )
    assert pools.total() == 400
    # Were members preferred, 394 would be expected; five standard deviations of chance are 50.
    assert abs(pools["member"] - 200) < 50


def test_texts_that_the_tokenizer_encodes_alike_are_copies() -> None:
    texts = [text(0), text(1), text(2)]
    tokens = dict(zip(texts, ([5, 6], [5, 6], [7]), strict=True))
    kept, removed = without_copies(
        table({"member": texts[:1], "nonmember": texts[1:]}, tokens), {}, SETTINGS
    )
    assert kept["text"].to_pylist() == [texts[0], texts[2]]
    assert removed == {"nonmember": 1}


def test_a_copy_of_what_a_model_was_trained_on_before_is_no_non_member() -> None:
    records = table({"nonmember": [text(0), text(1), text(2)], "member": [text(1, edits=1)]})
    # Passage `p0` was trained on and not drawn.
    members = {
        "p0": (text(0), list(text(0).encode())),
        "r003": (text(1, edits=1), list(text(1, edits=1).encode())),
    }
    kept, removed = without_copies(records, members, SETTINGS)
    assert kept["record_id"].to_pylist() == ["r002", "r003"]
    assert removed == {"nonmember": 2}


def test_members_are_kept_where_copies_of_them_were_trained_on_too() -> None:
    records = table({"member": [text(0)], "nonmember": [text(1)]})
    members = {name: (text(0), list(text(0).encode())) for name in ("p0", "r000")}
    assert without_copies(records, members, SETTINGS)[0].equals(records)


def test_a_pool_of_which_nothing_is_left_is_an_error() -> None:
    records = table({"member": [text(0), text(1)], "nonmember": [text(1), text(0)]})
    with pytest.raises(
        DistilleakError, match=r"pools\.nonmember: all 2 records are copies of others once .*cut"
    ):
        without_copies(records, {}, SETTINGS)


def test_labelled_members_are_cut_as_records_are() -> None:
    texts = [text(seed) for seed in range(4)]
    tokenizer: Tokenizer = tokenization.train(texts, 280)
    labels = ["member", "", "nonmember", "member"]
    passages = pa.table({"passage_id": ["a", "b", "c", "d"], "text": texts, "label": labels})
    found = cut_members(passages, tokenizer, 24)
    assert found == {
        name: tokenization.cut(tokenizer, text, 24)
        for name, text in zip("ad", texts[::3], strict=True)
    }
    assert all(len(tokens) <= 24 for _, tokens in found.values())


def test_what_stands_anywhere_in_a_public_text_is_no_private_record() -> None:
    public = [f"{text(10)} {text(11)} {text(12)}", text(13)]
    edit = text(11).split()
    edit[20] = "edit"
    records = table(
        {
            "member": [text(0), text(11), text(12)],
            "nonmember": [text(1), " ".join(edit).upper(), f"{text(2)} {text(13)[:40]}"],
        }
    )
    kept, removed = without_copies(records, {}, SETTINGS, public)
    assert kept["record_id"].to_pylist() == ["r000", "r003", "r005"]
    assert removed == {"member": 2, "nonmember": 1}
