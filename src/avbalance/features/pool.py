"""Expendable decoder processes: one that hangs or dies costs its clip, never the job."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import TracebackType

from avbalance.features import worker as worker_module
from avbalance.features.clip import ClipJob, Feature
from avbalance.features.recipes import HeardRecipe, SeenRecipe
from avbalance.features.worker import DEFAULT_FUNCTION, Pair, receive_pair

QUEUED = 2  # clips handed to a worker ahead, so that it never waits for its parent
STARTUP_S = 120.0
ATTEMPTS = 2  # a crash may come from outside (memory, an operator): the clip gets a second, fresh process


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
        self._modalities = (audio is not None, visual is not None)
        self._timeout_s = timeout_s
        settings: dict[str, object] = {
            "audio": audio.as_dict() if audio else None,
            "visual": visual.as_dict() if visual else None,
            "timeout_s": timeout_s,
            "function": function,
        }
        self._workers = [_Worker(settings) for _ in range(max(1, workers))]

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.stop(patience=0.0 if kind else 1.0)

    def run(self, jobs: Sequence[ClipJob], ahead: int = 64) -> Iterator[Pair]:
        """Features of `jobs`, in their order; at most `ahead` clips are held back for an earlier one."""
        done: dict[int, Pair] = {}
        waiting = deque(range(len(jobs)))
        crashes: Counter[int] = Counter()
        for position in range(len(jobs)):
            while position not in done:
                self._hand_out(jobs, waiting, position + ahead)
                self._collect(jobs, waiting, done, crashes)
            yield done.pop(position)

    def _hand_out(self, jobs: Sequence[ClipJob], waiting: deque[int], limit: int) -> None:
        for worker in sorted(self._workers, key=lambda each: len(each.pending)):
            while waiting and waiting[0] < limit and len(worker.pending) < QUEUED:
                position = waiting.popleft()
                worker.give(position, jobs[position], self._timeout_s)

    def _collect(
        self, jobs: Sequence[ClipJob], waiting: deque[int], done: dict[int, Pair], crashes: Counter[int]
    ) -> None:
        """Wait for an answer, a death or a deadline, and deal with it."""
        busy: dict[object, _Worker] = {worker.connection: worker for worker in self._workers if worker.pending}
        patience = max(0.0, min(worker.deadline for worker in busy.values()) - time.monotonic())
        for connection in wait([worker.connection for worker in busy.values()], patience):
            worker = busy.pop(connection)
            try:
                pair = receive_pair(worker.connection)
                done[worker.finish(self._timeout_s)] = pair
            except (EOFError, OSError):
                lost = worker.pending[0]
                crashes[lost] += 1
                cause = worker.replace(waiting, keep_first=crashes[lost] < ATTEMPTS, patience=1.0)
                if crashes[lost] >= ATTEMPTS:
                    done[lost] = self._loss(jobs[lost], "decoder_crash", f"the decoder died on this clip ({cause})")
        for worker in busy.values():
            if worker.deadline <= time.monotonic():
                lost = worker.pending[0]
                worker.replace(waiting, keep_first=False, patience=0.0)
                reason = f"the decoder took longer than {self._timeout_s:g} s"
                done[lost] = self._loss(jobs[lost], "decoder_timeout", reason)

    def _loss(self, job: ClipJob, status: str, reason: str) -> Pair:
        lost = Feature(None, status, reason)
        audio, visual = self._modalities
        return (lost if audio and job.audio else None), (lost if visual and job.visual else None)


class _Worker:
    """One process, its socket, and the positions of the clips that it has been given, oldest first."""

    def __init__(self, settings: dict[str, object]) -> None:
        self._settings = json.dumps(settings).encode()
        self.pending: deque[int] = deque()
        self.deadline = 0.0
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", worker_module.__name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
            )
        self.connection = Connection(ours.detach())
        self.connection.send_bytes(self._settings)
        self._ready = False

    def give(self, position: int, job: ClipJob, timeout_s: float) -> None:
        """Send one clip; the clock of the first clip in line starts now."""
        self._await_ready()
        if not self.pending:
            self.deadline = time.monotonic() + timeout_s
        self.pending.append(position)
        request = {"audio": job.audio and str(job.audio), "visual": job.visual and str(job.visual)}
        try:
            self.connection.send_bytes(json.dumps(request).encode())
        except OSError:
            return  # the process is dead: the next look at its socket says so

    def finish(self, timeout_s: float) -> int:
        """Take the answered clip off the line and start the clock of the next one; returns its position."""
        self.deadline = time.monotonic() + timeout_s
        return self.pending.popleft()

    def replace(self, waiting: deque[int], keep_first: bool, patience: float) -> str:
        """End the process, start another, hand back its clips (the first: if `keep_first`); says why."""
        cause = self.stop(patience)
        if not keep_first:
            self.pending.popleft()
        waiting.extendleft(reversed(self.pending))
        self.pending.clear()
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

    def _await_ready(self) -> None:
        if self._ready:
            return
        try:
            if not self.connection.poll(STARTUP_S):
                raise RuntimeError(f"the decoder process did not start within {STARTUP_S:g} s")
            self.connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise RuntimeError("the decoder process could not start; its own message stands above") from error
        self._ready = True
