"""Which attacks a model behind an API allows: those that find there what they find elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_evidence import random_evidence

from distilleak import catalogue
from distilleak.attacks.base import checked
from distilleak.errors import DistilleakError
from distilleak.evidence.served import VIEWS
from distilleak.evidence.table import Evidence, View
from distilleak.ragged import Ragged
from distilleak.scoring import access, attacking, needs

ALLOWED = {"attack_p", "loss", "lowercase", "min_k", "reference_base", "zlib"}
ATTACKS = {name: {"attack": name, "parameters": {}} for name in sorted(catalogue.names("attacks"))}


def as_served(view: View, *, ids: bool) -> View:
    """What a server says of it."""
    nothing = Ragged(np.full(len(view.logp.values), np.nan, np.float32), view.logp.offsets)
    unknown = Ragged(np.full(len(view.logp.values), -1, np.int32), view.logp.offsets)
    return replace(
        view,
        mean_logp=nothing,
        std_logp=nothing,
        top_logp=nothing,
        log1m_p=nothing,
        rank=unknown,
        token_id=view.token_id if ids else unknown,
    )


def scores(name: str, evidence: Evidence) -> np.ndarray:
    return attacking.score_windows({name: ATTACKS[name]}, [evidence])[name]


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_finds_the_same_in_served_evidence_or_fails(name: str, ids: bool) -> None:
    """Also with further models on the same tokens, and with views that no server is shown."""
    evidence = random_evidence(40, seed=3)
    assert evidence.population is not None
    target = replace(
        evidence,
        views={view: as_served(found, ids=ids) for view, found in evidence.views.items()},
        neighbours=[as_served(view, ids=ids) for view in evidence.neighbours],
        population=as_served(evidence.population, ids=ids),
    )
    expected = scores(name, evidence)
    try:
        found = scores(name, target)
    except DistilleakError:
        assert name not in ALLOWED
    else:
        np.testing.assert_array_equal(found, expected)


def test_the_others_are_left_out_with_a_reason() -> None:
    found = access.left_out(ATTACKS, [*VIEWS])
    assert ATTACKS.keys() - found.keys() == ALLOWED
    assert all(reason.startswith("needs ") for reason in found.values())
    assert "all tokens at each place" in found["min_k_pp"]
    assert "all tokens at each place" in found["surp"]
    assert "further models" in found["rmia"]
    assert "how often each token occurs" in found["dc_pdd"]
    assert "view prefix_nonmember" in found["recall"]
    assert "view neighbour" in found["neighbour"]


def test_an_attack_that_reads_a_view_is_left_out_where_the_view_is_missing() -> None:
    assert {*access.left_out(ATTACKS, ["plain"])} >= {"lowercase", "recall"}
    assert "loss" not in access.left_out(ATTACKS, ["plain"])


def test_those_that_are_left_alone_need_the_views_that_are_computed() -> None:
    allowed = [ATTACKS[name] for name in sorted(ALLOWED)]
    assert {*needs.views_of(allowed)} <= VIEWS.keys()
    assert needs.references_of(allowed) == needs.shadows_of(allowed) == 0


def test_an_attack_that_fails_names_itself_and_the_record() -> None:
    evidence = random_evidence(5, seed=1)
    served = replace(evidence, views={"plain": as_served(evidence.views["plain"], ids=True)})
    module = catalogue.load("attacks", "min_k_pp")
    found = module.score(served, module.Parameters())
    with pytest.raises(DistilleakError, match="attack 'min_k_pp': the score of record 'record-0'"):
        checked(found, "min_k_pp", served.record_id)
