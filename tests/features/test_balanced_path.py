"""The balanced data set from annotation to usable clips: HDF5 frames, pickled spectrograms, plain and bad media."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from clip_files import grey_steps, tone, write_mp4, write_wav
from PIL import Image

from avbalance.data.manifest import read_manifest, write_manifest
from avbalance.data.sources import balanced
from avbalance.features.extract import extract
from avbalance.features.store import open_store
from avbalance.training.data import load_clips

RECIPES = {"audio": "paper48k", "visual": "fps1-middle-256"}
# Clip ids have three forms: from Kinetics, from VGG-Sound or the authors' own crawl, and bare.
FULL, SOUND, PLAIN, ATTACK, LISTS, FEW, TORN, ABSENT = (
    "-_aaaaaaaaa_000010_000020", "bbbbbbbbbbb_30", "ccccccccccc", "ddddddddddd_7", "eeeeeeeeeee_1", "fffffffffff_2",
    "ggggggggggg_3", "hhhhhhhhhhh_4",
)  # fmt: skip


class Touches:
    """Pickles as a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def write_frames(path: Path, levels: list[int]) -> None:
    """One JPEG per second, each of one grey level and wider than high, in a dataset of variable-length bytes."""
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("video", (len(levels),), dtype=h5py.vlen_dtype(np.uint8))
        for position, level in enumerate(levels):
            buffer = io.BytesIO()
            Image.new("RGB", (320, 240), (level,) * 3).save(buffer, "JPEG")
            stored[position] = np.frombuffer(buffer.getvalue(), np.uint8)


def magnitude() -> np.ndarray:
    """A spectrogram as the authors store it: magnitudes without logarithm, 257 bins."""
    return np.random.default_rng(5).gamma(2.0, 1.0, (257, 1091)).astype(np.float32)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Eight clips on disk, four of them bad in different ways and one without media."""
    video, audio = tmp_path / "video", tmp_path / "audio"
    video.mkdir()
    audio.mkdir()
    ten = [20 * (second + 1) for second in range(10)]
    for clip in (FULL, SOUND, ATTACK, LISTS):
        write_frames(video / f"{clip}.h5", ten)
    write_frames(video / f"{FEW}.hdf5", ten[:3])
    (video / f"{TORN}.h5").write_bytes((video / f"{FULL}.h5").read_bytes()[:700])
    write_mp4(video / f"{PLAIN}.mp4", grey_steps(40), None)
    (audio / f"{FULL}.pkl").write_bytes(pickle.dumps(magnitude()))
    (audio / f"{ATTACK}.pkl").write_bytes(pickle.dumps(Touches(tmp_path / "executed")))
    (audio / f"{LISTS}.pkl").write_bytes(pickle.dumps(magnitude()[:129].tolist()))
    for clip in (SOUND, PLAIN, FEW, TORN):
        write_wav(audio / f"{clip}.wav", tone(2.0))
    clips = (FULL, SOUND, PLAIN, ATTACK, LISTS, FEW, TORN, ABSENT)
    subsets = ("training", "validation", "testing", "training", "training", "training", "training", "testing")
    database = {clip: {"subset": subset, "label": "singing"} for clip, subset in zip(clips, subsets, strict=True)}
    annotation = {"labels": ["writing on blackboard", "singing"], "database": database}
    (tmp_path / "annotation.json").write_text(json.dumps(annotation))
    return tmp_path


@pytest.fixture
def stores(dataset: Path) -> dict[str, Path]:
    """Feature stores made by the real extraction, in processes of its own."""
    options = {"annotation": str(dataset / "annotation.json"), "media_root": str(dataset)}
    spec = {"kind": "balanced", "stands_for": None, "describe": "toy", "options": options}
    path = dataset / "data" / "manifest.parquet"
    write_manifest(balanced.build("balanced", spec, path.parent), path)
    return {"manifest": path, **extract(path, RECIPES, dataset / "out", dataset / "state", timeout_s=30.0)}


def test_every_clip_is_stored_or_accounted_for_and_no_pickle_is_obeyed(dataset: Path, stores: dict[str, Path]) -> None:
    audio, visual = (open_store(stores[modality]).index.set_index("id") for modality in ("audio", "visual"))
    assert audio["status"].to_dict() == {
        FULL: "ok", SOUND: "ok", PLAIN: "ok", ATTACK: "corrupt", LISTS: "corrupt", FEW: "ok", TORN: "ok",
        ABSENT: "missing",
    }  # fmt: skip
    assert visual["status"].to_dict() == {
        FULL: "ok", SOUND: "ok", PLAIN: "ok", ATTACK: "ok", LISTS: "ok", FEW: "too_short", TORN: "corrupt",
        ABSENT: "missing",
    }  # fmt: skip
    assert not (dataset / "executed").exists()
    assert "refused" in audio["reason"][ATTACK]
    assert "system" in audio["reason"][ATTACK]
    assert "no array of numbers" in audio["reason"][LISTS]
    assert "3 frames; 4 are needed" in visual["reason"][FEW]
    assert audio["reason"][ABSENT] == "no file with the sound and pictures"


def test_the_attack_would_have_worked(dataset: Path) -> None:
    """Otherwise the test above could not fail."""
    pickle.loads((dataset / "audio" / f"{ATTACK}.pkl").read_bytes())
    assert (dataset / "executed").exists()


def test_the_stored_values_are_those_of_the_files(stores: dict[str, Path]) -> None:
    audio, visual = open_store(stores["audio"]), open_store(stores["visual"])
    rows = audio.index.set_index("id")["row"]
    assert audio.array.shape[1:] == (257, 1091)
    assert np.array_equal(audio.array[rows[FULL]], np.log(magnitude() + np.float32(1e-7)).astype(np.float16))
    # 440 Hz at 48 kHz and 512 points is bin 440 / 93.75 = 4.7: the loudest bin is the fifth.
    assert audio.array[rows[SOUND]].astype(np.float32).mean(axis=1).argmax() == 5
    index = visual.index.set_index("id")
    frames = visual.array[index["row"][FULL]]
    assert frames.shape == (10, 256, 256, 3)
    # JPEG keeps a grey area within a level or two, frame after frame in the order of the file.
    assert np.abs(frames.mean(axis=(1, 2, 3)) - 20 * np.arange(1, 11)).max() < 3
    assert index.loc[FULL, ["n_frames", "width", "height", "duration"]].tolist() == [10, 320, 240, 10.0]
    assert index["n_frames"][PLAIN] == 5


def test_training_sees_the_clips_that_have_both_modalities(stores: dict[str, Path]) -> None:
    clips = load_clips(stores["manifest"], stores["audio"], stores["visual"])
    assert clips.ids.tolist() == [FULL, SOUND, PLAIN]
    assert clips.split.tolist() == ["train", "val", "test"]
    assert clips.classes == read_manifest(stores["manifest"]).classes == ["writing on blackboard", "singing"]
    assert clips.labels.tolist() == [1, 1, 1]
    assert clips.losses == {"audio corrupt": 2, "audio missing": 1, "visual corrupt": 1, "visual too_short": 1}
