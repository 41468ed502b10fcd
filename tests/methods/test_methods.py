"""Every method differs from plain distillation in what it declares, and in nothing else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from command_line import as_words
from pydantic import ValidationError
from tiny_study import (
    FRAMING,
    SHAPE,
    STUDENT_TRAINING,
    VOCABULARY,
    Study,
    built,
    one_batch,
    random_tokens,
    tiny_model,
)
from transformers import PreTrainedModel

from distilleak import catalogue, seeding
from distilleak.errors import DistilleakError
from distilleak.methods._output_map import most_over_represented
from distilleak.methods.base import DistillationSet
from distilleak.models import families, making
from distilleak.models.batches import Batch
from distilleak.models.surgery.output_map import OutputMap
from distilleak.records.table import read_records
from distilleak.settings.objective import ObjectiveSettings
from distilleak.settings.training import HardwareSettings, TrainingSettings
from distilleak.stages import take_epoch
from distilleak.training import loop
from distilleak.training import student as taught

MEMBERS = 40
VULNERABLE = np.arange(MEMBERS) % 4 == 0
TOKENS = random_tokens(MEMBERS, seed=5)
SET = DistillationSet([f"r{n}" for n in range(MEMBERS)], TOKENS, VULNERABLE, VOCABULARY)
KD_OBJECTIVE = ObjectiveSettings()

# What each method changes in plain distillation. A new method must be listed here to pass.
CHANGES = {
    "kd": set(),
    "no_teacher": {"objective", "teacher"},
    "nonvulnerable": {"records"},
    "subset": {"records"},
    "bottleneck": {"architecture"},
    "nonorm": {"architecture"},
    "red_list": {"release"},
    "temperature": {"release"},
    "combination": {"records", "architecture", "release"},
    "public": {"pool"},
}
EXAMPLES = {
    "combination": {
        "of": [
            {"method": "red_list", "penalty": 3.0},
            {"method": "bottleneck", "reduction": 8},
            {"method": "nonvulnerable"},
            {"method": "nonorm"},
        ]
    }
}
"""Parameters of the methods that need some."""
every_method = pytest.mark.parametrize("name", catalogue.names("methods"))


def method(name: str, **parameters: Any) -> Any:
    module = catalogue.load("methods", name)
    return module.Method(module.Parameters.model_validate({**EXAMPLES.get(name, {}), **parameters}))


def rng() -> np.random.Generator:
    return seeding.stream(0, "selection")


def teacher_logits() -> torch.Tensor:
    return torch.randn(20, VOCABULARY, generator=torch.Generator().manual_seed(0))


def state(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) for key, value in first.items()
    )


@every_method
def test_a_method_changes_what_it_declares_and_nothing_else(name: str) -> None:
    one = method(name)
    tokens = one.vulnerable_tokens(SET)
    logits, student = teacher_logits(), tiny_model()
    surgery = one.surgery(SHAPE.width, SHAPE.width)
    released = one.finish(tiny_model(), tokens)
    differences = {
        "records": one.select(SET, rng()).tolist() != list(range(MEMBERS)),
        "pool": one.pool != "member",
        "objective": one.objective() != KD_OBJECTIVE,
        "teacher": not one.needs_teacher,
        "architecture": bool(surgery),
        "targets": not torch.equal(one.targets(logits.clone(), tokens), logits),
        "release": not same(state(released), state(student)),
    }
    assert {what for what, differs in differences.items() if differs} == CHANGES[name]


@every_method
def test_only_methods_that_need_vulnerability_read_it(name: str) -> None:
    nobody = DistillationSet(SET.record_id, TOKENS, np.zeros(MEMBERS, dtype=np.bool_), VOCABULARY)
    one = method(name)
    if not one.needs_vulnerability:
        assert np.array_equal(one.select(SET, rng()), one.select(nobody, rng()))
        assert one.vulnerable_tokens(SET) is None


@every_method
def test_the_objective_is_the_configured_one(name: str) -> None:
    if name == "no_teacher":
        assert method(name).objective().alpha == 1.0
    else:
        one = method(name, alpha=0.2, distillation_temperature=3.0)
        assert one.objective() == ObjectiveSettings(alpha=0.2, distillation_temperature=3.0)


# Students trained by the stage


def trained(study: Study, name: str, *options: str, label: str = "", **parameters: Any) -> Path:
    """The directory of a student; each is trained once."""
    directory = study.root / (label or name)
    if not (directory / "facts.json").is_file():
        given = {**EXAMPLES.get(name, {}), **parameters}
        stored = method(name, **parameters).pool == "member"
        asked = () if stored else ("--teacher", study.path("teacher/model"))
        study.train_student(directory.name, name, *asked, *options, targets=stored, **given)
    return directory


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return state(making.load(directory / "model", "cpu"))


def facts(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "facts.json").read_text())  # type: ignore[no-any-return]


# A learning rate that changes no weight: the trained student is its own starting point.
AT_REST = ("--training", json.dumps({**STUDENT_TRAINING, "epochs": 1, "learning_rate": 1e-30}))


@every_method
def test_all_students_start_from_the_same_weights(name: str, study: Study) -> None:
    start = weights(trained(study, "kd", *AT_REST, label="start_kd"))
    found = weights(trained(study, name, *AT_REST, label=f"start_{name}"))
    shared = [
        key
        for key in found
        if key in start and found[key].shape == start[key].shape and "ln_" not in key
    ]
    assert "transformer.wte.weight" in shared
    for key in shared:
        torch.testing.assert_close(found[key], start[key], rtol=0, atol=1e-20)
    if "architecture" not in CHANGES[name]:
        assert [key for key in found if key not in start] == [
            f"lm_head.after.0.{buffer}"
            for buffer in ("scale", "shift")
            if "release" in CHANGES[name]
        ]
        assert start.keys() <= found.keys()


@every_method
def test_a_student_is_trained_loaded_and_described(name: str, study: Study) -> None:
    directory = trained(study, name)
    found = facts(directory)
    selection = pd.read_parquet(directory / "selection.parquet")
    records = read_records(study.path("records.parquet"), ["member"])
    assert selection.record_id.tolist() == records.record_id
    seen = {"nonvulnerable": 20, "combination": 20, "subset": 15}.get(name, 30)
    assert found["training_records"] == seen
    assert found["updates"] == 2 * -(-seen // 8)
    if "pool" in CHANGES[name]:
        assert not selection.seen.any()
        tokens = read_records(study.path("records.parquet"), ["public"]).tokens
    else:
        assert selection.seen.sum() == seen
        tokens = [t for t, s in zip(records.tokens, selection.seen, strict=True) if s]
    assert found["training_tokens"] == 2 * sum(map(len, tokens))
    assert len(found["loss"]) == 2
    assert found["loss"][1] < found["loss"][0]
    assert ("vulnerable_token_share" in found) == ("release" in CHANGES[name])
    for fact in ("loss_before_surgery", "loss_after_surgery"):
        assert (fact in found) == ("architecture" in CHANGES[name])
    moved = weights(directory)["transformer.wte.weight"]
    start = weights(trained(study, "kd", *AT_REST, label="start_kd"))["transformer.wte.weight"]
    assert (moved - start).abs().max() > 1e-3


@every_method
def test_training_a_student_again_gives_the_same_bits(name: str, study: Study) -> None:
    assert same(weights(trained(study, name)), weights(trained(study, name, label=f"{name}_again")))


@torch.no_grad()
def loss_of(model: PreTrainedModel, study: Study) -> float:
    """By torch's own cross-entropy in float64, record after record of the hold-out."""
    lost = []
    for tokens in read_records(study.path("records.parquet"), ["holdout"]).tokens:
        ids = torch.tensor([[FRAMING.start, *tokens.tolist()]])
        logits = model(input_ids=ids).logits[0, :-1].double()
        lost.append(F.cross_entropy(logits, ids[0, 1:], reduction="none"))
    return float(torch.cat(lost).mean())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bottleneck", {"reduction": 8.0}),
        ("bottleneck", {"place": "block", "reduction": 2.0}),
        ("nonorm", {}),
        ("combination", {}),
    ],
)
def test_the_facts_say_what_surgery_does_to_the_held_out_loss(
    name: str, parameters: dict[str, Any], study: Study
) -> None:
    """From layers of the teacher, who knows something; a student at rest is what surgery left."""
    start = ("--student", '{"init": "teacher_layers", "layers": 1}')
    teacher = ("--teacher", study.path("teacher/model"))
    label = f"surgery_{name}_{len(str(parameters))}"
    directory = trained(study, name, *start, *teacher, *AT_REST, label=label, **parameters)
    found = facts(directory)
    before = families.copy_layers(making.load(study.path("teacher/model"), "cpu"), 1)
    after = making.load(directory / "model", "cpu")
    if name == "combination":  # the map of its other part acts after training
        (output_map,) = [part for part in after.modules() if isinstance(part, OutputMap)]
        output_map.scale.fill_(1.0)
        output_map.shift.fill_(0.0)
    assert found["loss_before_surgery"] == pytest.approx(loss_of(before, study), rel=1e-5)
    assert found["loss_after_surgery"] == pytest.approx(loss_of(after, study), rel=1e-5)
    assert found["loss_before_surgery"] != found["loss_after_surgery"]


