"""Canaries: invented records with a secret, inserted a known number of times."""

import re

import pytest

from distilleak.errors import DistilleakError
from distilleak.records import canaries
from distilleak.settings.canaries import CanarySettings

SETTINGS = CanarySettings(repetitions=[0, 1, 4], each=3, candidates=20)


@pytest.fixture(scope="module")
def made() -> list[canaries.Candidate]:
    return list(canaries.candidates(SETTINGS, seed=0))


def test_every_canary_has_its_own_secret_and_the_other_candidates(
    made: list[canaries.Candidate],
) -> None:
    assert len(made) == 9 * 21
    for canary in range(9):
        own = [candidate for candidate in made if candidate.canary == canary]
        assert [candidate.number for candidate in own] == list(range(21))
        assert len({candidate.text for candidate in own}) == 21


def test_candidates_of_a_canary_differ_in_the_secret_alone(made: list[canaries.Candidate]) -> None:
    for canary in range(9):
        texts = [candidate.text for candidate in made if candidate.canary == canary]
        assert len({re.sub(r"\d{3} \d{3}\.$", "", text) for text in texts}) == 1


def test_the_true_text_alone_is_inserted_and_as_often_as_said(
    made: list[canaries.Candidate],
) -> None:
    copies = {candidate.canary: 0 for candidate in made}
    ids = [copy for candidate in made for copy in candidate.copies()]
    for candidate in made:
        number = len(list(candidate.copies()))
        assert number == (candidate.repetitions if candidate.number == canaries.TRUE else 0)
        copies[candidate.canary] += number
    assert sorted(copies.values()) == [0, 0, 0, 1, 1, 1, 4, 4, 4]
    assert len(set(ids)) == len(ids) == 15


def test_the_seed_fixes_them_and_another_gives_others(made: list[canaries.Candidate]) -> None:
    assert list(canaries.candidates(SETTINGS, seed=0)) == made
    others = {candidate.text for candidate in canaries.candidates(SETTINGS, seed=1)}
    assert not others & {candidate.text for candidate in made}


def test_a_locale_that_faker_does_not_know_is_an_error() -> None:
    with pytest.raises(DistilleakError, match=r"canaries\.locale: 'xx_YY' is no locale of faker"):
        list(canaries.candidates(SETTINGS.model_copy(update={"locale": "xx_YY"}), seed=0))


def test_a_number_of_repetitions_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="holds a number twice"):
        CanarySettings(repetitions=[1, 1])
