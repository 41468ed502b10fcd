"""The score of every attack matches its formula."""

import math
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_evidence import from_probabilities, of_logp, plain
from numpy.testing import assert_allclose
from pydantic import ValidationError
from slow_attacks import SLOW
from synthetic_evidence import certain_evidence, certain_view, random_evidence, softmax_view

from distilleak import catalogue
from distilleak.attacks import lowercase, min_k, min_k_pp, recall, reference
from distilleak.attacks import zlib as zlib_attack
from distilleak.attacks.base import checked
from distilleak.evidence.table import Evidence, View

ATTACKS = catalogue.names("attacks")
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ATTACKS),
    ("zlib", {"numerator": "mean"}),
    *((name, {"k": k}) for name in ("min_k", "min_k_pp", "surp") for k in (0.01, 0.5, 1.0)),
    ("surp", {"k": 1.0, "entropy": 0.7}),
    ("dc_pdd", {"a": 10.0}),
    ("con_recall", {"gamma": 0.0}),
    ("wbc", {"shortest": 4, "longest": 9, "lengths": 8}),
    *((name, {"variance": "per_record"}) for name in ("lira_offline", "lira_online")),
    *(("rmia", {"gamma": gamma, "a": a}) for gamma, a in ((2.0, 0.3), (0.5, 0.0), (1.0, 1.0))),
    ("rmia_online", {"gamma": 1.5}),
]


def test_every_attack_has_a_slow_reference() -> None:
    assert set(SLOW) == set(ATTACKS)