def test_a_student_that_is_interrupted_has_the_facts_and_weights_of_one_that_is_not(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--hardware", '{"checkpoint_minutes": 1e-9}')
    whole = trained(study, "bottleneck", *options, label="whole", rate=7.0)
    kept = (*options, "--snapshots", study.path("interrupted_snapshots"))
    plain, calls = taught.accumulate, 0

    def fails(*arguments: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return plain(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(taught, "accumulate", fails)
        with pytest.raises(KeyboardInterrupt):
            trained(study, "bottleneck", *kept, label="interrupted", rate=7.0)
    assert not (study.root / "interrupted/facts.json").exists()
    resumed = trained(study, "bottleneck", *kept, label="interrupted", rate=7.0)
    assert facts(resumed) == facts(whole)
    assert same(weights(resumed), weights(whole))


def test_the_rate_of_a_bottleneck_is_that_of_its_projection_alone(study: Study) -> None:
    """With a rate of almost nothing it stays where it started, and all else moves."""
    start = weights(trained(study, "bottleneck", *AT_REST, label="start_bottleneck"))
    found = weights(trained(study, "bottleneck", label="resting", rate=1e-30))
    resting = {key for key in found if torch.allclose(found[key], start[key], rtol=0, atol=1e-20)}
    assert resting == {f"lm_head.before.0.{part}.weight" for part in ("down", "up")}


def test_surgery_without_a_hold_out_is_refused_and_kd_needs_none(
    study: Study, tmp_path: Path
) -> None:
    table = pd.read_parquet(study.path("records.parquet"))
    table[table["pool"] != "holdout"].to_parquet(tmp_path / "records.parquet")
    options = ("--records", str(tmp_path / "records.parquet"))
    with pytest.raises(DistilleakError, match=r"records.parquet: no record in pool 'holdout'"):
        study.train_student("unjudged", "bottleneck", *options)
    study.train_student("unjudged", "kd", *options)


def test_kd_is_plain_distillation(study: Study) -> None:
    """The stage agrees with a loop with torch's own cross-entropy and KL divergence."""
    teacher = making.load(study.path("teacher/model"), "cpu")
    members = read_records(study.path("records.parquet"), ["member"])
    seed = seeding.number(0, "student")
    student = built(seed, layers=1)

    def learn(now: Batch, tokens: int) -> torch.Tensor:
        with torch.no_grad():
            soft = teacher(input_ids=now.input_ids).logits[now.mask]
        logits = student(input_ids=now.input_ids).logits[now.mask]
        kl = F.kl_div(F.log_softmax(logits / 2.0, -1), F.softmax(soft / 2.0, -1), reduction="sum")
        hard = F.cross_entropy(logits, now.labels, reduction="sum")
        loss = 0.5 * hard + 0.5 * 2.0**2 * kl
        (loss / tokens).backward()
        return loss.detach().double()

    expected = loop.train(
        student,
        members.tokens,
        FRAMING,
        learn,
        TrainingSettings.model_validate(STUDENT_TRAINING),
        HardwareSettings(),
        steps=8,
        seed=seed,
        snapshots=None,
    )
    assert facts(trained(study, "kd"))["loss"] == pytest.approx(expected["loss"], rel=1e-4)


def test_the_objective_reaches_the_training(study: Study) -> None:
    """From the same start, the first loss, alpha CE + (1 - alpha) T^2 KL, is linear in alpha."""

    def first_loss(**parameters: float) -> float:
        label = "objective_" + "_".join(str(value) for value in parameters.values())
        loss = facts(trained(study, "kd", *AT_REST, label=label, **parameters))["loss"]
        return float(loss[0])

    hard, soft = first_loss(alpha=1.0), first_loss(alpha=0.0)
    assert first_loss(alpha=0.3) == pytest.approx(0.3 * hard + 0.7 * soft, rel=1e-5)
    assert facts(trained(study, "no_teacher", *AT_REST, label="start_no_teacher"))["loss"] == [
        pytest.approx(hard, rel=1e-6)
    ]
    warmer = first_loss(alpha=0.0, distillation_temperature=4.0)
    assert warmer != pytest.approx(soft, rel=0.01)


def test_an_epoch_that_is_kept_is_the_student_of_a_training_that_ends_there(study: Study) -> None:
    """With a schedule without decay, the first of two epochs is a complete training of one."""
    given = {**STUDENT_TRAINING, "warmup": 0.0}
    kept = study.root / "kept/epochs"
    options = ("--training", json.dumps(given), "--snapshots", study.path("kept_snapshots"))
    whole = trained(study, "red_list", *options, "--epochs", str(kept), label="kept")
    assert [path.name for path in kept.iterdir()] == ["1"]
    early = json.loads((kept / "1/facts.json").read_text())
    found = facts(whole)
    assert early["loss"] == found["loss"][:1]
    assert (early["updates"], found["updates"]) == (4, 8)
    first, last = (state(making.load(path / "model", "cpu")) for path in (kept / "1", whole))
    assert first.keys() == last.keys()  # with its map of logits
    assert not same(first, last)
    plain = trained(study, "red_list", "--training", json.dumps(given), label="not_kept")
    assert same(weights(plain), last)  # keeping epochs changes nothing
    assert not (study.root / "kept_snapshots").exists()

    take_epoch.main(
        as_words(
            epochs=kept,
            epoch=1,
            selected=whole / "selection.parquet",
            output=study.path("early/model"),
            facts=study.path("early/facts.json"),
            selection=study.path("early/selection.parquet"),
        )
    )
    assert same(weights(study.root / "early"), first)
    assert facts(study.root / "early") == early
    with pytest.raises(DistilleakError, match="epoch 2 was not kept"):
        take_epoch.main(
            as_words(
                epochs=kept,
                epoch=2,
                selected="none",
                output="none",
                facts="none",
                selection="none",
            )
        )


def test_epochs_are_kept_beside_snapshots_only(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        study.train_student("none", "kd", "--epochs", study.path("none/epochs"))
    assert "--epochs needs --snapshots" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["red_list", "temperature"])
def test_a_student_that_is_only_finished_is_the_trained_one(name: str, study: Study) -> None:
    assert method(name).trained_like()["method"] == "kd"
    assert method(name, where="teacher").trained_like() is None
    whole = trained(study, name)
    base = trained(study, "kd")
    finished = study.root / f"{name}_finished"
    study.finish_student(finished.name, name, base.name)
    assert same(weights(finished), weights(whole))
    assert facts(finished) == facts(whole)
    assert pd.read_parquet(finished / "selection.parquet").equals(
        pd.read_parquet(whole / "selection.parquet")
    )


def test_what_can_be_taken_out_of_a_student() -> None:
    removable = {name: method(name).removable() for name in catalogue.names("methods")}
    mapped = ("red_list", "temperature", "combination")
    assert {name for name, parts in removable.items() if parts} == {*mapped}
    assert {removable[name] for name in mapped} == {("output_map",)}
    # What acts on the teacher's targets lies in the weights.
    for name in ("red_list", "temperature"):
        assert method(name, where="teacher").removable() == ()
    parts = [{"method": "red_list", "where": "teacher"}, {"method": "nonorm"}]
    assert method("combination", of=parts).removable() == ()


def test_a_combination_is_finished_from_the_student_of_its_other_parts(study: Study) -> None:
    parts = [{"method": "red_list"}, {"method": "bottleneck", "reduction": 2}]
    both = method("combination", alpha=0.3, of=parts)
    like = both.trained_like()
    assert like["method"] == "bottleneck"
    assert like["parameters"]["alpha"] == 0.3
    assert like["parameters"]["reduction"] == 2
    three = method("combination", of=[*parts, {"method": "nonorm"}]).trained_like()
    assert three["method"] == "combination"
    assert [part["method"] for part in three["parameters"]["of"]] == ["nonorm", "bottleneck"]
    assert method("combination", of=[parts[1], {"method": "nonorm"}]).trained_like() is None

    whole = trained(study, "combination", label="narrow_red", of=parts)
    base = trained(study, "bottleneck", label="narrow", reduction=2)
    finished = study.root / "narrow_finished"
    study.finish_student(finished.name, "combination", base.name, of=parts)
    assert same(weights(finished), weights(whole))
    assert facts(finished) == facts(whole)


def test_tokens_are_those_of_vulnerable_members_also_for_other_records(study: Study) -> None:
    parts = [{"method": "red_list", "penalty": 3.0}, {"method": "public"}]
    both = trained(study, "combination", label="public_red", of=parts)
    assert facts(both)["vulnerable_token_share"] == pytest.approx(0.1, abs=0.01)
    assert not same(weights(both), weights(trained(study, "public")))


def test_a_private_student_states_its_guarantee(study: Study) -> None:
    training = {**STUDENT_TRAINING, "privacy": {"epsilon": 8.0}}
    directory = trained(study, "kd", "--training", json.dumps(training), label="kd_private")
    assert facts(directory)["dp_epsilon"] == 8.0
    assert facts(directory)["dp_delta"] == 1e-5
    assert not same(weights(directory), weights(trained(study, "kd")))


def test_online_targets_train_the_same_student(study: Study) -> None:
    # Given both a file and a model as sources of targets, the stage prefers the file.
    directory = study.root / "kd_online"
    study.train_student("kd_online", "kd", "--teacher", study.path("teacher/model"), targets=False)
    stored, online = weights(trained(study, "kd")), weights(directory)
    for key, value in stored.items():
        torch.testing.assert_close(online[key], value, rtol=0, atol=1e-3)


def test_no_teacher_needs_no_teacher(study: Study) -> None:
    study.train_student("alone", "no_teacher", targets=False)
    assert same(weights(study.root / "alone"), weights(trained(study, "no_teacher")))


def test_a_method_with_a_teacher_requires_one(study: Study) -> None:
    with pytest.raises(DistilleakError, match="kd needs --teacher or --targets"):
        study.train_student("orphan", "kd", targets=False)


def test_the_budget_in_updates_is_that_of_all_members(study: Study) -> None:
    options = ("--training", json.dumps({**STUDENT_TRAINING, "budget": "steps"}))
    directory = trained(study, "nonvulnerable", *options, label="nonvulnerable_steps")
    assert facts(directory)["updates"] == 2 * 4  # 30 members in batches of 8
    assert facts(directory)["training_records"] == 20


def test_vulnerability_is_joined_by_record_id(study: Study) -> None:
    # The file lists the members in reverse order.
    selection = pd.read_parquet(trained(study, "nonvulnerable") / "selection.parquet")
    vulnerable = [int(record[1:]) % 3 == 0 for record in selection.record_id]
    assert (selection.seen != vulnerable).all()


def test_a_member_without_a_verdict_is_an_error(study: Study, tmp_path: Path) -> None:
    table = pd.read_parquet(study.path("third_vulnerable.parquet"))
    table.iloc[1:].to_parquet(tmp_path / "short.parquet")
    with pytest.raises(DistilleakError, match="not every member"):
        study.train_student("short", "red_list", "--vulnerability", str(tmp_path / "short.parquet"))


# nonvulnerable

WHICH = np.flatnonzero(VULNERABLE)  # 10 of 40
OTHERS = np.flatnonzero(~VULNERABLE)


@pytest.mark.parametrize(("readmit", "count"), [(0.0, 0), (0.05, 0), (0.1, 1), (0.5, 5), (1.0, 10)])
def test_readmit_adds_back_that_share_of_the_vulnerable(readmit: float, count: int) -> None:
    chosen = method("nonvulnerable", readmit=readmit).select(SET, rng())
    assert set(OTHERS) <= set(chosen)
    assert len(set(chosen) & set(WHICH)) == count
    assert chosen.tolist() == sorted(set(chosen.tolist()))


@pytest.mark.parametrize(("admix", "count"), [(0.0, 0), (0.05, 2), (0.1, 3), (1.0, 30)])
def test_admix_adds_that_share_of_the_others(admix: float, count: int) -> None:
    chosen = method("nonvulnerable", select="vulnerable", admix=admix).select(SET, rng())
    assert set(WHICH) <= set(chosen)
    assert len(set(chosen) & set(OTHERS)) == count
    assert chosen.tolist() == sorted(set(chosen.tolist()))


def test_the_selection_is_a_function_of_the_seed_and_shares_are_nested() -> None:
    def readmitted(share: float, seed: int = 0) -> set[int]:
        stream = seeding.stream(seed, "selection")
        chosen = method("nonvulnerable", readmit=share).select(SET, stream)
        return set(chosen.tolist()) & set(WHICH.tolist())

    assert readmitted(0.5) == readmitted(0.5)
    assert readmitted(0.2) < readmitted(0.5) < readmitted(0.8)
    assert len({frozenset(readmitted(0.5, seed)) for seed in range(5)}) > 1


@pytest.mark.parametrize(
    "parameters", [{"admix": 0.1}, {"select": "vulnerable", "readmit": 0.1}, {"readmit": 1.5}]
)
def test_a_share_without_effect_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        method("nonvulnerable", **parameters)


@pytest.mark.parametrize("select", ["nonvulnerable", "vulnerable"])
def test_nothing_left_to_train_on_is_an_error(select: str) -> None:
    all_on_the_other_side = np.full(MEMBERS, select == "nonvulnerable")
    members = DistillationSet(SET.record_id, TOKENS, all_on_the_other_side, VOCABULARY)
    with pytest.raises(DistilleakError, match=f"no member is {select}"):
        method("nonvulnerable", select=select).select(members, rng())


# subset


@pytest.mark.parametrize(("share", "count"), [(0.02, 1), (0.5, 20), (0.64, 26), (1.0, 40)])
def test_a_subset_is_a_random_share_of_all_members(share: float, count: int) -> None:
    chosen = method("subset", share=share).select(SET, rng())
    assert len(chosen) == len(set(chosen.tolist())) == count
    assert chosen.tolist() == sorted(chosen.tolist())
    draws = [
        method("subset", share=share).select(SET, seeding.stream(seed, "selection"))
        for seed in range(400)
    ]
    # Every record is as likely as any other: five standard deviations of a share of 400 draws.
    rate = np.bincount(np.concatenate(draws), minlength=MEMBERS) / len(draws)
    expected = count / MEMBERS
    assert np.abs(rate - expected).max() <= 5 * np.sqrt(expected * (1 - expected) / len(draws))


def test_subsets_of_one_seed_are_nested() -> None:
    small, large = (set(method("subset", share=share).select(SET, rng())) for share in (0.3, 0.6))
    assert small < large


def test_a_subset_without_a_record_is_an_error() -> None:
    with pytest.raises(DistilleakError, match=r"a share of 0\.01 of 40 members is no record"):
        method("subset", share=0.01).select(SET, rng())


# Vulnerable tokens


def slow_log_odds(fraction: float, smoothing: float) -> set[int]:
    """Token by token in plain Python: the most over-represented in vulnerable members."""
    inside = [int(token) for row in WHICH for token in TOKENS[row]]
    outside = [int(token) for row in OTHERS for token in TOKENS[row]]

    def log_odds(token: int, side: list[int]) -> float:
        p = (side.count(token) + smoothing) / (len(side) + smoothing * VOCABULARY)
        return float(np.log(p / (1 - p)))

    ranked = sorted(
        (-(log_odds(token, inside) - log_odds(token, outside)), token) for token in set(inside)
    )
    return {token for _, token in ranked[: round(fraction * VOCABULARY)]}


@pytest.mark.parametrize("name", ["red_list", "temperature"])
@pytest.mark.parametrize(("fraction", "smoothing"), [(0.05, 1.0), (0.1, 0.5), (1.0, 1.0)])
def test_log_odds_selects_what_the_formula_ranks_first(
    name: str, fraction: float, smoothing: float
) -> None:
    one = method(name, top_fraction=fraction, smoothing=smoothing)
    found = np.flatnonzero(one.vulnerable_tokens(SET))
    assert set(found.tolist()) == slow_log_odds(fraction, smoothing)


@pytest.mark.parametrize("name", ["red_list", "temperature"])
def test_union_selects_every_token_of_a_vulnerable_member(name: str) -> None:
    found = np.flatnonzero(method(name, rule="union").vulnerable_tokens(SET))
    assert set(found.tolist()) == {int(token) for row in WHICH for token in TOKENS[row]}


def test_a_token_as_frequent_on_both_sides_comes_after_one_of_the_vulnerable() -> None:
    vulnerable, others = np.array([50, 5, 0, 45]), np.array([50, 0, 50, 0])
    found = most_over_represented(vulnerable, others, 0.5, 1.0)
    assert found.tolist() == [False, True, False, True]


def test_without_a_vulnerable_member_no_token_is_selected() -> None:
    nobody = DistillationSet(SET.record_id, TOKENS, np.zeros(MEMBERS, bool), VOCABULARY)
    for rule in ("log_odds", "union"):
        assert not method("red_list", rule=rule).vulnerable_tokens(nobody).any()


# Red list and temperature


def mapped_logits(name: str, parameters: dict[str, Any], logits: torch.Tensor) -> torch.Tensor:
    """Row by row in float64, following the description in the configuration."""
    tokens = method(name, **parameters).vulnerable_tokens(SET)
    expected = logits.double().clone()
    for row in expected:
        centre = row.mean() if parameters.get("centre", "mean") == "mean" else 0.0
        for token in np.flatnonzero(tokens).tolist():
            if name == "red_list":
                row[token] = row[token] - parameters["penalty"]
            else:
                row[token] = centre + (row[token] - centre) / parameters["tau"]
    return expected


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("red_list", {"penalty": 1.5}),
        ("temperature", {"tau": 2.0}),
        ("temperature", {"tau": 4.0, "centre": "zero"}),
    ],
)
def test_where_decides_whose_logits_are_mapped_and_positions_stay(
    name: str, parameters: dict[str, Any]
) -> None:
    logits = teacher_logits()
    expected = mapped_logits(name, parameters, logits)
    # On the teacher's targets; the student is released unchanged.
    in_training = method(name, where="teacher", **parameters)
    tokens = in_training.vulnerable_tokens(SET)
    torch.testing.assert_close(in_training.targets(logits, tokens).double(), expected)
    student = tiny_model()
    assert in_training.finish(student, tokens) is student
    # On the student's logits at every position; the targets are unchanged.
    at_the_end = method(name, where="inference", **parameters)
    assert at_the_end.targets(logits, tokens) is logits
    ids = one_batch(TOKENS).input_ids
    with torch.no_grad():
        before = student(input_ids=ids).logits
        after = at_the_end.finish(student, tokens)(input_ids=ids).logits
    expected = mapped_logits(name, parameters, before.flatten(0, 1)).view(before.shape)
    torch.testing.assert_close(after.double(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["red_list", "temperature"])
def test_at_inference_the_student_has_the_weights_of_kd_and_a_map(name: str, study: Study) -> None:
    plain, mapped = weights(trained(study, "kd")), weights(trained(study, name))
    added = {"lm_head.after.0.scale", "lm_head.after.0.shift"}
    assert mapped.keys() - plain.keys() == added
    assert same(plain, {key: value for key, value in mapped.items() if key not in added})
    share = facts(trained(study, name))["vulnerable_token_share"]
    changed = (mapped["lm_head.after.0.scale"] != 1) | (mapped["lm_head.after.0.shift"] != 0)
    assert changed.float().mean().item() == pytest.approx(share)
    assert share == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["red_list", "temperature"])
def test_at_the_teacher_the_student_is_plain_and_learns_something_else(
    name: str, study: Study
) -> None:
    directory = trained(study, name, label=f"{name}_teacher", where="teacher")
    plain, found = weights(trained(study, "kd")), weights(directory)
    assert found.keys() == plain.keys()
    assert (found["transformer.wte.weight"] - plain["transformer.wte.weight"]).abs().max() > 1e-4
    student = making.load(directory / "model", "cpu")
    assert not any(isinstance(part, OutputMap) for part in student.modules())


@pytest.mark.parametrize(("reduction", "rank"), [(2, 16), (4, 8), (8, 4)])
def test_the_bottleneck_has_the_rank_of_its_reduction(reduction: int, rank: int) -> None:
    assert method("bottleneck", reduction=reduction).surgery(32, 32)["bottleneck"]["rank"] == rank


def test_a_narrow_block_that_the_heads_do_not_divide_is_refused() -> None:
    heads = SHAPE.model_copy(update={"heads": 16})
    with pytest.raises(DistilleakError, match="not a multiple of the student's 16 attention heads"):
        method("bottleneck", place="block", reduction=4).check(heads)
    method("bottleneck", place="block", reduction=2).check(heads)
    method("bottleneck", place="head", reduction=4).check(heads)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("bottleneck", {"place": "block", "reduction": 2}), ("nonorm", {"keep_final": True})],
)
def test_variants_of_the_architecture_train(
    name: str, parameters: dict[str, Any], study: Study
) -> None:
    found = facts(trained(study, name, label=f"{name}_variant", **parameters))
    assert found["loss"][1] < found["loss"][0]


