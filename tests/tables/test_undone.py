"""Tables of models that can be undone: the adaptive attack stands wherever their leakage does."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tables_study
from tables_study import ATTACKS, PAIR, SEEDS

from distilleak.errors import DistilleakError
from distilleak.metrics.compare import holm
from distilleak.metrics.picking import strongest
from distilleak.paths import model_directory
from distilleak.tables.names import TABLES
from distilleak.tables.reading import read_tables

RELEASED = "bottleneck"
"""A student of the made-up study that leaks less than kd; here it counts as made from kd."""
UNDONE = f"{RELEASED}-undone"
TWIN = "mixture-two-undone"
LEAKY = ("auc", "tpr_at_fpr_0.01", "member_accuracy", "nonmember_accuracy", "balanced_accuracy")


def roster(**changes):
    """The roster of the study, with a student that can be undone and its mixture."""
    found = tables_study.roster()
    models = found["pairs"][PAIR]["models"]
    for of, name, attacked in ((RELEASED, UNDONE, "kd"), ("mixture-two", TWIN, TWIN)):
        place = next(i for i, model in enumerate(models) if model["model"] == of)
        released = models[place]
        undone = {
            **{"model": name, "kind": "undone", "method": released["method"], "of": of},
            **{"label": f"{of} without map", "undoing": "without map", "attacked": attacked},
            **{"members": released["members"]},
        }
        models.insert(place + 1, undone | (changes if name == UNDONE else {}))
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tables_study.write_study(tmp_path_factory.mktemp("study"))
    for seed in SEEDS:
        # The mixture of kd with kd.
        kd, twin = (model_directory(root, seed, PAIR, model) for model in ("kd", TWIN))
        twin.mkdir()
        shutil.copy(kd / "scores.parquet", twin)
        tables_study.measure(root, seed, TWIN, "undone")
    return root


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    return tables_study.build(study, tmp_path_factory.mktemp("tables"), roster())


@pytest.fixture(scope="module")
def tables(written):
    return read_tables(written, TABLES)


@pytest.fixture(scope="module")
def before(study, tmp_path_factory):
    """The tables of the same study without models that can be undone."""
    return read_tables(tables_study.build(study, tmp_path_factory.mktemp("before")), TABLES)


def rows(table, model, **wanted):
    """The rows of a model without its name, in their order."""
    for column, value in {"model": model, **wanted}.items():
        table = table[table[column] == value]
    return table.drop(columns="model").reset_index(drop=True)


def test_an_undone_model_stands_behind_the_one_that_is_released(tables):
    models = tables["models"].set_index("model")
    assert models["order"][UNDONE] == models["order"][RELEASED] + 1
    assert models.loc[UNDONE, ["kind", "of", "undoing"]].tolist() == [
        *("undone", RELEASED, "without map")
    ]
    assert models["size"][TWIN] == models["size"]["mixture-two"] == 2
    assert (models.loc[models["kind"] != "undone", ["of", "undoing"]] == "").all(axis=None)


@pytest.mark.parametrize("attacked", ["kd", TWIN])
def test_adaptive_attacks_find_exactly_what_they_find_on_the_model_that_is_left(attacked, tables):
    name = UNDONE if attacked == "kd" else TWIN
    metrics = tables["metrics"][tables["metrics"]["attack"] != ""]
    found = rows(metrics, name)
    # What is known of kd as a student, the twin need not have.
    expected = rows(metrics, "kd")
    pd.testing.assert_frame_equal(found, expected)
    assert set(LEAKY) <= set(found["metric"])
    unaware = rows(metrics, RELEASED, seed="all", metric="auc")["value"]
    assert (unaware < rows(metrics, "kd", seed="all", metric="auc")["value"]).all()


@pytest.mark.parametrize("table", ["roc", "histograms", "epsilon"])
def test_curves_histograms_and_bounds_of_an_undone_model_are_those_of_kd(table, tables):
    pd.testing.assert_frame_equal(rows(tables[table], UNDONE), rows(tables[table], "kd"))


def test_success_counts_an_undone_student_and_no_undone_mixture(tables):
    found = tables["success"]
    pd.testing.assert_frame_equal(rows(found, UNDONE), rows(found, "kd"))
    assert set(found["model"]) == {"kd", RELEASED, UNDONE}


@pytest.mark.parametrize(("name", "of"), [(UNDONE, RELEASED), (TWIN, "mixture-two")])
def test_utility_and_facts_are_those_of_what_is_released(name, of, tables):
    metrics = tables["metrics"][tables["metrics"]["attack"] == ""]
    found = rows(metrics, name)
    pd.testing.assert_frame_equal(found, rows(metrics, of))
    assert "heldout_loss" in set(found["metric"])


def test_leak_tries_every_attack_on_the_student_and_on_what_is_left_of_it(study, tables):
    leak, metrics = tables["leak"].set_index("model"), tables["metrics"]
    assert leak["attacks"].to_dict() == {
        **{"teacher": 2, "kd": 2, RELEASED: 4, UNDONE: 2},
        **{"vote-two": 2, "mixture-two": 4, TWIN: 2},
    }
    # kd leaks more than the student as it is.
    best = leak.loc[RELEASED]
    assert best["attack"] == f"{leak['attack']['kd']} without map"
    assert best["auc"] == leak["auc"]["kd"]
    assert best["low"] < leak["low"]["kd"]
    assert leak.loc[UNDONE].equals(leak.loc["kd"].rename(UNDONE))
    tried = [
        rows(metrics, model, metric="auc", attack=attack)
        for model in (RELEASED, "kd")
        for attack in ATTACKS
    ]
    values = [
        [each.loc[each["seed"] == str(seed), "value"].item() for seed in SEEDS] for each in tried
    ]
    drawn = [
        [replicates(study, seed, model, attack) for seed in SEEDS]
        for model in (RELEASED, "kd")
        for attack in ATTACKS
    ]
    sizes = np.full(len(SEEDS), tables_study.POOLS["member"])
    expected = strongest(np.array(values), np.array(drawn), sizes, sizes)
    assert [best["low"], best["high"]] == pytest.approx([expected.low, expected.high], abs=1e-6)


def replicates(root, seed, model, attack):
    found = pd.read_parquet(model_directory(root, seed, PAIR, model) / "bootstrap.parquet")
    own = found[(found["attack"] == attack) & (found["metric"] == "auc")]
    return own["replicates"].item()


def test_at_equal_utility_the_worse_of_both_leakages_counts(tables, before):
    found, unaware = (
        read["frontier"].set_index(["utility", "metric", "model"]) for read in (tables, before)
    )
    assert UNDONE not in found.index.get_level_values("model")
    for key in found.index:
        utility, metric, model = key
        row = found.loc[key]
        assert row["loss"] == unaware.loc[key, "loss"]
        if model in (RELEASED, "mixture-two") and metric == "auc":
            on_kd = found.loc[utility, metric, "kd"]
            assert row["leakage"] == on_kd["leakage"] > unaware.loc[key, "leakage"]
            assert row["attack"] == f"{on_kd['attack']} without map"
        elif metric == "auc":
            assert row["leakage"] == unaware.loc[key, "leakage"]


def test_comparisons_of_kd_count_once_under_whatever_name(tables, before):
    found, unaware = tables["comparisons"], before["comparisons"]
    kd, undone = (
        rows(found, model, baseline="teacher").query("metric != 'heldout_loss'")
        for model in ("kd", UNDONE)
    )
    pd.testing.assert_frame_equal(undone.reset_index(drop=True), kd.reset_index(drop=True))
    itself = rows(found, UNDONE, baseline="kd")
    assert (itself[["difference", "low", "high", "p_equivalence"]] == 0).all(axis=None)
    assert (itself[["p_value", "p_holm"]] == 1).all(axis=None)
    assert set(itself["verdict"]) == {"equivalent"}
    for _, family in found[found["model"] != UNDONE].groupby(["baseline", "metric"]):
        np.testing.assert_allclose(family["p_holm"], holm(family["p_value"]), atol=2e-7)
    pd.testing.assert_frame_equal(
        rows(found, RELEASED).drop(columns=["p_holm", "p_equivalence", "verdict"]),
        rows(unaware, RELEASED).drop(columns=["p_holm", "p_equivalence", "verdict"]),
    )


def test_ensembles_count_as_undone_and_at_the_loss_of_what_is_released(tables, before):
    found, unaware = (
        read["ensembles"].set_index(["kind", "size", "metric", "attack"])
        for read in (tables, before)
    )
    metrics = tables["metrics"]
    kd = rows(metrics, "kd", seed="all", metric="auc").set_index("attack")["value"]
    for attack in ATTACKS:
        for key in (("mixture", 1), ("mixture", 2), ("average", 2)):
            assert found.loc[(*key, "auc", attack), "value"] == pytest.approx(kd[attack], abs=1e-6)
    loss = ("mixture", 2, "heldout_loss", "")
    assert found.loc[loss, "value"] == unaware.loc[loss, "value"]


def test_people_read_both_rows_and_what_the_second_is(written):
    for name in ("summary", "attacks", "leak", "success", "comparisons"):
        text = (written / f"{name}.md").read_text()
        assert f"| {RELEASED} & co_ " in text, name
        assert f"| {RELEASED} without map " in text, name
        assert ("without a part" in text) == (name in ("summary", "attacks", "success")), name
    utility = (written / "utility.md").read_text()
    assert f"| {RELEASED} & co_ " in utility
    assert "without map" not in utility
    summary = (written / "summary.md").read_text().splitlines()
    largest = next(line for line in summary if line.startswith(f"| {RELEASED} & co_ "))
    assert "without map" in largest


def test_notes_do_not_speak_of_what_a_study_lacks(study, tmp_path):
    tables_study.build(study, tmp_path)
    for name in ("summary", "attacks", "success"):
        assert "without a part" not in (tmp_path / f"{name}.md").read_text()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"of": "nobody"}, "model 'bottleneck-undone' undoes 'nobody', which is no model"),
        ({"attacked": ""}, "belong to the kind 'undone', and it needs all"),
        ({"kind": "student"}, "belong to the kind 'undone', and it needs all"),
    ],
)
def test_a_roster_that_undoes_nothing_is_refused(changes, told, study, tmp_path, capsys):
    with pytest.raises(SystemExit):
        tables_study.build(study, tmp_path, roster(**changes))
    assert told in capsys.readouterr().err


def test_metrics_of_another_model_than_the_attacked_one_are_an_error(study, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(study, root)
    kd, twin = (model_directory(root, 0, PAIR, model) for model in ("kd", TWIN))
    shutil.copy(kd / "metrics.parquet", twin)
    with pytest.raises(DistilleakError, match=json.dumps(TWIN).replace('"', "'")):
        tables_study.build(root, tmp_path / "out", roster())
