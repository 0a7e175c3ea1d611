"""The kind grid: real recordings as a data set, as they are or with planted noise."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grid_corpus import real_grid, write_corpus, write_sentence

from avbalance.data import sources
from avbalance.data.build import ensure_media
from avbalance.data.grid import KINDS, VOCABULARY
from avbalance.data.manifest import Manifest, read_manifest, write_manifest
from avbalance.data.sources import check_dataset
from avbalance.errors import UserError
from avbalance.features.decode import decode_file
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe

# Two of each colour, of each of four digits, and so on.
NAMES = ("bbaf1n", "lgbs2s", "prih3a", "swwz4p", "bbba4n", "lgac3s", "prwd2a", "swie1p")
LAW = {"discrepancy_beta": [2.4, 1.2], "snr_audio_db": [-12.0, 6.0], "snr_visual_db": [1.0, 20.0]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight sentences of talker s1 and four of s2; to be read only."""
    root = tmp_path_factory.mktemp("grid")
    write_corpus(root, "s1", NAMES)
    write_corpus(root, "s2", NAMES[:4])
    return root


def _spec(root: Path, **changes: Any) -> dict[str, Any]:
    options = {
        "root": str(root),
        "talkers": ["s1"],
        "label": "colour",
        "seed": 5,
        "clips": {"train": 4, "test": 4},
        "side": 16,
        "rate": 8000,
        "seconds": 0.6,
        **changes,
    }
    return {"kind": "grid", "stands_for": None, "describe": "made-up sentences", "options": options}


def _build(folder: Path, root: Path, **changes: Any) -> Manifest:
    manifest = sources.build("toy", _spec(root, **changes), folder)
    write_manifest(manifest, folder / "manifest.parquet")
    return read_manifest(folder / "manifest.parquet")


def _decoded(path: Path, fps: int = 25) -> tuple[np.ndarray, np.ndarray]:
    sound, pictures = decode_file(path, get_audio_recipe("ks_fbank"), get_visual_recipe(f"fps{fps}-first-16-3s"))
    assert sound is not None and pictures is not None
    return np.stack([np.asarray(image) for image in pictures.images]), sound.waveform


@pytest.fixture(scope="module")
def planted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("planted")
    return folder, _build(folder, corpus, **LAW)


def test_words_as_they_are(corpus: Path, tmp_path: Path) -> None:
    check_dataset(_spec(corpus, **LAW), "spec")
    manifest = _build(tmp_path, corpus)
    assert manifest.classes == list(VOCABULARY["colour"]) and not manifest.labellings
    assert not [name for name in manifest.frame if name.startswith(("planted", "snr", "label_"))]
    parts = manifest.frame.groupby("split")["label"].agg(sorted)
    assert {name: list(parts[name]) for name in parts.index} == {
        "train": ["blue", "green", "red", "white"],
        "test": ["blue", "green", "red", "white"],
    }
    assert set(manifest.frame["group"]) == {"s1"} and set(manifest.frame["id"]) == {f"s1-{name}" for name in NAMES}
    frames, sound = _decoded(tmp_path / "media" / manifest.frame["audio"][0])
    assert frames.shape == (15, 16, 16, 3) and len(sound) == 4800
    # the word lasts from 0.8 to 1.1 s, so its window from 0.65 to 1.25 s; red is 3 times the number of the picture
    assert np.allclose(frames[..., 0].mean(axis=(1, 2)), 3 * np.arange(16, 31), atol=6)
    assert sound.mean() == pytest.approx(0.95 / 4, abs=0.01)


def test_whole_sentences_are_labelled_by_every_word(corpus: Path, tmp_path: Path) -> None:
    manifest = _build(tmp_path, corpus, window="clip", label="digit", fps=5)
    row = manifest.frame.set_index("id").loc["s1-lgbs2s"]
    assert [row.label, *(row[f"label_{kind}"] for kind in KINDS if kind != "digit")] == [
        "two", "lay", "green", "by", "s", "soon",
    ]  # fmt: skip
    assert manifest.labellings == {kind: list(VOCABULARY[kind]) for kind in KINDS if kind != "digit"}
    frames, sound = _decoded(tmp_path / "media" / row.visual, fps=5)
    assert frames.shape[0] == 15 and len(sound) == 24000