@pytest.mark.parametrize(("share", "left"), [(0.01, 4), (0.4, 3), (0.6, 2), (1.0, 0)])
def test_a_share_of_the_norms_is_replaced_starting_from_the_input(share: float, left: int) -> None:
    one = method("nonorm", share=share)
    model = making.change(tiny_model(), one.surgery(SHAPE.width, SHAPE.width), 0)
    kinds = [
        type(part).__name__
        for part in model.modules()
        if type(part).__name__ in ("NoNorm", "LayerNorm")
    ]
    assert kinds == ["NoNorm"] * (5 - left) + ["LayerNorm"] * left


@pytest.mark.parametrize(
    ("reduction", "rank"), [(1.5, 21), (2, 16), (2.5, 12), (3, 10), (32, 1), (100, 1)]
)
def test_a_bottleneck_may_have_any_width(reduction: float, rank: int) -> None:
    assert method("bottleneck", reduction=reduction).surgery(32, 32) == {
        "bottleneck": {"place": "head", "rank": rank}
    }


def test_dropout_is_an_option_of_a_student_s_shape_and_ends_with_its_training(
    study: Study,
) -> None:
    rates = {"resid_pdrop": 0.2, "embd_pdrop": 0.2, "attn_pdrop": 0.2}
    shape = SHAPE.model_copy(update={"layers": 1, "options": rates})
    options = ("--student", shape.model_dump_json())
    first, again = (
        trained(study, "kd", *options, label=f"kd_dropout_{number}") for number in range(2)
    )
    assert same(weights(first), weights(again))
    assert facts(first)["loss"][0] > facts(trained(study, "kd"))["loss"][0]
    model = making.load(first / "model", "cpu")
    batch = one_batch(random_tokens(4, seed=1))
    with torch.no_grad():
        once, twice = (batch.hidden_states(model) for _ in range(2))
    assert torch.equal(once, twice)


