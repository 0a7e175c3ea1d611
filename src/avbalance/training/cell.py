"""Train one cell: all runs and seeds that one process does, each written to a folder of its own."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from collections import deque
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from avbalance.analysis.learning import exempt, guessing_loss, judged
from avbalance.errors import UserError
from avbalance.features.store import open_store
from avbalance.files import atomic_path, canonical_json, digest_json, exclusive, read_json, sha256_file, write_json
from avbalance.methods import base as methods
from avbalance.models import base as models
from avbalance.provenance.run_record import RECORD, Clock, circumstances, pinned, versions
from avbalance.training.data import BatchSource, Clips, Scale, audio_scale, load_clips
from avbalance.training.loop import Protocol, Trainer, parameter_count
from avbalance.training.partition import Indices
from avbalance.training.progress import Progress
from avbalance.training.runcache import RunCache, link_files
from avbalance.training.state import Checkpoints
from avbalance.training.streams import torch_stream
from avbalance.training.tasks import base as tasks
from avbalance.training.tasks.base import Place
from avbalance.training.transforms import FrameOptions

log = logging.getLogger(__name__)
READABLE = (".json", ".safetensors")  # of the files that a run needs of others, those that its method gets to read
_DATA_SETTINGS = (
    "task", "labelling", "audio_recipe", "visual_recipe", "standardise", "train_part", "estimation_holdout",
    "validation_fraction",
)  # fmt: skip
_FEATURES = ("audio_recipe", "visual_recipe", "standardise")
_PROTOCOL = {each.name: each.default for each in fields(Protocol) if each.default is not MISSING}
_METADATA = "avbalance"  # key of the facts about a run in the header of its weights


@dataclass(frozen=True)
class CellOptions:
    """Where a cell reads and writes, and its `jobs` as planned (see plan/trainings.py).

    out: folder of runs to write into. inputs: folder of runs that jobs read from, by default the same.
    cache: folder of finished runs and saved states. after_save: see training/state.py.
    """

    jobs: list[dict[str, Any]]
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
    for job in options.jobs:
        _check_inputs(job, options.source)
        _check_recipes(job, {"audio": options.audio, "visual": options.visual})
    clips = load_clips(options.manifest, options.audio, options.visual)
    cache = RunCache(options.cache / "runs")
    waiting, busy = deque(options.jobs), 0
    while waiting:
        job = waiting.popleft()
        needs = {name: options.source / path for name, path in job["inputs"].items() if path.endswith(READABLE)}
        settings = _chosen(job, options.source)
        code = job.get("code", options.code)  # of this run alone, where the cell has several methods
        key = run_key(job, settings, needs, code, clips.digest, device)
        lock = options.cache / "locks" / f"run-{key[:32]}.lock"
        with exclusive(lock, f"trains {job['folder']}", wait=busy > len(waiting)) as alone:
            if not alone:  # another paper has the same run, and trains it now: first the others
                waiting.append(job)
                busy += 1
                continue
            busy = 0
            checkpoints = Checkpoints(options.cache / "state", key, options.checkpoint_every_s, options.after_save)
            if cache.find(key, recorded_key) is None:
                with cache.create(key) as draft:
                    _train_job(job, settings, needs, key, options, clips, device, checkpoints, draft)
            else:
                log.info("%s seed %d: found in the run cache (%s)", job["run"], job["seed"], key[:12])
            checkpoints.discard()
            _place(cache.root / key, job, options)


def _place(finished: Path, job: dict[str, Any], options: CellOptions) -> None:
    """Link a finished run into its folder; its record may name another run of equal settings that made it."""
    folder = options.out / job["folder"]
    link_files(finished, folder, [Path(path).name for path in job["outputs"]])
    record = read_json(finished / RECORD)
    own = _own_facts(job, options)
    if any(record[name] != value for name, value in own.items()):
        write_json(folder / RECORD, {**record, **own, "made_as": record["job"]})


def _own_facts(job: dict[str, Any], options: CellOptions) -> dict[str, Any]:
    """What belongs to a run by its name and place, not by its key."""
    identity = {name: job[name] for name in ("folder", "run", "seed", "method")}
    files = {"reads": job["inputs"], "writes": [Path(path).name for path in job["outputs"]]}
    return {
        "job": {**identity, **files},
        "paths": options.paths(),
        "inputs": {name: sha256_file(options.source / path) for name, path in job["inputs"].items()},
    }


def prepare_torch(device: str, threads: int) -> torch.device:
    """Set threads and determinism; "auto" takes a GPU if there is one. Raises UserError when cuda is absent."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # nothing here reads memory that it has not written
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("device cuda was asked for, but torch sees no GPU; use --device cpu or mend the driver.")
    return torch.device(device)


