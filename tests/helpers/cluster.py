"""A SLURM cluster of one node on this machine, with two GPUs that are only names.

Its configuration has to lie in /etc/slurm, since jobs do not inherit another place, so it takes
root and a machine on which no SLURM is set up. What is started here is stopped again, nothing else.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ETC = Path("/etc/slurm")
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=20
CredType=cred/munge
StateSaveLocation={state}/controller
SlurmdSpoolDir={state}/node
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=2,requeue_setup_env_fail
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={state}/completed.txt
MpiDefault=none
ReturnToService=1
SlurmctldTimeout=5
MinJobAge=600
KillWait=10
JobRequeue=1
GresTypes=gpu
EnforcePartLimits=ALL
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
PartitionName=closed Nodes={host} MaxTime=INFINITE State=UP AllowAccounts=paying
"""
# Any two device files serve: what matters is that SLURM hands them out one job at a time.
GPUS = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")


def missing() -> str | None:
    """Why no cluster can be started here; None if one can."""
    if os.geteuid() != 0:
        return "starting a SLURM cluster takes root"
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"{', '.join(absent)} not found: apt-get install slurm-wlm munge"
    if (ETC / "slurm.conf").exists():
        return f"{ETC / 'slurm.conf'}: a SLURM is set up here already"
    return None


class Cluster:
    """The daemons of a running cluster."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str, user: str = "root") -> None:
        """Start a daemon in the foreground, as a process of ours."""
        with (self.state / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(command, stdout=log, stderr=log, user=user)

    def start_controller(self) -> None:
        """Again, with the state that the one before it left."""
        self.start("slurmctld", "slurmctld", "-D")
        self.wait()

    def kill_controller(self) -> None:
        """As by a crash: what is running goes on, nobody can ask for it."""
        self.daemons["slurmctld"].kill()
        self.daemons.pop("slurmctld").wait()

    def wait(self, *states: str, seconds: float = 60) -> None:
        """Wait until the node is in one of these states; of none given, in any."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            asked = subprocess.run(
                ["sinfo", "--noheader", "--partition=main", "--format=%T"],
                capture_output=True,
                text=True,
                check=False,
            )
            state = asked.stdout.strip().rstrip("*")  # empty while no controller answers
            if state in states or (state and not states):
                return
            time.sleep(0.5)
        logs = "\n".join(file.read_text() for file in sorted(self.state.glob("*.log")))
        wanted = " or ".join(states) or "known to a controller"
        raise TimeoutError(f"the node is not {wanted}: {state}\n{logs}")

    def stop(self) -> None:
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def end_jobs(place: Path) -> None:
    """Kill what jobs of projects below `place` left behind: a node that was down forgets them."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        if "--snakefile" in words and words[words.index("--snakefile") + 1].startswith(str(place)):
            with suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)


@contextmanager
def running(state: Path) -> Iterator[Cluster]:
    """A cluster whose logs and state lie in `state`."""
    host = socket.gethostname().partition(".")[0]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    for name in ("controller", "node"):
        (state / name).mkdir(parents=True)
    ETC.mkdir(exist_ok=True)
    files = {
        "slurm.conf": CONFIGURATION.format(
            host=host, state=state, cpus=os.cpu_count(), memory=memory * 9 // 10
        ),
        "gres.conf": GPUS,
    }
    cluster = Cluster(state)
    socket_directory = Path("/run/munge")
    try:
        for name, text in files.items():
            (ETC / name).write_text(text)
        if not (socket_directory / "munge.socket.2").exists():
            socket_directory.mkdir(exist_ok=True)
            shutil.chown(socket_directory, "munge", "munge")
            cluster.start("munged", "munged", "--foreground", user="munge")
            time.sleep(1)
        cluster.start("slurmctld", "slurmctld", "-D", "-c")
        cluster.start("slurmd", "slurmd", "-D")
        cluster.wait("idle")
        yield cluster
    finally:
        subprocess.run(["scancel", "--user=root"], capture_output=True, check=False)
        cluster.stop()
        for name in files:
            (ETC / name).unlink(missing_ok=True)
