"""Trainings on a GPU at the papers' sizes: whether they can be resumed bit for bit, and how fast they are."""

from __future__ import annotations

import hashlib
import io
import itertools
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from full_size import PARSING, made_up, make_clips, rows_of, short_trainer

from avbalance.streams import derive, torch_stream
from avbalance.training.cell import prepare_torch
from avbalance.training.data import Clips
from avbalance.training.loop import Trainer
from avbalance.training.progress import Progress
from avbalance.training.state import Checkpoints

KILL_AT = 5  # optimiser step of the training that is killed: the third of four steps of its second epoch


@dataclass(frozen=True)
class Load:
    """A training whose speed is measured, at the batch size of its paper."""

    label: str
    role: str
    run: str
    batch: int


LOADS = (
    Load("ResNet-18 pair (OGM-GE on CREMA-D: audio 257 x 188, one frame of 224)", "cremad", "ogm", 64),
    Load("HAN on LLP", "llp", "han", 128),
    Load("JoMoLD on LLP", "llp", "jomold", 128),
)


@dataclass(frozen=True)
class Options:
    """device: "cuda" or "cpu". quick: small networks, batches and times, to try the script out."""

    device: str
    quick: bool
    folder: str  # for stores and states

    @property
    def seconds(self) -> float:
        """How long one throughput is measured."""
        return 0.2 if self.quick else 5.0

    def settings(self, role: str) -> dict[str, Any]:
        """Changes of a run's settings."""
        if not self.quick:
            return {}
        return {"model": {"width": 8}, "data": {"crop": 64}} if role == "cremad" else {"model": {"width": 16}}


def clips_of(options: Options, role: str, train: int) -> Clips:
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        return make_clips(Path(folder), PARSING, role, train)


def trainer_of(options: Options, load: Load, clips: Clips, seed: int = 0, **protocol: Any) -> Trainer:
    """A trainer of a load's run; `protocol` is laid over its protocol."""
    row = next(each for each in rows_of(PARSING) if (each.role, each.run) == (load.role, load.run))
    needs = {name: made_up(need["file"], clips) for name, need in row.needs.items()}
    trainer = short_trainer(row, clips, options.device, needs, protocol=protocol, **options.settings(load.role))
    trainer.seed = seed
    trainer.progress = Progress(out=io.StringIO())
    return trainer


# --- resume and determinism ---------------------------------------------------------------------------------------


def weights_digest(trainer: Trainer) -> str:
    """Digest of the bits of the last weights and of the history."""
    digest = hashlib.sha256(repr(trainer.history).encode())
    for value in trainer.states["last"].values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _short(options: Options, load: Load, clips: Clips) -> Trainer:
    """Three epochs of four steps."""
    return trainer_of(options, load, clips, epochs=3, max_steps=4, batch_size=load.batch)


def _killed(options: Options, load: Load, states: str) -> None:
    """Train in this process, a state after every step, and die inside the second epoch."""
    prepare_torch(options.device, 1)
    trainer = _short(options, load, clips_of(options, load.role, 4 * load.batch))
    trainer.checkpoints = Checkpoints(Path(states), "check", every_s=0.0)
    step, taken = trainer._step, itertools.count()

    def or_die(*arguments: Any) -> Any:
        if next(taken) == KILL_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments)

    trainer._step = or_die  # type: ignore[method-assign]
    trainer.train()


def exactness(options: Options, load: Load) -> dict[str, Any]:
    """Two unbroken trainings and one that was killed and taken up: which are equal, bit for bit."""
    load = Load(load.label, load.role, load.run, 4 if options.quick else 16)
    clips = clips_of(options, load.role, 4 * load.batch)
    digests = []
    for _ in range(2):
        trainer = _short(options, load, clips)
        trainer.train()
        digests.append(weights_digest(trainer))
    with tempfile.TemporaryDirectory(dir=options.folder) as states:
        child = multiprocessing.get_context("spawn").Process(target=_killed, args=(options, load, states))
        child.start()
        child.join()
        saved = list(Path(states).glob("*.pt"))
        trainer = _short(options, load, clips)
        trainer.checkpoints = Checkpoints(Path(states), "check", every_s=1e9)
        trainer.train()
    killed = child.exitcode == -signal.SIGKILL and bool(saved)
    return {
        "two runs equal": digests[0] == digests[1],
        "killed inside an epoch": killed,
        "resumed run equal": killed and weights_digest(trainer) == digests[0],
    }


