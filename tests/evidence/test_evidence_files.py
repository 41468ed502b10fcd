"""The stage that computes evidence: its files, and the search for vulnerable members after it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_evidence import (
    EVALUATED,
    START,
    VIEWS,
    VOCABULARY,
    Site,
    log_p_of,
    make_site,
    model_of,
    pseudo_log_p_of,
)
from tiny_study import Study, sentences

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.evidence import joining, views, windows
from distilleak.evidence.shards import Shards
from distilleak.evidence.table import (
    FLOAT_COLUMNS,
    INTEGER_COLUMNS,
    SCHEMA,
    View,
    read_view,
    schema,
)
from distilleak.metrics.thresholds import at_fpr
from distilleak.models import making
from distilleak.records import pools, window
from distilleak.records import tokenizer as tokenization
from distilleak.records.table import Records, read_records
from distilleak.scoring import attacking
from distilleak.stages import base, compute_evidence, join_evidence

MASKED_SCHEMA = schema(masked=True, copies=False)
KINDS = {"gpt2": SCHEMA, "bert": MASKED_SCHEMA}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = make_site(tmp_path_factory.mktemp("site"))
    for family in KINDS:
        made.compute(family, output=made.path(f"evidence/{family}"))
    return made


def evaluated(site: Site) -> Records:
    return read_records(site.path("records.parquet"), pools.EVIDENCE_POOLS)


def view_of(site: Site, directory: str | Path, view: str = "plain") -> View:
    return read_view(Path(directory) / f"{view}.parquet", evaluated(site).record_id)


def logp(site: Site, directory: str | Path, view: str = "plain") -> NDArray[np.float64]:
    return view_of(site, directory, view).logp.values.astype(np.float64)


def split(view: View, column: str) -> list[list[float]]:
    ragged = getattr(view, column)
    return [values.tolist() for values in np.split(ragged.values, ragged.offsets[1:-1])]


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(directory)): file.read_bytes()
        for file in sorted(directory.rglob("*"))
        if file.is_file()
    }


# What is in a file


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("family", KINDS)
def test_a_file_has_the_schema_the_records_in_order_and_its_origin(
    family: str, view: str, site: Site
) -> None:
    table = pq.read_table(site.path(f"evidence/{family}/{view}.parquet"))
    assert table.schema.equals(KINDS[family])
    ids = table["record_id"].to_pylist()
    assert list(dict.fromkeys(ids)) == evaluated(site).record_id
    assert family == "bert" or len(ids) == EVALUATED
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert metadata["view"] == view
    assert metadata["model"] == site.path(family)
    assert metadata["dtype"] == "float32"
    assert json.loads(metadata["revisions"]) == {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


@pytest.mark.parametrize("view", ["plain", "prefix_nonmember"])
@pytest.mark.parametrize("family", KINDS)
def test_every_token_of_every_record_is_scored(family: str, view: str, site: Site) -> None:
    found = split(view_of(site, site.path(f"evidence/{family}"), view), "token_id")
    assert found == [tokens.tolist() for tokens in evaluated(site).tokens]


@pytest.mark.parametrize("family", KINDS)
def test_the_lower_view_scores_the_lower_cased_text(family: str, site: Site) -> None:
    found = split(view_of(site, site.path(f"evidence/{family}"), "lower"), "token_id")
    tokenizer = tokenization.load(site.path("tokenizer"))
    for scored, text in zip(found, evaluated(site).text, strict=True):
        assert text != text.lower()
        assert tokenizer.decode([int(token) for token in scored]) == text.lower()


def test_eight_passes_cover_a_record_and_a_pass_scores_only_what_it_hides(site: Site) -> None:
    found: pd.DataFrame = pq.read_table(site.path("evidence/bert/plain.parquet")).to_pandas()
    for tokens, (_, rows) in zip(evaluated(site).tokens, found.groupby("record_id"), strict=True):
        assert rows["pass"].tolist() == list(range(8))
        assert sorted(np.concatenate(rows.position.to_list())) == list(range(len(tokens)))
        for position, scored in zip(rows.position, rows.token_id, strict=True):
            assert (np.diff(position) > 0).all()
            assert scored.tolist() == tokens[position].tolist()


@pytest.mark.parametrize("view", VIEWS)
def test_masks_are_shared_by_all_models(view: str, site: Site, tmp_path: Path) -> None:
    site.compute("bert-other", output=tmp_path, views=[view])
    mine, other = (
        pq.read_table(path)
        for path in (site.path(f"evidence/bert/{view}.parquet"), tmp_path / f"{view}.parquet")
    )
    for column in ("record_id", "pass", "position", "token_id"):
        assert mine[column].equals(other[column])
    assert not mine["logp"].equals(other["logp"])


def test_each_is_pseudo_log_likelihood(site: Site, tmp_path: Path) -> None:
    """On the files: what masks every token alone gives, in the order of the text."""
    site.compute("bert", output=tmp_path, views=["plain"], masking="each")
    model = making.load(site.path("bert"), "cpu")
    found = split(view_of(site, tmp_path), "logp")
    for scored, tokens in zip(found[:5], evaluated(site).tokens, strict=False):
        expected = pseudo_log_p_of(model, [], tokens)[range(len(tokens)), tokens.tolist()]
        np.testing.assert_allclose(scored, expected, rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def masked_evidence(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Path]]:
    """Evidence of a BERT in every view, and of two others as references."""
    root = tmp_path_factory.mktemp("masked")
    shown = [view for view in views.VIEWS if view != "candidates"]
    site.compute("bert", output=root / "target", views=shown)
    site.save("bert-third", model_of("bert", seed=3))
    references = [root / "bert-other", root / "bert-third"]
    for reference in references:
        site.compute(reference.name, output=reference, views=["plain", "population"])
    return root / "target", references


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in catalogue.names("attacks")
        if not catalogue.load("attacks", name).NEEDS.shadows
    ],
)
def test_attacks_work_on_masked_evidence_as_on_any_other(
    name: str, site: Site, masked_evidence: tuple[Path, list[Path]]
) -> None:
    known = evaluated(site)
    entry = {"attack": name, "parameters": {}}
    target, references = masked_evidence
    counts = np.arange(VOCABULARY)
    reader = attacking.Reader(target, references, [entry], base=references[0], unigram=counts)
    evidence = reader.read(known)
    scores = attacking.score_windows({name: entry}, [evidence])[name]
    assert len(scores) == EVALUATED
    # Shares of few references or records have few values.
    assert len(np.unique(scores)) > (
        1 if name in ("attack_p", "attack_r", "rmia") else EVALUATED / 2
    )


# Prefix


@pytest.mark.parametrize("family", KINDS)
def test_the_prefix_is_made_of_auxiliary_records_and_fixed_by_the_seed(
    family: str, site: Site, tmp_path: Path
) -> None:
    """The prefix view is the model's after the start token and these tokens."""
    path = site.path("records.parquet")
    prefix = views.prefix(path, "auxiliary", 16, 0)
    auxiliary = [tokens.tolist() for tokens in read_records(path, ["auxiliary"]).tokens]
    assert len(prefix) == 16
    assert prefix in [record[:16] for record in auxiliary]
    assert views.prefix(path, "auxiliary", 16, 1) != prefix
    assert views.prefix(path, "auxiliary", 100, 0)[:16] == prefix
    model = making.load(site.path(family), "cpu")
    site.compute(family, output=tmp_path, views=["prefix_nonmember"], masking="each")
    found = split(view_of(site, tmp_path, "prefix_nonmember"), "logp")
    for row in (0, 10, 20):
        tokens = evaluated(site).tokens[row]
        log_p = (
            pseudo_log_p_of(model, prefix, tokens)
            if family == "bert"
            else log_p_of(model, [START, *prefix], tokens)
        )
        expected = log_p[range(len(tokens)), tokens.tolist()]
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=1e-4)


