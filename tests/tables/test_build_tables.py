"""The tables of a study."""

import itertools
import math
import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats
from tables_study import (
    ATTACKS,
    EVALUATION,
    MEMBERS,
    PAIR,
    POOLS,
    SEEDS,
    SHIFT,
    build,
    measure,
    roster,
    write_study,
)

from distilleak.errors import DistilleakError
from distilleak.files import read_json, write_json, write_table
from distilleak.metrics.compare import holm
from distilleak.metrics.rates import roc_curve
from distilleak.metrics.thresholds import cross_fitted, folds
from distilleak.paths import data_directory, model_directory, seed_directory
from distilleak.scoring.threats import THREATS
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.tables import printing
from distilleak.tables.frontier import COUNTED
from distilleak.tables.names import FILES, TABLES, load
from distilleak.tables.reading import read_tables
from distilleak.tables.roc import POINTS, average


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    return build(study, tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def tables(written):
    return read_tables(written, TABLES)


@pytest.fixture
def own_study(study, tmp_path):
    """A study that a test may damage."""
    return shutil.copytree(study, tmp_path / "results")


def pick(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def one(table, **wanted):
    found = pick(table, **wanted)
    assert len(found) == 1
    return found.iloc[0]


def scores_of(study, seed, model, attack="loss"):
    """Scores and labels of the evaluation pools in the order of the record ids."""
    path = model_directory(study, seed, PAIR, model) / "scores.parquet"
    table = pq.read_table(path).to_pandas().sort_values("record_id")
    table = table[table["pool"] != "holdout"]
    return table[attack].to_numpy(), (table["pool"] == "member").to_numpy()


def test_exactly_the_declared_files_are_written(written):
    assert sorted(path.name for path in written.iterdir()) == sorted(FILES)


def test_tables_have_the_columns_that_figures_read(tables):
    for name, table in tables.items():
        assert list(table) == list(load(name).COLUMNS), name
        # The split is paired: it shows no effects apart.
        assert len(table) or name == "effects", name


def test_the_same_results_give_the_same_bytes(study, written, tmp_path):
    again = build(study, tmp_path)
    for name in FILES:
        assert (again / name).read_bytes() == (written / name).read_bytes(), name


def test_models_stand_in_the_order_of_the_roster_with_their_size(tables):
    table = tables["models"]
    assert list(table["model"]) == ["teacher", "kd", "bottleneck", "vote-two", "mixture-two"]
    assert list(table["order"]) == [0, 1, 2, 3, 4]
    assert list(table["size"]) == [1, 1, 1, 2, 2]


def test_metrics_repeat_what_was_measured_of_each_seed(study, tables):
    for seed in SEEDS:
        path = model_directory(study, seed, PAIR, "bottleneck") / "metrics.parquet"
        expected = pq.read_table(path).to_pandas()
        found = pick(tables["metrics"], seed=str(seed), model="bottleneck")
        assert list(found["metric"]) == list(expected["metric"])
        for column in ("value", "low", "high"):
            np.testing.assert_allclose(found[column], expected[column], rtol=1e-6)


def test_a_pooled_value_is_the_mean_over_seeds(tables):
    names = ["pair", "model", "attack", "metric", "threshold"]
    table = tables["metrics"]
    seeds = table[table["seed"] != "all"].groupby(names)["value"].mean()
    pooled = pick(table, seed="all").set_index(names)["value"]
    assert set(pooled.index) == set(seeds.index)
    np.testing.assert_allclose(pooled, seeds[pooled.index], rtol=1e-5)


def test_a_pooled_interval_lies_around_its_value(tables):
    aucs = pick(tables["metrics"], seed="all", metric="auc")
    assert ((aucs["low"] < aucs["value"]) & (aucs["value"] < aucs["high"])).all()


def test_two_seeds_are_pooled_by_the_t_of_one_degree_of_freedom(tables):
    names = ["model", "attack", "metric", "threshold"]
    table = tables["metrics"][tables["metrics"]["metric"].isin(["auc", "member_accuracy"])]
    single = table[table["seed"] != "all"]
    seeds = single.groupby(names)["value"]
    pooled = pick(table, seed="all").set_index(names)
    reach = stats.t.ppf(0.975, 1) * seeds.std(ddof=1) / np.sqrt(2)
    mean = seeds.mean()
    for end, sign in (("low", -1), ("high", 1)):
        # What the records of the seeds leave open, if the seeds agree better than that.
        squares = (single[end] - single["value"]) ** 2
        own = np.sqrt(squares.groupby([single[name] for name in names]).sum()) / 2
        expected = mean + sign * np.maximum(reach, own)
        # Seeds that agree entirely say nothing about how much they differ.
        agreed = seeds.std(ddof=1) == 0
        expected = expected.where(~agreed, single.groupby(names)[end].mean())
        # Both metrics lie between 0 and 1.
        within = expected[pooled.index].clip(0, 1)
        np.testing.assert_allclose(pooled[end], within, rtol=1e-4, atol=1e-6)


def test_a_verdict_follows_from_the_two_corrected_p_values(study, tmp_path):
    table = read_tables(build(study, tmp_path, roster(seeds=[0])), ["comparisons"])["comparisons"]
    for row in table.itertuples():
        different, same = row.p_holm < 0.05, row.p_equivalence < 0.05
        expected = (
            ("different but smaller than margin" if same else "different")
            if different
            else ("equivalent" if same else "inconclusive")
        )
        assert row.verdict == expected
        assert np.isnan(row.p_equivalence) == (row.metric == "heldout_loss")
    assert {"different", "inconclusive"} <= set(table["verdict"])


def test_bounds_on_epsilon_are_those_measured_seed_by_seed(study, tables):
    for seed in SEEDS:
        measured = pq.read_table(
            model_directory(study, seed, PAIR, "teacher") / "metrics.parquet"
        ).to_pandas()
        measured = pick(measured, metric="epsilon").set_index(["attack", "threshold"])["value"]
        found = pick(tables["epsilon"], seed=str(seed), model="teacher")
        assert len(found) == len(measured) > 0
        for row in found.itertuples():
            assert row.epsilon == pytest.approx(measured[row.attack, row.audit], abs=1e-6)


def test_a_single_seed_is_its_own_pool(study, tmp_path):
    table = read_tables(build(study, tmp_path, roster(seeds=[1])), ["metrics"])["metrics"]
    numbers = ["value", "low", "high"]
    np.testing.assert_array_equal(pick(table, seed="1")[numbers], pick(table, seed="all")[numbers])


def test_metrics_as_parquet_are_the_same_table(written, tables):
    table = pq.read_table(written / "metrics.parquet").to_pandas()
    assert list(table) == list(load("metrics").COLUMNS)
    np.testing.assert_allclose(table["value"], tables["metrics"]["value"], rtol=1e-6)
    assert list(table["seed"]) == list(tables["metrics"]["seed"])


def test_comparisons_are_model_minus_baseline(tables):
    metrics = pick(tables["metrics"], seed="all")
    value = {tuple(r[1:6]): r[6] for r in metrics.drop(columns="seed").itertuples()}
    for row in tables["comparisons"].itertuples():
        baseline = "cross_fitted" if row.threshold else ""
        ours = value[PAIR, row.model, row.attack, row.metric, row.threshold]
        theirs = value[PAIR, row.baseline, row.attack, row.metric, baseline]
        assert row.difference == pytest.approx(ours - theirs, abs=1e-6)
        assert row.low <= row.high


def test_a_model_that_leaks_less_than_the_teacher_has_a_negative_difference(study, tmp_path):
    tables = read_tables(build(study, tmp_path, roster(seeds=[0])), TABLES)
    for model in ("kd", "bottleneck"):
        assert SHIFT[model] < SHIFT["teacher"]
        wanted = {"model": model, "baseline": "teacher", "attack": "loss", "metric": "auc"}
        row = one(tables["comparisons"], **wanted)
        assert row["high"] < 0
        assert row["p_value"] < 0.05


def test_every_model_is_compared_with_the_teacher_and_with_kd(tables):
    table = tables["comparisons"]
    pairs = set(zip(table["model"], table["baseline"], strict=True))
    ensembles = ("vote-two", "mixture-two")
    assert pairs == {
        ("kd", "teacher"),
        *(
            (model, baseline)
            for model in ("bottleneck", *ensembles)
            for baseline in ("teacher", "kd")
        ),
    }
    loss = pick(table, metric="heldout_loss")
    assert set(loss["attack"]) == {""}
    assert "vote-two" not in set(loss["model"])
    votes = pick(table, model="vote-two", metric="member_accuracy")
    assert set(votes["threshold"]) == {"majority"}


def test_holm_corrects_within_pair_baseline_and_metric(tables):
    for _, family in tables["comparisons"].groupby(["pair", "baseline", "metric"]):
        np.testing.assert_allclose(family["p_holm"], holm(family["p_value"].to_numpy()), rtol=1e-5)
        assert len(family) > 1


def test_without_kd_there_are_no_comparisons_with_it(study, tmp_path):
    tables = read_tables(
        build(study, tmp_path, roster(models=["teacher", "bottleneck"])),
        ["comparisons", "ensembles"],
    )
    assert set(tables["comparisons"]["baseline"]) == {"teacher"}
    assert tables["ensembles"].empty


def test_a_teacher_alone_gives_empty_comparisons(study, tmp_path):
    directory = build(study, tmp_path, roster(models=["teacher"]))
    tables = read_tables(directory, TABLES)
    assert {name for name, table in tables.items() if table.empty} == {
        "comparisons",
        "success",
        "ensembles",
        "frontier",
        "effects",
    }
    assert sorted(path.name for path in directory.iterdir()) == sorted(FILES)


def test_success_agrees_with_a_count_record_by_record(study, tables):
    for model in ("kd", "bottleneck"):
        for attack in ATTACKS:
            counts = {}
            for seed in SEEDS:
                sides = [scores_of(study, seed, each, attack) for each in ("teacher", model)]
                labels = sides[0][1]
                fold = folds(labels, EVALUATION["folds"], seed)
                thresholds = [cross_fitted(scores, labels, fold) for scores, _ in sides]
                for record, label in enumerate(labels):
                    on = [
                        (scores[record] > threshold[record]) == label
                        for (scores, _), threshold in zip(sides, thresholds, strict=True)
                    ]
                    outcome = {
                        (True, True): "both",
                        (True, False): "teacher_only",
                        (False, True): "student_only",
                        (False, False): "neither",
                    }[tuple(map(bool, on))]
                    key = ("member" if label else "nonmember", outcome)
                    counts[key] = counts.get(key, 0) + 1
            found = pick(tables["success"], model=model, attack=attack)
            assert {
                (r.pool, r.outcome): r.records for r in found.itertuples() if r.records
            } == counts


def test_success_adds_up_to_the_pool_over_seeds(tables):
    groups = tables["success"].groupby(["model", "attack", "pool"])
    assert set(groups["records"].sum()) == {len(SEEDS) * POOLS["member"]}
    np.testing.assert_allclose(groups["share"].sum(), 1, rtol=1e-6)
    assert set(tables["success"]["model"]) == {"kd", "bottleneck"}


def test_success_and_accuracy_tell_the_same(tables):
    cells = pick(tables["success"], model="kd", attack="loss", pool="member")
    share = sum(one(cells, outcome=outcome)["share"] for outcome in ("both", "student_only"))
    wanted = {"seed": "all", "model": "kd", "attack": "loss", "threshold": "cross_fitted"}
    accuracy = one(tables["metrics"], metric="member_accuracy", **wanted)["value"]
    assert share == pytest.approx(accuracy, rel=1e-6)


def test_supervision_agrees_with_a_count_token_by_token(study, tables):
    shares = {"vulnerable": [], "other": []}
    sizes = {"vulnerable": [0, 0], "other": [0, 0]}
    for seed in SEEDS:
        chosen = pq.read_table(
            seed_directory(study, seed) / PAIR / "vulnerable.parquet"
        ).to_pylist()
        path = model_directory(study, seed, PAIR, "teacher") / "evidence" / "plain.parquet"
        evidence = {row["record_id"]: row for row in pq.read_table(path).to_pylist()}
        counts = {group: [0, 0.0, 0] for group in shares}
        for row in chosen:
            group = "vulnerable" if row["vulnerable"] else "other"
            tokens = evidence[row["record_id"]]
            sizes[group][0] += 1
            for rank, top in zip(tokens["rank"], tokens["top_logp"], strict=True):
                counts[group][0] += rank == 0
                counts[group][1] += math.exp(top)
                counts[group][2] += 1
                sizes[group][1] += 1
        for group, (right, confidence, total) in counts.items():
            shares[group].append((right / total, confidence / total))
    for group, found in shares.items():
        row = one(tables["supervision"], group=group)
        assert [row["records"], row["tokens"]] == sizes[group]
        expected = np.mean(found, axis=0)
        assert row["agreement"] == pytest.approx(expected[0], rel=1e-6)
        assert row["confidence"] == pytest.approx(expected[1], rel=1e-6)
        for name in ("agreement", "confidence"):
            assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]


def test_a_group_without_members_has_no_row(own_study, tmp_path):
    for seed in SEEDS:
        path = seed_directory(own_study, seed) / PAIR / "vulnerable.parquet"
        table = pq.read_table(path)
        write_table(table.set_column(3, "vulnerable", [[False] * len(table)]), path)
    tables = read_tables(build(own_study, tmp_path / "tables"), ["supervision"])
    assert list(tables["supervision"]["group"]) == ["other"]


def test_ensembles_of_size_one_are_the_mean_of_their_students(tables):
    metrics = pick(tables["metrics"], attack="loss", metric="auc")
    for kind in ("vote", "mixture"):
        row = one(tables["ensembles"], kind=kind, size=1, attack="loss", metric="auc")
        singles = metrics[metrics["model"].isin(MEMBERS)]
        pooled = pick(singles, seed="all")["value"].mean()
        by_seed = [pick(singles, seed=str(seed))["value"] for seed in SEEDS]
        assert row["value"] == pytest.approx(pooled, rel=1e-6)
        # That of one student, not that of their mean.
        variances = np.var(by_seed, axis=0, ddof=1)
        assert row["seed_sd"] == pytest.approx(np.sqrt(variances.mean()), rel=1e-4)
        assert math.isnan(row["difference"])
        assert (row["models"], row["seeds"]) == (2, 2)
        assert row["low"] < row["value"] < row["high"]


def test_ensembles_of_two_repeat_the_metrics_of_the_only_ones_there_are(tables):
    for kind, threshold in (("vote", "majority"), ("mixture", "cross_fitted")):
        wanted = {"attack": "zlib", "metric": "nonmember_accuracy"}
        row = one(tables["ensembles"], kind=kind, size=2, **wanted)
        model = {"seed": "all", "model": f"{kind}-two", "threshold": threshold}
        found = one(tables["metrics"], **model, **wanted)
        assert [row["value"], row["low"], row["high"]] == list(found[["value", "low", "high"]])


def test_ensembles_are_compared_with_the_average_of_their_own_students(tables):
    wanted = {"attack": "loss", "metric": "auc", "size": 2}
    average = one(tables["ensembles"], kind="average", **wanted)
    metrics = pick(tables["metrics"], attack="loss", metric="auc")
    singles = metrics[metrics["model"].isin(MEMBERS)]
    alone = np.array([pick(singles, seed=str(seed))["value"].mean() for seed in SEEDS])
    assert average["value"] == pytest.approx(alone.mean(), rel=1e-6)
    assert average["seed_sd"] == pytest.approx(alone.std(ddof=1), rel=1e-4)
    assert math.isnan(average["difference"])
    for kind in ("vote", "mixture"):
        row = one(tables["ensembles"], kind=kind, **wanted)
        own = pick(metrics, model=f"{kind}-two")
        together = np.array([pick(own, seed=str(seed))["value"].iloc[0] for seed in SEEDS])
        expected = stats.ttest_rel(together, alone)
        ends = tuple(expected.confidence_interval())
        assert row["difference"] == pytest.approx((together - alone).mean(), abs=1e-5)
        assert (row["difference_low"], row["difference_high"]) == pytest.approx(ends, rel=1e-3)
        assert row["p_value"] == pytest.approx(expected.pvalue, rel=1e-3)


def test_leak_is_the_attack_with_the_highest_corrected_interval(tables):
    leak = tables["leak"]
    assert list(leak["model"]) == list(tables["models"]["model"])
    quantile = stats.norm.ppf(1 - 0.05 / len(ATTACKS) / 2)
    for row in leak.to_dict("records"):
        assert row["attacks"] == len(ATTACKS)
        lows, values = {}, {}
        for attack in ATTACKS:
            wanted = {"model": row["model"], "attack": attack, "metric": "auc"}
            values[attack] = one(tables["metrics"], seed="all", **wanted)["value"]
            # The table `luck` has the root of the mean of the seeds' bootstrap variances.
            error = one(tables["luck"], **wanted)["record_sd"] / math.sqrt(len(SEEDS))
            lows[attack] = values[attack] - quantile * error
        strongest = max(lows, key=lows.__getitem__)
        assert row["attack"] == strongest
        assert row["auc"] == pytest.approx(values[strongest], abs=1e-6)
        assert row["low"] == pytest.approx(max(0, lows[strongest]), abs=1e-5)
        assert row["auc"] <= row["high"] <= 1


def test_threats_are_a_row_per_attack_and_one_of_the_votes(tables):
    table = tables["threats"]
    assert list(table["attack"]) == ["loss", "zlib", "votes of ensembles"]
    assert list(table["threat"]) == ["query", "query", "several"]
    assert set(table["holds"]) == {THREATS[name].holds for name in ("query", "several")}
    assert table["student_alone"].all()
    assert set(tables["leak"]["threat"]) == {"query"}


def test_an_attack_that_holds_the_teacher_is_measured_and_never_the_strongest(study, tmp_path):
    """Whatever it finds, in none of the places where attacks compete."""
    for other, attack in (("loss", "zlib"), ("zlib", "loss")):
        changed = roster() | {"headline_attack": other, "threats": {other: "query", attack: "pair"}}
        written = build(study, tmp_path / other, changed)
        tables = read_tables(written, TABLES)
        assert set(tables["leak"]["attack"]) == {other}
        assert set(tables["leak"]["attacks"]) == {1}
        frontier = tables["frontier"]
        assert set(frontier["attack"][frontier["role"] != COUNTED]) == {other}
        assert {"loss", "zlib"} <= set(tables["metrics"]["attack"])
        summary, epsilon, every = (
            (written / f"{name}.md").read_text() for name in ("summary", "epsilon", "attacks")
        )
        assert f", {other} " in summary
        assert f", {attack} " not in summary + epsilon
        assert f"{other} (query)" in every
        assert f"{attack} (pair)" in every


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"threats": {"loss": "query"}}, "threats: given of loss; attacks: loss, zlib"),
        (
            {"threats": {"loss": "query", "zlib": "queries"}},
            "threats.zlib: unknown threat model 'queries'; allowed: query, logits, ",
        ),
    ],
)
def test_a_roster_with_wrong_threat_models_says_what_is_wrong(
    study, tmp_path, capsys, changed, message
):
    with pytest.raises(SystemExit):
        build(study, tmp_path, roster() | changed)
    assert message in capsys.readouterr().err