def test_a_long_window_may_be_labelled_by_a_neighbour(corpus: Path, tmp_path: Path) -> None:
    manifest = _build(tmp_path, corpus, label="digit", seconds=1.0, labellings=["letter"])
    assert manifest.labellings == {"letter": list(VOCABULARY["letter"])}
    assert manifest.frame.set_index("id")["label_letter"].to_dict()["s1-lgbs2s"] == "s"
    assert _decoded(tmp_path / "media" / "s1-lgbs2s.mp4")[1].shape == (8000,)


def test_planted_truth_is_recorded_and_belongs_to_the_sentence(
    corpus: Path, planted: tuple[Path, Manifest], tmp_path: Path
) -> None:
    frame = planted[1].frame.set_index("id")
    assert np.allclose(frame["snr_audio_db"], -12 + 18 * frame["planted_audio"])
    assert np.allclose(frame["snr_visual_db"], 1 + 19 * frame["planted_visual"])
    assert frame["planted_audio"].nunique() == 8
    fewer = _build(tmp_path, corpus, **LAW, clips={"train": 2, "test": 4}).frame.set_index("id")
    columns = ["planted_audio", "planted_visual", "split"]
    assert fewer[columns].equals(frame.loc[fewer.index, columns])
    other = _build(tmp_path, corpus, **LAW, seed=6).frame.set_index("id")
    assert not set(other["planted_audio"]) & set(frame["planted_audio"])