# Combinations


PARTS = EXAMPLES["combination"]["of"]


def test_a_combination_calls_every_part_with_its_own_tokens() -> None:
    mapped = {"method": "red_list", "where": "teacher", "penalty": 3.0}
    both = method("combination", of=[mapped, {"method": "nonvulnerable"}])
    alone = method("red_list", where="teacher", penalty=3.0)
    tokens = alone.vulnerable_tokens(SET)
    assert np.array_equal(both.vulnerable_tokens(SET), tokens)
    logits = teacher_logits()
    assert torch.equal(both.targets(logits, None), alone.targets(logits, tokens))
    assert np.array_equal(both.select(SET, rng()), method("nonvulnerable").select(SET, rng()))
    assert both.needs_vulnerability
    narrow = method("combination", of=[{"method": "nonorm"}, {"method": "bottleneck"}])
    assert not narrow.needs_vulnerability
    assert narrow.vulnerable_tokens(SET) is None


def test_norms_are_folded_before_a_projection_starts_whatever_the_order_of_the_parts() -> None:
    orders = [method("combination", of=parts).parameters for parts in (PARTS, PARTS[::-1])]
    assert orders[0] == orders[1]
    assert [part["method"] for part in orders[0].of] == [
        "nonvulnerable",
        "nonorm",
        "bottleneck",
        "red_list",
    ]
    # A study that is written out can be read again.
    assert method("combination", **orders[0].model_dump()).parameters == orders[0]


