"""The smoke study on a real SLURM of one node: what it computes, where, and what it survives."""

import contextlib
import hashlib
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cluster
import pytest
from cluster import Cluster

ROOT = Path(__file__).parents[2]
TABLES = "results/smoke/tables"
PAIR = "gpt2_2x32_1x32"
GPU_RULES = re.compile(
    r"rule_(train_(teacher|student|reference)|store_targets|compute_\w*evidence)"
)
# Long enough to be interrupted halfway, and with evidence of more than one window.
LONGER = (
    "pools={member: 1100, nonmember: 1100}",
    "training={teacher: {epochs: 30}, student: {epochs: 9}}",
)
SOON = (
    "--slurm-status-command",
    "squeue",
    "--slurm-init-seconds-before-status-checks",
    "2",
    "--seconds-between-status-checks",
    "2",
    "--latency-wait",
    "5",
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
    cluster.end_jobs(tmp_path_factory.getbasetemp())


def copied(place: Path) -> Path:
    """A copy of the project without results."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for file in filter(None, files):
        if (ROOT / file).is_file():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_bytes((ROOT / file).read_bytes())
    return place


def snakemake(project: Path, *options: str) -> "subprocess.Popen[str]":
    """The study; `options` begin with further words of --config."""
    return subprocess.Popen(
        ["snakemake", "--configfile", "config/smoke.yaml", "--config", *LONGER, *options],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


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
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [
        dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.splitlines() if "JobId" in line
    ]


def jobs_of(project: Path) -> list[dict[str, str]]:
    return [job for job in jobs() if job["WorkDir"] == str(project)]


def rule_of(job: dict[str, str]) -> str:
    return next(part for part in Path(job["StdOut"]).parts if part.startswith("rule_"))


class Watch(threading.Thread):
    """Polls the running jobs twice a second: afterwards SLURM does not report which GPU it was."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.looks: list[list[str]] = []  # the GPUs of the running jobs
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


def wait_for(what: str, found: Callable[[], str | bool | None], seconds: float = 240) -> str:
    """The result of `found()`, as soon as there is one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            return str(result)
        time.sleep(0.2)
    raise TimeoutError(what)


def running_job(rule: str, project: Path) -> Callable[[], str | None]:
    def find() -> str | None:
        return next(
            (
                job["JobId"]
                for job in jobs_of(project)
                if rule_of(job).startswith(f"rule_{rule}") and job["JobState"] == "RUNNING"
            ),
            None,
        )

    return find


def wait_for_training(project: Path, name: str) -> None:
    log = project / f"results/smoke/logs/{name}.log"
    wait_for(name, lambda: log.exists() and "epoch" in log.read_text())


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
    """A study whose teacher is cancelled, and whose node is drained while a student trains."""
    project = copied(tmp_path_factory.mktemp("shaken"))
    watch.start()
    run = snakemake(project, "--profile", "profiles/slurm", *SOON)
    wait_for_training(project, f"train_teacher/0.{PAIR}")
    subprocess.run(["scancel", running_job("train_teacher", project)() or "none"], check=True)
    wait_for_training(project, f"train_student/0.{PAIR}.kd")
    host = subprocess.check_output(["hostname", "-s"], text=True).strip()
    # A drained node keeps its jobs and accepts no more; then it is taken away from them.
    for state in ("DRAIN", "DOWN", "RESUME"):
        subprocess.run(
            ["scontrol", "update", f"NodeName={host}", f"State={state}", "Reason=test"], check=True
        )
        time.sleep(3)
    finish(run)
    watch.done.set()
    return project


def test_the_tables_are_those_of_a_local_run_byte_for_byte(
    shaken: Path, local: dict[str, str]
) -> None:
    assert bytes_of(shaken) == local


def test_jobs_that_need_a_gpu_have_their_own_and_no_other_job_has_one(
    shaken: Path, watch: Watch
) -> None:
    mine = jobs_of(shaken)
    with_gpu = [job for job in mine if "gpu:1" in job.get("TresPerJob", "")]
    assert {rule_of(job) for job in with_gpu} == {
        rule_of(job) for job in mine if GPU_RULES.match(rule_of(job))
    }
    assert len({rule_of(job) for job in mine} - {rule_of(job) for job in with_gpu}) >= 3
    assert set(watch.card.values()) == {"gpu:1(IDX:0)", "gpu:1(IDX:1)"}
    assert max(map(len, watch.looks)) == 2
    assert all(len(set(cards)) == len(cards) for cards in watch.looks)


def test_a_cancelled_training_is_retried_with_more_time_and_memory(shaken: Path) -> None:
    teachers = [job for job in jobs_of(shaken) if rule_of(job) == "rule_train_teacher"]
    assert teachers[0]["JobState"] == "CANCELLED"
    assert [job["MinMemoryNode"] for job in teachers][:2] == ["2000M", "4000M"]
    assert teachers[-1]["JobState"] == "COMPLETED"


@pytest.fixture(scope="module")
def starved(
    slurm: Cluster, shaken: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A study whose teacher has too little memory, and whose cluster loses its controller while
    students train. Evidence is divided into two shards, submitted as job arrays."""
    project = copied(tmp_path_factory.mktemp("starved"))
    options = (
        "evidence={shards: 2}",
        "--profile",
        "profiles/slurm",
        *SOON,
        "--set-resources",
        "train_teacher:mem_mb=400 * attempt",
        "--slurm-array-jobs",
        "compute_evidence,compute_mixture_evidence",
    )
    run = snakemake(project, *options)
    wait_for_training(project, f"train_student/0.{PAIR}.kd")
    slurm.kill_controller()
    time.sleep(5)
    run.send_signal(signal.SIGINT)
    try:
        # It waits for the reply to a last request, which is repeated several times.
        first, _ = run.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        # Occasionally it waits forever; a user would then kill it, and its lock remains.
        run.kill()
        first, _ = run.communicate()
        unlock = ["snakemake", "--configfile", "config/smoke.yaml", "--unlock"]
        subprocess.run(unlock, cwd=project, check=True, capture_output=True)
    assert run.returncode != 0, first
    slurm.start_controller()
    # Submitted jobs continue although nothing waits for them.
    subprocess.run(["scancel", "--user=root"], check=True)
    wait_for("no job", lambda: not subprocess.check_output(["squeue", "--noheader"]))
    return project, first + finish(snakemake(project, *options))


def test_a_dead_controller_loses_nothing_and_the_same_command_finishes(
    starved: tuple[Path, str], local: dict[str, str]
) -> None:
    project, output = starved
    assert bytes_of(project) == local
    teachers = list((project / "results/smoke/benchmarks/train_teacher").iterdir())
    assert output.count("train teacher (seed 0") >= 2  # out of memory, then retried
    assert len(teachers) == 1


def test_a_training_that_ran_out_of_memory_requests_more(starved: tuple[Path, str]) -> None:
    project, _ = starved
    first, *others = [job for job in jobs_of(project) if rule_of(job) == "rule_train_teacher"]
    assert first["JobState"] in ("OUT_OF_MEMORY", "FAILED", "CANCELLED")
    assert first["MinMemoryNode"] == "400M"
    assert others[0]["MinMemoryNode"] == "800M"
    assert others[-1]["JobState"] == "COMPLETED"


def test_shards_of_evidence_run_as_one_job_array(starved: tuple[Path, str]) -> None:
    project, _ = starved
    arrays: dict[str, set[str]] = {}
    for job in jobs_of(project):
        if "ArrayTaskId" in job and job["JobState"] == "COMPLETED":
            arrays.setdefault(job["ArrayJobId"], set()).add(job["ArrayTaskId"])
    assert arrays
    assert max(map(len, arrays.values())) >= 2


def test_a_cluster_that_requires_an_account_says_so(slurm: Cluster, tmp_path: Path) -> None:
    project = copied(tmp_path)
    profile = project / "profiles/slurm/config.yaml"
    commented = "# slurm_partition: my_partition"
    assert commented in profile.read_text()
    profile.write_text(profile.read_text().replace(commented, "slurm_partition: closed"))
    run = snakemake(
        project, "--profile", "profiles/slurm", *SOON, "--retries", "0", "--until", "load_corpus"
    )
    output, _ = run.communicate(timeout=300)
    assert run.returncode != 0
    assert "Invalid account" in output, output
