"""Pretrained models on this machine: what does not fit a study is said before it runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from model_heads import BERT, write, write_tokenizer
from small_study import small_study

from distilleak.errors import DistilleakError
from distilleak.study import pretrained, reading


def check(**changes: Any) -> None:
    pretrained.check(small_study(evidence={"prefix_tokens": 16}, **changes))


def refused(message: str, **changes: Any) -> None:
    with pytest.raises(DistilleakError, match=message) as caught:
        check(**changes)
    assert "\n" not in str(caught.value)


def pair(teacher: object, student: object, reference: object = None) -> dict[str, Any]:
    return {"pairs": {"mine": {"teacher": teacher, "student": student, "reference": reference}}}


def test_models_that_fit_pass(tmp_path: Path) -> None:
    teacher = {"directory": write(tmp_path / "teacher")}
    student = {"directory": write(tmp_path / "student", vocab_size=30)}
    check(**pair(teacher, student))
    check(**pair(teacher, {"init": "teacher_layers", "layers": 2}))
    check(**pair(teacher, {"layers": 1, "width": 32, "heads": 2, "positions": 48}))


def test_nothing_is_known_of_a_hub_and_of_a_package_that_may_be_installed_elsewhere() -> None:
    layers = {"init": "teacher_layers", "layers": 99}
    check(**pair({"hub": "nobody/nothing"}, layers))
    check(**pair({"gguf": "no_such_package:a.gguf"}, layers))


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    teacher = {"directory": write(tmp_path / "teacher")}
    missing = {"directory": str(tmp_path / "missing")}
    refused(
        r"^pairs\.mine\.student: .*missing: no model here \(no such dir", **pair(teacher, missing)
    )
    refused(r"^pairs\.mine\.teacher: .*missing: no model here", **pair(missing, teacher))
    refused(r"^pairs\.mine\.reference: .*missing: no", **pair(teacher, teacher, missing))
    gguf = {"gguf": str(tmp_path / "missing.gguf")}
    refused(r"^pairs\.mine\.teacher: .*missing\.gguf: no such file", **pair(gguf, gguf))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "t5"}, "model type 't5' is not supported; supported are gpt2, "),
        ({"auto_map": {"AutoConfig": "mine.Mine"}}, "needs Python code of its own"),
        ({"_attn_implementation": "kernels-community/flash-attn"}, "code from outside"),
        ({"max_position_embeddings": 40}, r"40 positions are too few: start token, .* need 41$"),
        ({"num_hidden_layers": 3}, "are of 2 blocks, but num_hidden_layers in .* is 3"),
        ({"vocab_size": "many"}, r"vocab_size should be a whole number .*, not 'many'"),
        ({"is_causal": False}, "is_causal in config.json is False"),
    ],
)
@pytest.mark.parametrize("role", ["teacher", "student", "reference"])
def test_a_model_that_cannot_be_studied(
    tmp_path: Path, role: str, changes: dict[str, Any], message: str
) -> None:
    fine, other = ({"directory": write(tmp_path / name)} for name in ("fine", "other"))
    other = {"directory": write(tmp_path / "bad", **changes)}
    roles = {"teacher": fine, "student": fine, "reference": fine, role: other}
    refused(rf"^pairs\.mine\.{role}: .*{message}", **pair(**roles))


def test_the_weights_of_a_random_start_are_not_asked_for(tmp_path: Path) -> None:
    start = {"directory": write(tmp_path / "m")}
    (tmp_path / "m" / "model.safetensors").unlink()
    check(**pair({**start, "init": "random"}, {**start, "init": "random"}))
    refused(r"weights in pickle files are not read", **pair(start, start))


def test_a_pointer_instead_of_weights(tmp_path: Path) -> None:
    start = {"directory": write(tmp_path / "m")}
    (tmp_path / "m" / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    refused(r"^pairs\.mine\.teacher: .*model\.safetensors: only a pointer", **pair(start, start))


def test_more_layers_than_a_pretrained_teacher_has(tmp_path: Path) -> None:
    teacher = {"directory": write(tmp_path / "teacher")}
    refused(
        r"^pairs\.mine\.student\.layers: 3, but .*teacher has only 2$",
        **pair(teacher, {"init": "teacher_layers", "layers": 3}),
    )
    refused(
        r"^methods\.deep\.student\.layers: 9, but .*teacher has only 2$",
        **pair(teacher, {"init": "teacher_layers", "layers": 1}),
        methods={"kd": {}, "deep": {"method": "kd", "student": {"layers": 9}}},
    )


def test_models_of_two_kinds(tmp_path: Path) -> None:
    teacher = {"directory": write(tmp_path / "teacher")}
    bert = {"directory": write(tmp_path / "bert", BERT)}
    refused(r"^pairs\.mine: all of a pair are causal or all are masked", **pair(teacher, bert))
    shape = {"type": "bert", "layers": 1, "width": 32, "heads": 2, "positions": 64}
    refused(r"^pairs\.mine: all of a pair are causal", **pair(teacher, shape))


def test_a_vocabulary_smaller_than_the_tokenizer(tmp_path: Path) -> None:
    start = {"directory": write(tmp_path / "m", tokens=31)}
    refused(
        r"^pairs\.mine\.teacher: .*a vocabulary of 30 tokens, but its tokenizer has 31",
        **pair(start, start),
    )


def test_two_tokenizers(tmp_path: Path) -> None:
    teacher = {"directory": write(tmp_path / "teacher")}
    student = {"directory": write(tmp_path / "student")}
    words = {f"v{number}": number for number in range(27)}
    write_tokenizer(tmp_path / "student", words, 27)
    refused(r"^pairs\.mine: .*teacher and .*student have different tok", **pair(teacher, student))


def test_the_error_names_the_file_of_the_configuration(tmp_path: Path) -> None:
    missing = {"directory": str(tmp_path / "missing")}
    given = pair(missing, missing)
    sources = {"study.yaml": json.loads(json.dumps(given)), "other.yaml": {"study": "other"}}
    with pytest.raises(
        DistilleakError, match=rf"^study\.yaml: pairs\.mine\.teacher: {re.escape(str(tmp_path))}"
    ):
        reading.check_models(small_study(evidence={"prefix_tokens": 16}, **given), sources)
