"""The authors' own code against ours: `AVBALANCE_AUTHORS_CODE=<folder> python benchmarks/authors.py`.

The folder holds checkouts of GeWu-Lab/OGM-GE_CVPR2022, YapengTian/AVVP-ECCV20 and MCG-NJU/JoMoLD under these last
names; what is absent is said. Their networks, data set and scores are imported as they are, with `.cuda()` doing
nothing; the few lines around them, which in their programs read arguments and print, are ours. OGM-GE's needs librosa.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import os
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from parsing import Sides, trainer_on
from plain_jomold import plain_sample, plain_step
from side_by_side import absent, finish, ratio
from torch import Tensor, nn
from trained import random_clips
from videos import make_videos, write_unpooled

from avbalance.analysis.parsing_scores import evaluate
from avbalance.training.data import BatchSource
from avbalance.training.transforms import FrameOptions

VARIABLE = "AVBALANCE_AUTHORS_CODE"
ITEMS = 64  # the paper's batch
CROPS = FrameOptions(frames=1, crop=224, crop_scale=(0.08, 1.0), crop_ratio=(0.75, 4 / 3), flip=0.5, same_crop=False)


def module_at(path: Path) -> ModuleType:
    """The module in a file of theirs."""
    spec = importlib.util.spec_from_file_location(f"authors_{path.parts[-3]}_{path.stem}".replace("-", "_"), path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loader(code: Path, folder: Path) -> None:
    """Items of CREMA-D's size: decoded, transformed and cropped by OGM-GE's data set, and from our stores."""
    from PIL import Image

    theirs = module_at(code / "dataset" / "CramedDataset.py").CramedDataset
    generator = np.random.default_rng(0)
    names = [f"clip{number}" for number in range(ITEMS)]
    (folder / "data" / "CREMAD").mkdir(parents=True)
    (folder / "sound").mkdir()
    for name in names:
        with wave.open(str(folder / "sound" / f"{name}.wav"), "wb") as sound:
            sound.setparams((1, 2, 16_000, 0, "NONE", ""))
            sound.writeframes(generator.integers(-9000, 9000, 40_000, dtype=np.int16).tobytes())
        pictures = folder / "pictures" / "Image-01-FPS" / name
        pictures.mkdir(parents=True)
        coarse = Image.fromarray(generator.integers(0, 256, (36, 48, 3), dtype=np.uint8))
        coarse.resize((480, 360)).save(pictures / "00000.jpg")
    for part in ("train", "test"):
        with open(folder / "data" / "CREMAD" / f"{part}.csv", "w", encoding="utf-8", newline="") as handle:
            csv.writer(handle).writerows([name, "NEU"] for name in names)
    arguments = SimpleNamespace(
        dataset="CREMAD", visual_path=str(folder / "pictures"), audio_path=str(folder / "sound"), fps=1
    )
    with contextlib.chdir(folder):
        items = theirs(arguments, mode="train")
    assert len(items) == ITEMS
    clips = random_clips(ITEMS, (257, 188), 256)
    targets = torch.as_tensor(clips.labels)
    source = BatchSource(clips, targets, ("audio", "visual"), CROPS, torch.device("cpu"), batch_size=ITEMS)
    ratio(
        f"OGM-GE's data set: a training batch of {ITEMS} items of CREMA-D's size",
        lambda: torch.utils.data.default_collate([items[number] for number in range(ITEMS)]),
        lambda: next(source.training([np.arange(ITEMS)], 0, [0], 0)),
        wanted=10,
    )


class TheirNetwork(nn.Module):
    """A network of theirs that returns what plain_jomold's PlainHAN does."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, audio: Tensor, frames: Tensor, clips: Tensor, with_ca: bool = True) -> Any:
        return self.network(audio, frames, clips, with_ca=with_ca)[:5]