def test_luck_is_the_spread_between_seeds_and_that_of_the_bootstrap(study, tables):
    row = one(tables["luck"], model="kd", attack="loss", metric="auc")
    metrics = pick(tables["metrics"], model="kd", attack="loss", metric="auc")
    by_seed = [pick(metrics, seed=str(seed))["value"].iloc[0] for seed in SEEDS]
    assert row["seed_sd"] == pytest.approx(np.std(by_seed, ddof=1), rel=1e-4)
    assert row["low"] < row["seed_sd"] < row["high"]
    drawn = []
    for seed in SEEDS:
        table = pq.read_table(model_directory(study, seed, PAIR, "kd") / "bootstrap.parquet")
        rows = pick(table.to_pandas(), attack="loss", metric="auc", threshold="")
        drawn.append(np.var(np.float64(rows["replicates"].iloc[0]), ddof=1))
    assert row["record_sd"] == pytest.approx(np.sqrt(np.mean(drawn)), rel=1e-4)
    assert (row["differing"], row["seeds"]) == ("split and training", 2)
    assert len(pick(tables["luck"], model="kd", metric="heldout_loss")) == 1
    assert not len(pick(tables["luck"], model="vote-two", metric="heldout_loss"))


def test_one_seed_has_no_spread(study, tmp_path):
    tables = read_tables(build(study, tmp_path, roster(seeds=[0])), ["ensembles", "luck"])
    assert tables["ensembles"]["seed_sd"].isna().all()
    assert tables["luck"][["seed_sd", "low", "high"]].isna().all(axis=None)
    assert tables["luck"]["record_sd"].notna().all()