def run_key(
    job: dict[str, Any],
    settings: dict[str, Any],
    needs: dict[str, Path],
    code: str,
    data: str,
    device: torch.device,
) -> str:
    """Digest of what a finished run depends on: code, settings, seed, inputs, data, torch and kind of device.

    Defaults of the protocol are spelt out: a run that names one is the run that leaves it out. An instruction set is
    part of it where the environment pins one: a pinned run is never taken for another. Without a pin it is not: the
    runs that a colleague finished on another processor stay valid, and their records name it.
    """
    known = {name: sha256_file(path) for name, path in needs.items()}
    return _key(job["method"], job["seed"], settings, known, code, data, device.type, pinned())


def _key(
    method: str,
    seed: int,
    settings: dict[str, Any],
    needs: dict[str, str],
    code: str,
    data: str,
    device: str,
    pins: dict[str, str],
) -> str:
    return digest_json(
        {
            "code": code,
            "method": method,
            "settings": {**settings, "protocol": {**_PROTOCOL, **settings["protocol"]}},
            "seed": seed,
            "needs": needs,
            "data": data,
            "torch": torch.__version__,
            "device": device,
            **({"instruction_set": pins} if pins else {}),
        }
    )


def recorded_key(record: Any) -> str:
    """The key of a run by what its record says of it: the key that stands there may be another run's.

    "" for a record that says too little, or that tells of another torch than this one.
    """
    try:
        job, device = record["job"], record["device"]
        needs = {name: record["inputs"][name] for name, path in job["reads"].items() if path.endswith(READABLE)}
        pins = device.get("instruction_set", {}).get("pinned", {})
        facts = (needs, record["code"]["digest"], record["data"]["digest"], device["kind"], pins)
        same_torch = record["versions"]["torch"] == versions()["torch"]
        return _key(job["method"], job["seed"], record["settings"], *facts) if same_torch else ""
    except (KeyError, TypeError, AttributeError):
        return ""


def _check_inputs(job: dict[str, Any], source: Path) -> None:
    for path in job["inputs"].values():
        if not (source / path).is_file():
            raise UserError(
                f"{source / path}: missing, and run {job['run']} (seed {job['seed']}) needs it; make it first."
            )


def _check_recipes(job: dict[str, Any], stores: dict[str, Path | None]) -> None:
    """Raise UserError unless each store is of the recipe that the run's settings name, and absent where it is null."""
    for modality, folder in stores.items():
        wanted = job["settings"]["data"][f"{modality}_recipe"]
        found = open_store(folder).card["recipe"]["name"] if folder else None
        if found != wanted:
            shown = f"{folder}: a store of recipe {found}" if folder else f"no {modality} store"
            fix = f"the store of {wanted}" if wanted else f"no {modality} store"
            raise UserError(
                f"{shown}, and run {job['run']} is declared with {wanted or 'none'}; give it {fix}, or set "
                f"data.{modality}_recipe to {found or 'null'}."
            )


def _chosen(job: dict[str, Any], source: Path) -> dict[str, Any]:
    """The job's settings with the option of `choose` set to the candidate of the best validation metric."""
    settings: dict[str, Any] = json.loads(json.dumps(job["settings"]))
    if job.get("choose"):
        candidates = job["choose"]["candidates"]
        metric = settings["protocol"].get("metric", "accuracy")
        scores = {run: _best_value(source / job["inputs"][f"candidate {run}"], metric) for run in candidates}
        best = max(candidates, key=lambda run: scores[run])  # ties: the first one declared
        settings.setdefault("method", {})[job["choose"]["option"]] = candidates[best]
    return settings