def test_a_prefix_longer_than_the_auxiliary_pool_is_an_error(site: Site) -> None:
    with pytest.raises(
        DistilleakError, match=r"evidence\.prefix_tokens: 10000, but the pool auxiliary holds"
    ):
        views.prefix(site.path("records.parquet"), "auxiliary", 10_000, 0)


# Reading


def written(path: Path, rows: Sequence[tuple[str, int, Sequence[int]]]) -> Path:
    """A masked file in which every statistic tells record and position: 100 record + position."""

    def values(record: str, positions: Sequence[int]) -> list[int]:
        return [100 * int(record) + position for position in positions]

    columns = {name: [values(record, at) for record, _, at in rows] for name in SCHEMA.names[1:]}
    columns |= {"record_id": [], "pass": [], "position": []}
    columns["record_id"] = [record for record, _, _ in rows]  # type: ignore[misc]
    columns["pass"] = [number for _, number, _ in rows]  # type: ignore[misc]
    columns["position"] = [list(at) for _, _, at in rows]
    pq.write_table(pa.table(columns).select(MASKED_SCHEMA.names).cast(MASKED_SCHEMA), path)
    return path


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_reading_merges_the_passes_whatever_their_order(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lengths = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    rows = []
    for record, length in enumerate(lengths):
        hides = data.draw(st.lists(st.integers(0, 3), min_size=length, max_size=length))
        for number in sorted(set(hides)):
            at = [place for place in range(length) if hides[place] == number]
            rows.append((str(record), number, data.draw(st.permutations(at))))
    path = written(
        tmp_path_factory.getbasetemp() / "merged.parquet", data.draw(st.permutations(rows))
    )
    asked = data.draw(st.permutations(range(len(lengths))))[: data.draw(st.integers(1, 6))]
    view = read_view(path, [str(record) for record in asked])
    expected = [[100 * record + place for place in range(lengths[record])] for record in asked]
    for column in (*FLOAT_COLUMNS, *INTEGER_COLUMNS):
        assert split(view, column) == expected


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([("0", 0, [0]), ("1", 0, [0, 2])], "record '1': a position is missing or scored twice"),
        ([("0", 0, [0, 1]), ("0", 1, [1, 2]), ("1", 0, [0])], "record '0': a position is missing"),
        ([("0", 0, [0]), ("0", 0, [0]), ("1", 0, [0])], "record '0': a position is missing or"),
        ([("0", 0, [0]), ("1", 0, [-1, 0])], "record '1': a position is missing or scored twice"),
        ([("0", 0, [0])], "no evidence on record '1'"),
        ([("0", 0, [0]), ("1", 0, [])], "a record without a scored token"),
    ],
)
def test_incomplete_passes_are_an_error(
    rows: list[tuple[str, int, list[int]]], fault: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "plain.parquet", rows)
    with pytest.raises(DistilleakError, match=fault):
        read_view(path, ["0", "1"])


