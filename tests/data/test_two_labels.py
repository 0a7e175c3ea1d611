"""Generated clips with two labels: independent, planted per label, and what the manifest says is heard and seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avbalance.data.audioset import part_sizes
from avbalance.data.manifest import Manifest, read_manifest, write_manifest
from avbalance.data.media import ensure_media
from avbalance.data.render import render_audio, render_frames
from avbalance.data.scenes import JointLaw, Scene
from avbalance.data.sources import synthetic_two_labels
from avbalance.data.two_labels import PROTOTYPES, TwoLabelClip, plan_two_labels
from avbalance.errors import UserError
from avbalance.files import sha256_file

PLACE = JointLaw(1.2, 2.4, (-28.0, -5.0), (-14.0, 14.0))
SPEECH = JointLaw(2.4, 1.2, (-30.0, -8.0), (-8.0, 18.0))


def _plan(clips: int, seed: int = 3, share: float = 0.6) -> list[TwoLabelClip]:
    return plan_two_labels(seed, clips, 2.0, PLACE, SPEECH, share)


def test_the_test_part_is_as_large_as_asked_and_clips_do_not_depend_on_it() -> None:
    tenth, fifth = _plan(200), plan_two_labels(3, 200, 2.0, PLACE, SPEECH, 0.6, 0.2)
    counts = [
        {part: sum(clip.split == part for clip in plan) for part in ("train", "val", "test")} for plan in (tenth, fifth)
    ]
    assert counts == [{"train": 140, "val": 40, "test": 20}, {"train": 120, "val": 40, "test": 40}]
    assert [clip.scene for clip in tenth] == [clip.scene for clip in fifth]


@pytest.fixture(scope="module")
def many() -> list[TwoLabelClip]:
    return _plan(4000)


def test_scenes_depend_on_seed_and_number_alone_and_parts_on_the_number_of_clips(many: list[TwoLabelClip]) -> None:
    few = _plan(300)
    assert [(clip.id, clip.scene, clip.spoken) for clip in few] == [
        (clip.id, clip.scene, clip.spoken) for clip in many[:300]
    ]
    for planned in (few, many):
        sizes = part_sizes(len(planned))
        assert {part: sum(clip.split == part for clip in planned) for part in sizes} == sizes
    assert [clip.split for clip in few] != [clip.split for clip in many[:300]]
    assert not {clip.scene for clip in _plan(300, seed=4)} & {clip.scene for clip in few}


def test_the_two_labels_and_their_planted_truth_are_independent(many: list[TwoLabelClip]) -> None:
    place, speech = np.array([clip.cls for clip in many]), np.array([clip.spoken for clip in many])
    assert place.mean() == 0.5 and abs(speech.mean() - 0.6) < 0.03
    columns = np.array(
        [
            (clip.scene.planted_audio, clip.scene.planted_visual, clip.planted_audio_speech, clip.planted_visual_speech)
            for clip in many
        ]
    )
    assert ((columns >= 0) & (columns <= 1)).all()
    limit = 4 / np.sqrt(len(many))  # four standard errors of a correlation of independent columns
    correlation = np.corrcoef(np.column_stack([place, speech, columns]).T)
    for first, second in ((0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 2), (1, 3), (1, 4), (1, 5), (2, 4), (3, 5)):
        assert abs(correlation[first, second]) < limit, (first, second)
    preferred = (columns[:, 0] > columns[:, 1]).mean(), (columns[:, 2] > columns[:, 3]).mean()
    assert 0.2 < preferred[0] < 0.3 and 0.7 < preferred[1] < 0.8


def test_speech_is_one_event_more_and_the_share_leaves_the_rest_of_a_clip_alone(many: list[TwoLabelClip]) -> None:
    for clip in many[:200]:
        assert clip.scene.labels() == ((clip.cls, 2) if clip.spoken else (clip.cls,))
    always = _plan(200, share=1 - 1e-9)
    for clip, other in zip(many, always, strict=False):
        assert other.spoken == 1 and other.cls == clip.cls
        assert (other.scene.planted_audio, other.planted_audio_speech) == (
            clip.scene.planted_audio,
            clip.planted_audio_speech,
        )


def test_gains_and_noise_give_the_planted_snr(many: list[TwoLabelClip]) -> None:
    for clip in many[:100]:
        scene, level = clip.scene, 10 ** (clip.scene.snr_audio_db / 20)
        heard = [event for event in scene.events if event.gain_audio > 0]
        wanted = [-28 + 23 * scene.planted_audio, -30 + 22 * clip.planted_audio_speech][: len(heard)]
        assert [20 * np.log10(event.gain_audio * level) for event in heard] == pytest.approx(wanted)
        assert sum(event.gain_audio**2 for event in heard) == pytest.approx(1)
        level = 10 ** (scene.snr_visual_db / 20)
        seen = [event for event in scene.events if event.gain_visual > 0]
        wanted = [-14 + 28 * scene.planted_visual, -8 + 26 * clip.planted_visual_speech][: len(seen)]
        assert [20 * np.log10(event.gain_visual * level) for event in seen] == pytest.approx(wanted)
        assert all((event.start, event.end) == (0.0, 2.0) for event in seen)


def _without_speech(scene: Scene) -> Scene:
    events = tuple(event for event in scene.events if event.cls < 2)
    return Scene(**{**vars(scene), "events": events})


def test_speech_changes_sound_and_pictures_and_loudness_does_not_tell_of_it() -> None:
    law = JointLaw(1.0, 1.0, (20.0, 20.0), (20.0, 20.0))
    loudness: dict[int, list[float]] = {0: [], 1: []}
    for clip in plan_two_labels(5, 80, 2.0, law, law, 0.5):
        sound = render_audio(clip.scene, PROTOTYPES, 16_000)
        loudness[clip.spoken].append(float(np.sqrt(np.mean(sound**2))))
        if clip.spoken and len(loudness[1]) < 4:
            without = _without_speech(clip.scene)
            assert np.abs(render_audio(without, PROTOTYPES, 16_000) - sound).max() > 0.05
            frames = [render_frames(scene, PROTOTYPES, 32, 4).astype(int) for scene in (clip.scene, without)]
            assert np.abs(frames[0] - frames[1]).max() > 40
    means = [np.mean(loudness[spoken]) for spoken in (0, 1)]
    error = np.hypot(*(np.std(loudness[spoken]) / np.sqrt(len(loudness[spoken])) for spoken in (0, 1)))
    assert abs(means[0] - means[1]) < 3 * error and min(map(len, loudness.values())) > 25


# The source


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
    return synthetic_two_labels.build("toy", _spec(**changes), folder)


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


def test_the_first_clips_of_a_larger_set_are_those_of_the_smaller(built: tuple[Path, Manifest], tmp_path: Path) -> None:
    larger = _build(tmp_path, clips=25, workers=2)
    columns = ["id", "label", "label_speech", "sha256", "planted_audio", "planted_visual_speech"]
    assert larger.frame[columns].iloc[:20].equals(built[1].frame[columns])
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "media").glob("*.mp4")}
    again = _build(tmp_path, clips=20)
    assert again.frame.equals(built[1].frame)
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "media").glob("*.mp4")}
    assert after == {name: time for name, time in before.items() if name < "clip-00020"}


def test_absent_clips_are_made_again_beside_their_manifest(built: tuple[Path, Manifest], tmp_path: Path) -> None:
    write_manifest(built[1], tmp_path / "manifest.parquet")
    ensure_media(tmp_path / "manifest.parquet")
    for row in built[1].frame.itertuples():
        assert sha256_file(tmp_path / "media" / row.audio) == row.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 3}, "unknown key 'classes'"),
        ({"side": 33}, "kind synthetic-two-labels, options, side: is 33"),
        ({"speech_share": 1}, "speech_share: is 1; it must be less than 1"),
        ({"test_share": 0.6}, "test_share: is 0.6"),
        ({"speech_discrepancy_beta": [0, 1]}, "speech_discrepancy_beta"),
        ({"clips": 9}, "clips: is 9"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        synthetic_two_labels.preflight(_spec(**change))
    with pytest.raises(UserError, match=message):
        _build(tmp_path, **change)
    assert not (tmp_path / "media").exists()