def test_roc_at_one_percent_is_the_metric(tables):
    for model in SHIFT:
        curve = pick(tables["roc"], model=model, attack="loss")
        at = curve[curve["fpr"] <= 0.01]["tpr"].max()
        wanted = {"seed": "all", "model": model, "attack": "loss", "metric": "tpr_at_fpr_0.01"}
        assert at == pytest.approx(one(tables["metrics"], **wanted)["value"], rel=1e-6)


def test_roc_rises_from_zero_to_one(tables):
    for _, curve in tables["roc"].groupby(["model", "attack"]):
        points = curve[["fpr", "tpr"]].to_numpy()
        assert points[0].tolist() == [0, 0]
        assert points[-1].tolist() == [1, 1]
        assert (np.diff(points, axis=0) >= 0).all()
        assert len(points) <= POINTS


def test_roc_is_the_mean_of_the_curves_of_the_seeds():
    rng = np.random.default_rng(0)
    labels = np.arange(3000) < 1500
    curves = [roc_curve(rng.normal(size=3000) + labels, labels) for _ in range(3)]
    fpr, tpr = average(curves, 1500)
    assert len(fpr) <= POINTS
    first = int(fpr[1] == 0)  # the vertical start
    for f, t in zip(fpr[first:], tpr[first:], strict=True):
        expected = np.mean([curve[1][curve[0] <= f].max() for curve in curves])
        assert t == pytest.approx(expected)
    counts = fpr[first + 1 :] * 1500
    np.testing.assert_allclose(counts, np.rint(counts))
    assert counts[0] == 1


