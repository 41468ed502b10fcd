"""What an attacker does who holds the weights of a student whose method can be taken out of it."""

import json

import pytest
import torch
from command_line import as_words
from tiny_study import Study

from distilleak.errors import DistilleakError
from distilleak.models import making
from distilleak.records.pools import EVIDENCE_POOLS
from distilleak.records.table import read_records
from distilleak.scoring import attacking
from distilleak.stages import undo_method

ATTACKS = {
    name: {"attack": name, "parameters": parameters}
    for name, parameters in (
        ("loss", {}),
        ("zlib", {"numerator": "sum"}),
        ("min_k", {"k": 0.2}),
        ("min_k_pp", {"k": 0.2}),
        ("reference", {}),
        ("ez_mia", {}),
        ("lowercase", {}),
        ("recall", {}),
    )
}
STUDENTS = {
    "red_list": ("red_list", {"penalty": 3.0}),
    "temperature": ("temperature", {"tau": 4.0}),
    "temperature_about_zero": ("temperature", {"tau": 4.0, "centre": "zero"}),
}


def undo(study: Study, name: str, output: str, remove: str = "output_map") -> None:
    undo_method.main(
        as_words(
            model=study.path(f"{name}/model"),
            remove=[remove],
            tokenizer=study.path("tokenizer"),
            output=study.path(f"{output}/model"),
        )
    )


def scores(study: Study, name: str) -> dict[str, list[float]]:
    """Those of every attack on a model of this name, by itself."""
    study.compute_evidence(name, output=f"{name}/evidence")
    reader = attacking.Reader(
        study.path(f"{name}/evidence"), [study.path("reference/evidence")], list(ATTACKS.values())
    )
    records = read_records(study.path("records.parquet"), EVIDENCE_POOLS)
    _, found = attacking.score_records(ATTACKS, reader, [records])
    return {attack: values.tolist() for attack, values in found.items()}


@pytest.mark.parametrize("name", STUDENTS)
def test_adaptive_attacks_find_what_they_find_on_kd(name: str, study: Study) -> None:
    method, parameters = STUDENTS[name]
    study.train_student("undo_kd", "kd")
    study.train_student(f"undo_{name}", method, **parameters)
    undo(study, f"undo_{name}", f"undo_{name}_undone")
    on_kd, adaptive = scores(study, "undo_kd"), scores(study, f"undo_{name}_undone")
    assert adaptive == on_kd
    unaware = scores(study, f"undo_{name}")
    assert [attack for attack in ATTACKS if unaware[attack] == on_kd[attack]] == []


def test_all_other_changes_and_weights_stay(study: Study) -> None:
    parts = [{"method": "nonorm"}, {"method": "bottleneck", "reduction": 2}]
    study.train_student("undo_plain", "combination", of=parts)
    study.train_student("undo_mapped", "combination", of=[*parts, {"method": "red_list"}])
    undo(study, "undo_mapped", "undo_unmapped")
    found, expected = (
        making.load(study.path(f"{name}/model"), "cpu") for name in ("undo_unmapped", "undo_plain")
    )
    assert found.config.surgery == expected.config.surgery
    assert found.config.surgery.keys() == {"nonorm", "bottleneck"}
    weights = found.state_dict()
    assert weights.keys() == expected.state_dict().keys()
    assert all(torch.equal(weights[name], w) for name, w in expected.state_dict().items())


def test_what_is_not_there_cannot_be_taken_out(study: Study) -> None:
    with pytest.raises(DistilleakError) as plain:
        undo(study, "teacher", "none")
    told = f"{study.path('teacher/model')}: no output_map to take out; the model has nothing"
    assert str(plain.value) == told
    study.train_student("undo_nonorm", "nonorm")
    with pytest.raises(DistilleakError, match="no output_map to take out; the model has nonorm"):
        undo(study, "undo_nonorm", "none")
    assert not (study.root / "none").exists()


def test_the_files_are_those_of_a_model(study: Study) -> None:
    study.train_student("undo_files", "red_list")
    undo(study, "undo_files", "undo_files_undone")
    directories = [study.root / name / "model" for name in ("undo_files", "undo_files_undone")]
    files = [{path.name for path in directory.iterdir()} for directory in directories]
    assert files[0] == files[1]
    described = json.loads((directories[1] / "config.json").read_text())
    assert not described["surgery"]
