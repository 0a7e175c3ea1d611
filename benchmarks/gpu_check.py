"""What one GPU does with the paper tier: `make bench-gpu`, or `python benchmarks/gpu_check.py [--budget 450]`.

- resume and determinism: a training killed inside an epoch ends as the unbroken one, two unbroken ones are equal, bit
  for bit;
- throughput at the papers' sizes and batches, float32 and bfloat16, with loading and of the steps alone, and of 1, 2
  and 4 seeds of one run side by side on the card;
- every row of the paper tier does two optimiser steps at full model size on random clips, rows of code that no earlier
  row ran first.

results/gpu-check/gpu-check.json and .md name card, driver, versions and date. When the time budget (seconds) ends, what
was left out is listed. Status 0: all that was run is right, 1: something failed, 2: there is no GPU. Speeds have no
wanted value. `--device cpu --quick` tries the script itself out on small networks.

A bare machine needs a CUDA build of torch, and numpy pandas pyarrow scipy safetensors pyyaml pydantic; run it at the
root of the repository with PYTHONPATH=src.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import io
import itertools
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from full_size import (
    CLASSES,
    PARSING,
    RELEVANCE,
    made_up,
    made_up_fits,
    make_clips,
    rows_of,
    short_trainer,
    with_needs,
)

from avbalance.errors import UserError
from avbalance.plan.sheet import Row
from avbalance.provenance.run_record import machine
from avbalance.streams import derive, torch_stream
from avbalance.table_files import write_text
from avbalance.training.cell import prepare_torch
from avbalance.training.data import Clips
from avbalance.training.loop import Trainer
from avbalance.training.progress import Progress
from avbalance.training.state import Checkpoints
from flowkeeper.files import write_json

LIMIT_S = 450.0  # of 8 minutes, with what starting and writing take
ROWS_SHARE = 0.5  # of the budget, kept for the rows of the paper tier
KILL_AT = 5  # optimiser step of the training that is killed: the third of four steps of its second epoch
SIDE_BY_SIDE = (1, 2, 4)
QUICK_ROWS = {("llp", "han"), ("kinetics-sounds", "ks-visual")}  # rows that a processor does in a second


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


class Budget:
    """Seconds that are left, and what there was no time for."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.seconds = seconds
        self.left_out: list[str] = []

    def allows(self, what: str, keep: float = 0.0) -> bool:
        """Whether more than `keep` seconds are left; if not, `what` is noted as left out."""
        if self.end - time.monotonic() > keep:
            return True
        self.left_out.append(what)
        return False


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
        batches = trainer.source.training(indices, derive(trainer.seed, "check", epoch), seeds, first=0)
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


# --- every row of the paper tier ----------------------------------------------------------------------------------


def rows_in_order(quick: bool) -> list[tuple[str, Row]]:
    """(paper, row): first a row of each method, network and data set, then what differs from one in numbers alone."""
    if quick:
        wanted = [(PARSING, "llp", "han"), (RELEVANCE, "kinetics-sounds", "ks-visual")]
        return [
            (slug, row) for slug, role, run in wanted for row in rows_of(slug) if (row.role, row.run) == (role, run)
        ]
    new: list[tuple[str, Row]] = []
    alike: list[tuple[str, Row]] = []
    seen: set[Any] = set()
    for slug in CLASSES:
        for row in rows_of(slug):
            kind = (slug, row.role, *row.parts, row.reports)
            (alike if kind in seen else new).append((slug, row))
            seen.add(kind)
    return new + alike


def two_steps(options: Options, row: Row, rows: list[Row], clips: Clips) -> dict[str, Any]:
    """Two optimiser steps and an evaluation; raises ValueError when a loss or a weight is not finite."""
    start = time.perf_counter()
    with made_up_fits():
        trainer = with_needs(row, rows, clips, options.device)
        trainer.progress = Progress(out=io.StringIO())
        if trainer.method.card.predicts:
            trainer.train()
        else:
            trainer.method.prepare(trainer)
    losses = [log["train_loss"] for log in trainer.history]
    if not all(map(math.isfinite, losses)):
        raise ValueError(f"losses {losses}")
    if not all(bool(torch.isfinite(value).all()) for value in trainer.model.state_dict().values()):
        raise ValueError("weights that are not finite")
    return {"train_loss": losses, "seconds": round(time.perf_counter() - start, 2)}


def every_row(options: Options, budget: Budget) -> list[dict[str, Any]]:
    """The outcome of every row for which there is time: "ok", or what went wrong."""
    sheets = {slug: rows_of(slug) for slug in CLASSES}
    clips: dict[tuple[str, str], Clips] = {}
    found = []
    for slug, row in rows_in_order(options.quick):
        name = f"{slug}/{row.role}/{row.run}"
        if not budget.allows(f"two steps of {name}"):
            continue
        if (slug, row.role) not in clips:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                clips[slug, row.role] = make_clips(Path(folder), slug, row.role)
        found.append(attempt({"row": name}, two_steps, options, row, sheets[slug], clips[slug, row.role]))
    return found


# --- the whole check ----------------------------------------------------------------------------------------------


