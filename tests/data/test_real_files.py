"""Real files of the published data sets, through their sources and the decoder, beside facts that were found otherwise.

Numbers of frames, samples and pixels were counted from the bytes of the containers (tags of FLV, frames of MPEG audio,
boxes of MP4), those of lists with `grep` and `json`, without any code of this project.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from real_data import real

from avbalance.data import sources
from avbalance.data.manifest import Manifest
from avbalance.errors import LostClip
from avbalance.features.decode import Pictures, decode_file
from avbalance.features.ready_made import read_released
from avbalance.features.recipes import SeenRecipe, get_audio_recipe, get_visual_recipe


def spec(kind: str, **options: Any) -> dict[str, Any]:
    return {"kind": kind, "describe": "real files", "options": {"allow_missing": True, **options}}


def usable(manifest: Manifest) -> dict[str, Any]:
    """Id -> row of the clips that have their files."""
    return {row.id: row for row in manifest.frame.itertuples() if row.status == "ok"}


def both(path: Path, recipe: SeenRecipe) -> tuple[int, int, Pictures]:
    """Samples and rate of the sound, and the pictures, all of them usable."""
    sound, pictures = decode_file(path, get_audio_recipe("ks_fbank"), recipe)
    assert sound is not None and pictures is not None
    assert (sound.status, pictures.status) == ("ok", "ok"), (path, sound.reason, pictures.reason)
    return len(sound.waveform), sound.rate, pictures


# CREMA-D. Emotion -> part of the list; frames of video; frames of MPEG audio (1,152 samples at 44.1 kHz); milliseconds
# from the first frame of video to the last.
FLV = {
    "ANG": ("train", 67, 87, 2202),
    "DIS": ("train", 70, 91, 2302),
    "FEA": ("train", 65, 85, 2135),
    "HAP": ("test", 56, 73, 1835),
    "NEU": ("train", 61, 79, 2002),
    "SAD": ("test", 60, 78, 1968),
}
# Frames after the one that only counts them.
MP3 = {"ANG": 100, "DIS": 99, "FEA": 106, "HAP": 86, "NEU": 97, "SAD": 92}


def cremad_built(tmp_path: Path, audio_folder: str) -> Manifest:
    """The published lists, with VideoFlash and AudioMP3 being the folder of clips."""
    clips = real("cremad", "clips")
    for name in ("VideoFlash", "AudioMP3"):
        (tmp_path / name).symlink_to(clips)
    options = {"lists_dir": str(real("cremad")), "media_root": str(tmp_path), "audio_folder": audio_folder}
    return sources.build("cremad", spec("cremad", **options), tmp_path / "out")


def test_flv_clips_of_cremad_have_sound_and_upright_pictures(tmp_path: Path) -> None:
    manifest = cremad_built(tmp_path, "VideoFlash")
    rows = usable(manifest)
    assert len(manifest.frame) == 7_442 and set(rows) == {f"1001_DFA_{emotion}_XX" for emotion in FLV}
    for emotion, (split, frames, audio_frames, milliseconds) in FLV.items():
        row = rows[f"1001_DFA_{emotion}_XX"]
        assert (row.label, row.split, row.group) == (emotion, split, "1001")
        assert row.audio == row.visual == f"VideoFlash/{row.id}.flv"
        samples, rate, seen = both(tmp_path / row.visual, get_visual_recipe("uniform8-small64"))
        assert (samples, rate) == (1_152 * audio_frames, 44_100)
        assert (seen.total, seen.width, seen.height) == (frames, 480, 360)
        assert seen.times[0] == 0 and seen.times[-1] == pytest.approx(milliseconds / 1000, abs=0.002)
        first = np.asarray(seen.images[0]).astype(float)
        above, below = first[:40, 200:280].mean((0, 1)), first[-40:, 200:280].mean((0, 1))
        assert above[1] > 1.5 * above[0] and above[1] > 1.5 * above[2]  # a green screen above the head
        assert below[1] < 0.6 * above[1]  # a grey shirt below it


def test_mp3_files_of_cremad_are_the_sound_of_their_clips(tmp_path: Path) -> None:
    for emotion in MP3:
        frames = tmp_path / "Image-01-FPS" / f"1002_DFA_{emotion}_XX"
        frames.mkdir(parents=True)
        (frames / "00000.jpg").write_bytes(b"x")
    rows = usable(cremad_built(tmp_path, "AudioMP3"))
    assert set(rows) == {f"100{actor}_DFA_{emotion}_XX" for actor in (1, 2) for emotion in MP3}  # those of .flv as well
    for emotion, audio_frames in MP3.items():
        row = rows[f"1002_DFA_{emotion}_XX"]
        assert (row.audio, row.visual) == (f"AudioMP3/{row.id}.mp3", f"Image-01-FPS/{row.id}")
        sound, _ = decode_file(tmp_path / row.audio, get_audio_recipe("ks_fbank"), None)
        assert (sound.status, len(sound.waveform), sound.rate) == ("ok", 1_152 * audio_frames, 44_100)
        assert 0.01 < np.abs(sound.waveform).max() <= 1.0


# VGG-Sound. Clip -> class of the list, size of the pictures; each has 300 frames and 10 s of sound at 44.1 kHz.
VGG = {
    "-1pRmoJIGQc_000010": ("car engine knocking", 1280, 720),
    "-Qowmc0P9ic_000034": ("playing bass drum", 640, 360),
    "0nib7bMm8BA_000015": ("canary calling", 480, 360),
    "1aDnyPubxdY_000118": ("baby crying", 320, 240),
    "3HgbEKrbA9s_000054": ("playing double bass", 1280, 720),
    "3JYjNHFJfO4_000363": ("baby laughter", 1280, 720),
    "53UdZyM9MyE_000252": ("ripping paper", 576, 720),
    "54bz5yqN2IA_000004": ("playing double bass", 480, 360),
    "6zlMP_kQ_-w_000030": ("playing harp", 480, 360),
    "7fRaV39Y-2o_000050": ("waterfall burbling", 1280, 720),
    "7tMPoaU2oL4_000000": ("people cheering", 480, 360),
    "D1NO38P8vqI_000284": ("playing bongo", 1280, 720),
}


def test_clips_of_vggsound_are_found_by_their_milliseconds_and_decode(tmp_path: Path) -> None:
    clips = real("vggsound", "clips")
    options = {"list": str(real("vggsound", "vggsound_test_rows.csv")), "media_root": str(clips)}
    manifest = sources.build("vggsound", spec("vggsound", **options), tmp_path / "out")
    rows = usable(manifest)
    assert len(manifest.frame) == 15_446 and set(rows) == set(VGG)
    for clip, (label, width, height) in VGG.items():
        start = 1000 * int(clip[12:])
        assert (rows[clip].label, rows[clip].visual) == (label, f"{clip[:11]}_{start}_{start + 10_000}.mp4")
        small = height == 240  # of this one all frames are counted
        recipe = get_visual_recipe("uniform8-small64" if small else "fps1-first-32-2s")
        samples, rate, seen = both(clips / rows[clip].visual, recipe)
        assert (samples, rate, seen.width, seen.height) == (441_000, 44_100, width, height)
        assert seen.duration == pytest.approx(10.0, abs=0.001)
        assert (seen.total, len(seen.images)) == ((300, 8) if small else (0, 2))
        assert seen.times[-1] == pytest.approx(299 / 30 if small else 1.0)


# AVE


def test_orders_of_ave_name_the_records_whose_labels_its_authors_released(tmp_path: Path) -> None:
    lists = real("ave")
    with h5py.File(real("ave", "mil_labels.h5")) as file:
        released = np.asarray(file["avadataset"])  # (4143, 29): the event of each record, in the order of the file
    options = {"lists_dir": str(lists), "features_root": str(tmp_path / "feats")}
    manifest = sources.build("ave", spec("ave", **options), tmp_path / "out")
    frame = manifest.frame
    records = frame["id"].str[:4].astype(int).to_numpy()
    assert (released[records].argmax(axis=1) == manifest.label_index()).all() and len(set(records)) == 4_143
    text = (lists / "Annotations.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("Category&")]  # the header of some copies
    assert lines[40] == "Church bell&c---zaDCTaE&good&0&10"
    for record, events in zip(records, frame["events_visual"], strict=True):
        category, video, _, onset, offset = lines[record].split("&")
        assert json.loads(events) == ([[category, int(onset), int(offset)]] if video != "VWi2ENBuTbw" else [])
    for split, first, last in (("train", 40, 4116), ("val", 139, 4078), ("test", 131, 4073)):
        with h5py.File(lists / f"{split}_order.h5") as file:
            order = np.asarray(file["order"]).reshape(-1)
        assert (order[0], order[-1]) == (first, last)
        assert sorted(order.tolist()) == records[frame["split"] == split].tolist()


def noisy_built(tmp_path: Path) -> tuple[Manifest, Path]:
    """The released noisy sound; of the other arrays, which are not at hand, the shapes."""
    feats = tmp_path / "feats"
    feats.mkdir()
    (feats / "audio_feature_noisy.h5").symlink_to(real("ave", "audio_feature_noisy.h5"))
    shapes = {"audio_feature": (4143, 10, 128), "visual_feature": (4143, 10, 7, 7, 512)}
    for name, shape in {**shapes, "visual_feature_noisy": (178, 10, 7, 7, 512)}.items():
        with h5py.File(feats / f"{name}.h5", "w") as file:
            file.create_dataset("avadataset", shape, np.float32)
    options = {"lists_dir": str(real("ave")), "features_root": str(feats), "noisy": True}
    return sources.build("ave", spec("ave", **options), tmp_path / "out"), feats


def test_the_noisy_part_of_ave_is_178_training_videos_without_event(tmp_path: Path) -> None:
    manifest, feats = noisy_built(tmp_path)
    assert manifest.frame["split"].value_counts().to_dict() == {"train": 3_339 + 178, "val": 402, "test": 402}
    noisy = manifest.frame.iloc[4_143:]
    assert set(noisy["label"]) == {"Background"} and set(noisy["split"]) == {"train"}
    assert not manifest.timeline("events_audio")[4_143:].any() and (manifest.label_matrix()[4_143:, 28]).all()
    assert noisy["id"].iloc[[0, -1]].tolist() == ["noisy_0000", "noisy_0177"]
    heard = [read_released(feats / path, get_audio_recipe("seconds10-vggish"))[0] for path in noisy["audio"]]
    assert np.stack(heard).shape == (178, 10, 128)
    # Row 1, second 0 begins 0, 0.17149538, 0.27591193, 0; all values together are 27838.888.
    assert heard[1][0, :4].tolist() == pytest.approx([0, 0.17149538, 0.27591193, 0], abs=1e-4)
    assert np.stack(heard).sum(dtype=np.float64) == pytest.approx(27_838.888, rel=1e-4)
    with pytest.raises(LostClip, match=r"holds float64 \(10, 128\), float32 \(10, 7, 7, 512\) is wanted"):
        read_released(feats / noisy["audio"].iloc[0], get_visual_recipe("seconds10-vgg19"))


# The ten classes of the balanced set: class -> clips of train, val, test
TEN = {
    "bowling": (1369, 143, 159),
    "cleaning floor": (1281, 133, 150),
    "lawn mowing": (1061, 111, 131),
    "motorcycling": (1188, 124, 169),
    "playing cello": (1099, 115, 173),
    "playing flute": (1108, 115, 127),
    "playing piano": (1131, 118, 131),
    "singing": (1140, 119, 194),
    "whistling": (1175, 122, 140),
    "writing on blackboard": (816, 85, 98),
}


def test_ten_classes_of_the_balanced_set_and_the_videos_that_their_parts_share(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = real("balanced", "MM-Debiased.json")
    with caplog.at_level(logging.WARNING):
        options = {"annotation": str(listed), "media_root": str(tmp_path)}
        manifest = sources.build("balanced", spec("balanced", **options), tmp_path / "out")
    frame = manifest.frame
    assert manifest.classes == list(TEN)
    counts = {
        label: tuple(
            int(((frame["label"] == label) & (frame["split"] == split)).sum()) for split in ("train", "val", "test")
        )
        for label in TEN
    }
    assert counts == TEN and len(frame) == 14_025
    assert frame["id"].iloc[[0, -1]].tolist() == ["ZUJ5LJGX9oc_20", "lj7G8mlXvsA_4"]
    assert frame["group"].nunique() == 10_199 and set(frame["group"].str.len()) == {11}
    assert manifest.card["shared_videos"] == {"train and val": 177, "train and test": 7, "val and test": 1}
    said = "185 of 10199 videos have clips in more than one part (train and test 7, train and val 177, val and test 1)"
    assert any(said in message for message in caplog.messages)
    assert manifest.card["size_differences"] == []  # sizes are published of the whole only
    shown = json.loads(real("balanced", "corresponding.json").read_text(encoding="utf-8"))
    labels = dict(zip(frame["id"], frame["label"], strict=True))
    told = [(labels[clip["vid"]], clip["label"]) for clip in shown.values() if clip["label"] in TEN]
    assert len(told) == 17 and all(ours == theirs for ours, theirs in told)