def test_the_folder_of_the_corpus_is_no_part_of_what_the_data_are(
    corpus: Path, planted: tuple[Path, Manifest], tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    moved.symlink_to(corpus)
    assert _build(tmp_path / "out", moved, **LAW).card["digest"] == planted[1].card["digest"]


@pytest.mark.parametrize("change", [{"audio_noise": "pink"}, {"visual_noise": "blur"}, {"flip": True}])
def test_other_noise_makes_other_clips(
    corpus: Path, planted: tuple[Path, Manifest], tmp_path: Path, change: dict[str, Any]
) -> None:
    other = _build(tmp_path, corpus, **LAW, **change)
    assert not set(other.frame["sha256"]) & set(planted[1].frame["sha256"])
    paths = [folder / "media" / "s1-bbaf1n.mp4" for folder in (planted[0], tmp_path)]
    (frames, sound), (other_frames, other_sound) = (_decoded(path) for path in paths)
    assert np.array_equal(frames, other_frames) == ("audio_noise" in change)
    assert np.array_equal(sound, other_sound) == ("visual_noise" in change)
    if change.get("flip"):
        exchanged = other.frame[["planted_visual", "planted_audio"]].to_numpy()
        assert np.allclose(exchanged, planted[1].frame[["planted_audio", "planted_visual"]].to_numpy())


def test_babble_is_of_other_clips_of_the_same_part(corpus: Path) -> None:
    from avbalance.data.grid import read_talkers
    from avbalance.data.grid_clips import plan_clips
    from avbalance.data.scenes import JointLaw

    law = JointLaw(1.0, 1.0, (-12.0, 6.0), (1.0, 20.0))
    talkers = read_talkers(corpus)
    for clip in plan_clips([talkers["s1"]], [talkers["s2"]], {"train": 5, "val": 3, "test": 4}, "colour", 5, law):
        assert clip.planted is not None
        part = {"s1": ("train", "val"), "s2": ("test",)}[clip.utterance.talker]
        assert clip.split in part and clip.utterance not in clip.planted.voices
        assert {"train": 4, "val": 2, "test": 3}[clip.split] == len(clip.planted.voices)


def test_other_talkers_make_the_test_part(corpus: Path, tmp_path: Path) -> None:
    frame = _build(tmp_path, corpus, test_talkers=["s2"], clips={"train": 8, "test": 4}).frame
    assert frame.groupby("split")["group"].unique().map(list).to_dict() == {"train": ["s1"], "test": ["s2"]}


def test_lost_clips_are_counted_and_the_others_made(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "grid"
    write_corpus(root, "s1", NAMES)
    write_sentence(root, "s1", "bbaf1n", frames=25)
    (root / "s1/lgbs2s.mp4").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (root / "align/s1/prih3a.align").unlink()
    with caplog.at_level(logging.WARNING):
        manifest = _build(tmp_path / "out", root, label="digit", **LAW)
    frame = manifest.frame.set_index("id")
    lost = frame[frame["status"] != "ok"]
    assert lost[["status", "reason"]].to_dict("index") == {
        "s1-bbaf1n": {"status": "short", "reason": "'one' ends at 1.90 s, the recording after 1.00 s"},
        "s1-lgbs2s": {
            "status": "corrupt",
            "reason": "lgbs2s.mp4: a Git LFS pointer stands in place of the file; fetch the real one with git lfs pull",
        },
        "s1-prih3a": {
            "status": "corrupt",
            "reason": "s1/prih3a.mp4: there is no prih3a.align of talker s1; put it in align/s1.",
        },
    }
    assert lost["audio"].isna().all() and lost["label"].notna().all() and lost["planted_audio"].notna().all()
    assert "data set toy: 3 of 8 clips are lost; first: s1-" in caplog.text
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/media").glob("*.mp4")}
    assert len(before) == 5
    (tmp_path / "out/media/s1-swwz4p.mp4").unlink()
    ensure_media(tmp_path / "out/manifest.parquet")  # what is lost is not looked for
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/media").glob("*.mp4")}
    assert {name for name in before if before[name] != after[name]} == {"s1-swwz4p.mp4"}


def test_more_than_half_lost_stops(corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "grid"
    write_corpus(root, "s1", NAMES)
    for name in NAMES[:5]:
        (root / f"s1/{name}.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r"data set toy: 5 of 8 clips are lost; first: .*the file is empty; fix"):
        _build(tmp_path / "out", root)


def test_clips_of_another_recording_are_made_anew(corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "grid"
    write_corpus(root, "s1", NAMES)
    old = _build(tmp_path / "out", root).frame.set_index("id")["sha256"]
    write_sentence(root, "s1", "bbaf1n", tone=1000.0)
    new = _build(tmp_path / "out", root).frame.set_index("id")["sha256"]
    assert {name for name in old.index if old[name] != new[name]} == {"s1-bbaf1n"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clips": {"train": 7, "test": 4}}, "asks for 7 of the part train, and the talkers have 4 left"),
        ({"talkers": ["s3"]}, "holds no clips of talker s3"),
        ({"root": "absent"}, r"absent: no such folder; type avbalance download grid"),
    ],
)
def test_options_that_cannot_be(corpus: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _build(tmp_path, **{"root": corpus, **changes})


def test_a_talker_who_was_never_heard_makes_the_test_part_of_real_recordings(tmp_path: Path) -> None:
    changes = {"test_talkers": ["s4"], "label": "digit", "clips": {"train": 10, "test": 50}, "fps": 10, **LAW}
    frame = _build(tmp_path, real_grid(), **changes).frame.set_index("id")
    assert frame.groupby("split")["group"].unique().map(list).to_dict() == {"train": ["s1"], "test": ["s4"]}
    lost = frame[frame["status"] != "ok"]
    assert lost["reason"].to_dict() == {"s4-bbaf2a": "'two' ends at 1.64 s, the recording after 1.00 s"}
    assert sorted(frame.loc[frame["split"] == "train", "label"]) == sorted(VOCABULARY["digit"])
    frames, sound = _decoded(tmp_path / "media" / frame.loc["s4-bbilzs", "visual"], fps=10)
    assert frames[:6].std() > 20
    assert len(sound) == 4800 and 0.05 < np.sqrt(np.mean(sound**2)) < 0.2