def test_histograms_integrate_to_one_and_hold_every_score(study, tables):
    for (model, attack, _), bins in tables["histograms"].groupby(["model", "attack", "pool"]):
        width = bins["right"] - bins["left"]
        assert (bins["density"] * width).sum() == pytest.approx(1, abs=1e-4)
        assert len(bins) == 40
        scores = np.concatenate([scores_of(study, seed, model, attack)[0] for seed in SEEDS])
        assert bins["left"].min() == pytest.approx(scores.min(), rel=1e-6)
        assert bins["right"].max() == pytest.approx(scores.max(), rel=1e-6)


def test_histograms_of_both_pools_share_their_bins(tables):
    for _, bins in tables["histograms"].groupby(["model", "attack"]):
        member, nonmember = (pick(bins, pool=pool) for pool in ("member", "nonmember"))
        assert list(member["left"]) == list(nonmember["left"])


@pytest.mark.parametrize("value", [0.0, -3.5, 1e6])
def test_scores_that_hardly_differ_are_one_bar(own_study, tmp_path, value):
    path = model_directory(own_study, 0, PAIR, "kd") / "scores.parquet"
    table = pq.read_table(path)
    scores = np.full(len(table), value)
    scores[0] = np.nextafter(value, np.inf)
    write_table(table.set_column(4, "loss", [scores]), path)
    described = roster(models=["teacher", "kd"], seeds=[0])
    tables = read_tables(build(own_study, tmp_path / "tables", described), ["histograms"])
    for pool in ("member", "nonmember"):
        bins = pick(tables["histograms"], model="kd", attack="loss", pool=pool)
        assert (bins["density"] > 0).sum() == 1
        area = bins["density"] * (bins["right"] - bins["left"])
        assert area.sum() == pytest.approx(1, abs=1e-4)


