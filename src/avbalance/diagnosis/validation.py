"""Whether each instrument says what was planted: trained on worlds.py and recorded.py, written as a table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from avbalance.diagnosis.answers import ENSEMBLE, GATED, JOINT, Answers, read_answers
from avbalance.diagnosis.findings import findings, with_best_joint
from avbalance.diagnosis.recorded import SIZES as RECORDED_SIZES
from avbalance.diagnosis.recorded import read_recordings, write_recorded
from avbalance.diagnosis.worlds import RECORDED, WORLDS, Stores, World, write_world
from avbalance.evaluation.combine import combine_runs
from avbalance.evaluation.paper import RunFile

SEEDS = (0, 1)
NOISE_DB = -6  # the most noise of a diagnosis
FILES = ("predictions.parquet", "history.csv", "record.json", "model.safetensors")
Say = Callable[[str], None]
Write = Callable[[World, Path], Stores]
LEARNT = 5  # points above chance: below, a joint model knows nothing of which instruments could speak


class InstrumentTrial(NamedTuple):
    """An instrument in a world; unlearnt: what the joint model says there, where it has not learnt what it could."""

    name: str
    planted: str
    instrument: str
    right: bool
    unlearnt: str


def validate(out: Path, say: Say, recordings: Path) -> bool:
    """Try every instrument in every world and write the table (Markdown); whether all said what was planted.

    recordings: folder of GRID; where it is not there, generated worlds alone are tried, and table and `say` tell.
    """
    recorded = read_recordings(recordings) if recordings.is_dir() else None
    if recorded is None:
        say(f"{recordings}: no such folder: real recordings are left out; --recordings FOLDER says where GRID lies")
    rows = list(_tried(WORLDS, write_world, say))
    if recorded is not None:
        rows += _tried(RECORDED, partial(write_recorded, recorded), say)
    out.write_text("\n".join(_table(rows, recorded is not None)) + "\n", encoding="utf-8")
    return all(trial.right for trial in rows)


def _tried(worlds: Mapping[str, World], write: Write, say: Say) -> Iterator[InstrumentTrial]:
    for name, world in worlds.items():
        measured = findings_in(world, write)
        accuracy, chance = measured["accuracy"][JOINT]["value"], measured["chance"]
        nothing = not world.permuted and accuracy < chance + LEARNT
        unlearnt = f"{name} ({accuracy:.1f} % right, chance {chance:.1f} %)" if nothing else ""
        for instrument, holds in world.wanted.items():
            right = holds(measured)
            say(f"{name}: {instrument}: {'as planted' if right else 'NOT as planted'}")
            yield InstrumentTrial(name, world.planted, instrument, right, unlearnt)


def findings_in(world: World, write: Write = write_world) -> dict[str, Any]:
    """Train lone and joint models in a world, and measure everything."""
    from avbalance.training.cell import CellOptions, train_cell

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stores = write(world, folder)
        jobs = [_job(run, seed, stores) for run in ("audio", "visual", JOINT, GATED) for seed in SEEDS]
        train_cell(
            CellOptions(
                jobs, "world", stores.manifest, stores.audio, stores.visual, folder / "runs", folder / "cache", "cpu"
            )
        )
        combine_runs([_ensemble(seed, folder / "runs") for seed in SEEDS], "world", folder / "runs")
        return findings(with_best_joint(_answers(folder / "runs")))


def _job(run: str, seed: int, stores: Stores) -> dict[str, Any]:
    lone = run in ("audio", "visual")
    model = {"name": "unimodal-net", "modality": run} if lone else {"name": "fusion-net"}
    if run == GATED:
        model["fusion"] = "gated"
    settings = {
        "data": {
            **stores.data, "frames": 1, "same_crop": False, "train_part": "all", "estimation_holdout": 0.0,
            "validation_fraction": 0.1, "probes": True, "interplay": not lone, "degraded": True,
            "noise_levels": [NOISE_DB],
        },
        "model": {**model, "encoder": "convolutional", "width": 8, "dimension": 64},
        "method": {},
        "protocol": {
            "epochs": stores.epochs, "batch_size": 32, "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4,
            "decay_every": round(0.7 * stores.epochs), "decay_factor": 0.1, "select": "validation",
        },
    }  # fmt: skip
    folder = f"{run}/seed{seed}"
    return {
        "run": run, "seed": seed, "method": "unimodal" if lone else "baseline", "settings": settings, "folder": folder,
        "inputs": {}, "choose": None, "outputs": [f"{folder}/{name}" for name in FILES],
    }  # fmt: skip


def _ensemble(seed: int, runs: Path) -> dict[str, Any]:
    files = {name: str(runs / name / f"seed{seed}" / FILES[0]) for name in ("audio", "visual")}
    return {
        "run": ENSEMBLE,
        "seed": seed,
        "method": "late-ensemble",
        "folder": f"{ENSEMBLE}/seed{seed}",
        "predictions": files,
    }


def _answers(runs: Path) -> Mapping[str, Answers]:
    def files(run: str) -> list[RunFile]:
        return [RunFile(run, run, "world", seed, str(runs / run / f"seed{seed}" / FILES[0])) for seed in SEEDS]

    return {run: read_answers(files(run)) for run in ("audio", "visual", JOINT, GATED, ENSEMBLE)}


def _table(rows: list[InstrumentTrial], recorded: bool) -> Iterator[str]:
    yield "# Do the instruments tell the truth?"
    yield ""
    yield "Small networks trained on generated clips of which it is known what each modality tells; made by"
    yield "`avbalance validate-instruments`, two seeds, 600 test clips. An instrument that fails somewhere is not to be"
    yield "trusted on data of that kind. `src/avbalance/analysis/instruments.py` says what each one is,"
    yield f"`src/avbalance/diagnosis/worlds.py` what must be found. Noise at test time has {-NOISE_DB} dB more than"
    yield "there is to hear or see."
    yield ""
    if recorded:
        clips = RECORDED_SIZES["test"]
        yield "Recordings: the four colours that talker 1 of [GRID](datasets.md) says, a window of sound and the mouth,"
        yield f"{clips} test clips. Noise is added to the wave and to the pixels, or sound and pictures are those of"
        yield "different clips of one part (`src/avbalance/diagnosis/recorded.py`). What must be found there was"
        yield "written before anything was trained on them."
    else:
        yield "Real recordings are left out: there were none where the command looked."
    yield ""
    yield "| Data | Planted | Instrument | Said what was planted |"
    yield "|---|---|---|---|"
    for trial in rows:
        yield f"| {trial.name} | {trial.planted} | {trial.instrument} | {'yes' if trial.right else '**no**'} |"
    for unlearnt in dict.fromkeys(trial.unlearnt for trial in rows if trial.unlearnt):
        yield ""
        yield f"The joint models learnt nothing of what was planted in: {unlearnt}."
        yield "A *no* there is of the models, not of the instruments: these had nothing to find."
