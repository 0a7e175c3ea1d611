"""The generated data set: complete, recorded, resumable and independent of how it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avbalance.data import sources
from avbalance.data.manifest import Manifest, read_manifest, write_manifest
from avbalance.features.decode import decode_file
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe
from flowkeeper.files import sha256_file


def _spec(**changes: Any) -> dict[str, Any]:
    options = {
        "seed": 11,
        "classes": 3,
        "clips": {"train": 5, "val": 2, "test": 3},
        "discrepancy_beta": [2.4, 1.2],
        "snr_audio_db": [-30.0, -2.0],
        "snr_visual_db": [-10.0, 14.0],
        "duration": 1.0,
        "side": 32,
        **changes,
    }
    return {"kind": "synthetic", "stands_for": "Toy", "describe": "generated", "options": options}


def _build(folder: Path, **changes: Any) -> Manifest:
    return sources.build("toy", _spec(**changes), folder)


def _written(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "media").glob("*.mp4")}


def _decoded(path: Path) -> dict[str, np.ndarray]:
    sound, pictures = decode_file(path, get_audio_recipe("ks_fbank"), get_visual_recipe("fps4-first-32"))
    assert sound is not None and pictures is not None
    return {"audio": sound.waveform, "visual": np.stack([np.asarray(image) for image in pictures.images])}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("plain")
    return folder, _build(folder)


def test_every_clip_is_on_disk_with_its_checksum(plain: tuple[Path, Manifest]) -> None:
    folder, manifest = plain
    write_manifest(manifest, folder / "manifest.parquet")
    again = read_manifest(folder / "manifest.parquet")
    assert again.frame["split"].value_counts().to_dict() == {"train": 5, "test": 3, "val": 2}
    root = again.media_root(folder / "manifest.parquet")
    for row in again.frame.itertuples():
        assert row.audio == row.visual and sha256_file(root / row.audio) == row.sha256
    assert len(set(again.frame["sha256"])) == 10


def test_the_planted_truth_is_recorded(plain: tuple[Path, Manifest]) -> None:
    frame = plain[1].frame
    assert frame[["planted_audio", "planted_visual"]].to_numpy().min() >= 0
    assert np.allclose(frame["snr_audio_db"], -30 + 28 * frame["planted_audio"])
    assert np.allclose(frame["snr_visual_db"], -10 + 24 * frame["planted_visual"])
    card = plain[1].card
    assert (card["stands_for"], card["classes"]) == ("Toy", ["class-00", "class-01", "class-02"])
    assert card["options"]["fps"] == 4 and card["options"]["seed"] == 11


def test_another_folder_and_two_processes_give_the_same_manifest(plain: tuple[Path, Manifest], tmp_path: Path) -> None:
    again = _build(tmp_path, workers=2)
    assert again.frame.equals(plain[1].frame)
    assert again.card == plain[1].card


def test_a_killed_build_goes_on_with_what_it_has(tmp_path: Path) -> None:
    whole = _build(tmp_path)
    before = _written(tmp_path)
    (tmp_path / "media" / "train-00003.mp4").unlink()
    (tmp_path / "media" / ".test-00001.mp4.x.partial").write_bytes(b"half a file")
    assert _build(tmp_path).frame.equals(whole.frame)
    after = _written(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"train-00003.mp4"}
    assert not list((tmp_path / "media").glob(".*.partial"))


@pytest.mark.parametrize("change", [{"seed": 12}, {"snr_audio_db": [-30.0, 0.0]}, {"side": 34}, {"flip": True}])
def test_clips_of_other_settings_are_never_kept(tmp_path: Path, change: dict[str, Any]) -> None:
    old = _build(tmp_path)
    new = _build(tmp_path, **change)
    assert not set(new.frame["sha256"]) & set(old.frame["sha256"])
    assert new.card["digest"] != old.card["digest"]


def test_a_larger_set_keeps_the_smaller_one_and_a_smaller_one_drops_the_rest(tmp_path: Path) -> None:
    small = _build(tmp_path)
    before = _written(tmp_path)
    large = _build(tmp_path, clips={"train": 7, "val": 2, "test": 3})
    assert {**_written(tmp_path), **before} == _written(tmp_path) and len(large.frame) == 12
    assert set(small.frame["sha256"]) < set(large.frame["sha256"])
    _build(tmp_path)
    assert _written(tmp_path).keys() == before.keys()


@pytest.mark.parametrize("slow", ["audio", "visual"])
def test_a_slow_modality_alone_is_another_and_nothing_planted_changes(
    plain: tuple[Path, Manifest], tmp_path: Path, slow: str
) -> None:
    manifest = _build(tmp_path, slow=slow)
    planted = ["id", "label", "split", "planted_audio", "planted_visual", "snr_audio_db", "snr_visual_db"]
    assert manifest.frame[planted].equals(plain[1].frame[planted])
    old, new = (_decoded(folder / "media" / "train-00001.mp4") for folder in (plain[0], tmp_path))
    assert np.array_equal(old["audio"], new["audio"]) == (slow == "visual")
    assert np.array_equal(old["visual"], new["visual"]) == (slow == "audio")
