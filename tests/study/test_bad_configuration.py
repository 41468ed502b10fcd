"""A mistake in a configuration is a one-line error: where, what, and what is allowed."""

import copy
from pathlib import Path

import pytest
import yaml
from small_study import SMALLEST

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.settings.pools import PoolSettings
from distilleak.study import reading, yaml_text
from distilleak.study.study import Study


def error_of(text: str) -> str:
    """The error for the configuration `SMALLEST` with its keys replaced by those of `text`.

    A key `a.b.c` names a nested key.
    """
    raw = yaml.safe_load(SMALLEST)
    for key, value in yaml.safe_load(text).items():
        *sections, last = key.split(".")
        place = raw
        for name in sections:
            place = place.setdefault(name, {})
        place[last] = value
    with pytest.raises(DistilleakError) as caught:
        reading.load(raw, {"study.yaml": raw})
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("study.yaml: ")
    return message.removeprefix("study.yaml: ")


def test_the_smallest_configuration_is_valid() -> None:
    raw = yaml.safe_load(SMALLEST)
    assert isinstance(reading.load(raw, {"study.yaml": raw}), Study)


def test_a_student_may_be_trained_and_shaped_differently_from_the_others() -> None:
    raw = yaml.safe_load(SMALLEST)
    raw["methods"]["decayed"] = {"method": "kd", "training": {"weight_decay": 0.3}}
    raw["methods"]["small"] = {"method": "kd", "student": {"layers": 3}, "alpha": 0.1}
    study = reading.load(raw, {"study.yaml": raw})
    (pair,) = study.configuration.pairs.values()
    shared = study.configuration.training.student
    assert study.students["kd"].training == shared
    assert study.students["decayed"].training == shared.model_copy(update={"weight_decay": 0.3})
    assert study.students["kd"].starts == {"small": pair.student}
    assert study.students["small"].starts == {
        "small": pair.student.model_copy(update={"layers": 3})
    }
    assert study.students["small"].entry.named()["parameters"]["alpha"] == 0.1
    complete = study.complete()
    again = reading.load(complete, {"study.yaml": complete})
    assert again.complete() == complete
    assert again.students["decayed"].training.weight_decay == 0.3


def test_the_complete_configuration_gives_the_same_study() -> None:
    raw = yaml.safe_load(SMALLEST)
    raw["methods"]["soft"] = {"method": "kd", "alpha": 0.0}
    study = reading.load(raw, {"study.yaml": raw})
    complete = study.complete()
    assert complete["methods"]["soft"] == {
        "method": "kd",
        "alpha": 0.0,
        "distillation_temperature": 2.0,
        "divergence": "forward_kl",
        "beta": 0.5,
        "label_smoothing": 0.0,
        "hidden_weight": 0.0,
    }
    assert complete["corpus"] == {"source": "sotu", "min_words": 50, "max_words": 300}
    again = reading.load(complete, {"config.json": complete})
    assert again.complete() == complete
    for name, student in study.students.items():
        assert again.students[name].entry == student.entry


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "seedz: [0]",
            "seedz: unknown key; did you mean 'seeds'? allowed: study, seeds, split_seed",
        ),
        ("pools.membr: 3", "pools.membr: unknown key; did you mean 'member'? allowed: member, non"),
        (
            "training.student.epoch: 3",
            "training.student.epoch: unknown key; did you mean 'epochs'? allowed: epochs, batch",
        ),
        (
            "pairs.small.teacher.layer: 3",
            "pairs.small.teacher.layer: unknown key; did you mean 'layers'? allowed: type, layers",
        ),
        (
            "pairs.small.pupil: {}",
            "pairs.small.pupil: unknown key; allowed: teacher, student",
        ),
        (
            "methods.kd.alhpa: 0.5",
            "methods.kd.alhpa: unknown key; did you mean 'alpha'? allowed: alpha, distill",
        ),
        ("attacks.min_k.kk: 0.5", "attacks.min_k.kk: unknown key; did you mean 'k'? allowed: k"),
        (
            "corpus.min_word: 5",
            "corpus.min_word: unknown key; did you mean 'min_words'? allowed: min_words, max_words",
        ),
        ("ensembles.kind: [vote]", "ensembles.kind: unknown key; did you mean 'kinds'?"),
    ],
)
def test_an_unknown_key_at_any_depth(text: str, message: str) -> None:
    assert error_of(text).startswith(message)