def test_blind_and_split_repeat_the_conditions(tables):
    assert list(tables["blind"]["seed"]) == ["0", "1"]
    assert list(tables["blind"]["p_value"]) == [0.4, 0.5]
    assert set(tables["blind"]["gate"]) == {"open"}
    split = {(row.seed, row.pool): row.records for row in tables["split"].itertuples()}
    assert split == {(str(seed), pool): size for seed in SEEDS for pool, size in POOLS.items()}
    copies = {(row.seed, row.pool): row.copies_removed for row in tables["split"].itertuples()}
    assert copies == {
        (str(seed), pool): seed if pool == "member" else 0 for seed in SEEDS for pool in POOLS
    }


def close_gate(path):
    """Write the verdict of a split that lengths give away."""
    verdict = read_json(path)
    verdict["passed"] = False
    verdict["classifiers"]["length"]["auc"] = 0.8
    write_json(verdict, path)


@pytest.fixture(scope="module")
def masked(study, tmp_path_factory):
    """The study with a second pair, whose data lie in a directory of their own."""
    root = shutil.copytree(study, tmp_path_factory.mktemp("pairs") / "results")
    return write_study(root, "masked", "/books/masked")


def test_pairs_with_data_of_their_own_have_their_own_split_and_blind_verdict(masked, tmp_path):
    root = shutil.copytree(masked, tmp_path / "results")
    pairs = {PAIR: "", "masked": "/books/masked"}
    other = data_directory(root, 1, pairs["masked"])
    close_gate(other / "blind.json")
    drop_rows(other / "records.parquet")
    directory = build(root, tmp_path / "tables", roster(["teacher"], pairs=pairs))
    tables = read_tables(directory, ["blind", "split"])
    assert list(tables["blind"][["seed", "pair", "auc", "gate"]].itertuples(index=False)) == [
        ("0", PAIR, 0.51, "open"),
        ("0", "masked", 0.51, "open"),
        ("1", PAIR, 0.51, "open"),
        ("1", "masked", 0.8, "closed"),
    ]
    sizes = tables["split"].groupby(["seed", "pair"])["records"].sum()
    whole = sum(POOLS.values())
    assert sizes.to_dict() == {
        ("0", PAIR): whole,
        ("0", "masked"): whole,
        ("1", PAIR): whole,
        ("1", "masked"): 1,
    }
    head = (directory / "blind.md").read_text().splitlines()[0]
    assert [cell.strip() for cell in head.split("|")[1:4]] == ["pair", "seed", "classifier"]


