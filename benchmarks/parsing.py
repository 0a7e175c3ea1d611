"""Speed and memory of audio-visual video parsing, at the paper's size: batch 128, width 512, 25 classes, float32.

The plain side is in plain_jomold.py. Both sides are compared number by number before they are timed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_jomold import PlainHAN, plain_sample, plain_scores_of, plain_step
from side_by_side import absent, finish, ratio, row
from videos import CLASSES, MANIFEST, Videos, make_videos, write_unpooled

from avbalance.analysis.parsing_scores import METRICS, evaluate, open_gates
from avbalance.training.cell import make_trainer
from avbalance.training.data import load_clips
from avbalance.training.loop import Trainer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from plain_parsing import plain_evaluation

BATCH, VALIDATION = 128, 200
LLP = {"train": 10_000, "val": 649, "test": 1200}
LEAST_FREE = 10**9


def settings_of(dropout: float, visual_dropout: float, **protocol: Any) -> dict[str, Any]:
    """Settings of a JoMoLD run at the paper's size."""
    rule = {
        "optimiser": "adam", "epochs": 25, "batch_size": BATCH, "learning_rate": 5e-4, "weight_decay": 0.0,
        "decay_every": 6, "decay_factor": 0.25, "metric": "event_A", "ties": "later", **protocol,
    }  # fmt: skip
    return {
        "data": {"task": "parsing", "gate": "modality"},
        "model": {"name": "han", "dropout": dropout, "visual_dropout": visual_dropout},
        "method": {},
        "protocol": rule,
    }


def noise_ratios() -> dict[str, list[float]]:
    """A share of noisy positives for each class and modality."""
    generator = np.random.default_rng(4)
    return {name: generator.uniform(0.3, 0.7, len(CLASSES)).tolist() for name in ("audio", "visual")}


def trainer_on(folder: Path, settings: dict[str, Any], method: str = "jomold") -> Trainer:
    """Our trainer on the videos that lie in the folder, on the CPU."""
    clips = load_clips(folder / MANIFEST, folder / "audio", folder / "visual")
    return make_trainer(method, settings, 0, clips, torch.device("cpu"), {"ratios": noise_ratios()})


class Sides:
    """Both ways with the same weights: the plain network with its optimiser, and our trainer."""

    def __init__(self, videos: Videos, dropout: float, visual_dropout: float) -> None:
        self.videos = videos
        self.trainer = trainer_on(videos.folder, settings_of(dropout, visual_dropout))
        with torch.no_grad():  # so that some classes are found and most are not
            prob = next(
                layer for name, layer in self.trainer.model.named_modules() if name.endswith("audio_heads.prob")
            )
            prob.weight.mul_(4)
            prob.bias.sub_(3.5)
        self.plain = PlainHAN(dropout, visual_dropout)
        self.plain.take(self.trainer.model.state_dict())
        self.optimiser = torch.optim.Adam(self.plain.parameters(), lr=5e-4)
        ratios = noise_ratios()
        self.ratios = (torch.tensor(ratios["audio"]).double(), torch.tensor(ratios["visual"]).double())

    def plain_train(self) -> tuple[float, int]:
        sample = plain_sample(self.videos, self.videos.ids["train"])
        return plain_step(self.plain, self.optimiser, sample, self.ratios)

    def our_train(self) -> None:
        """The one step of the second epoch: from then on labels are denoised."""
        self.trainer.fit_epochs(1, first_epoch=1, stream="benchmark", schedule=True)

    def plain_evaluate(self) -> list[float]:
        return plain_scores_of(self.plain, self.videos, self.videos.ids["val"])

    def our_evaluate(self) -> list[float]:
        metrics = self.trainer.evaluate("val").metrics
        return [metrics[name] for name in METRICS]

    def compare(self) -> None:
        """Assert that both parse alike and, without dropout, have the same gradients."""
        plain, ours = self.plain_evaluate(), self.our_evaluate()
        assert np.allclose(plain, ours, atol=0.02), f"scores differ: {plain} and {ours}"
        assert len(set(np.round(ours, 3))) > 5, f"nothing to compare: {ours}"
        _, gone = self.plain_train()
        self.our_train()
        assert gone > 0, "no label was removed: denoising was not compared"
        ours = PlainHAN(0, 0)
        ours.take({name: each.grad for name, each in self.trainer.model.named_parameters() if each.grad is not None})
        gradients = {name: each.grad for name, each in self.plain.named_parameters() if each.grad is not None}
        whole = torch.stack([each.norm() for each in gradients.values()]).norm()
        for name, gradient in gradients.items():  # those of biases under a softmax are nothing but rounding
            off = float((gradient - ours.state_dict()[name]).norm() / gradient.norm().clamp_min(1e-3 * whole))
            assert off < 1e-3, f"gradients of {name} differ by {off:.1e} of their size"