def han_step(network: nn.Module, optimiser: torch.optim.Optimizer, sample: tuple[Tensor, ...]) -> None:
    """A step of HAN: visual labels smoothed by 0.9, three cross-entropies of clamped probabilities."""
    audio, frames, clips, label = sample
    network.train()
    optimiser.zero_grad()
    said = [each.clamp(1e-7, 1 - 1e-7) for each in network(audio, frames, clips)[:3]]
    losses = [
        nn.functional.binary_cross_entropy(*pair) for pair in zip(said, (label, label, 0.9 * label + 0.05), strict=True)
    ]
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def parsing_steps(han: Path | None, jomold: Path | None, folder: Path, batch: int) -> None:
    """One training step of HAN, of 16 videos as its authors train, or of JoMoLD with denoising, of 128."""
    videos = make_videos(folder, {"train": batch, "val": 1, "test": 1})
    write_unpooled(videos)
    names = videos.ids["train"]
    if han is not None:
        network = module_at(han / "nets" / "net_audiovisual.py").MMIL_Net()
        optimiser = torch.optim.Adam(network.parameters(), lr=3e-4)
        trainer = trainer_on(folder, han_settings(batch), "han")
        ratio(
            f"HAN: a training step of {batch} videos, reading among it",
            lambda: han_step(network, optimiser, plain_sample(videos, names)),
            lambda: trainer.fit_epochs(1, first_epoch=1, stream="benchmark", schedule=True),
            wanted=1.8,
        )
    if jomold is not None:
        sides = Sides(videos, 0.1, 0.5)
        theirs = TheirNetwork(module_at(jomold / "nets" / "net_audiovisual.py").MMIL_Net())
        adam = torch.optim.Adam(theirs.parameters(), lr=5e-4)
        ratio(
            f"JoMoLD: a training step of {batch} videos with denoising, reading among it",
            lambda: plain_step(theirs, adam, plain_sample(videos, names), sides.ratios),  # type: ignore[arg-type]
            sides.our_train,
            wanted=1.8,
        )


def han_settings(batch: int) -> dict[str, Any]:
    """Settings of a HAN run at the paper's size."""
    rule = {
        "optimiser": "adam", "epochs": 40, "batch_size": batch, "learning_rate": 3e-4, "weight_decay": 0.0,
        "decay_every": 10, "decay_factor": 0.1, "metric": "event_A",
    }  # fmt: skip
    return {
        "data": {"task": "parsing", "gate": "global"},
        "model": {"name": "han", "dropout": 0.1, "visual_dropout": 0.0},
        "method": {},
        "protocol": rule,
    }


def scores(code: Path) -> None:
    """Segment and event scores of 1,200 videos, which its authors compute video by video."""
    theirs = module_at(code / "utils" / "eval_metrics.py")
    generator = np.random.default_rng(0)
    truth = generator.random((1200, 2, 25, 10)) < 0.05
    said = truth ^ (generator.random(truth.shape) < 0.02)
    given = [
        (*each, each.all(axis=0))
        for pair in zip(said, truth, strict=True)
        for each in (pair[0].astype(int), pair[1].astype(int))
    ]
    rows = [(*given[number], *given[number + 1]) for number in range(0, len(given), 2)]
    frames = np.where(said, 0.8, 0.2).astype(np.float32).transpose(0, 3, 1, 2)
    video = np.ones((1200, 25), dtype=np.float32)
    ratio(
        "HAN's scores of 1,200 videos",
        lambda: [(theirs.segment_level(*each), theirs.event_level(*each)) for each in rows],
        lambda: evaluate(frames, video, video, video, truth[:, 0], truth[:, 1], "global"),
        wanted=50,
        rounds=3,
    )


def main(folder: Path) -> None:
    """Every comparison for which the code is there."""
    given = os.environ.get(VARIABLE)
    checkouts: dict[str, Path | None] = {}
    for name in ("OGM-GE_CVPR2022", "AVVP-ECCV20", "JoMoLD"):
        path = Path(given) / name if given else None
        checkouts[name] = path if path is not None and path.is_dir() else None
        if checkouts[name] is None:
            absent(f"rows of {name}", f"{path} is no folder" if path else f"{VARIABLE} is not set")
    ogm, han, jomold = checkouts.values()
    with patch.object(torch.Tensor, "cuda", lambda tensor, *_, **__: tensor):
        if ogm is not None:
            _unless_a_module_is_missing("rows of OGM-GE_CVPR2022", lambda: loader(ogm, folder / "loader"))
        if han is not None:
            scores(han)
            parsing_steps(han, None, folder / "han", 16)
        if jomold is not None:
            parsing_steps(None, jomold, folder / "jomold", 128)


def _unless_a_module_is_missing(name: str, work: Callable[[], None]) -> None:
    try:
        work()
    except ModuleNotFoundError as error:
        absent(name, f"{error.name} is not installed")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as created:
        main(Path(created))
    finish()
