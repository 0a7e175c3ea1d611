"""Speed and memory, the naive way and ours measured in turn in one run: `make bench`.

Each row prints a value beside the wanted one, most often the median of ratios of CPU times, since single times mean
little on a shared machine; the end is 1 when a wanted value is not met. AVBALANCE_AUTHORS_CODE names a folder with
checkouts of the authors' repositories, see authors.py. Parsing of videos stands in parsing.py, which can be called
alone: `python benchmarks/parsing.py`.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import authors
import gaps
import memory_kept
import numpy as np
import parsing
import torch
from side_by_side import finish, ratio, row

from avbalance.data import sources
from avbalance.data.manifest import write_manifest
from avbalance.features.decode import decode_file
from avbalance.features.extract import extract
from avbalance.features.recipes import get_visual_recipe
from avbalance.models.dropout import dropout
from avbalance.plan.plan import load_plan_for
from avbalance.training.data import BatchSource, load_clips
from avbalance.training.transforms import FrameOptions, training_frames
from avbalance.workflow import WORKFLOW
from flowkeeper.files import md5_file
from flowkeeper.interface import ResultSet
from flowkeeper.ledger import build_ledger, write_ledger
from flowkeeper.records import write_record
from flowkeeper.restore import restore

REPOSITORY = Path(__file__).resolve().parents[1]
FRAMES = FrameOptions(frames=3, crop=224, crop_scale=(0.08, 1.0), crop_ratio=(0.75, 4 / 3), flip=0.5, same_crop=False)


def augmentation() -> None:
    """Crop, flip and normalisation of 16 clips of 3 frames: frame by frame with torchvision, and ours."""
    from torchvision.transforms import v2

    stored = torch.randint(0, 256, (16, 3, 256, 256, 3), dtype=torch.uint8)
    sizes = torch.full((16, 2), 256)
    single = v2.Compose(
        [
            v2.RandomResizedCrop(224, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    generator = torch.Generator().manual_seed(0)
    ratio(
        "augmentation, from integer crops against torchvision frame by frame",
        lambda: torch.stack([single(frame.permute(2, 0, 1)) for clip in stored for frame in clip]),
        lambda: training_frames(stored, sizes, FRAMES, generator),
        wanted=2,
    )


def dropped() -> None:
    """Dropout of a batch of HAN's at the paper's size, forward and backward: torch's and ours."""
    values = torch.randn(128, 10, 512, requires_grad=True)
    ratio(
        "dropout by comparison against torch's",
        lambda: torch.nn.functional.dropout(values, 0.1).sum().backward(),  # type: ignore[no-untyped-call]
        lambda: dropout(values, 0.1, training=True).sum().backward(),  # type: ignore[no-untyped-call]
        wanted=1.5,
    )


def store(folder: Path) -> None:
    """One epoch over 96 clips: decoding every clip's frames again, against reading the feature store."""
    spec = {
        "kind": "synthetic",
        "stands_for": "a benchmark",
        "describe": "generated clips",
        "options": {
            "seed": 1,
            "classes": 4,
            "clips": {"train": 64, "val": 16, "test": 16},
            "discrepancy_beta": [1.0, 1.0],
            "snr_audio_db": [-25.0, 3.0],
            "snr_visual_db": [-10.0, 14.0],
        },
    }
    manifest = folder / "data" / "manifest.parquet"
    write_manifest(sources.build("benchmark", spec, manifest.parent), manifest)
    recipe = "fps1-middle-32-4s"
    made = extract(manifest, {"audio": "logmel32x64-4s", "visual": recipe}, folder / "features")
    clips = load_clips(manifest, made["audio"], made["visual"])
    files = sorted((manifest.parent / "media").glob("*.mp4"))
    frames = FrameOptions(4, 32, (0.5, 1.0), (0.75, 4 / 3), 0.5, False)
    targets = torch.as_tensor(clips.labels)
    source = BatchSource(clips, targets, ("audio", "visual"), frames, torch.device("cpu"), batch_size=64)
    everything = np.arange(len(clips.ids))
    ratio(
        "frames and spectrograms from the store, against decoding the frames alone",
        lambda: [decode_file(path, None, get_visual_recipe(recipe)) for path in files],
        lambda: list(source.evaluation(everything)),
        wanted=10,
    )


def planning(folder: Path) -> None:
    """A dry run of the demo with 53 seeds, one a job: about 1,000 jobs; against starting Snakemake at all."""
    program = str(Path(sys.executable).parent / "snakemake")
    many = folder / "many.yaml"
    many.write_text(f"name: many\nseeds_per_job: 1\nseeds: {list(range(53))}\npapers: {{balanced-audiovisual: {{}}}}\n")
    times = []
    for arguments in (["--version"], ["-n", "--quiet", "all", "--configfile", str(many)]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    jobs = len(load_plan_for(REPOSITORY, [str(many)], []).cells)
    row(
        f"planning {jobs} trainings: CPU time of `snakemake -n` beyond 1.3 times that of `snakemake --version`",
        times[1] - 1.3 * times[0],
        wanted=5,
        unit="s",
        most=True,
    )


def restoring(folder: Path) -> None:
    """Records and times of 1,000 fetched files of 20 kB: hashing them alone, against bringing them back, and again."""
    files, root = 1000, folder / "fetched"
    artifacts = [f"results/many/runs/{number}/predictions.parquet" for number in range(files)]
    record = {"rule": "train", "input": ["manifest"], "params": ["'" + "x" * 4000 + "'"], "record_format_version": 6}
    for number, path in enumerate(artifacts):
        file = root / path
        file.parent.mkdir(parents=True)
        file.write_bytes(np.random.default_rng(number).bytes(20_000))
        own = {**record, "rule": f"train_{number}", "starttime": 1e9, "endtime": file.stat().st_mtime}
        write_record(root, path, own)
    results = ResultSet(WORKFLOW, root, "many")
    write_ledger(results.ledger, build_ledger(results, artifacts, {"commit": "none"}))
    shutil.rmtree(root / ".snakemake")

    def seconds(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    hashing = seconds(lambda: [md5_file(root / path) for path in artifacts])
    times = [seconds(lambda: restore(results)) for _ in range(3)]
    row(f"restoring {files} fetched files, against hashing them", times[0] / hashing, 20, "times the time", most=True)
    row("restoring them again when nothing changed", 1000 * times[-1], 500, "ms", most=True)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store(Path(folder))
        planning(Path(folder))
        restoring(Path(folder))
    augmentation()
    dropped()
    memory_kept.main()
    gaps.main()
    with tempfile.TemporaryDirectory() as folder:
        parsing.main(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        authors.main(Path(folder))
    finish()


if __name__ == "__main__":
    main()