# --- throughput ---------------------------------------------------------------------------------------------------


def steps_of(trainer: Trainer, loading: bool) -> Iterator[int]:
    """Optimiser steps without end, yielding the clips of each; `loading`: batches are read and augmented anew."""
    from avbalance.methods.base import TrainingStep

    indices = trainer.parts["train"]
    count = trainer.source.batches(indices)
    kept = None
    for epoch in itertools.count():
        seeds = [derive(trainer.seed, "check", epoch, number) for number in range(count)]
        batches = trainer.source.training([indices], derive(trainer.seed, "check", epoch), seeds, first=0)
        trainer.method.epoch_start(trainer, epoch)
        for index, batch in enumerate(batches if loading or kept is None else [kept] * count):
            kept = batch
            generator = torch_stream(trainer.device, trainer.seed, "check", epoch, index)
            trainer._step(batch, TrainingStep(epoch=epoch, index=index, batches=count, generator=generator))
            yield len(batch.label)


def rate(trainer: Trainer, seconds: float, loading: bool) -> float:
    """Clips per second, after two steps to warm up."""
    steps = steps_of(trainer, loading)
    for _ in range(2):
        next(steps)
    synchronise(trainer.device)
    start, clips = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(4):
            clips += next(steps)
        synchronise(trainer.device)
    return clips / (time.perf_counter() - start)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def throughput(options: Options, load: Load, precision: str) -> dict[str, Any]:
    """Clips per second of a load with loading and of its steps alone, and the peak of GPU memory."""
    batch = 4 if options.quick else load.batch
    clips = clips_of(options, load.role, 2 * batch)
    cuda = options.device == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    trainer = trainer_of(options, load, clips, batch_size=batch, max_steps=None, epochs=10, precision=precision)
    trainer.method.prepare(trainer)
    rates = {name: rate(trainer, options.seconds, name == "with loading") for name in ("with loading", "steps")}
    return {
        "batch": batch,
        **{f"clips/s, {name}": round(value, 1) for name, value in rates.items()},
        "peak GPU memory, MB": round(torch.cuda.max_memory_allocated() / 1e6) if cuda else None,
    }


def _seed_beside(options: Options, load: Load, seed: int, batch: int, start: Any, rates: Any) -> None:
    """One of several processes: wait for the others, then measure at the same time as they."""
    prepare_torch(options.device, 1)
    trainer = trainer_of(options, load, clips_of(options, load.role, 2 * batch), seed, batch_size=batch, max_steps=None)
    trainer.method.prepare(trainer)
    rate(trainer, 0.0, loading=True)
    start.wait(120)
    rates.put(rate(trainer, options.seconds, loading=True))


def side_by_side(options: Options, load: Load, seeds: int) -> dict[str, Any]:
    """Clips per second of several seeds of one run together, a process each."""
    spawn = multiprocessing.get_context("spawn")
    batch = 4 if options.quick else load.batch
    start, rates = spawn.Barrier(seeds), spawn.Queue()
    arguments = [(options, load, seed, batch, start, rates) for seed in range(seeds)]
    children = [spawn.Process(target=_seed_beside, args=each) for each in arguments]
    for child in children:
        child.start()
    for child in children:
        child.join()
    if any(child.exitcode for child in children):
        raise RuntimeError(f"a process of {seeds} ended with status {[child.exitcode for child in children]}")
    total = sum(rates.get() for _ in children)
    return {"batch": batch, "clips/s, all together": round(total, 1)}
