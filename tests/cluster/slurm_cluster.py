"""A real Slurm on this machine: munged, slurmctld and a slurmd per node, with GPUs that are links to /dev/null.

Everything lies in one folder, with a key, sockets and ports of its own; nothing in /etc is read or written. Jobs are
scheduled as on any cluster, and see CUDA_VISIBLE_DEVICES as they would beside real GPUs.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from daemons import Daemon, free_port, program, wait_for

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
PACKAGES = "slurmctld slurmd slurm-client munge"
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr", "sshare")
MEMORY_MB = 64000  # of each node, as it says: jobs here use little
READY = {"idle", "mixed", "allocated", "completing"}
ACTIVE = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED")
# cred_expire is also how long a job waits that goes back to the queue because its node died: 120 s by default.
SETTINGS = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=cred_expire=20,socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
DefMemPerCPU=100
AccountingStorageType=accounting_storage/none
MinJobAge=3600
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdTimeout={slurmd_timeout_s}
SlurmctldTimeout=10
InactiveLimit=0
KillWait=3
ReturnToService=2
PropagateResourceLimits=NONE
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class SlurmJob:
    """One line of squeue."""

    number: str
    state: str
    node: str
    name: str
    comment: str

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


@dataclass
class Cluster:
    """The cluster in `folder`, whose path must be short: sockets lie in it. Nodes are n1, n2, ..."""

    folder: Path
    nodes: int = 3
    gpus: int = 2
    cpus: int = 8
    slurmd_timeout_s: int = 10
    daemons: dict[str, Daemon] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    @property
    def environment(self) -> dict[str, str]:
        """What a user of this cluster has; programs that set SLURM_CONF come first: the executor's jobs unset it."""
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def start(self) -> None:
        """Start all servers and wait until every node is idle."""
        self._configure()
        self._start_munged()
        self._start_controller()
        for name in self.names:
            self.start_node(name)
        wait_for(lambda: all(self.state(name) in READY for name in self.names), 180, self.logs)

    def start_node(self, name: str) -> None:
        (self.folder / f"spool-{name}").mkdir(exist_ok=True)
        self._run(f"slurmd-{name}", ["slurmd", "-D", "-N", name, "-f", f"{self.folder}/slurm.conf"])

    def kill_node(self, name: str) -> None:
        """Let the node's server die at once; Slurm notices after slurmd_timeout_s."""
        self.daemons[f"slurmd-{name}"].end(signal.SIGKILL)

    def stop_controller(self) -> None:
        """Let slurmctld save its state and end: every command of Slurm fails from now on."""
        self.daemons["slurmctld"].end(patience_s=15)

    def _start_controller(self) -> None:
        self._run("slurmctld", ["slurmctld", "-D", "-f", f"{self.folder}/slurm.conf"])

    def start_controller(self) -> None:
        """Start slurmctld again, with the jobs that it knew."""
        self._start_controller()
        wait_for(lambda: self._ask("sinfo", "-h").returncode == 0, 180, self.logs)

    def stop(self) -> None:
        """Cancel every job, wait for the end of their processes, end all servers."""
        if "slurmctld" in self.daemons and self.daemons["slurmctld"].alive:
            self.cancel_all()
        for daemon in reversed(list(self.daemons.values())):
            daemon.end()
        for process in self._left_behind():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _left_behind(self) -> list[int]:
        """Processes of jobs that outlived their cancelling: without control groups Slurm may lose sight of some."""
        sign, found = f"SLURM_CONF={self.folder}/slurm.conf\0".encode(), []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):  # gone meanwhile, or another user's
                if sign in path.read_bytes() and int(path.parent.name) != os.getpid():
                    found.append(int(path.parent.name))
        return found

    def recover(self) -> None:
        """Empty the queue and have every server up."""
        if not self.daemons["slurmctld"].alive:
            self.start_controller()
        self.cancel_all()
        for name in self.names:
            if not self.daemons[f"slurmd-{name}"].alive:
                self.start_node(name)
        wait_for(lambda: all(self.state(name) in READY for name in self.names), 180, self.logs)

    def cancel_all(self) -> None:
        running = [job.number for job in self.jobs() if job.active]
        if running:
            self._ask("scancel", "--signal=KILL", "--full", *running)
            self._ask("scancel", *running)
            end = time.monotonic() + 30
            while any(job.active for job in self.jobs()) and time.monotonic() < end:
                time.sleep(0.2)

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints."""
        done = self._ask(*command)
        assert done.returncode == 0, f"{command}: {done.stderr}{self.logs()}"
        return done.stdout

    def _ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    def jobs(self) -> list[SlurmJob]:
        """Every job that Slurm still knows, also those that ended, in the order of submission."""
        lines = self.ask("squeue", "--states=all", "--noheader", "--sort=i", "--format=%i|%T|%N|%j|%k").splitlines()
        return [SlurmJob(*line.split("|", 4)) for line in lines]

    def state(self, node: str) -> str:
        return self._ask("sinfo", "-h", "-N", "-n", node, "-o", "%T").stdout.strip().rstrip("*")

    def logs(self) -> str:
        files = [*self.folder.glob("*.log"), *self.folder.glob("*.out")]
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in sorted(files))

    def _run(self, name: str, command: list[str]) -> None:
        environment = {"SLURM_CONF": f"{self.folder}/slurm.conf"}
        self.daemons[name] = Daemon(command, self.folder / f"{name}.out", environment)

    def _configure(self) -> None:
        assert len(str(self.folder)) <= 80, f"{self.folder}: too long for a socket"
        (self.folder / "state").mkdir()
        host = socket.gethostname().split(".")[0]
        nodes = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={free_port()} CPUs={self.cpus}"
            f" RealMemory={MEMORY_MB} Gres=gpu:{self.gpus} State=UNKNOWN"
            for name in self.names
        ]
        text = SETTINGS.format(
            host=host,
            port=free_port(),
            folder=self.folder,
            slurmd_timeout_s=self.slurmd_timeout_s,
            nodes="\n".join(nodes),
        )
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        (self.folder / "gres.conf").write_text("".join(f"{self._gres(name)}\n" for name in self.names))
        self._wrap_clients()

    def _gres(self, node: str) -> str:
        """The node's GPUs: with a count alone Slurm 22.05 takes the node for broken, plain files it does not accept."""
        for number in range(self.gpus):
            (self.folder / f"{node}-gpu{number}").symlink_to("/dev/null")
        span = f"[0-{self.gpus - 1}]" if self.gpus > 1 else "0"
        return f"NodeName={node} Name=gpu File={self.folder}/{node}-gpu{span} Flags=nvidia_gpu_env"

    def _wrap_clients(self) -> None:
        (self.folder / "bin").mkdir()
        for name in CLIENTS:
            real = program(name)
            if real:
                shim = self.folder / "bin" / name
                shim.write_text(f"#!/bin/sh\nSLURM_CONF='{self.folder}/slurm.conf' exec {real} \"$@\"\n")
                shim.chmod(0o755)

    def _start_munged(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        paths = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed", "log-file": "log"}
        options = [f"--{option}={self.folder}/munge.{suffix}" for option, suffix in paths.items()]
        self._run("munged", ["munged", "--foreground", "--force", "--num-threads=2", *options])
        socket_option = ["munge", "-n", "-S", f"{self.folder}/munge.socket"]
        wait_for(lambda: self._ask(*socket_option).returncode == 0, 60, self.logs)
