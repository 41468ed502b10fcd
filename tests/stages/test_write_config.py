"""The complete configuration, as a file that `--configfile` reads."""

import json
import resource
from pathlib import Path

import pytest
from lacking import limited

from distilleak.errors import DistilleakError
from distilleak.stages import write_config


def test_the_file_holds_what_was_given_in_its_order(tmp_path: Path) -> None:
    given = {"study": "größer", "seeds": [0, 2**40], "alpha": 0.1, "none": None}
    output = tmp_path / "config.json"
    write_config.main(["--study", json.dumps(given), "--output", str(output)])
    assert [*json.loads(output.read_text()).items()] == [*given.items()]
    assert output.read_text().startswith('{\n    "study": "gr')


def test_a_full_disk_gets_one_line(tmp_path: Path) -> None:
    study = json.dumps({"note": "x" * 5000})
    output = tmp_path / "config.json"
    with (
        limited(resource.RLIMIT_FSIZE, 1000),
        pytest.raises(DistilleakError, match=rf"^{output}: cannot be written: File too large$"),
    ):
        write_config.main(["--study", study, "--output", str(output)])
    assert [*tmp_path.iterdir()] == []
