"""Lists and features of real data sets in their published layout: real ones by link, others made up."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from avbalance.data.audioset import NAMES, RURAL, SPEECH, URBAN
from avbalance.data.sources.audioset import AudioSetOptions
from avbalance.data.sources.ave import CLASSES as AVE_CLASSES

# Labels -> clips that have them: 40 urban ones, 30 rural ones, three that are both and seven that are neither.
OUTDOOR = {(URBAN, SPEECH): 24, (URBAN,): 16, (RURAL, SPEECH): 10, (RURAL,): 20, (URBAN, RURAL): 3, (SPEECH,): 7}
AVE_RECORDS = 9
AVE_ORDERS = {"train": range(5), "val": (5, 6), "test": (8, 7)}


def real(folder: str) -> Path:
    """A folder of published lists; skips the test where they are not at hand."""
    where = os.environ.get("AVBALANCE_REAL_DATA")
    if not where or not (Path(where) / folder).is_dir():
        pytest.skip(f"AVBALANCE_REAL_DATA is not set, or has no {folder}/: the published lists are not at hand")
    return Path(where) / folder


def link_real_lists(downloads: Path, *names: str) -> None:
    """Link published lists to where config/datasets expects them."""
    for name in names:
        (downloads / name).mkdir(parents=True)
        (downloads / name / "lists").symlink_to(real(name))


def video_id(number: int) -> str:
    return f"-_{number:09d}"


def vggsound_list(downloads: Path, clips: int = 4_000) -> None:
    """YouTube id, start second, one of 309 class names, train or test."""
    names = [f"sound {number}" for number in range(300)] + [f"sound {number}, heard twice" for number in range(9)]
    (downloads / "vggsound").mkdir(parents=True)
    with open(downloads / "vggsound" / "vggsound.csv", "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        for number in range(clips):
            split = "test" if number % 13 == 0 else "train"
            writer.writerow([video_id(number), 10 * (number % 30), names[number % 309], split])


def balanced_annotation(downloads: Path, clips: int = 900) -> None:
    """An annotation with the clip ids of all three origins."""
    names = [f"action {number}" for number in range(30)]
    subsets = ["training"] * 8 + ["validation", "testing"]
    forms = ("{}_000010_000020", "{}_30", "{}")
    database = {
        forms[number % 3].format(video_id(number)): {"subset": subsets[number % 10], "label": names[number // 10 % 30]}
        for number in range(clips)
    }
    (downloads / "balanced").mkdir(parents=True)
    (downloads / "balanced" / "annotation.json").write_text(json.dumps({"labels": names, "database": database}))


def audioset_lists(downloads: Path) -> None:
    """The three segment lists and the names of labels, of 80 clips."""
    lists = downloads / "audioset" / "lists"
    lists.mkdir(parents=True)
    labels = [chosen for chosen, count in OUTDOOR.items() for _ in range(count)]
    rows = [f'{number:_>11}, 30.000, 40.000, "{",".join(chosen)}"\n' for number, chosen in enumerate(labels)]
    for place, name in enumerate(AudioSetOptions.model_fields["lists"].default):
        (lists / name).write_text("# Segments csv created Sun Mar  5 10:54:31 2017\n" + "".join(rows[place::3]))
    names = "".join(f'{place},{label},"{name}"\n' for place, (label, name) in enumerate(NAMES.items()))
    (lists / "class_labels_indices.csv").write_text("index,mid,display_name\n" + names)


def ave_lists(
    downloads: Path,
    videos: Sequence[str] = tuple(map(video_id, range(AVE_RECORDS))),
    orders: Mapping[str, Sequence[int]] = AVE_ORDERS,
) -> None:
    """Annotations and orders, a record for each of `videos`; each record's event begins in a second of its own."""
    lists = downloads / "ave" / "lists"
    lists.mkdir(parents=True)
    lines = [f"{AVE_CLASSES[number % 28]}&{video}&good&{number % 9}&10" for number, video in enumerate(videos)]
    (lists / "Annotations.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\n" + "\n".join(lines) + "\n")
    for split, order in orders.items():
        with h5py.File(lists / f"{split}_order.h5", "w") as file:
            file["order"] = np.array(order)


def ave_lists_of_30(downloads: Path) -> None:
    """The same of 30 records, of which the last two are of one video, in one part."""
    videos = [video_id(min(number, 28)) for number in range(30)]
    ave_lists(downloads, videos, {"train": range(9, 30), "val": range(4), "test": range(4, 9)})


def ave_features(downloads: Path) -> dict[str, Any]:
    """Both files of features of the nine records; returns what they hold."""
    (downloads / "ave" / "feats").mkdir()
    generator = np.random.default_rng(3)
    made = {}
    for name, shape in (("audio", (AVE_RECORDS, 10, 128)), ("visual", (AVE_RECORDS, 10, 7, 7, 512))):
        made[name] = generator.random(shape, dtype=np.float32)
        with h5py.File(downloads / "ave" / "feats" / f"{name}_feature.h5", "w") as file:
            file["avadataset"] = made[name]
    return made


def llp_features(downloads: Path, video: str) -> dict[str, Any]:
    """One generated array per network, linked under the id of a video; returns what they hold."""
    generator = np.random.default_rng(4)
    made = {}
    for network, shape in (("vggish", (10, 128)), ("res152", (80, 2048)), ("r2plus1d_18", (10, 512))):
        made[network] = generator.normal(size=shape).astype(np.float32)
        (downloads / "llp" / "feats" / network).mkdir(parents=True)
        np.save(downloads / f"{network}.npy", made[network])
        (downloads / "llp" / "feats" / network / f"{video}.npy").symlink_to(downloads / f"{network}.npy")
    return made
