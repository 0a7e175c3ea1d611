"""How much worse a modality is learnt beside the other than alone, on generated or degraded clips: the probe gap.

Call it as `python benchmarks/probe_gap.py [--alone] [--seeds N] [--encoder NAME] [--keep FOLDER] DATASET[:OPTION=VALUE,
...] ...`. For each data set the clips are made and encoded in a temporary folder (or kept in FOLDER, and found there
again). Baseline and both unimodal models are trained as in the demo, and a logistic regression is fitted on the
features of each frozen encoder. The probe gap of a modality is the probe's accuracy on the encoder of its unimodal
model minus that on Baseline's. With --alone only the unimodal models are trained, and what is printed is their
accuracy on the validation part. The laws of the stand-ins were chosen by these numbers alone, those of GRID by the
unimodal models alone. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from avbalance.data.build import build_dataset
from avbalance.features.extract import extract
from avbalance.plan.config import load_dataset
from avbalance.training.cell import make_trainer, prepare_torch
from avbalance.training.data import Clips, load_clips
from avbalance.training.loop import Trainer
from avbalance.training.probe import probe_logits

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPES = {
    2.0: {"audio": "logmel32x64-2s", "visual": "fps1-first-32-1s"},
    4.0: {"audio": "logmel32x64-4s", "visual": "fps1-middle-32-4s"},
}
DATA = {
    "frames": 1, "crop": 32, "crop_scale": [0.5, 1.0], "crop_ratio": [0.75, 4 / 3], "flip": 0.5, "same_crop": False,
}  # fmt: skip
PROTOCOL = {
    "epochs": 60, "batch_size": 64, "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4, "decay_every": 42,
    "decay_factor": 0.1,
}  # fmt: skip
WORDS = {"crop_scale": [0.8, 1.0]}  # the mouth fills the pictures of GRID
ENCODERS = {
    "convolutional": {"encoder": "convolutional", "width": 8, "dimension": 64},  # the demo's
    "resnet18": {"width": 8, "stem": "small"},
}
RUNS = {
    "baseline": ("baseline", {"name": "fusion-net", "fusion": "concat"}),
    "audio": ("unimodal", {"name": "unimodal-net", "modality": "audio"}),
    "visual": ("unimodal", {"name": "unimodal-net", "modality": "visual"}),
}


def cpu_seconds() -> float:
    """CPU time of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def specification(name: str) -> dict[str, Any]:
    """The data set of a name like synthetic-flat:slow=visual,classes=6."""
    name, _, changes = name.partition(":")
    spec = load_dataset(REPOSITORY, {}, name)
    spec["options"] |= yaml.safe_load("{" + changes.replace("=", ": ").replace(";", ",") + "}")
    return spec


def recipes(spec: dict[str, Any]) -> dict[str, str]:
    """What is looked at of a clip: of GRID the movement of the mouth, of others one picture."""
    options = spec["options"]
    if spec["kind"] == "grid":
        seconds = 3.0 if options.get("window") == "clip" else options["seconds"]
        return {
            "audio": f"logmel32x16-{seconds:g}s",
            "visual": f"fps{2.5 / seconds:g}-first-32-{1.2 * seconds:g}s-grey",  # three pictures
        }
    return RECIPES[float(options.get("duration", 4.0))]


def made(name: str, folder: Path) -> Clips:
    """The clips of a data set with their features."""
    spec = specification(name)
    manifest = folder / "manifest.parquet"
    if not manifest.exists():
        build_dataset(name.partition(":")[0], spec, manifest)
    stores = extract(manifest, recipes(spec), folder / "features")
    return load_clips(manifest, stores["audio"], stores["visual"])


def settings_of(spec: dict[str, Any]) -> dict[str, Any]:
    """What is done to features, and how long is trained."""
    return {"data": {**DATA, **(WORDS if spec["kind"] == "grid" else {})}, "protocol": PROTOCOL}


def trained(run: str, clips: Clips, seed: int, encoder: str, settings: dict[str, Any]) -> Trainer:
    """A trainer after its training, with the selected model in place."""
    method, model = RUNS[run]
    complete = {**settings, "model": {**model, **ENCODERS[encoder]}}
    trainer = make_trainer(method, complete, seed, clips, torch.device("cpu"))
    trainer.train()
    return trainer


def probe(trainer: Trainer) -> dict[str, float]:
    """Test accuracy (percent) of the probe of each frozen encoder."""
    labels = trainer.source.clips.labels[trainer.parts["test"]]
    logits = probe_logits(trainer, "test")
    return {name: 100.0 * float((rows.argmax(1).numpy() == labels).mean()) for name, rows in logits.items()}


def measure(clips: Clips, seed: int, encoder: str, settings: dict[str, Any], alone: bool) -> dict[str, float]:
    """Numbers of one seed, in percent and points; of the unimodal models only their accuracy where they are `alone`."""
    row: dict[str, float] = {}
    probes = {}
    for run in list(RUNS)[alone:]:
        trainer = trained(run, clips, seed, encoder, settings)
        row[run] = trainer.evaluate("val" if alone else "test").accuracy["logits"]
        probes[run] = {} if alone else probe(trainer)
    if alone:
        return row
    for name in ("audio", "visual"):
        alone, joint = probes[name][name], probes["baseline"][name]
        row |= {f"{name} probe alone": alone, f"{name} probe of Baseline": joint, f"{name} gap": alone - joint}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--alone", action="store_true", help="unimodal models only, without probes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--encoder", choices=ENCODERS, default="convolutional")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    prepare_torch("cpu", 1)
    for name in options.datasets:
        start = cpu_seconds()
        with tempfile.TemporaryDirectory() as temporary:
            clips = made(name, options.keep / name if options.keep else Path(temporary))
        made_in, start = cpu_seconds() - start, cpu_seconds()
        settings, rows = settings_of(specification(name)), []
        for seed in range(options.seeds):
            rows.append(measure(clips, seed, options.encoder, settings, options.alone))
            print(f"{name}, seed {seed}: {rows[-1]}", flush=True)
        print(f"{name}: made in {made_in:.0f} CPU-seconds, {options.seeds} seeds in {cpu_seconds() - start:.0f}")
        for key in rows[0]:
            values = [row[key] for row in rows]
            print(f"  {key}: {np.mean(values):.1f} ({', '.join(f'{value:.1f}' for value in values)})", flush=True)


if __name__ == "__main__":
    main()