def test_pairs_that_share_their_data_repeat_its_rows(masked, tmp_path):
    described = roster(["teacher"], pairs={PAIR: "", "masked": ""})
    tables = read_tables(build(masked, tmp_path, described), ["blind", "split"])
    for table in tables.values():
        ours, theirs = (
            pick(table, pair=pair).drop(columns="pair").to_numpy().tolist()
            for pair in (PAIR, "masked")
        )
        assert ours == theirs
        assert ours


def test_one_pair_is_not_named_in_the_readable_blind_table(written):
    head = (written / "blind.md").read_text().splitlines()[0]
    assert [cell.strip() for cell in head.split("|")[1:3]] == ["seed", "classifier"]


def test_a_directory_of_data_begins_with_a_slash(study, tmp_path, capsys):
    with pytest.raises(SystemExit):
        build(study, tmp_path, roster(pairs={PAIR: "books"}))
    assert "data" in capsys.readouterr().err


def test_numbers_keep_seven_digits_and_counts_all(written):
    text = (written / "metrics.csv").read_text()
    tokens = [line for line in text.splitlines() if "training_tokens" in line]
    assert f"1,{PAIR},kd,,training_tokens,,601,601,601" in tokens


def test_summary_has_one_row_per_model_with_its_intervals(written, tables):
    lines = (written / "summary.md").read_text().splitlines()
    rows = {
        cells[1].strip(): cells for cells in (line.split("|") for line in lines) if len(cells) > 3
    }
    auc = one(tables["metrics"], seed="all", model="kd", attack="loss", metric="auc")
    expected = f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
    assert rows["kd & co_"][3].strip() == expected
    assert len(rows) == 2 + len(tables["models"])


