"""Train one cell: all runs and seeds that one process does, each written to a folder of its own."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from avbalance.errors import UserError
from avbalance.models.base import build
from avbalance.provenance.run_record import RECORD, Clock, begin_peak, circumstances
from avbalance.streams import torch_stream
from avbalance.training.data import BatchSource, Clips, audio_scale, load_clips
from avbalance.training.loop import Trainer, parameter_count
from avbalance.training.outputs import facts_of, learning, read_need, train_and_predict
from avbalance.training.planned import (
    READABLE,
    PlannedRun,
    check_inputs,
    check_recipes,
    choice_of,
    chosen_settings,
    recorded_key,
    run_key,
)
from avbalance.training.progress import Progress
from avbalance.training.runcache import RunCache, link_files
from avbalance.training.settings import read_settings
from avbalance.training.state import Checkpoints
from flowkeeper.files import digest_json, exclusive, read_json, sha256_file, write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CellOptions:
    """Where a cell reads and writes, and the `jobs` that it does.

    out: folder of runs to write into. inputs: folder of runs that jobs read from, by default the same.
    cache: folder of finished runs and saved states. after_save: see training/state.py.
    """

    jobs: list[dict[str, Any]]  # see PlannedRun
    code: str
    manifest: Path
    audio: Path
    visual: Path | None  # None: pictures are not read
    out: Path
    cache: Path
    device: str = "auto"
    threads: int = 1
    checkpoint_every_s: float = 20.0
    inputs: Path | None = None
    after_save: Callable[[], None] = lambda: None

    @property
    def source(self) -> Path:
        """Folder of the runs that jobs read."""
        return self.out if self.inputs is None else self.inputs

    def paths(self) -> dict[str, str]:
        """What the runs of this cell read, for their records."""
        read = {"manifest": self.manifest, "audio": self.audio, "visual": self.visual}
        return {name: str(path) for name, path in read.items() if path is not None}


def train_cell(options: CellOptions) -> None:
    """Train or fetch from the run cache every job of the cell; outputs appear below `options.out`.

    Raises UserError for missing inputs before anything is trained.
    """
    device = prepare_torch(options.device, options.threads)
    runs = [PlannedRun(**job) for job in options.jobs]
    made: set[str] = set()
    for run in runs:
        check_inputs(run, options.source, made)
        made |= set(run.outputs) if options.inputs is None else set()
        check_recipes(run, {"audio": options.audio, "visual": options.visual})
    clips = load_clips(options.manifest, options.audio, options.visual)
    cache = RunCache(options.cache / "runs")
    waiting, busy = deque(runs), 0
    while waiting:
        run = waiting.popleft()
        if any(path in each.outputs for each in waiting for path in run.inputs.values()):
            waiting.append(run)  # another paper trains what it reads
            continue
        run = replace(run, settings=chosen_settings(run, options.source), code=run.code or options.code)
        needs = {name: options.source / path for name, path in run.inputs.items() if path.endswith(READABLE)}
        key = run_key(run, needs, clips.digest, device)
        lock = options.cache / "locks" / f"run-{key[:32]}.lock"
        with exclusive(lock, f"trains {run.folder}", wait=busy > len(waiting)) as alone:
            if not alone:  # another paper has the same run, and trains it now: first the others
                waiting.append(run)
                busy += 1
                continue
            busy = 0
            checkpoints = Checkpoints(options.cache / "state", key, options.checkpoint_every_s, options.after_save)
            # Under the lock: another process may have finished the same run while this one waited.
            if cache.find(key, recorded_key) is None:
                with cache.create(key) as draft:
                    _train(run, needs, key, options, clips, device, checkpoints, draft)
            else:
                log.info("%s seed %d: found in the run cache (%s)", run.run, run.seed, key[:12])
            checkpoints.discard()
            _place(cache.root / key, run, options)


def _place(finished: Path, run: PlannedRun, options: CellOptions) -> None:
    """Link a finished run into its folder; its record may name another run of equal settings that made it."""
    folder = options.out / run.folder
    link_files(finished, folder, run.names)
    record = read_json(finished / RECORD)
    own = _own_facts(run, options)
    # The cached record is another run's, of equal settings: this run's copy says its own name, and who made it.
    if any(record.get(name) != value for name, value in own.items()):
        write_json(folder / RECORD, {**record, **own, "made_as": record["job"]})


def _own_facts(run: PlannedRun, options: CellOptions) -> dict[str, Any]:
    """What belongs to a run by its name and place, not by its key."""
    identity = {"folder": run.folder, "run": run.run, "seed": run.seed, "method": run.method}
    return {
        "job": {**identity, "reads": run.inputs, "writes": run.names},
        "paths": options.paths(),
        "inputs": {name: sha256_file(options.source / path) for name, path in run.inputs.items()},
        **({"choice": choice_of(run, options.source)} if run.choose else {}),
    }


def prepare_torch(device: str, threads: int) -> torch.device:
    """Set threads and determinism; "auto" takes a GPU if there is one. Raises UserError when cuda is absent."""
    # cuBLAS is deterministic with a fixed workspace alone, and reads this before its first call.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # A warning, not an error: a few operations have no deterministic form on a GPU, and are better than no result.
    torch.use_deterministic_algorithms(True, warn_only=True)
    # nothing here reads memory that it has not written
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # Timing picks an algorithm by chance on a busy machine; another algorithm sums in another order.
    torch.backends.cudnn.benchmark = False
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("device cuda was asked for, but torch sees no GPU; use --device cpu or fix the driver.")
    return torch.device(device)


def make_trainer(
    method: str,
    settings: dict[str, Any],
    seed: int,
    clips: Clips,
    device: torch.device,
    needs: dict[str, Any] | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
) -> Trainer:
    """A trainer at the start of a run: model initialised from `seed`, data cut into parts, method with its options.

    Raises UserError for a setting that does not exist.
    """
    known = read_settings(method, settings)
    data, task = known.data, known.task
    clips = clips.labelled(data.labelling)
    parts = clips.parts(data)
    task.check(clips, parts)
    model = build(known.model, len(clips.classes), torch_stream("cpu", seed, "initialisation"))
    absent = [name for name in model.modalities if name not in clips.modalities]
    if absent:
        raise UserError(
            f"model {known.model.name} reads {' and '.join(absent)}, which is not read here (setting "
            f"data.{absent[0]}_recipe is null); name a recipe, or leave the run out."
        )
    # Convolutions run faster in this layout, on GPUs as on oneDNN; the weights are the same numbers.
    model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Trainer(
        model=model,
        method=known.method,
        task=task,
        source=BatchSource(
            clips,
            task.targets(clips),
            model.modalities,
            data.frame_options() if clips.framed else None,
            device,
            known.protocol.batch_size,
            drop_last=known.protocol.drop_last,
            scale=audio_scale(clips, parts["train"]) if data.standardise else None,
        ),
        parts=parts,
        facts=facts_of(settings, clips, parts),
        protocol=known.protocol,
        seed=seed,
        checkpoints=checkpoints,
        needs=needs or {},
        progress=progress or Progress(),
    )


def _train(
    run: PlannedRun,
    needs: dict[str, Path],
    key: str,
    options: CellOptions,
    clips: Clips,
    device: torch.device,
    checkpoints: Checkpoints,
    folder: Path,
) -> None:
    """Train a run into an empty folder: its files, those of its method, and its record."""
    begin_peak()
    clock = Clock()
    contents = {name: read_need(path) for name, path in needs.items()}
    progress = Progress(label=run.folder)
    trainer = make_trainer(run.method, run.settings, run.seed, clips, device, contents, checkpoints, progress)
    predicts = trainer.method.card.predicts
    if predicts:
        train_and_predict(trainer, folder)
    else:
        trainer.method.prepare(trainer)
    for name, content in trainer.method.artifacts().items():
        write_json(folder / name, content)
    write_json(
        folder / RECORD,
        {
            **_own_facts(run, options),
            **circumstances(run.code, device.type, options.threads, clock),
            "settings": run.settings,
            "settings_digest": digest_json(run.settings),
            "key": key,
            "data": {
                "digest": clips.digest,
                "manifest_sha256": sha256_file(options.manifest),
                "clips": {name: len(indices) for name, indices in trainer.parts.items()},
                "used_ids": {name: clips.used_ids_digest(indices) for name, indices in trainer.parts.items()},
                "losses": clips.losses,
            },
            **({"standardisation": asdict(trainer.source.scale)} if trainer.source.scale else {}),
            "parameters": parameter_count(trainer.model),
            "selected_epoch": trainer.course.selected_epoch + 1,
            "epochs_run": len(trainer.history),
            **({"learning": learning(trainer)} if predicts else {}),
        },
    )