def test_a_record_twice_in_a_causal_file_is_an_error(site: Site, tmp_path: Path) -> None:
    table = pq.read_table(site.path("evidence/gpt2/plain.parquet"))
    pq.write_table(pa.concat_tables([table, table.slice(3, 1)]), tmp_path / "plain.parquet")
    record = table["record_id"][3].as_py()
    with pytest.raises(DistilleakError, match=f"two rows of record '{record}'"):
        view_of(site, tmp_path)


# How it is computed


@pytest.mark.parametrize("size", [1, 4, 21])
@pytest.mark.parametrize("family", KINDS)
def test_records_held_at_a_time_change_nothing(
    family: str, size: int, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "SIZE", size)
    site.compute(family, output=tmp_path)
    for view in VIEWS:
        found = view_of(site, tmp_path, view)
        expected = view_of(site, site.path(f"evidence/{family}"), view)
        assert np.array_equal(found.token_id.values, expected.token_id.values)
        found_logp, expected_logp = (
            logp(site, path, view) for path in (tmp_path, site.path(f"evidence/{family}"))
        )
        np.testing.assert_allclose(found_logp, expected_logp, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", KINDS)
def test_mixtures_are_written_side_by_side(family: str, site: Site, tmp_path: Path) -> None:
    mixtures = ["both=0,1", "alone=1"]
    names = (family, f"{family}-other")
    site.compute(*names, output=tmp_path, views=["plain", "lower"], mixtures=mixtures)
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.parquet")} == {
        f"{name}/evidence/{view}.parquet"
        for name in ("both", "alone")
        for view in ("plain", "lower")
    }
    site.compute(names[1], output=tmp_path / "second", views=["plain"])
    both, alone, first, second = (
        logp(site, path)
        for path in (
            tmp_path / "both/evidence",
            tmp_path / "alone/evidence",
            site.path(f"evidence/{family}"),
            tmp_path / "second",
        )
    )
    np.testing.assert_allclose(alone, second, rtol=0, atol=1e-5)
    np.testing.assert_allclose(both, np.logaddexp(first, second) - np.log(2), rtol=0, atol=1e-4)
    metadata = pq.read_schema(tmp_path / "both/evidence/plain.parquet").metadata
    assert metadata[b"model"].decode().split(",") == [site.path(name) for name in names]


