"""The stage that measures one model."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tables_study import EVALUATION, PAIR, measure, write_study

from distilleak.errors import DistilleakError
from distilleak.files import write_json, write_table
from distilleak.metrics.bootstrap import interval
from distilleak.metrics.thresholds import cross_fitted, folds
from distilleak.paths import model_directory, seed_directory

METRICS = ["seed", "pair", "model", "attack", "metric", "threshold", "value", "low", "high"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("measure"))


@pytest.fixture
def own_study(study, tmp_path):
    """A study that a test may damage."""
    return shutil.copytree(study, tmp_path / "results")


def read(study, model, name, seed=0):
    return pq.read_table(model_directory(study, seed, PAIR, model) / name).to_pandas()


def one(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def evaluated(study, model, attack="loss"):
    """Scores and labels of the evaluation pools in the order of the record ids."""
    scores = read(study, model, "scores.parquet").sort_values("record_id")
    scores = scores[scores["pool"].isin(["member", "nonmember"])]
    return scores[attack].to_numpy(), (scores["pool"] == "member").to_numpy()


def test_metrics_have_the_columns_and_types_of_the_contract(study):
    table = pq.read_table(model_directory(study, 1, PAIR, "kd") / "metrics.parquet")
    assert table.column_names == METRICS
    assert table.schema.field("seed").type == pa.int64()
    assert {table.schema.field(name).type for name in METRICS[1:6]} == {pa.string()}
    assert {table.schema.field(name).type for name in METRICS[6:]} == {pa.float64()}
    assert set(zip(*(table[name].to_pylist() for name in METRICS[:3]), strict=True)) == {
        (1, PAIR, "kd")
    }


def test_bootstrap_holds_float32_replicates_from_which_the_intervals_come(study):
    table = pq.read_table(model_directory(study, 0, PAIR, "kd") / "bootstrap.parquet")
    assert table.column_names == ["attack", "metric", "threshold", "replicates"]
    assert table.schema.field("replicates").type == pa.list_(pa.float32())
    metrics = read(study, "kd", "metrics.parquet")
    for row in table.to_pylist():
        estimate = one(metrics, **{name: row[name] for name in ("attack", "metric", "threshold")})
        assert len(row["replicates"]) == EVALUATION["replicates"]
        low, high = interval(np.array(row["replicates"]))
        # Those of rates include exact intervals, too; of a loss, there is none.
        if row["metric"] in ("heldout_loss", "calibrated_loss", "perplexity", "temperature"):
            assert (estimate["low"], estimate["high"]) == (low, high)
        else:
            assert estimate["low"] <= low
            assert estimate["high"] >= high


def test_only_the_evaluation_pools_are_attacked(study):
    scores, labels = evaluated(study, "kd")
    wins = (scores[labels][:, None] > scores[~labels]).mean()
    auc = one(read(study, "kd", "metrics.parquet"), attack="loss", metric="auc")
    assert auc["value"] == pytest.approx(wins)


def test_accuracy_is_that_of_the_cross_fitted_threshold(study):
    scores, labels = evaluated(study, "kd")
    called = scores > cross_fitted(scores, labels, folds(labels, EVALUATION["folds"], 0))
    metrics = read(study, "kd", "metrics.parquet")
    found = one(metrics, attack="loss", metric="member_accuracy", threshold="cross_fitted")
    assert found["value"] == pytest.approx(called[labels].mean())


def test_order_of_the_records_in_the_file_changes_nothing(own_study):
    directory = model_directory(own_study, 0, PAIR, "kd")
    before = [(directory / name).read_bytes() for name in ("metrics.parquet", "bootstrap.parquet")]
    scores = pq.read_table(directory / "scores.parquet")
    write_table(scores.take(np.arange(len(scores))[::-1]), directory / "scores.parquet")
    measure(own_study, 0, "kd", "student")
    after = [(directory / name).read_bytes() for name in ("metrics.parquet", "bootstrap.parquet")]
    assert before == after


def test_heldout_loss_is_nats_per_token_of_the_holdout_pool(study):
    records = pq.read_table(seed_directory(study, 0) / "records.parquet").to_pandas()
    holdout = set(records[records["pool"] == "holdout"]["record_id"])
    evidence = read(study, "kd", "evidence/plain.parquet")
    kept = evidence[evidence["record_id"].isin(holdout)]
    logp, rank = (np.concatenate(kept[name].to_list()) for name in ("logp", "rank"))
    metrics = read(study, "kd", "metrics.parquet")
    found = {m: one(metrics, attack="", metric=m)["value"] for m in ("heldout_loss", "perplexity")}
    assert found["heldout_loss"] == pytest.approx(-logp.mean())
    assert found["perplexity"] == pytest.approx(np.exp(-logp.mean()))
    top1 = one(metrics, metric="top1_accuracy")
    assert top1["value"] == pytest.approx((rank == 0).mean())
    assert top1["low"] < top1["value"] < top1["high"]


def test_facts_become_rows_without_an_interval_or_replicates(study):
    metrics, bootstrap = (
        read(study, "kd", f"{n}.parquet", seed=1) for n in ("metrics", "bootstrap")
    )
    for name, value in (("parameters", 1000), ("training_records", 60), ("training_tokens", 601)):
        row = one(metrics, metric=name)
        assert (row["attack"], row["value"], row["low"], row["high"]) == ("", value, value, value)
        assert name not in set(bootstrap["metric"])
    assert not {"vulnerable_token_share", "loss", "updates"} & set(metrics["metric"])


def test_a_student_that_saw_some_members_only_is_measured_on_seen_and_unseen(study):
    scores, labels = evaluated(study, "bottleneck")
    ids = sorted(
        read(study, "bottleneck", "scores.parquet").query("pool != 'holdout'")["record_id"]
    )
    selection = read(study, "bottleneck", "selection.parquet").set_index("record_id")["seen"]
    seen = np.array([bool(selection.get(record, False)) for record in ids])
    assert 0 < seen.sum() < labels.sum()
    metrics = read(study, "bottleneck", "metrics.parquet")
    for name, side in (("auc_seen", labels & seen), ("auc_unseen", labels & ~seen)):
        wins = (scores[side][:, None] > scores[~labels]).mean()
        assert one(metrics, attack="loss", metric=name)["value"] == pytest.approx(wins)
    assert "auc_seen" not in set(read(study, "kd", "metrics.parquet")["metric"])


def test_votes_are_judged_by_their_majority(study):
    scores, labels = evaluated(study, "vote-two")
    metrics = read(study, "vote-two", "metrics.parquet")
    assert set(metrics["threshold"]) == {
        "",
        "majority",
        "oracle",
        "held_out",
        "one_run",
    }
    found = one(metrics, attack="loss", metric="member_accuracy", threshold="majority")
    assert found["value"] == pytest.approx((scores[labels] > 0.5).mean())
    assert "heldout_loss" not in set(metrics["metric"])


def test_evidence_needs_records(own_study, capsys):
    with pytest.raises(SystemExit):
        measure(own_study, 0, "vote-two", "vote", "--evidence", "somewhere")
    assert "--evidence and --records belong together" in capsys.readouterr().err


def test_a_selection_that_lacks_a_member_is_an_error(own_study):
    path = model_directory(own_study, 0, PAIR, "kd") / "selection.parquet"
    write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(DistilleakError, match=r"selection\.parquet: does not say whether member"):
        measure(own_study, 0, "kd", "student")


@pytest.mark.parametrize("facts", [[1], {"parameters": "many"}, {"parameters": True}])
def test_facts_that_are_not_numbers_are_an_error(own_study, facts):
    path = model_directory(own_study, 0, PAIR, "kd") / "facts.json"
    write_json(facts, path)
    with pytest.raises(DistilleakError, match=r"facts\.json: "):
        measure(own_study, 0, "kd", "student")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["pool"]), "no column 'pool'"),
        (lambda t: t.drop_columns(["loss", "zlib"]), "no attack"),
        (lambda t: pa.concat_tables([t, t.slice(0, 1)]), "occurs more than once"),
        (lambda t: t.set_column(4, "loss", pa.array([np.inf] * len(t))), "scores must be finite"),
        (lambda t: t.set_column(4, "loss", pa.array(["a"] * len(t))), "scores are floats"),
    ],
)
def test_damaged_scores_are_one_clear_error(own_study, change, message):
    path = model_directory(own_study, 0, PAIR, "kd") / "scores.parquet"
    write_table(change(pq.read_table(path)), path)
    with pytest.raises(DistilleakError, match=rf"scores\.parquet: .*{message}"):
        measure(own_study, 0, "kd", "student")


def test_settings_are_checked(own_study, capsys):
    wrong = json.dumps({"folds": 1})
    with pytest.raises(SystemExit):
        measure(own_study, 0, "kd", "student", "--evaluation", wrong)
    assert "folds" in capsys.readouterr().err