def _best_value(history: Path, metric: str) -> float:
    with open(history, encoding="utf-8", newline="") as handle:
        return max(float(row[f"val_{metric}"]) for row in csv.DictReader(handle))


class Tensors(dict[str, torch.Tensor]):
    """The weights of a finished run by name; `facts`: what is known of their training, see `facts_of`."""

    facts: dict[str, Any]


def read_need(path: Path) -> Any:
    """Content of a file that a run needs of another: JSON, or `Tensors`; raises UserError when it is damaged."""
    if path.suffix == ".json":
        return read_json(path)
    try:
        with safe_open(path, "pt") as handle:
            found = Tensors({name: handle.get_tensor(name) for name in handle.keys()})  # noqa: SIM118
            found.facts = json.loads((handle.metadata() or {}).get(_METADATA, "{}"))
    except SafetensorError as error:
        raise UserError(f"{path}: not a readable safetensors file; delete it to have its run made again.") from error
    return found


def facts_of(settings: dict[str, Any], clips: Clips, parts: dict[str, Indices]) -> dict[str, Any]:
    """What the weights of a run say of themselves.

    Settings of the network, what it reads, labelling, classes, and a digest of the training clips' ids.
    """
    return {
        "model": settings["model"],
        "features": {name: settings["data"].get(name) for name in _FEATURES},
        "labelling": clips.labelling,
        "classes": clips.classes,
        "train_ids": clips.used_ids_digest(parts["train"]),
    }