def test_a_combined_student_has_the_architecture_and_the_map_of_its_parts(study: Study) -> None:
    combined, alone = trained(study, "combination"), trained(study, "nonvulnerable")
    model = making.load(combined / "model", "cpu")
    kinds = {type(part).__name__ for part in model.modules()}
    assert {"NoNorm", "OutputMap"} <= kinds
    assert not any(isinstance(part, torch.nn.LayerNorm) for part in model.modules())
    seen = [pd.read_parquet(place / "selection.parquet")["seen"] for place in (combined, alone)]
    assert seen[0].equals(seen[1])


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (
            [{"method": "kd"}, {"method": "nonorm"}],
            "a part names its `method`, not 'kd'; allowed: ",
        ),
        (
            [{"method": "nonorm"}, {"penalty": 1.0}],
            "a part names its `method`, not None; allowed: ",
        ),
        ([{"method": "nonorm"}], "at least 2"),
        (
            [{"method": "red_list"}, {"method": "temperature"}],
            "red_list and temperature both change the output; choose one of them",
        ),
        (
            [{"method": "nonorm"}, {"method": "red_list", "alpha": 0.1}],
            "alpha of red_list: all parts share one objective; put it beside `of`",
        ),
        (
            [{"method": "nonorm"}, {"method": "red_list", "penalti": 1}],
            "red_list.penalti: unknown key; did you mean 'penalty'",
        ),
        (
            [{"method": "nonorm"}, {"method": "bottleneck", "reduction": 0}],
            "bottleneck.reduction: should be greater than 1",
        ),
    ],
)
def test_parts_that_cannot_be_combined_are_refused(of: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        method("combination", of=of)


def test_parts_that_leave_no_record_are_refused() -> None:
    nobody = method("combination", of=[{"method": "nonvulnerable"}, {"method": "nonorm"}])
    everybody = DistillationSet(SET.record_id, TOKENS, np.ones(MEMBERS, dtype=np.bool_), VOCABULARY)
    with pytest.raises(DistilleakError, match="none is left to train on"):
        nobody.select(everybody, rng())
