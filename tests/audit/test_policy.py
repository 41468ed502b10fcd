"""The policy: its defaults are explained by numbers, and each number is bounded."""

import math

import pytest
from pydantic import ValidationError

from distilleak.settings.evaluation import EvaluationSettings
from distilleak.settings.policy import PolicySettings

FIELDS = PolicySettings.model_fields


def test_the_default_agrees_with_what_it_is_said_to_agree_with():
    policy = PolicySettings()
    assert policy.margin == EvaluationSettings().margin
    assert "five of six" in FIELDS["max_tpr"].description
    assert policy.max_tpr / (policy.max_tpr + 0.01) == pytest.approx(5 / 6)
    assert "e = 2.7" in FIELDS["max_epsilon"].description
    assert round(math.exp(policy.max_epsilon), 1) == 2.7


@pytest.mark.parametrize("name", [name for name in FIELDS if FIELDS[name].annotation is not bool])
def test_every_number_is_bounded_on_both_sides(name):
    for value in (-1, 1e12):
        number = FIELDS[name].annotation(value)
        with pytest.raises(ValidationError, match=name):
            PolicySettings(**{name: number})


@pytest.mark.parametrize("name", FIELDS)
def test_everything_is_explained(name):
    assert FIELDS[name].description
