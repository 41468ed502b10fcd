"""The smoke study on a real SLURM of one node: what it computes, where, and what it survives."""

import contextlib
import hashlib
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cluster
import pytest
from cluster import Cluster

ROOT = Path(__file__).parents[2]
TABLES = "results/smoke/tables"
GPU_RULES = re.compile(
    r"rule_(train_(teacher|student|reference)|store_targets|compute_\w*evidence)"
)
# Long enough to be interrupted in the middle.
LONGER = "training={teacher: {epochs: 400}, student: {epochs: 120}}"
SOON = (
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
    *("--seconds-between-status-checks", "2", "--latency-wait", "5"),
)

pytestmark = [
    pytest.mark.slow,  # several minutes on two cores
    pytest.mark.skipif(bool(cluster.missing()), reason=str(cluster.missing())),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="needs the extra `slurm`")
    with cluster.running(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def copied(place: Path) -> Path:
    """A copy of the project without results."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for file in filter(None, files):
        if (ROOT / file).is_file():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_bytes((ROOT / file).read_bytes())
    return place


def snakemake(project: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["snakemake", "--configfile", "config/smoke.yaml", "--config", LONGER, *options],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(run: "subprocess.Popen[str]") -> str:
    output, _ = run.communicate(timeout=900)
    assert run.returncode == 0, output
    return output


def bytes_of(project: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted((project / TABLES).iterdir())
    }


def jobs() -> list[dict[str, str]]:
    """All jobs that the controller knows of, key by key."""
    shown = subprocess.run(
        ["scontrol", "--details", "--oneliner", "show", "job"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [
        dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.splitlines() if "JobId" in line
    ]


def rule_of(job: dict[str, str]) -> str:
    return next(part for part in Path(job["StdOut"]).parts if part.startswith("rule_"))


class Watch(threading.Thread):
    """Looks at the running jobs twice a second: afterwards SLURM does not say which card it was."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.looks: list[list[str]] = []  # the cards of the running jobs
        self.card: dict[str, str] = {}

    def run(self) -> None:
        while not self.done.wait(0.5):
            with contextlib.suppress(subprocess.CalledProcessError):  # no controller for a while
                held = {
                    job["JobId"]: job["GRES"]
                    for job in jobs()
                    if job["JobState"] == "RUNNING" and "IDX" in job.get("GRES", "")
                }
                self.looks.append(list(held.values()))
                self.card |= held


def wait_for(what: str, found: "object", seconds: float = 240) -> str:
    """What `found()` gives, as soon as it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():  # type: ignore[operator]
            return str(result)
        time.sleep(0.2)
    raise TimeoutError(what)


def running_job(rule: str) -> "object":
    def find() -> str | None:
        return next(
            (
                job["JobId"]
                for job in jobs()
                if rule_of(job).startswith(f"rule_{rule}") and job["JobState"] == "RUNNING"
            ),
            None,
        )

    return find


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    project = copied(tmp_path_factory.mktemp("local"))
    finish(snakemake(project, "--cores", "2"))
    return bytes_of(project)


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="module")
def shaken(slurm: Cluster, watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose teacher is cancelled, and whose node goes down while a student trains."""
    project = copied(tmp_path_factory.mktemp("shaken"))
    watch.start()
    run = snakemake(project, "--profile", "profiles/slurm", *SOON)
    log = project / "results/smoke/logs/train_teacher/0.gpt2_2x32_1x32.log"
    wait_for("the teacher's training", lambda: log.exists() and "epoch" in log.read_text())
    teacher = wait_for("the teacher's job", running_job("train_teacher"))
    subprocess.run(["scancel", teacher], check=True)
    log = project / "results/smoke/logs/train_student/0.gpt2_2x32_1x32.kd.log"
    wait_for("a student's training", lambda: log.exists() and "epoch" in log.read_text())
    host = subprocess.check_output(["sinfo", "--noheader", "--format=%N"], text=True).strip()
    for state in (("State=DOWN", "Reason=test"), ("State=RESUME",)):
        subprocess.run(["scontrol", "update", f"NodeName={host}", *state], check=True)
        time.sleep(3)
    finish(run)
    watch.done.set()
    return project


def test_the_tables_are_those_of_a_local_run_byte_for_byte(
    shaken: Path, local: dict[str, str]
) -> None:
    assert bytes_of(shaken) == local


def test_what_needs_a_gpu_has_one_to_itself_and_nothing_else_has_any(
    shaken: Path, watch: Watch
) -> None:
    mine = [job for job in jobs() if job["WorkDir"] == str(shaken)]
    with_gpu = [job for job in mine if "gpu:1" in job.get("TresPerJob", "")]
    assert {rule_of(job) for job in with_gpu} == {
        rule_of(job) for job in mine if GPU_RULES.match(rule_of(job))
    }
    assert len({rule_of(job) for job in mine} - {rule_of(job) for job in with_gpu}) >= 3
    assert set(watch.card.values()) == {"gpu:1(IDX:0)", "gpu:1(IDX:1)"}
    assert max(map(len, watch.looks)) == 2
    assert all(len(set(cards)) == len(cards) for cards in watch.looks)


def test_a_cancelled_training_is_tried_again_with_more_time_and_memory(shaken: Path) -> None:
    teachers = [job for job in jobs() if rule_of(job) == "rule_train_teacher"]
    assert teachers[0]["JobState"] == "CANCELLED"
    assert [job["MinMemoryNode"] for job in teachers][:2] == ["2000M", "4000M"]
    assert teachers[-1]["JobState"] == "COMPLETED"
