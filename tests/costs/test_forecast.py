"""The forecast cost of a study: operations, bytes, and the rates of earlier jobs."""

import json
import math
from pathlib import Path

import pytest
import yaml

from distilleak.costs import jobs
from distilleak.costs.forecast import read_forecast
from distilleak.costs.jobs import Job
from distilleak.costs.operations import Costs
from distilleak.costs.rates import STARTUP, Measured, Rates
from distilleak.errors import DistilleakError
from distilleak.models import families
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.stages import forecast
from distilleak.study import study
from distilleak.study.configuration import Configuration
from distilleak.study.plan import Plan
from distilleak.study.study import Study
from distilleak.study.weights import matrix_weights

SHAPE = {"layers": 2, "width": 32, "heads": 2, "positions": 48}
STUDY = {
    "study": "small",
    "seeds": [0],
    "corpus": {"source": "sotu"},
    "pools": {"member": 90, "shown": 10, "nonmember": 100, "holdout": 50, "auxiliary": 100},
    "tokenizer": {"vocabulary": 320},
    "encoding": {"context": 20},
    "evidence": {"prefix_tokens": 16},
    "pairs": {"p": {"teacher": SHAPE, "student": SHAPE | {"layers": 1}}},
    "training": {
        role: {"epochs": epochs, "learning_rate": 0.01}
        for role, epochs in (("teacher", 5), ("student", 3), ("reference", 2))
    },
    "methods": {"kd": {}, "no_teacher": {}},
    "ensembles": {"subsets": {"two": ["kd", "no_teacher"]}},
    "attacks": {"loss": {}, "recall": {}},
}
TEACHER = 2 * 12 * 32**2 + 320 * 32
STUDENT = 12 * 32**2 + 320 * 32
HEADER = "s\th:m:s\tmax_rss\n"


HEAD = "output_file\tdate\trule\tlog-file(s)\tstatus\tplan\n"


def line(rule: str, output: str, plan: str) -> str:
    return f"results/small/{output}\t-\t{rule}\t-\tmissing\t{plan}\n"


def costs(**changes: object) -> Costs:
    return Costs(Plan(resolved(**changes)), {})


def test_pairs_that_start_from_bases_cost_what_their_shapes_do() -> None:
    based = {
        "bases": {
            name: {
                "model": SHAPE | {"layers": layers},
                "corpus": {"source": "sotu", "only": {"before": 1950}},
                "training": {"row": 32},
            }
            for name, layers in (("large", 2), ("small", 1))
        },
        "pairs": {"p": {"teacher": {"base": "large"}, "student": {"base": "small"}}},
    }
    found, before = costs(**based), costs()
    for rule, model in (
        ("train_teacher", "teacher"),
        ("store_targets", "teacher"),
        ("train_student", "kd"),
        ("compute_evidence", "kd"),
    ):
        job = Job(rule, f"0.p.{model}")
        assert found.operations(job) == before.operations(job) > 0
    table = HEAD + line("train_base", "bases/large/model", "update pending")
    (job,) = jobs.pending(table, found.study)
    assert (job.rule, job.wildcards, job.needs_model) == ("train_base", "large", False)
    assert Rates.of([Measured("train_base", math.nan, 50.0)]).expect(job, found, 1.0)[0] == 50.0


def resolved(**changes: object) -> Study:
    return study.resolve(Configuration.model_validate(STUDY | changes))


@pytest.mark.parametrize(
    ("rule", "wildcards", "expected"),
    [
        ("train_teacher", "0.p.teacher", 6 * TEACHER * 100 * 20 * 5),
        ("train_student", "0.p.kd", 6 * STUDENT * 100 * 20 * 3),
        ("train_reference", "0.p.reference-1", 6 * STUDENT * 100 * 20 * 2),
        ("store_targets", "0.p.teacher", 2 * TEACHER * 100 * 20),
        # 240 records in the views `plain` and `prefix_nonmember`, 50 of the hold-out in `tempered`
        ("compute_evidence", "0.p.teacher", 2 * TEACHER * (2 * 240 + 50) * 20),
        ("compute_evidence", "0.p.kd.1-of-4", 2 * STUDENT * (2 * 240 + 50) * 20 / 4),
        ("compute_mixture_evidence", "0.p.mixtures", 2 * 2 * STUDENT * (2 * 240 + 50) * 20),
        ("compute_reference_evidence", "0.p.reference-0", 2 * STUDENT * 240 * 20),
    ],
)
def test_operations_per_weight_and_token_are_six_for_training_and_two_for_querying(
    rule: str, wildcards: str, expected: float
) -> None:
    assert costs().operations(Job(rule, wildcards)) == pytest.approx(expected)