def training_and_evaluation(folder: Path) -> None:
    """A step of JoMoLD with denoising on 128 videos, and the validation of 200, against the plain way."""
    videos = make_videos(folder, {"train": BATCH, "val": VALIDATION, "test": 1})
    write_unpooled(videos)
    Sides(videos, 0.0, 0.0).compare()
    sides = Sides(videos, 0.1, 0.5)
    ratio(
        f"one step of JoMoLD with denoising, {BATCH} videos, against unpooled frames and one modality after the other",
        sides.plain_train,
        sides.our_train,
        wanted=1.8,
    )
    ratio(
        f"validation on {VALIDATION} videos, in batches against one video at a time",
        sides.plain_evaluate,
        sides.our_evaluate,
        wanted=8,
    )


def scores() -> None:
    """The ten parsing scores of 1,200 videos: one video, class and event after the other, and all at once.

    Some 1.8 classes a video, each with one or two events a modality; a third of the predicted segments is wrong.
    """
    generator = np.random.default_rng(0)
    videos, classes = 1200, len(CLASSES)
    occurs = generator.random((videos, 1, classes, 1)) < 1.8 / classes
    bounds = np.sort(generator.integers(0, 11, (2, videos, 2, classes, 1)), axis=0)
    second = np.arange(10)
    truth = occurs & (second >= bounds[0]) & (second < bounds[1])
    heard = (truth ^ (occurs & (generator.random(truth.shape) < 1 / 3))).transpose(0, 3, 1, 2)
    frames = np.where(heard, 0.8, 0.2).astype(np.float32)
    video = np.where(occurs[:, 0, :, 0], 0.9, 0.1).astype(np.float32)
    plain = (frames.tolist(), open_gates("modality", video, video, video).tolist(), truth.tolist())
    ours = evaluate(frames, video, video, video, truth[:, 0], truth[:, 1], "modality").per_video
    assert np.allclose(plain_evaluation(*plain), ours), "scores differ"
    ratio(
        "parsing scores of 1,200 videos, against a plain loop",
        lambda: plain_evaluation(*plain),
        lambda: evaluate(frames, video, video, video, truth[:, 0], truth[:, 1], "modality"),
        wanted=80,
    )


def memory(folder: Path) -> None:
    """Memory that is the process's own, not the page cache's, when 11,849 videos of LLP's size are trained on."""
    if shutil.disk_usage(folder).free < LEAST_FREE:
        absent("memory of a training on 11,849 videos", "the disk has less than 1 GB free")
        return
    if not Path("/proc/self/status").is_file():
        absent("memory of a training on 11,849 videos", "this system has no /proc/self/status")
        return
    make_videos(folder, LLP)
    child = Path(__file__).with_name("memory_of_training.py")
    done = subprocess.run([sys.executable, str(child), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    found = json.loads(done.stdout)
    row(
        f"memory of a training on {found['videos']:,} videos of LLP's size, no file behind it",
        found["peak"] / 1e6,
        wanted=1000,
        unit="MB at most",
        most=True,
        more=f", of which {found['before'] / 1e6:.0f} MB are Python's and its libraries'",
    )


def main(folder: Path) -> None:
    """All comparisons; the folder holds what they need and is emptied by the caller."""
    scores()
    for part, work in (("small", training_and_evaluation), ("large", memory)):
        (folder / part).mkdir()
        work(folder / part)
        shutil.rmtree(folder / part)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as created:
        main(Path(created))
    finish()
