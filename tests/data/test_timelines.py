"""Plans of clips on a timeline: whole seconds, every kind of event, classes in turns, the same clip every time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from avbalance.data.scenes import Event, JointLaw, Scene
from avbalance.data.timelines import (
    EVENT_COUNTS,
    KINDS,
    SEGMENTS,
    intervals,
    plan_localised_clip,
    plan_parsing_clip,
    plan_timelines,
)

LAW = JointLaw(2.4, 1.2, (-20.0, 10.0), (0.0, 24.0))
SCENES = [plan_parsing_clip(3, number, number % 25, 25, LAW) for number in range(600)]


def _tracks(scene: Scene) -> dict[int, tuple[tuple[int, int] | None, tuple[int, int] | None]]:
    """Class -> interval heard, interval seen."""
    heard, seen = ({cls: (t0, t1) for cls, t0, t1 in intervals(scene, side)} for side in ("audio", "visual"))
    return {cls: (heard.get(cls), seen.get(cls)) for cls in scene.labels()}


def _kind(heard: tuple[int, int] | None, seen: tuple[int, int] | None) -> str:
    if heard is None or seen is None:
        return "visual" if heard is None else "audio"
    return "together" if heard == seen else "shifted"


def test_events_last_whole_seconds_inside_the_clip_in_one_track_each() -> None:
    localised = [plan_localised_clip(3, number, number % 28, LAW) for number in range(100)]
    for scene in [*SCENES, *localised]:
        assert scene.duration == SEGMENTS
        for event in scene.events:
            assert {event.gain_audio, event.gain_visual} == {0.0, 1.0}
            assert event.start == int(event.start) and event.end == int(event.end)
            assert 0 <= event.start <= event.end - 2 and event.end <= SEGMENTS


def test_parsing_clips_have_the_declared_shares_of_events_and_kinds() -> None:
    counts = Counter(len(scene.labels()) for scene in SCENES)
    # a share p of 600 clips has a standard error of at most sqrt(.25 / 600) = .02; four of them are allowed
    for count, share in enumerate(EVENT_COUNTS, start=1):
        assert counts[count] / len(SCENES) == pytest.approx(share, abs=0.08)
    kinds = Counter(_kind(*tracks) for scene in SCENES for tracks in _tracks(scene).values())
    for kind, share in KINDS.items():
        assert kinds[kind] / kinds.total() == pytest.approx(share, abs=0.08)
    assert sum(KINDS.values()) == pytest.approx(1.0) == sum(EVENT_COUNTS)


def test_labels_are_all_that_is_heard_or_seen() -> None:
    for scene in SCENES:
        named = {cls for side in ("audio", "visual") for cls, _, _ in intervals(scene, side)}
        assert scene.labels() == tuple(sorted(named)) and named


def test_shifted_events_overlap() -> None:
    pairs = [each for scene in SCENES for each in _tracks(scene).values() if _kind(*each) == "shifted"]
    assert pairs and all(max(heard[0], seen[0]) < min(heard[1], seen[1]) for heard, seen in pairs if heard and seen)


def test_a_localised_clip_is_one_event_heard_and_seen_at_once() -> None:
    lengths = []
    for number in range(400):
        scene = plan_localised_clip(3, number, 7, LAW)
        heard = intervals(scene, "audio")
        assert heard == intervals(scene, "visual") and len(heard) == 1 and heard[0][0] == 7
        lengths.append(heard[0][2] - heard[0][1])
    # .6 of the clips are filled; in the rest lengths are uniform on 2..9, mean 5.5: background 1 - (6 + 2.2) / 10 = .18
    assert 1 - np.mean(lengths) / SEGMENTS == pytest.approx(0.18, abs=0.06)


def test_intervals_leave_distractors_and_the_other_track_out() -> None:
    events = (Event(4, 1, 3, 1.0, 0.0), Event(1, 2, 5, 1.0, 1.0), Event(7, 0, 9, distractor=True))
    scene = Scene(events, 10.0, 0.0, 0.0, 1.0, 1.0, (0, 0))
    assert intervals(scene, "audio") == [(1, 2, 5), (4, 1, 3)]
    assert intervals(scene, "visual") == [(1, 2, 5)]


@pytest.mark.parametrize("scheme", ["parsing", "localisation"])
def test_a_clip_depends_on_its_seed_and_number_alone(scheme: str) -> None:
    few = plan_timelines(scheme, 3, {"train": 6, "val": 2, "test": 4}, 5, LAW)
    many = {clip.id: clip for clip in plan_timelines(scheme, 3, {"train": 9, "test": 6}, 5, LAW)}
    assert len(few) == 12 and all(many[clip.id] == clip for clip in few if clip.split != "val")
    assert few != plan_timelines(scheme, 4, {"train": 6, "val": 2, "test": 4}, 5, LAW)
    assert all(clip.cls == clip.scene.labels()[0] for clip in few)
    for number, clip in enumerate(many.values()):
        if clip.split == "train":  # classes take turns
            assert number % 5 in clip.scene.labels()


def test_informativeness_is_planted_as_in_other_stand_ins() -> None:
    audio, visual = np.array([(scene.planted_audio, scene.planted_visual) for scene in SCENES]).T
    # P(u_audio < u_visual) = I_{1/2}(2.4, 1.2) = .26 (regularised incomplete beta function), standard error .018
    assert np.mean(audio < visual) == pytest.approx(0.26, abs=0.07)
    assert SCENES[0].snr_audio_db == pytest.approx(-20 + 30 * audio[0])
    flipped = plan_parsing_clip(3, 8, 8, 25, replace(LAW, flip=True))
    assert (flipped.planted_audio, flipped.planted_visual) == (visual[8], audio[8])
    assert flipped.events == SCENES[8].events


def test_a_clip_never_has_more_events_than_there_are_classes() -> None:
    scenes = [plan_parsing_clip(0, number, number % 2, 2, LAW) for number in range(40)]
    assert {len(scene.labels()) for scene in scenes} == {1, 2}