@pytest.mark.parametrize("name", [name for name, readable in TABLES.items() if readable])
def test_what_people_read_is_rounded_from_the_files_and_not_from_memory(name, written, tables):
    findings = printing.Findings(tables, "loss", EvaluationSettings().margin)
    for printed in load(name).printed(findings):
        assert (written / f"{printed.name}.md").read_text() == printing.markdown(printed)
        assert (written / f"{printed.name}.tex").read_text() == printing.latex(printed)


def test_latex_has_rules_and_no_raw_special_character(written):
    for name in itertools.chain(*TABLES.values()):
        text = (written / f"{name}.tex").read_text()
        assert r"\toprule" in text, name
        body = "\n".join(line for line in text.splitlines() if not line.startswith(r"\label"))
        for character in "_%#":
            assert body.count(character) == body.count(f"\\{character}"), (name, character)


def test_a_wrong_layout_says_what_is_wrong(study, tmp_path, capsys):
    wrong = roster() | {"headline_attack": "lost"}
    with pytest.raises(SystemExit):
        build(study, tmp_path, wrong)
    assert "headline_attack 'lost' is not among the attacks: loss, zlib" in capsys.readouterr().err


def damage_bytes(path):
    path.write_bytes(b"PAR1 not at all")


def drop_rows(path):
    write_table(pq.read_table(path).slice(0, 1), path)


