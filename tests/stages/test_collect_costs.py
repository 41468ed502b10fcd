"""The costs of jobs, from benchmark files."""

import csv

import pytest

from distilleak.errors import DistilleakError
from distilleak.files import write_json
from distilleak.stages import collect_costs
from distilleak.tables.costs import COLUMNS

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(directory, rule, wildcards, wall="10.0", rss="100.0", cpu="8.0"):
    values = [wall, "0:00:10", rss, "1", "1", "1", "0", "0", "99", cpu]
    path = directory / rule / f"{wildcards}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "\t".join(values) + "\n")
    return path


def collect(tmp_path):
    output = tmp_path / "costs.csv"
    benchmarks, root = str(tmp_path / "benchmarks"), str(tmp_path / "results")
    collect_costs.main(["--benchmarks", benchmarks, "--facts-root", root, "--output", str(output)])
    with output.open(newline="") as file:
        return list(csv.DictReader(file))


def test_there_is_one_row_per_job_and_a_total_per_rule(tmp_path):
    benchmark(tmp_path / "benchmarks", "score_attacks", "0.small.kd", "10.5", "100", "8")
    benchmark(tmp_path / "benchmarks", "score_attacks", "1.small.kd", "20", "300.25", "9")
    benchmark(tmp_path / "benchmarks", "split_records", "0", "2", "50", "1")
    rows = collect(tmp_path)
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["rule"], row["model"], row["jobs"]) for row in rows] == [
        ("score_attacks", "0.small.kd", "1"),
        ("score_attacks", "1.small.kd", "1"),
        ("score_attacks", "total", "2"),
        ("split_records", "0", "1"),
        ("split_records", "total", "1"),
    ]
    total = rows[2]
    assert float(total["wall_s"]) == 30.5
    assert float(total["max_rss_mib"]) == 300.25
    assert {row["tokens_per_s"] for row in rows} == {""}


def test_rules_that_train_say_tokens_per_second(tmp_path):
    name = "nonvulnerable-readmit-0.10"
    benchmark(tmp_path / "benchmarks", "train_student", "0.small.kd", "10")
    benchmark(tmp_path / "benchmarks", "train_student", f"0.small.{name}", "30")
    benchmark(tmp_path / "benchmarks", "train_student", "0.small.unknown", "30")
    for model, tokens in (("kd", 500), (name, 300)):
        write_json(
            {"training_tokens": tokens},
            tmp_path / "results" / "seed-0" / "small" / model / "facts.json",
        )
    speed = {row["model"]: row["tokens_per_s"] for row in collect(tmp_path)}
    assert speed == {
        "0.small.kd": "50",
        f"0.small.{name}": "10",
        "0.small.unknown": "",
        "total": "20",
    }


def test_what_could_not_be_sampled_is_empty(tmp_path):
    benchmark(tmp_path / "benchmarks", "split_records", "0", "0.3", "-", "NA")
    benchmark(tmp_path / "benchmarks", "split_records", "1", "2", "50", "NA")
    rows = collect(tmp_path)
    assert [(r["wall_s"], r["max_rss_mib"]) for r in rows] == [
        ("0.3", ""),
        ("2", "50"),
        ("2.3", "50"),
    ]


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(DistilleakError, match="benchmarks: no such directory"):
        collect(tmp_path)


@pytest.mark.parametrize("text", ["", "s\th:m:s\n1\t2\n", "s\tcpu_time\tmax_rss\nten\t1\t1\n"])
def test_a_damaged_file_is_an_error(tmp_path, text):
    path = benchmark(tmp_path / "benchmarks", "split_records", "0")
    path.write_text(text)
    with pytest.raises(DistilleakError, match=r"split_records/0\.tsv: "):
        collect(tmp_path)


def test_facts_without_tokens_are_an_error(tmp_path):
    benchmark(tmp_path / "benchmarks", "train_student", "0.small.kd")
    write_json({}, tmp_path / "results" / "seed-0" / "small" / "kd" / "facts.json")
    with pytest.raises(DistilleakError, match=r"kd/facts\.json: no key 'training_tokens'"):
        collect(tmp_path)
