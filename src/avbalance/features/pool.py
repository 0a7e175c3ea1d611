"""Decoder processes that may hang or die: each costs its clip, never the job.

The parent and a process of this module (`python -m avbalance.features.pool <descriptor>`) speak over a socket: settings
first, then a job and its two features in turn. A library's pool would not do: it cannot end one process that hangs, and
it gives all work up when one dies.
"""

from __future__ import annotations

import importlib
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import TracebackType

from avbalance.features.clip import ClipJob, Feature
from avbalance.features.recipes import HeardRecipe, SeenRecipe

DEFAULT_FUNCTION = "avbalance.features.clip:extract_clip"
STARTUP_S = 120.0  # imports of a loaded machine on a network disk take long; a process that is silent for longer hangs
ATTEMPTS = 2  # a crash may come from outside (memory, an operator): the clip gets a second, fresh process

Pair = tuple[Feature | None, Feature | None]
Settings = tuple[str, HeardRecipe | None, SeenRecipe | None, float]  # function, recipes, seconds for a clip


class DecodePool:
    """Runs a function on clips in `workers` processes.

    `function` is "module:name"; it is called with the job, the audio recipe and the visual recipe.
    A clip whose process dies twice gets the status decoder_crash, one that takes longer than `timeout_s`
    seconds decoder_timeout. Use as a context manager: leaving it kills all processes.
    """

    def __init__(
        self,
        audio: HeardRecipe | None,
        visual: SeenRecipe | None,
        workers: int = 1,
        timeout_s: float = 60.0,
        function: str = DEFAULT_FUNCTION,
    ) -> None:
        self._settings = (function, audio, visual, timeout_s)
        self._processes = [_Process(self._settings) for _ in range(max(1, workers))]

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            # After an error no process is waited for: one that hangs may be its cause.
            process.stop(patience=0.0 if kind else 1.0)

    def run(self, jobs: Sequence[ClipJob], ahead: int = 64) -> Iterator[Pair]:
        """Features of `jobs`, in their order; at most `ahead` clips are held back for an earlier one."""
        done: dict[int, Pair] = {}
        waiting = deque(range(len(jobs)))
        self._crashes = Counter[int]()
        for position in range(len(jobs)):
            while position not in done:
                for process in self._processes:
                    # Results are handed out in order: without a limit one slow clip would pile up all others in memory.
                    if process.clip is None and waiting and waiting[0] < position + ahead:
                        clip = waiting.popleft()
                        process.give(clip, jobs[clip])
                self._collect(jobs, waiting, done)
            yield done.pop(position)

    def _collect(self, jobs: Sequence[ClipJob], waiting: deque[int], done: dict[int, Pair]) -> None:
        """Wait for an answer, a death or a deadline, and deal with it."""
        busy = {process.connection: process for process in self._processes if process.clip is not None}
        patience = max(0.0, min(process.deadline for process in busy.values()) - time.monotonic())
        for connection in wait(list(busy), patience):
            assert isinstance(connection, Connection)
            process = busy.pop(connection)
            clip = process.clip
            assert clip is not None
            try:
                done[clip] = connection.recv()
                process.clip = None
            except (EOFError, OSError):
                cause = process.replace(patience=1.0)
                self._crashes[clip] += 1
                if self._crashes[clip] < ATTEMPTS:
                    # At the front: the caller is waiting for this very clip.
                    waiting.appendleft(clip)
                else:
                    done[clip] = _lost(jobs[clip], self._settings, f"the decoder died on this clip ({cause})")
        for process in busy.values():
            if process.clip is not None and process.deadline <= time.monotonic():
                reason = f"the decoder took longer than {self._settings[3]:g} s"
                done[process.clip] = _lost(jobs[process.clip], self._settings, reason, "decoder_timeout")
                process.replace(patience=0.0)


class _Process:
    """One process, its socket, and the position of the clip that it works on, if any."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            # One thread per process: as many processes as cores run side by side already.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "avbalance.features.pool", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                # A library that reads or prints must not touch the terminal.
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
            )
        self.connection = Connection(ours.detach())
        self.connection.send(self._settings)
        self.clip: int | None = None
        self.deadline = 0.0
        self._ready = False

    def give(self, clip: int, job: ClipJob) -> None:
        """Send one clip; its clock starts now. Raises RuntimeError when the process has not started."""
        if not self._ready:
            try:
                if not self.connection.poll(STARTUP_S):
                    raise RuntimeError(f"the decoder process did not start within {STARTUP_S:g} s")
                self.connection.recv()
            except (EOFError, OSError) as error:
                raise RuntimeError("the decoder process could not start; its own message stands above") from error
            self._ready = True
        self.clip, self.deadline = clip, time.monotonic() + self._settings[3]
        try:
            self.connection.send(job)
        except OSError:
            return  # the process is dead: the next look at its socket says so

    def replace(self, patience: float) -> str:
        """End the process and start another; says how it ended, see `stop`."""
        cause = self.stop(patience)
        self._start()
        return cause

    def stop(self, patience: float) -> str:
        """Hang up, kill after `patience` seconds; returns "exit status n" or the name of the fatal signal."""
        self.connection.close()
        try:
            code = self._process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _lost(job: ClipJob, settings: Settings, reason: str, status: str = "decoder_crash") -> Pair:
    """A lost feature for each modality that was wanted of the clip."""
    lost, (_, audio, visual, _) = Feature(None, status, reason), settings
    return (lost if audio and job.audio else None), (lost if visual and job.visual else None)


def _serve(connection: Connection) -> None:
    """What the process does: answer jobs until the parent hangs up.

    An exception that the function should have turned into a status counts as a crash. An alarm ends the process should
    the decoder hang after its parent has died.
    """
    # Ctrl-C reaches the whole group: the parent ends its processes itself, after it has kept what is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        settings: Settings = connection.recv()
        name, audio, visual, timeout_s = settings
        module, _, attribute = name.partition(":")
        function: Callable[..., Pair] = getattr(importlib.import_module(module), attribute)
        connection.send("ready")
        while True:
            job: ClipJob = connection.recv()
            # Longer than the parent's own limit, which comes first as long as there is a parent.
            signal.alarm(math.ceil(2 * timeout_s) + 10)
            try:
                pair = function(job, audio, visual)
            except Exception as error:
                pair = _lost(job, settings, f"{type(error).__name__}: {error}")
            signal.alarm(0)
            connection.send(pair)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