def attempt(about: dict[str, Any], work: Any, *arguments: Any) -> dict[str, Any]:
    """`about` and what `work` finds, and `outcome`: "ok", or the error in one line, after which the check goes on."""
    try:
        return {**about, "outcome": "ok", **work(*arguments)}
    except Exception as error:  # whatever goes wrong is to be reported
        return {**about, "outcome": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def check(options: Options, budget: Budget) -> dict[str, Any]:
    """Everything for which there is time, the short and important first."""
    kept = ROWS_SHARE * budget.seconds
    found: dict[str, Any] = {"card": card(options.device), "quick": options.quick}
    loads = LOADS[:2] if options.quick else LOADS
    together, seeds_together = (loads[:1], SIDE_BY_SIDE[1:2]) if options.quick else (loads[:2], SIDE_BY_SIDE)
    found["exactness"] = [
        attempt({"run": load.label}, exactness, options, load)
        for load in (loads[0], loads[-1])
        if budget.allows(f"resume and determinism of {load.label}")
    ]
    found["throughput"] = [
        attempt({"run": load.label, "precision": precision}, throughput, options, load, precision)
        for load, precision in itertools.product(loads, ("fp32", "bf16"))
        if budget.allows(f"throughput of {load.label} in {precision}", kept)
    ]
    found["side_by_side"] = [
        attempt({"run": load.label, "seeds": seeds}, side_by_side, options, load, seeds)
        for load, seeds in itertools.product(together, seeds_together)
        if budget.allows(f"{seeds} seeds side by side of {load.label}", kept)
    ]
    found["rows"] = every_row(options, budget)
    found["left_out"] = budget.left_out
    found["failed"] = failures(found)
    return found


def failures(found: dict[str, Any]) -> list[str]:
    """What went wrong, a line each."""
    parts = [(name, entry) for name in ("exactness", "throughput", "side_by_side", "rows") for entry in found[name]]
    lines = [f"{name}, {_about(entry)}: {entry['outcome']}" for name, entry in parts if entry["outcome"] != "ok"]
    for entry in found["exactness"]:
        lines += [f"{entry['run']}: not true: {fact}" for fact, value in entry.items() if value is False]
    return lines


def _about(entry: dict[str, Any]) -> str:
    return ", ".join(str(entry[name]) for name in ("row", "run", "precision", "seeds") if name in entry)


def card(device: str) -> dict[str, Any]:
    """Card, driver, versions and date."""
    cuda = device == "cuda"
    return {
        "card": torch.cuda.get_device_name() if cuda else f"none: {machine()['processor']}",
        "memory_gb": round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1) if cuda else None,
        "driver": _driver() if cuda else None,
        "cuda": torch.version.cuda if cuda else None,
        "torch": torch.__version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
    }


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said[0] if said else "unknown"


def markdown(found: dict[str, Any]) -> str:
    """The page: card and date, then a table for each part."""
    about = ", ".join(f"{name} {value}" for name, value in found["card"].items() if value is not None)
    lines = ["# GPU check", "", about + ".", ""]
    if found["quick"]:
        lines += ["A trial of the script on small networks: its numbers mean nothing.", ""]
    for title, name in (
        ("Exactness", "exactness"),
        ("Throughput", "throughput"),
        ("Seeds side by side", "side_by_side"),
    ):
        lines += [f"## {title}", "", *_table(found[name])]
    right = sum(row["outcome"] == "ok" for row in found["rows"])
    lines += ["## Rows of the paper tier", "", f"{right} of {len(found['rows'])} do two steps on finite numbers.", ""]
    for title, name in (("Failed", "failed"), ("Left out: the time was over", "left_out")):
        lines += [f"## {title}", "", *([f"- {line}" for line in found[name]] or ["Nothing."]), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(entries: list[dict[str, Any]]) -> list[str]:
    heads = list(dict.fromkeys(name for entry in entries for name in entry if name != "outcome"))
    if not heads:
        return ["Nothing.", ""]
    cells = [[_text(entry.get(name)) for name in heads] for entry in entries]
    rows = ["| " + " | ".join(row) + " |" for row in (heads, *cells)]
    return [rows[0], "|" + " --- |" * len(heads), *rows[1:], ""]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return "–" if value is None else str(value)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small networks: try the script out")
    parser.add_argument("--budget", type=float, default=LIMIT_S, metavar="SECONDS")
    parser.add_argument("--out", type=Path, default=Path("results/gpu-check"), metavar="FOLDER")
    given = parser.parse_args(arguments)
    budget = Budget(given.budget)
    try:
        if given.device == "cuda" and not torch.cuda.is_available():
            raise UserError(
                "torch sees no GPU, so nothing was measured; run this where there is one, with a CUDA build of torch, "
                "or try the script out with --device cpu --quick."
            )
        if given.device == "cpu" and not given.quick:
            raise UserError("--device cpu needs --quick: the papers' sizes take a processor hours.")
        prepare_torch(given.device, 1)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        found = check(Options(given.device, given.quick, folder), budget)
    write_json(given.out / "gpu-check.json", found)
    write_text(given.out / "gpu-check.md", markdown(found))
    print(markdown(found), end="")
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