def test_a_section_named_like_another_does_not_mislead_the_suggestion() -> None:
    raw = yaml.safe_load(SMALLEST)
    raw["pairs"] = {"teacher": {**raw["pairs"]["small"], "studnet": {}}}
    with pytest.raises(DistilleakError, match=r"pairs\.teacher\.studnet.*did you mean 'student'"):
        reading.load(raw, {"study.yaml": raw})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "methods.kdd: {}",
            "methods.kdd: unknown method 'kdd'; did you mean 'kd'? allowed: bottleneck, "
            "combination, kd, no_teacher, nonorm, nonvulnerable, public, red_list, subset, "
            "temperature; another name says its `method`",
        ),
        (
            "methods.soft: {method: kdd}",
            "methods.soft.method: unknown method 'kdd'; did you mean 'kd'? allowed: bottleneck,",
        ),
        (
            "methods.kd.training: {epoch: 3}",
            "methods.kd.training.epoch: unknown key; did you mean 'epochs'?",
        ),
        ("methods.kd.training: {epochs: -1}", "methods.kd.training.epochs: should be greater"),
        ("methods.kd.training: 3", "methods.kd.training: should be a mapping of keys to values"),
        ("methods.kd.student: {wide: 3}", "methods.kd.student.wide: unknown key; did you mean 'wi"),
        (
            "methods.kd.student: {positions: 90}",
            "methods.kd.student.positions: is that of the pair",
        ),
        ("methods.kd.student: {width: 3}", "methods.kd.student: width 3 is not a"),
        ("methods.kd: {method: nonorm}", "methods.kd.method: 'nonorm' under the name of another"),
        ("methods.soft: {method: 3}", "methods.soft.method: unknown method 3; allowed: "),
        ("attacks.los: {}", "attacks.los: unknown attack 'los'; did you mean 'loss'? allowed: "),
        ("corpus.source: sotuu", "corpus.source: unknown source 'sotuu'; did you mean 'sotu'?"),
        ("corpus: {}", "corpus.source: missing; allowed: hub, local, records, sotu"),
        ("corpus: {source: local}", "corpus.path: missing"),
        ("vulnerability.attack: los", "vulnerability.attack: 'los' is not among the attacks; did"),
        ("figures.headline_attack: zlib", "figures.headline_attack: 'zlib' is not among the attac"),
        ("ensembles.subsets: {two: [kd, nonrom]}", "ensembles.subsets.two: no student 'nonrom'; d"),
        ("ensembles.subsets: {two: [kd]}", "ensembles.subsets.two: ['kd'] should be two or more d"),
        (
            "ensembles.subsets: {two: [kd, kd]}",
            "ensembles.subsets.two: ['kd', 'kd'] should be two or more different students",
        ),
        (
            "ensembles.kinds: [votes]",
            "ensembles.kinds.0: should be 'vote' or 'mixture', not 'votes",
        ),
    ],
)
def test_an_unknown_name(text: str, message: str) -> None:
    assert error_of(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "training.teacher.learning_rate: 2e-3",
            "training.teacher.learning_rate: should be a number, not '2e-3'; YAML reads this as "
            "text, write 0.002",
        ),
        (
            "training.student.epochs: 3.5",
            "training.student.epochs: should be a whole number, not 3",
        ),
        (
            "training.student.epochs: true",
            "training.student.epochs: should be a whole number, not T",
        ),
        ("training.student.clip: true", "training.student.clip: should be a number, not True"),
        (
            "training.student.clip: .inf",
            "training.student.clip: should be a finite number, not inf",
        ),
        (
            "training.student.clip: .nan",
            "training.student.clip: should be a finite number, not nan",
        ),
        ("training.student.clip: 0", "training.student.clip: should be greater than 0, not 0"),
        (
            "pools.member: 1e3",
            "pools.member: should be a count, such as 1000, or a fraction below 1, not '1e3'; YAML "
            "reads this as text, write 1000",
        ),
        (
            "pools.member: true",
            "pools.member: should be a count, such as 1000, or a fraction below",
        ),
        ("pools.member: 0", "pools.member: should be greater than 0, not 0"),
        ("pools.member: -3", "pools.member: should be greater than 0, not -3"),
        ("study: 2024", "study: should be text, not 2024; put it in quotes"),
        ("study: a/b", "study: String should match pattern"),
        ("seeds: 3", "seeds: should be a list, not 3"),
        ("seeds: [0, x]", "seeds.1: should be a whole number, not 'x'"),
        ("seeds: [-1]", "seeds.0: should be greater than or equal to 0, not -1"),
        ("seeds: [3, 3]", "seeds: [3, 3] holds a seed twice"),
        ("seeds: []", "seeds: should not be empty"),
        ("methods.kd: 3", "methods.kd: should be a mapping of keys to values, not 3"),
        ("methods.kd: [3]", "methods.kd: should be a mapping of keys to values, not a list"),
        ("methods: {}", "methods: should not be empty"),
        ("methods: {7: {}}", "methods.7: names must be text; put 7 in quotes"),
        ("methods.kd.alpha: high", "methods.kd.alpha: should be a number, not 'high'"),
        ("methods.nonorm.keep_final: 1", "methods.nonorm.keep_final: should be true or false, not"),
        (
            "pairs.small.student.type: gpt3",
            "pairs.small.student.type: should be 'gpt2', 'gpt_neox', 'opt', 'llama', 'qwen2'",
        ),
        ("pools:", "pools: is empty; its keys are member, nonmember, holdout, auxiliary"),
        ("gate:", "gate: is empty; its keys are max_auc, max_p, folds"),
        ("methods:", "methods: is empty; it should be a mapping of keys to values"),
        ("corpus:", "corpus: give either `corpus` or `corpora`"),
        ("training.student:", "training.student: is empty; its keys are epochs, batch_size"),
        ("seeds:", "seeds: is empty; it should be a list"),
        (
            "pools: {member: 10}",
            "pools.nonmember, pools.holdout, pools.auxiliary: missing",
        ),
        (
            "pairs: {one: {teacher: {layers: 1, heads: 2}}}",
            "pairs.one.teacher.width, pairs.one.teacher.positions, pairs.one.student: missing",
        ),
    ],
)
def test_a_wrong_value(text: str, message: str) -> None:
    assert error_of(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "pools: {member: 0.5, nonmember: 0.3, holdout: 0.1, auxiliary: 0.2}",
            "pools: the fractions sum to 1.1, they must sum to 1",
        ),
        (
            "pools: {member: 80.0, nonmember: 80.0, holdout: 40.0, auxiliary: 120.0}",
            "pools: the fractions sum to 320, they must sum to 1 (write counts without",
        ),
        ("pools.member: 0.5", "pools: give counts or fractions, not a mixture of both"),
        (
            "encoding.context: 40",
            "pairs.small.teacher.positions: 48 is too short: start token, evidence.prefix_tokens "
            "(16) and encoding.context (40) need 57",
        ),
        ("references: 0", "references: 0, but attacks.reference needs at least 1"),
        ("attacks.joint: {}", "pools.population: 0, but attacks.joint needs such records"),
        (
            "attacks.joint: {}\npools.population: 40\nfigures.headline_attack: joint",
            "figures.headline_attack: 'joint' holds the teacher, too; models are compared by an",
        ),
        (
            "pairs.small.teacher.heads: 3",
            "pairs.small.teacher: width 32 is not a multiple of heads 3",
        ),
        ("corpus.min_words: 400", "corpus: min_words 400 is above max_words 300"),
        ("gate.permutations: 100", "gate: permutations: 100 cannot give a p-value below max_p"),
        (
            "methods.bottleneck: {place: block, reduction: 8}\npairs.small.student.heads: 8",
            "methods.bottleneck: with pair small: rank 4 is not a multiple of the student's 8",
        ),
        ("methods.teacher: {method: kd}", "methods.teacher: this name is taken; choose another"),
        ("methods.bigram: {method: kd}", "methods.bigram: this name is taken; choose another"),
        ("methods.uniform: {method: kd}", "methods.uniform: this name is taken; choose another"),
        ("attacks.pool: {attack: loss}", "attacks.pool: this name is taken; choose another"),
        ("methods.Kd-2: {method: kd}", "methods: 'Kd-2' is no name; it should match [a-z0-9]"),
    ],
)
def test_values_that_do_not_fit_together(text: str, message: str) -> None:
    assert error_of(text).startswith(message)


