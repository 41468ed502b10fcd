"""Students that are a trained one, changed: the files are those of a training."""

import pytest
from command_line import as_words
from tiny_study import Study

from distilleak.errors import DistilleakError
from distilleak.stages import finish_student

FILES = ("model/model.safetensors", "model/config.json", "selection.parquet", "facts.json")


def test_the_files_are_those_that_a_training_writes(study: Study) -> None:
    study.train_student("to_finish", "kd")
    study.train_student("by_training", "red_list", penalty=3.0)
    study.finish_student("by_finishing", "red_list", "to_finish", penalty=3.0)
    for file in FILES:
        expected = (study.root / "by_training" / file).read_bytes()
        assert (study.root / "by_finishing" / file).read_bytes() == expected, file
    trained = (study.root / "to_finish" / FILES[0]).read_bytes()
    assert (study.root / "by_finishing" / FILES[0]).read_bytes() != trained


def test_a_method_that_needs_the_vulnerable_members_says_so(study: Study) -> None:
    with pytest.raises(DistilleakError, match="red_list needs --vulnerability"):
        finish_student.main(
            as_words(
                trained=study.path("teacher/model"),
                trained_facts=study.path("teacher/facts.json"),
                records=study.path("records.parquet"),
                tokenizer=study.path("tokenizer"),
                seed=0,
                method='{"method": "red_list", "parameters": {}}',
                output=study.path("none/model"),
                selection=study.path("none/selection.parquet"),
                facts=study.path("none/facts.json"),
            )
        )
