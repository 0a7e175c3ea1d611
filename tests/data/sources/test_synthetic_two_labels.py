"""The kind synthetic-two-labels: what its manifest says of every clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avbalance.data import sources
from avbalance.data.manifest import Manifest, read_manifest, write_manifest
from avbalance.data.scenes import JointLaw, TwoLabelClip, plan_two_labels
from flowkeeper.files import sha256_file


def _spec(**changes: Any) -> dict[str, Any]:
    options = {
        "seed": 11,
        "clips": 20,
        "discrepancy_beta": [1.2, 2.4],
        "snr_audio_db": [0.0, 10.0],
        "snr_visual_db": [0.0, 10.0],
        "speech_discrepancy_beta": [2.4, 1.2],
        "speech_snr_audio_db": [0.0, 10.0],
        "speech_snr_visual_db": [0.0, 10.0],
        "side": 32,
        "rate": 8000,
        **changes,
    }
    return {"kind": "synthetic-two-labels", "stands_for": "Toy", "describe": "generated", "options": options}


def _build(folder: Path, **changes: Any) -> Manifest:
    return sources.build("toy", _spec(**changes), folder)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("built")
    manifest = _build(folder)
    write_manifest(manifest, folder / "manifest.parquet")
    return folder, manifest


def test_the_manifest_has_both_labellings_and_the_truth_of_either(built: tuple[Path, Manifest]) -> None:
    folder, manifest = built
    again = read_manifest(folder / "manifest.parquet")
    assert again.frame.equals(manifest.frame) and again.card == manifest.card
    assert again.classes == ["urban", "rural"] and again.labellings == {"speech": ["non-speech", "speech"]}
    assert again.frame["split"].value_counts().to_dict() == {"train": 14, "val": 4, "test": 2}
    planned = _plan_of(again)
    assert again.label_index().tolist() == [clip.cls for clip in planned]
    assert again.label_index("speech").tolist() == [clip.spoken for clip in planned]
    truth = again.frame[["planted_audio", "planted_visual", "planted_audio_speech", "planted_visual_speech"]]
    assert truth.to_numpy().tolist() == [
        [clip.scene.planted_audio, clip.scene.planted_visual, clip.planted_audio_speech, clip.planted_visual_speech]
        for clip in planned
    ]
    for row in again.frame.itertuples():
        assert sha256_file(folder / "media" / row.audio) == row.sha256


def _plan_of(manifest: Manifest) -> list[TwoLabelClip]:
    laws = JointLaw(1.2, 2.4, (0.0, 10.0), (0.0, 10.0)), JointLaw(2.4, 1.2, (0.0, 10.0), (0.0, 10.0))
    return plan_two_labels(11, len(manifest.frame), 2.0, *laws, 0.6)