def test_an_attack_without_a_known_threat_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = catalogue.load("attacks", "recall")
    monkeypatch.setattr(module, "THREAT", "all")
    message = "attacks.variant: the module attacks/recall.py has the THREAT 'all'; allowed: query, "
    assert error_of("attacks: {loss: {}, variant: {attack: recall}}").startswith(message)
    monkeypatch.delattr(module, "THREAT")
    message = "attacks.recall: the module attacks/recall.py has no THREAT; allowed: query, logits"
    assert error_of("references: 1").startswith(message)


def test_a_prefix_that_nothing_reads_needs_no_positions() -> None:
    raw = yaml.safe_load(SMALLEST)
    raw["encoding"]["context"] = 47
    del raw["attacks"]["recall"]
    assert reading.load(raw, {"study.yaml": raw}).configuration.encoding.context == 47


def test_more_members_than_passages_are_an_error_with_the_counts() -> None:
    pools = PoolSettings(member=800, nonmember=100, holdout=50, auxiliary=100)
    with pytest.raises(DistilleakError) as caught:
        pools.counts(1000)
    assert str(caught.value) == (
        "pools: 800 member + 100 nonmember + 50 holdout + 100 auxiliary = 1050 records, but the "
        "corpus has only 1000 passages after deduplication"
    )