@pytest.mark.parametrize("family", KINDS)
def test_bfloat16_is_said_in_the_file_and_near_float32(
    family: str, site: Site, tmp_path: Path
) -> None:
    site.compute(family, output=tmp_path, views=["plain"], dtype="bfloat16")
    metadata = pq.read_schema(tmp_path / "plain.parquet").metadata
    assert metadata[b"dtype"] == b"bfloat16"
    found = logp(site, tmp_path)
    exact = logp(site, site.path(f"evidence/{family}"))
    assert 1e-3 < np.abs(found - exact).max() < 0.15


def test_evidence_is_the_same_after_another_model_was_asked(site: Site, tmp_path: Path) -> None:
    torch.manual_seed(123)
    site.compute("bert-other", output=tmp_path / "other", views=["plain"])
    for family in KINDS:
        site.compute(family, output=tmp_path / family)
        assert files(tmp_path / family) == files(site.root / "evidence" / family)


# What is refused


@pytest.mark.parametrize("mixtures", [[], ["m=0,2"], ["m=-1,0"]])
def test_mixtures_that_do_not_fit_the_models_are_refused(
    mixtures: list[str], site: Site, tmp_path: Path
) -> None:
    with pytest.raises(DistilleakError, match="mixture"):
        site.compute("gpt2", "gpt2-other", output=tmp_path, mixtures=mixtures)


def test_a_mixture_of_causal_and_masked_models_is_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DistilleakError, match=r"bert: a masked model, but .*gpt2 is causal"):
        site.compute("gpt2", "bert", output=tmp_path, mixtures=["m=0,1"])


def test_a_mixture_of_two_vocabularies_is_refused(site: Site, tmp_path: Path) -> None:
    other = tokenization.train(sentences(60, seed=9)[:40], VOCABULARY, masked=True)
    tokenization.save(other, tmp_path / "tokenizer", 64)
    Site(tmp_path).save("model", model_of("gpt2", 3))
    with pytest.raises(DistilleakError, match="not the vocabulary of"):
        site.compute("gpt2", str(tmp_path / "model"), output=tmp_path, mixtures=["m=0,1"])


@pytest.mark.parametrize(("family", "added"), [("gpt2", 1), ("bert", 2)])
def test_records_that_do_not_fit_the_positions_are_refused_at_the_start(
    family: str, added: int, site: Site, tmp_path: Path
) -> None:
    need = added + 16 + max(len(tokens) for tokens in evaluated(site).tokens)
    name = str(tmp_path / "short")
    site.save(name, model_of(family, 1, positions=need - 1))
    fault = rf"short: {need - 1} positions, but {need} are needed"
    with pytest.raises(DistilleakError, match=fault):
        site.compute(name, output=tmp_path / "evidence")
    assert not (tmp_path / "evidence").exists()
    site.compute(name, output=tmp_path / "evidence", views=["plain"])
    site.save(name, model_of(family, 1, positions=need))
    site.compute(name, output=tmp_path / "evidence")