def test_a_further_teacher_is_queried_in_two_views_where_an_attack_holds_it() -> None:
    holding = costs(
        pools={**STUDY["pools"], "population": 30, "public": 100},
        teachers={"private": {"epochs": 1}},
        methods={"kd": {}, "no_teacher": {}, "safe": {"method": "public", "teacher": "private"}},
        attacks={"loss": {}, "joint": {}},
        references=1,
    )
    job = Job("compute_teacher_evidence", "0.p.teacher-private")
    assert holding.operations(job) == pytest.approx(2 * TEACHER * (240 + 30) * 20)


def test_a_student_that_queries_its_teacher_pays_for_the_queries() -> None:
    asking = costs(distillation={"stored_gib": 0.0})
    kd, alone = (
        asking.operations(Job("train_student", f"0.p.{name}")) for name in ("kd", "no_teacher")
    )
    assert kd - alone == pytest.approx(2 * TEACHER * 100 * 20 * 3)


def test_an_undone_student_costs_what_the_released_one_costs_without_training() -> None:
    alone = {"alone": {"method": "red_list", "alpha": 0.1}}
    mapped = costs(methods={**STUDY["methods"], **alone})  # type: ignore[dict-item]
    assert mapped.bytes(Job("undo_method", "0.p.alone-undone")) == pytest.approx(4 * STUDENT)
    for rule in ("compute_evidence", "compute_shadow_evidence"):
        released, undone = (
            mapped.operations(Job(rule, f"0.p.{name}")) for name in ("alone", "alone-undone")
        )
        assert released == undone > 0


def test_students_that_do_not_learn_from_the_common_teacher_on_members_query_their_own() -> None:
    other = costs(
        pools={**STUDY["pools"], "public": 100},  # type: ignore[dict-item]
        teachers={"private": {"epochs": 7}},
        methods={
            **STUDY["methods"],  # type: ignore[dict-item]
            "early": {"early": {"of": "kd", "epoch": 1}},
            "public": {},
            "mine": {"method": "kd", "teacher": "private"},
        },
    )
    stored, *asked = (
        other.operations(Job("train_student", f"0.p.{name}")) for name in ("kd", "public", "mine")
    )
    assert [one - stored for one in asked] == [pytest.approx(2 * TEACHER * 100 * 20 * 3)] * 2
    teacher = other.operations(Job("train_other_teacher", "0.p.teacher-private"))
    assert teacher == pytest.approx(6 * TEACHER * 100 * 20 * 7)
    # All three epochs of kd are kept.
    sizes = [other.bytes(Job("train_student", f"0.p.{name}")) for name in ("kd", "public")]
    assert other.bytes(Job("take_epoch", "0.p.early")) == pytest.approx(4 * STUDENT)
    assert sizes == [pytest.approx(3 * 4 * STUDENT), pytest.approx(4 * STUDENT)]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "bert", "opt"])
def test_weights_are_those_of_the_model_up_to_its_embeddings(family: str) -> None:
    shape = ArchitectureSettings.model_validate(
        {"type": family, "layers": 3, "width": 64, "heads": 4, "positions": 48}
    )
    matrices = sum(
        weight.numel()
        for name, weight in families.build(shape, 300, 0).named_parameters()
        if weight.dim() > 1 and "emb" not in name and "wte" not in name and "wpe" not in name
    )
    assert matrix_weights(shape, 300) == pytest.approx(matrices + 300 * 64, rel=0.35)


def test_time_is_the_start_and_operations_at_the_rate_of_earlier_jobs() -> None:
    rates = Rates.of(
        [
            Measured("train_student", 60e9, STARTUP + 20),
            Measured("train_student", 120e9, STARTUP + 40),
            Measured("train_student", 1e9, STARTUP + 4),
            Measured("audit_split", math.nan, 8),
            Measured("audit_split", math.nan, 10),
        ]
    )
    job = Job("train_student", "0.p.kd")
    seconds, basis = rates.expect(job, costs(), tflops=1)
    assert seconds == pytest.approx(STARTUP + costs().operations(job) / 3e9)
    assert basis == "2 jobs"
    assert rates.expect(Job("audit_split", "0"), costs(), 1) == (9, "2 jobs, not scaled")
    assert rates.expect(Job("split_records", "0"), costs(), 1) == (3, "assumed 3 s")
    teacher = Job("train_teacher", "0.p.teacher")
    assert rates.expect(teacher, costs(), tflops=0.5) == (
        STARTUP + costs().operations(teacher) / 0.5e12,
        "assumed 0.5 TFLOP/s",
    )