def make_trainer(
    method_name: str,
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
    data = settings["data"]
    task = tasks.load(data)
    clips = clips.labelled(data.get("labelling"))
    parts = clips.parts(data)
    _check_names("data", data, {*_DATA_SETTINGS, *task.settings, *(each.name for each in fields(FrameOptions))})
    _check_names("protocol", settings["protocol"], {each.name for each in fields(Protocol)})
    task.check(clips, parts)
    build = models.load(settings["model"]["name"])
    model = build(settings["model"], len(clips.classes), torch_stream("cpu", seed, "initialisation"))
    absent = [name for name in model.modalities if name not in clips.modalities]
    if absent:
        raise UserError(
            f"model {settings['model']['name']} reads {' and '.join(absent)}, which is not read here (setting "
            f"data.{absent[0]}_recipe is null); name a recipe, or leave the run out."
        )
    model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    protocol = Protocol(**settings["protocol"])
    targets = task.targets(clips)
    return Trainer(
        model=model,
        method=methods.load(method_name)(settings.get("method", {})),
        task=task,
        source=BatchSource(
            clips,
            targets,
            model.modalities,
            _frame_options(data) if clips.framed else None,
            device,
            protocol.batch_size,
            drop_last=protocol.drop_last,
            scale=_scale(data, clips, parts["train"]),
        ),
        parts=parts,
        facts=facts_of(settings, clips, parts),
        protocol=protocol,
        seed=seed,
        checkpoints=checkpoints,
        needs=needs or {},
        progress=progress or Progress(),
    )


def _scale(data: dict[str, Any], clips: Clips, train: Indices) -> Scale | None:
    """By what sound is standardised: the training part, or nothing."""
    if data.get("standardise") not in (None, "train"):
        raise UserError(f"setting data.standardise is {data['standardise']!r}; it must be train or null.")
    return audio_scale(clips, train) if data.get("standardise") else None


def _frame_options(data: dict[str, Any]) -> FrameOptions:
    return FrameOptions(
        frames=data["frames"],
        crop=data["crop"],
        crop_scale=tuple(data["crop_scale"]),
        crop_ratio=tuple(data["crop_ratio"]),
        flip=data["flip"],
        same_crop=data["same_crop"],
    )


def _check_names(part: str, given: dict[str, Any], known: set[str]) -> None:
    for name in given:
        if name not in known:
            raise UserError(f"setting {part}.{name} does not exist; {part} has {', '.join(sorted(known))}.")


def _train_job(
    job: dict[str, Any],
    settings: dict[str, Any],
    needs: dict[str, Path],
    key: str,
    options: CellOptions,
    clips: Clips,
    device: torch.device,
    checkpoints: Checkpoints,
    folder: Path,
) -> None:
    clock = Clock()
    progress = Progress(label=f"{job['folder']}")
    contents = {name: read_need(path) for name, path in needs.items()}
    trainer = make_trainer(job["method"], settings, job["seed"], clips, device, contents, checkpoints, progress)
    if trainer.method.card.predicts:
        _train_and_predict(trainer, folder)
    else:
        trainer.method.prepare(trainer)
    for name, content in trainer.method.artifacts().items():
        write_json(folder / name, content)
    write_json(
        folder / RECORD,
        {
            **_own_facts(job, options),
            **circumstances(job.get("code", options.code), device.type, options.threads, clock),
            "settings": settings,
            "settings_digest": digest_json(settings),
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
            "selected_epoch": trainer.selected_epoch + 1,
            "epochs_run": len(trainer.history),
            **({"learning": _learning(trainer)} if trainer.method.card.predicts else {}),
        },
    )


def _learning(trainer: Trainer) -> dict[str, Any]:
    """Whether the finished run, its selected model in place, has learned and converged."""
    train, val, metric = trainer.parts["train"], trainer.parts["val"], trainer.protocol.metric
    if not len(train):
        return exempt("no clip was left to train on", validation_clips=len(val))
    clips, source = trainer.source.clips, trainer.source
    own, guess = trainer.task.clip_scores(clips, val, trainer.outputs(val), metric)
    loss = guessing_loss(source.targets[torch.as_tensor(train)].numpy())
    found = judged(trainer.history, metric, trainer.selected_epoch + 1, trainer.protocol.epochs, own, guess, loss)
    if trainer.method.card.fits:
        kept = ("metric", "validation_clips", "value", "chance", "margin", "margin_error", "final_loss", "guess_loss")
        return exempt("a reference, fitted without epochs", **{name: found[name] for name in kept})
    return found


def _train_and_predict(trainer: Trainer, folder: Path) -> None:
    trainer.train()
    with atomic_path(folder / "predictions.parquet") as temporary:
        pq.write_table(_predictions(trainer), temporary, compression="zstd")
    _write_history(folder / "history.csv", trainer.history)
    tensors = {name: value.contiguous().cpu() for name, value in trainer.model.state_dict().items()}
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary, {_METADATA: canonical_json(trainer.facts)})
    if trainer.protocol.record_confidence:
        _write_confidence(folder / "confidence.npz", trainer)


def _predictions(trainer: Trainer) -> pa.Table:
    """What every kept state of the model says of the parts that the task keeps; the selected one stays in place."""
    task, clips, tables = trainer.task, trainer.source.clips, []
    for checkpoint in (*task.checkpoints, "best-test"):
        if checkpoint in trainer.states:
            trainer.model.load_state_dict(trainer.states[checkpoint])
            for split in task.parts:
                for condition, outputs in task.conditions(trainer, split, checkpoint):
                    place = Place(split, checkpoint, condition)
                    tables.append(task.predictions(clips, trainer.parts[split], place, outputs))
    trainer.model.load_state_dict(trainer.states["selected"])
    return pa.concat_tables(tables)


def _write_history(path: Path, history: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _write_confidence(path: Path, trainer: Trainer) -> None:
    clips = trainer.source.clips
    arrays: dict[str, Any] = {"val_accuracy": np.array([row["val_accuracy"] for row in trainer.history])}
    for split, rows in trainer.confidence.items():
        arrays[f"ids_{split}"] = clips.ids[trainer.parts[split]]
        arrays[f"labels_{split}"] = clips.labels[trainer.parts[split]]
        arrays[f"confidence_{split}"] = np.stack(rows).astype(np.float32)
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)