def test_a_gpu_without_bfloat16_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    with pytest.raises(DistilleakError, match=r"evidence\.dtype: Old GPU has no bfloat16"):
        windows.load_models([site.path("gpt2")], {"": [0]}, "bfloat16", "cuda")


def test_a_damaged_model_leaves_no_file(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.root / "gpt2", tmp_path / "broken")
    (tmp_path / "broken/model.safetensors").write_bytes(b"")
    with pytest.raises(DistilleakError, match=r"model\.safetensors: damaged "):
        site.compute(str(tmp_path / "broken"), output=tmp_path / "evidence")
    assert not (tmp_path / "evidence").exists()


def test_a_failure_on_the_way_leaves_no_file(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "SIZE", 4)
    stop_at(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        site.compute("bert", output=tmp_path)
    assert list(tmp_path.iterdir()) == []


# Going on after an interruption


def stop_at(monkeypatch: pytest.MonkeyPatch, shard: int) -> list[tuple[str, int]]:
    """The shards that are written; before number `shard`, counted from 0, the job is ended."""
    made: list[tuple[str, int]] = []
    write = Shards.write

    def counted(self: Shards, tables: Mapping[str, pa.Table], view: str, window: int) -> None:
        if len(made) == shard:
            raise KeyboardInterrupt
        made.append((view, window))
        write(self, tables, view, window)

    monkeypatch.setattr(Shards, "write", counted)
    return made


KILLED = """
import os, signal, sys
import torch
from distilleak.evidence.shards import Shards
from distilleak.records import window
from distilleak.stages import compute_evidence

torch.set_num_threads(1)
window.SIZE = 8
write = Shards.write

def killed(*arguments):
    write(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

Shards.write = killed
compute_evidence.main(sys.argv[1:])
"""


def test_a_killed_job_goes_on_after_its_last_shard_and_writes_the_same_bytes(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "SIZE", 8)
    shards = tmp_path / "shards"
    output = tmp_path / "evidence"
    queried = ("bert", "bert-other")
    mixtures = ["m=0,1", "n=1"]
    arguments = site.arguments(*queried, output=output, mixtures=mixtures, shards=shards)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not output.exists()
    left = files(shards)
    assert [Path(name).parts[1:] for name in left] == [
        (name, "plain", "000000000.parquet") for name in ("m", "n")
    ]
    made = stop_at(monkeypatch, -1)
    compute_evidence.main(arguments)
    assert made == [
        ("plain", 1),
        ("plain", 2),
        *((view, w) for view in VIEWS[1:] for w in range(3)),
    ]
    assert not shards.exists()
    site.compute(*queried, output=tmp_path / "whole", mixtures=mixtures)
    assert len(files(output)) == 6
    assert files(output) == files(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_job_that_is_asked_to_end_keeps_its_shards_and_exits_with_75(
    number: signal.Signals, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "SIZE", 8)
    shards = tmp_path / "shards"
    arguments = site.arguments("gpt2", output=tmp_path / "evidence", shards=shards, batch_tokens=60)
    with monkeypatch.context() as patch:
        write = Shards.write

        def signalled(self: Shards, *rest: object) -> None:
            write(self, *rest)  # type: ignore[arg-type]
            os.kill(os.getpid(), number)

        patch.setattr(Shards, "write", signalled)
        with pytest.raises(SystemExit) as ended:
            base.run(compute_evidence.main, arguments)
    assert ended.value.code == 75
    assert [Path(name).name for name in files(shards)] == ["000000000.parquet"]
    assert not (tmp_path / "evidence").exists()
    base.run(compute_evidence.main, arguments)
    assert not shards.exists()
    site.compute("gpt2", output=tmp_path / "whole", batch_tokens=60)
    assert files(tmp_path / "evidence") == files(tmp_path / "whole")


@pytest.mark.parametrize("change", ["settings", "seed", "views", "model", "records"])
def test_shards_of_another_computation_are_deleted(
    change: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "SIZE", 8)
    shutil.copytree(site.root / "bert", tmp_path / "bert")
    shutil.copy(site.root / "records.parquet", tmp_path)
    mine = Site(tmp_path)
    shards = tmp_path / "shards"
    arguments = mine.arguments("bert", output=tmp_path / "evidence", shards=shards)
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            compute_evidence.main(arguments)
    (before,) = shards.iterdir()
    if change == "settings":
        arguments[arguments.index("--settings") + 1] = '{"passes": 4, "prefix_tokens": 16}'
    elif change == "seed":
        arguments[arguments.index("--seed") + 1] = "1"
    elif change == "views":
        arguments.remove("lower")
    elif change == "model":
        mine.save("bert", model_of("bert", 7), str(site.root / "tokenizer"))
    else:
        table = pq.read_table(tmp_path / "records.parquet")
        pq.write_table(table.slice(1), tmp_path / "records.parquet")
    made = stop_at(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        compute_evidence.main(arguments)
    assert made == [("plain", 0)]
    (after,) = shards.iterdir()
    assert before != after


# Vulnerable members


def test_vulnerable_members_score_above_the_threshold_of_the_holdout(study: Study) -> None:
    table = pq.read_table(study.path("vulnerable.parquet"))
    known = read_records(study.path("records.parquet"), ["member", "holdout"])
    view = read_view(study.path("teacher/evidence/plain.parquet"), known.record_id)
    scores = view.logp.mean()
    member = known.pool == "member"
    threshold = at_fpr(scores[~member], 0.1)
    assert float(table.schema.metadata[b"threshold"]) == threshold
    assert (scores[~member] > threshold).mean() == pytest.approx(0.1)
    assert table["record_id"].to_pylist() == [f"r{number:03}" for number in range(30)]
    np.testing.assert_array_equal(table["score"].to_numpy(), scores[member])
    assert table["vulnerable"].to_pylist() == (scores[member] > threshold).tolist()
    assert all(table["vulnerable"].to_pylist())  # they were memorised


# Jobs that share the work


@pytest.mark.parametrize("parts", [2, 3, 20])
def test_parts_that_are_joined_are_the_bytes_of_one_job(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr(window, "SIZE", 8)
    queried, mixtures = ("bert", "bert-other"), ["m=0,1", "n=1"]
    site.compute(*queried, output=tmp_path / "whole", mixtures=mixtures)
    for part in range(1, parts + 1):
        arguments = site.arguments(
            *queried, output=tmp_path / f"{part}", mixtures=mixtures, shards=tmp_path / "shards"
        )
        compute_evidence.main([*arguments, "--part", f"{part}-of-{parts}"])
    for name in files(tmp_path / "whole"):
        shards = [str(tmp_path / f"{part}" / name) for part in range(1, parts + 1)]
        assert sum(pq.ParquetFile(shard).num_row_groups for shard in shards) == 3
        join_evidence.main(["--parts", *shards, "--output", str(tmp_path / "joined" / name)])
    assert files(tmp_path / "joined") == files(tmp_path / "whole")


def test_parts_of_different_models_are_not_joined(site: Site, tmp_path: Path) -> None:
    for name in ("gpt2", "gpt2-other"):
        site.compute(name, output=tmp_path / name)
    shards = [tmp_path / name / "plain.parquet" for name in ("gpt2", "gpt2-other")]
    with pytest.raises(DistilleakError, match=r"gpt2-other/plain.parquet: not of the model"):
        joining.join(shards, tmp_path / "joined.parquet")
    assert not (tmp_path / "joined.parquet").exists()


@pytest.mark.parametrize("part", ["3-of-2", "0-of-2", "1", "a-of-b"])
def test_a_part_that_does_not_exist_is_refused(
    site: Site, tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        compute_evidence.main([*site.arguments("gpt2", output=tmp_path), "--part", part])
    assert f"{part!r} is not of the form 2-of-4" in capsys.readouterr().err