def test_a_fraction_of_too_few_passages_gives_no_record() -> None:
    pools = PoolSettings(member=0.5, nonmember=0.48, holdout=0.01, auxiliary=0.01)
    with pytest.raises(
        DistilleakError, match=r"pools\.holdout: 0\.01 of 50 passages gives no record"
    ):
        pools.counts(50)


def test_fractions_are_not_rounded_down_by_floating_point() -> None:
    pools = PoolSettings(member=0.29, nonmember=0.57, holdout=0.07, auxiliary=0.07)
    assert pools.counts(100) == {"member": 29, "nonmember": 57, "holdout": 7, "auxiliary": 7}


def test_the_source_that_gave_the_key_is_named() -> None:
    first, second = yaml.safe_load(SMALLEST), {"training": {"student": {"epochs": "many"}}}
    merged = copy.deepcopy(first)
    merged["training"]["student"]["epochs"] = "many"
    sources = {"base.yaml": first, "more.yaml": second, "--config": {"seeds": [1]}}
    with pytest.raises(DistilleakError, match=r"^more\.yaml: training\.student\.epochs: should"):
        reading.load(merged, sources)
    merged["training"]["student"]["epochs"] = 3
    merged["seeds"] = [1, 1]
    sources["--config"] = {"seeds": [1, 1]}
    with pytest.raises(DistilleakError, match=r"^--config: seeds: \[1, 1\] holds a seed twice"):
        reading.load(merged, sources)


def test_a_key_that_no_source_gives_names_all_sources() -> None:
    raw = yaml.safe_load(SMALLEST)
    del raw["pools"]
    with pytest.raises(DistilleakError, match=r"^a\.yaml \+ b\.yaml: pools: missing$"):
        reading.load(raw, {"a.yaml": {}, "b.yaml": {}})


def test_all_missing_keys_are_told_at_once() -> None:
    given = {"study": "mine", "seeds": [0]}
    with pytest.raises(
        DistilleakError, match=r"^a\.yaml: pools, pairs, methods, attacks, corpus: missing$"
    ):
        reading.load(given, {"a.yaml": given})
    given = {"study": "mine", "corpus": {"source": "sotu"}}
    with pytest.raises(
        DistilleakError, match=r"^a\.yaml: pools, pairs, methods, attacks: missing$"
    ):
        reading.load(given, {"a.yaml": given})


def test_missing_keys_are_named_in_full_up_to_a_number() -> None:
    raw = yaml.safe_load(SMALLEST)
    raw["pools"], raw["pairs"] = {"member": 9}, {"a_pair_of_models": {"teacher": {"layers": 1}}}
    keys = [f"pools.{pool}" for pool in ("nonmember", "holdout", "auxiliary")]
    keys += [f"pairs.a_pair_of_models.teacher.{key}" for key in ("width", "heads", "positions")]
    keys += ["pairs.a_pair_of_models.student"]
    with pytest.raises(DistilleakError) as caught:
        reading.load(raw, {"a.yaml": raw})
    assert str(caught.value) == f"a.yaml: {', '.join(keys)}: missing"
    raw["pairs"] = {f"pair{number}": {} for number in range(30)}
    with pytest.raises(DistilleakError, match=r"pair8\.teacher and 43 more: missing$"):
        reading.load(raw, {"a.yaml": raw})