def test_jobs_are_those_that_the_summary_calls_pending() -> None:
    rows = [
        ("train_teacher", "seed-0/p/teacher/model", "update pending"),
        ("train_teacher", "seed-0/p/teacher/facts.json", "update pending"),
        ("train_reference", "seed-0/p/reference-3/model", "update pending"),
        ("store_targets", "seed-0/p/teacher/targets.npy", "update pending"),
        ("train_student", "seed-0/shadow-1/p/kd/model", "update pending"),
        ("train_student", "seed-0/p/no_teacher/model", "no update"),
        ("train_kept_student", "seed-0/p/kd/epochs", "update pending"),
        ("train_other_teacher", "seed-0/p/teacher-private/model", "update pending"),
        ("compute_evidence", "seed-0/p/shards/2-of-4/kd/evidence/plain.parquet", "update pending"),
        ("compute_evidence", "seed-0/p/shards/2-of-4/kd/evidence/lower.parquet", "update pending"),
        (
            "compute_mixture_evidence",
            "seed-0/p/mixture-two/evidence/plain.parquet",
            "update pending",
        ),
        ("load_corpus", "passages.parquet", "update pending"),
        ("audit_split", "seed-0/blind.json", "update pending"),
        ("build_tables", "tables/a.csv", "update pending"),
        ("build_tables", "tables/b.csv", "update pending"),
        ("draw_figure", "figures/p/roc.png", "update pending"),
        ("draw_figure", "figures/p/roc.pdf", "update pending"),
    ]
    found = list(jobs.pending(HEAD + "".join(line(*row) for row in rows), resolved()))
    assert [(job.rule, job.wildcards, len(job.outputs)) for job in found] == [
        ("train_teacher", "0.p.teacher", 2),
        ("train_reference", "0.p.reference-3", 1),
        ("store_targets", "0.p.teacher", 1),
        ("train_student", "0.shadow-1.p.kd", 1),
        ("train_student", "0.p.kd", 1),
        ("train_other_teacher", "0.p.teacher-private", 1),
        ("compute_evidence", "0.p.kd.2-of-4", 2),
        ("compute_mixture_evidence", "0.p.mixtures", 1),
        ("load_corpus", "all", 1),
        ("audit_split", "0", 1),
        ("build_tables", "all", 2),
        ("draw_figure", "figures.p.roc", 2),
    ]
    assert costs().operations(found[3]) == costs().operations(Job("train_student", "0.p.kd"))


def test_an_unknown_size_must_be_given() -> None:
    with pytest.raises(DistilleakError, match="pools: fractions; the forecast needs counts"):
        costs(pools={"member": 0.25, "nonmember": 0.25, "holdout": 0.25, "auxiliary": 0.25})
    pairs = {"p": {"teacher": {"hub": "some/model"}, "student": {"hub": "some/other"}}}
    with pytest.raises(DistilleakError, match=r"some/model: .* unknown; give it as in --size"):
        costs(pairs=pairs).operations(Job("train_teacher", "0.p.teacher"))


def test_a_forecast_from_an_earlier_study_is_compared_with_the_measured_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(yaml.safe_dump(STUDY))
    earlier = Path("results/before")
    wall = STARTUP + 10.0

    def benchmark(home: Path, seconds: float) -> None:
        path = home / "benchmarks/train_student/0.p.kd.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(f"{HEADER}{seconds}\t0:00:10\t100\n")

    benchmark(earlier, wall)
    complete = resolved(study="before").complete()
    (earlier / "config.json").write_text(json.dumps(complete))
    table = HEAD + line("train_student", "seed-0/p/kd/selection.parquet", "update pending")
    monkeypatch.setattr(forecast, "_summary", lambda *_: table)
    twice = ["--configfile", "study.yaml", "--config"]
    twice += [
        "training={student: {epochs: 6, learning_rate: 0.01}, "
        "teacher: {epochs: 1, learning_rate: 0.01}, "
        "reference: {epochs: 1, learning_rate: 0.01}}"
    ]
    forecast.main(twice)
    told = capsys.readouterr().out
    assert "train_student" in told
    (job,) = read_forecast(Path("results/small/forecast.csv"))
    assert job.seconds == pytest.approx(STARTUP + 20)
    assert job.basis == "1 job"
    with pytest.raises(DistilleakError, match="benchmarks"):
        forecast.main([*twice, "--compare"])
    benchmark(Path("results/small"), 48.0)
    Path("results/small/seed-0/p/kd").mkdir(parents=True)
    Path("results/small/seed-0/p/kd/selection.parquet").write_bytes(b"x" * 2**20)
    forecast.main([*twice, "--compare"])
    fields = [cell.strip() for cell in capsys.readouterr().out.splitlines()[2].split("|")[1:-1]]
    assert fields == [
        "train_student",
        "1",
        "1",
        "0.007",
        "0.013",
        "2.00",
        f"{4 * STUDENT / 2**30:.3f}",
        "0.001",
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--config", "seeds"], "--config: seeds: KEY=VALUE is needed"),
        (["--configfile", "none.yaml"], "none.yaml: no such file"),
        (["--compare"], "forecast.csv: no such file"),
        (["--earlier", "nowhere"], "--earlier nowhere: no config.json"),
    ],
)
def test_a_mistake_on_the_command_line_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(yaml.safe_dump(STUDY))
    monkeypatch.setattr(forecast, "_summary", lambda *_: HEAD)
    with pytest.raises(DistilleakError, match=told):
        forecast.main(["--configfile", "study.yaml", *options])