def as_text(path, column):
    """As another version might have written it: the column holds text."""
    table = pq.read_table(path)
    at = table.column_names.index(column)
    write_table(table.set_column(at, column, pa.array(["x"] * len(table))), path)


def without(path, column):
    write_table(pq.read_table(path).drop_columns([column]), path)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("kd/metrics.parquet", damage_bytes),
        ("kd/bootstrap.parquet", damage_bytes),
        ("kd/scores.parquet", lambda path: path.unlink()),
        ("teacher/evidence/plain.parquet", drop_rows),
        ("vulnerable.parquet", lambda path: path.unlink()),
        ("../blind.json", lambda path: path.write_text("{}")),
        ("../blind.json", lambda path: path.write_text("[")),
        ("../blind.json", lambda path: write_json(read_json(path) | {"passed": "no"}, path)),
        ("../records.parquet", damage_bytes),
        ("kd/metrics.parquet", lambda path: as_text(path, "value")),
        ("kd/bootstrap.parquet", lambda path: as_text(path, "replicates")),
        ("kd/scores.parquet", lambda path: as_text(path, "teacher_member")),
        ("teacher/evidence/plain.parquet", lambda path: as_text(path, "rank")),
        ("vulnerable.parquet", lambda path: as_text(path, "vulnerable")),
        ("../records.parquet", lambda path: without(path, "pool")),
        ("../blind.json", lambda path: write_json(read_json(path) | {"classifiers": []}, path)),
        ("../blind.json", lambda path: write_json([], path)),
        (
            "../blind.json",
            lambda path: write_json(read_json(path) | {"classifiers": {"a": {"auc": "x"}}}, path),
        ),
    ],
)
def test_a_damaged_file_is_one_clear_error_and_nothing_is_written(
    own_study, tmp_path, file, damage
):
    damage(seed_directory(own_study, 1) / PAIR / file)
    with pytest.raises(DistilleakError, match=file.split("/")[-1]) as caught:
        build(own_study, tmp_path / "tables")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "tables").exists()


def test_metrics_of_another_model_are_an_error(own_study, tmp_path):
    source = model_directory(own_study, 0, PAIR, "kd") / "metrics.parquet"
    target = model_directory(own_study, 0, PAIR, "teacher") / "metrics.parquet"
    target.write_bytes(source.read_bytes())
    with pytest.raises(DistilleakError, match=r"teacher/metrics\.parquet: holds .*'kd'"):
        build(own_study, tmp_path / "tables")


def test_a_vote_measured_without_majority_is_an_error(own_study, tmp_path):
    measure(own_study, 0, "vote-two", "neither vote nor student")
    with pytest.raises(DistilleakError, match=r"lack attack 'loss', .*threshold 'majority'"):
        build(own_study, tmp_path / "tables")


def test_another_number_of_replicates_is_an_error(own_study, tmp_path):
    with pytest.raises(DistilleakError, match=r"bootstrap\.parquet: 100 replicates; .* is 200"):
        build(own_study, tmp_path / "tables", evaluation=EVALUATION | {"replicates": 200})


def test_models_scored_on_different_records_are_an_error(own_study, tmp_path):
    path = model_directory(own_study, 0, PAIR, "bottleneck") / "scores.parquet"
    table = pq.read_table(path).to_pandas()
    first = table.index[table["pool"] == "member"][0]
    write_table(pq.read_table(path).take([i for i in range(len(table)) if i != first]), path)
    with pytest.raises(
        DistilleakError, match="'teacher' and 'bottleneck' are of different records"
    ):
        build(own_study, tmp_path / "tables")


def test_files_can_be_named_without_pandas():
    program = "import sys, distilleak.tables.names; assert 'numpy' not in sys.modules, 'heavy'"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == 0
    assert {f"{name}.csv" for name in TABLES} <= set(FILES)
    assert len(set(FILES)) == len(FILES)