@pytest.mark.parametrize("given", [-1, 1001, 1.5, True, "four"])
def test_a_key_that_takes_a_number_or_a_word_says_both(given: object) -> None:
    raw = {**yaml.safe_load(SMALLEST), "references": given}
    with pytest.raises(DistilleakError) as caught:
        reading.load(raw, {"a.yaml": raw})
    assert str(caught.value) == (
        f"a.yaml: references: should be a whole number from 0 to 1000, or `base`, not {given!r}"
    )


def test_seeds_and_training_have_defaults() -> None:
    raw = yaml.safe_load(SMALLEST)
    del raw["seeds"], raw["training"]
    study = reading.load(raw, {"study.yaml": raw})
    assert study.configuration.seeds == [0]
    training = study.configuration.training
    assert (training.teacher.epochs, training.reference.epochs) == (5, 3)
    assert study.students["kd"].training.learning_rate == 0.002
    # A part of a section leaves the rest as it is.
    raw["training"] = {"student": {"epochs": 9}}
    student = reading.load(raw, {"study.yaml": raw}).students["kd"].training
    assert (student.epochs, student.learning_rate, student.batch_size) == (9, 0.002, 16)


@pytest.mark.parametrize(
    ("teacher", "student", "roles"),
    [
        ("{hub: a}", "{hub: b}", "teacher, student, reference"),
        ("{hub: a}", "{init: teacher_layers, layers: 1}", "teacher, student, reference"),
        ("{hub: a}", "{hub: b, init: random}", "teacher"),
        ("{hub: a, init: random}", "{init: teacher_layers, layers: 1}", ""),
    ],
)
def test_trained_weights_need_a_learning_rate_of_their_own(
    teacher: str, student: str, roles: str
) -> None:
    raw = yaml.safe_load(SMALLEST)
    del raw["training"]
    raw["pairs"] = {"mine": yaml.safe_load(f"{{teacher: {teacher}, student: {student}}}")}
    missing = [f"training.{role}.learning_rate" for role in roles.split(", ") if role]
    if missing:
        with pytest.raises(DistilleakError) as caught:
            reading.load(raw, {"study.yaml": raw})
        assert str(caught.value).startswith(
            f"study.yaml: {', '.join(missing)}: missing; the default, 0.002, is for models from "
            "scratch, and pairs.mine starts from trained weights"
        )
    raw["training"] = {role: {"learning_rate": 0.0001} for role in ("teacher", "student")}
    # Of a model that is not trained the rate means nothing.
    raw["training"]["reference"] = {"epochs": 0}
    assert isinstance(reading.load(raw, {"study.yaml": raw}), Study)


def test_command_line_values_in_lists_and_mappings_are_numbers_again() -> None:
    given = {"seeds": ["0", "1"], "pools": {"member": "0.5"}, "study": "7", "references": 2}
    assert reading.typed(given) == {
        "seeds": [0, 1],
        "pools": {"member": 0.5},
        "study": "7",
        "references": 2,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: a\nseeds: [0]\nstudy: b\n", "x.yaml, line 3: key 'study' is given twice"),
        ("pools:\n  member: 1\n  member: 2\n", "x.yaml, line 3: key 'member' is given twice"),
        ("study: [a\n", "x.yaml, line 2: "),
        ("study: a: b\n", "x.yaml, line 1: mapping values are not allowed here"),
        ("- a\n- b\n", "x.yaml: a configuration is a mapping of keys to values"),
        ("", "x.yaml: a configuration is a mapping of keys to values"),
    ],
)
def test_a_file_that_is_not_a_configuration(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(text)
    with pytest.raises(DistilleakError) as caught:
        yaml_text.read_yaml("x.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(DistilleakError, match=r"none\.yaml: no such file"):
        yaml_text.read_yaml(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"study: \xff\xfe\n")
    with pytest.raises(DistilleakError, match=r"bytes\.yaml, line 1: not UTF-8 text"):
        yaml_text.read_yaml(tmp_path / "bytes.yaml")


def test_merge_keys_and_anchors_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: &a {k: 1, l: 2}\nb: {<<: *a, l: 3}\n")
    assert yaml_text.read_yaml(tmp_path / "x.yaml")["b"] == {"k": 1, "l": 3}