@pytest.mark.parametrize(("name", "chosen"), VARIANTS)
@settings(max_examples=40, deadline=None)
@given(records=st.integers(1, 30), seed=st.integers(0, 2**32))
def test_score_equals_the_slow_reference(
    name: str, chosen: dict[str, Any], records: int, seed: int
) -> None:
    evidence = random_evidence(records, seed)
    module = catalogue.load("attacks", name)
    parameters = module.Parameters(**chosen)

    score = checked(module.score(evidence, parameters), name, evidence.record_id)

    assert score.shape == (records,)
    assert score.dtype == np.float64
    slow = np.array(SLOW[name](evidence, parameters)).reshape(records, -1)
    nearest = np.clip(score, slow.min(axis=1), slow.max(axis=1))
    assert_allclose(score, nearest, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_score_does_not_depend_on_the_other_records(name: str) -> None:
    module = catalogue.load("attacks", name)
    # A pooled variance depends on all records, by definition.
    chosen = {"variance": "per_record"} if "variance" in module.Parameters.model_fields else {}
    parameters = module.Parameters(**chosen)
    evidence = random_evidence(20, seed=1)
    of_all = module.score(evidence, parameters)
    for record in (0, 7, 19):
        alone = replace(
            evidence,
            record_id=[evidence.record_id[record]],
            texts=[evidence.texts[record]],
            views={key: one_record(view, record) for key, view in evidence.views.items()},
            references=[one_record(view, record) for view in evidence.references],
            neighbours=[one_record(view, record) for view in evidence.neighbours],
            shadows=[
                replace(
                    shadow,
                    view=one_record(shadow.view, record),
                    member=shadow.member[[record]],
                )
                for shadow in evidence.shadows
            ],
            base=evidence.base and one_record(evidence.base, record),
            teacher=evidence.teacher and one_record(evidence.teacher, record),
        )
        assert_allclose(module.score(alone, parameters), of_all[[record]], rtol=1e-12)


def one_record(view: View, record: int) -> View:
    columns = {}
    for name, column in vars(view).items():
        if name != "record_id":
            start, end = column.offsets[record : record + 2]
            columns[name] = replace(
                column, values=column.values[start:end], offsets=np.array([0, end - start])
            )
    return View(record_id=[view.record_id[record]], **columns)


@pytest.mark.parametrize("name", ATTACKS)
def test_scores_are_finite_where_every_token_is_certain(name: str) -> None:
    evidence = certain_evidence(["a", "b"])
    module = catalogue.load("attacks", name)
    with np.errstate(all="raise"):
        score = checked(module.score(evidence, module.Parameters()), name, evidence.record_id)
    unchanged = {
        "lowercase": 1.0,
        "recall": 1.0,
        "con_recall": 1.0 - 0.5,
        "dc_pdd": 0.01,  # the most that a token can contribute
        "ez_mia": 2.0**23,  # no token is wrong
        "lira_offline": math.log(0.5),  # as confident as the mean of the reference models
    }
    assert_allclose(score, unchanged.get(name, 0.0), rtol=1e-12)


@pytest.mark.parametrize("module", [min_k, min_k_pp])
def test_min_k_of_a_one_token_record_is_that_token(module: Any) -> None:
    view = from_probabilities([([0.2, 0.8], 0)], [([0.5, 0.5], 0), ([0.9, 0.1], 1)])
    whole = module.score(plain(view), module.Parameters(k=1.0))
    lowest = module.score(plain(view), module.Parameters(k=0.01))
    assert np.isfinite(lowest).all()
    assert lowest[0] == whole[0]
    if module is min_k:
        assert_allclose(lowest, np.log([0.2, 0.1]), rtol=1e-6)


def test_min_k_averages_the_lowest_tokens_not_the_highest() -> None:
    view = of_logp([-1.0, -9.0, -2.0, -3.0, -7.0, -0.5, -0.1, -0.2, -0.3, -0.4])
    assert_allclose(min_k.score(plain(view), min_k.Parameters()), [-8.0], rtol=1e-6)


def test_min_k_rounds_the_number_of_tokens_down() -> None:
    view = of_logp([-1.0] * 7 + [-4.0, -5.0])
    assert_allclose(min_k.score(plain(view), min_k.Parameters(k=0.3)), [-4.5], rtol=1e-6)
    assert_allclose(min_k.score(plain(view), min_k.Parameters(k=0.2)), [-5.0], rtol=1e-6)


def test_min_k_pp_takes_the_lowest_z_which_need_not_be_the_lowest_probability() -> None:
    flat = [0.2] * 5  # z = 0 whatever the token
    peaked = [0.7, 0.25, 0.02, 0.02, 0.01]
    view = from_probabilities([(flat, 0), (peaked, 1)])
    logs = np.log(peaked)
    mean = np.dot(peaked, logs)
    z = (logs[1] - mean) / math.sqrt(np.dot(peaked, (logs - mean) ** 2))
    assert_allclose(min_k_pp.score(plain(view), min_k_pp.Parameters(k=0.5)), [z], rtol=1e-5)
    assert_allclose(min_k.score(plain(view), min_k.Parameters(k=0.5)), [math.log(0.2)], rtol=1e-6)


def test_min_k_pp_standardises_with_the_models_own_distribution() -> None:
    # By hand for (0.98, 0.01, 0.01), true token 1: log p = (-0.0202, -4.6052, -4.6052);
    # mean = -0.11190, std = 0.64190, z = (-4.6052 + 0.1119) / 0.6419 = -7.
    view = from_probabilities([([0.98, 0.01, 0.01], 1)])
    score = min_k_pp.score(plain(view), min_k_pp.Parameters())
    assert_allclose(score, [-7.0], rtol=1e-5)

    logs = np.log([0.98, 0.01, 0.01])
    uniform = (logs[1] - logs.mean()) / logs.std()
    assert_allclose(uniform, -math.sqrt(0.5), rtol=1e-6)


@pytest.mark.parametrize("magnitude", range(1, 41))
def test_min_k_pp_of_a_certain_token_tends_to_zero(magnitude: int) -> None:
    # With a vocabulary of two, z = sqrt((1 - p) / p) for the likelier token: p = 1 is its limit.
    rest = 10.0**-magnitude
    view = softmax_view(["r"], [1], np.array([[0.0, math.log(rest)]]), np.zeros(1))
    with np.errstate(all="raise", under="ignore"):
        score = min_k_pp.score(plain(view), min_k_pp.Parameters())
    assert_allclose(score, [math.sqrt(rest)], rtol=1e-3, atol=1e-4)


def test_min_k_pp_of_an_impossible_token_is_low_and_finite() -> None:
    gaps = np.array([5.0, 20.0, 30.0, 100.0, 1000.0])  # true token below the certain one, in nats
    logits = np.stack([np.zeros(5), -gaps], axis=1)
    view = softmax_view(list("abcde"), [1] * 5, logits, np.ones(5))
    score = min_k_pp.score(plain(view), min_k_pp.Parameters())
    assert np.isfinite(score).all()
    assert (np.diff(score) < 0).all()
    assert_allclose(score[:3], -np.exp(gaps[:3] / 2), rtol=1e-2)


@pytest.mark.parametrize("module", [min_k, min_k_pp])
@pytest.mark.parametrize("k", [0.0, -0.1, 1.01, math.nan, "0.2"])
def test_k_is_a_number_above_0_and_at_most_1(module: Any, k: Any) -> None:
    with pytest.raises(ValidationError):
        module.Parameters(k=k)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_unknown_parameter_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        catalogue.load("attacks", name).Parameters(prefix_tokens=3)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_zlib_divides_by_the_compressed_utf8_bytes_of_exactly_the_scored_text(
    texts: list[str],
) -> None:
    view = of_logp(*([-1.0, -3.0] for _ in texts))
    sizes = np.array([len(zlib.compress(text.encode())) for text in texts])
    of_sum = zlib_attack.score(plain(view, texts), zlib_attack.Parameters())
    of_mean = zlib_attack.score(plain(view, texts), zlib_attack.Parameters(numerator="mean"))
    assert_allclose(of_sum, -4.0 / sizes, rtol=1e-6)
    assert_allclose(of_mean, -2.0 / sizes, rtol=1e-6)


def test_zlib_of_a_longer_text_with_the_same_tokens_differs() -> None:
    scored = "the part that was scored"
    view = of_logp([-1.0, -1.0])
    cut = zlib_attack.score(plain(view, [scored]), zlib_attack.Parameters())
    whole = zlib_attack.score(
        plain(view, [scored + " and the truncated rest"]), zlib_attack.Parameters()
    )
    assert cut[0] < whole[0]


@pytest.mark.parametrize(
    ("module", "key"), [(lowercase, "lower"), (recall, "prefix_nonmember")], ids=["lower", "recall"]
)
def test_a_ratio_is_the_changed_loss_over_the_plain_loss(module: Any, key: str) -> None:
    views = {"plain": of_logp([-1.0, -3.0]), key: of_logp([-6.0])}  # views may differ in length
    evidence = Evidence(["r0"], ["text"], views, [])
    assert_allclose(module.score(evidence, module.Parameters()), [3.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("module", "key"), [(lowercase, "lower"), (recall, "prefix_nonmember")], ids=["lower", "recall"]
)
def test_a_text_known_by_heart_and_hurt_by_the_change_ranks_above_all_others(
    module: Any, key: str
) -> None:
    ids = ["r0", "r1", "r2"]
    by_heart = certain_view(["r0"], 1).logp.values[0]
    logits = np.array([[0.0, -1000.0], [0.0, -10.0], [0.0, -1.0]])
    view = softmax_view(ids, [1, 1, 1], logits, np.zeros(3))
    assert view.logp.values[0] == by_heart == 0.0
    views = {"plain": view, key: of_logp([-2.0], [-2.0], [-2.0])}
    score = module.score(Evidence(ids, ["text"] * 3, views, []), module.Parameters())
    assert np.isfinite(score).all()
    assert score[0] > score[1] > score[2]


def test_reference_subtracts_the_target_loss_from_the_mean_reference_loss() -> None:
    evidence = Evidence(
        ["r0", "r1"],
        ["text", "text"],
        {"plain": of_logp([-1.0, -3.0], [-5.0])},
        [of_logp([-4.0, -4.0], [-5.0]), of_logp([-2.0, -2.0], [-1.0])],
    )
    score = reference.score(evidence, reference.Parameters())
    assert_allclose(score, [3.0 - 2.0, 3.0 - 5.0], rtol=1e-6)
