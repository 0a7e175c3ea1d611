"""The plans follow the declared joint law, clip by clip from their own seeds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from avbalance.data import SEGMENTS
from avbalance.data.audioset import part_sizes
from avbalance.data.render import render_audio, render_frames
from avbalance.data.scenes import (
    EVENT_COUNTS,
    KINDS,
    PROTOTYPES,
    Event,
    JointLaw,
    Scene,
    TwoLabelClip,
    draw_informativeness,
    intervals,
    plan_dataset,
    plan_localised_clip,
    plan_parsing_clip,
    plan_single_event,
    plan_timelines,
    plan_two_labels,
)

BALANCED = JointLaw(1.0, 1.0, (-25.0, 3.0), (-10.0, 14.0))
SKEWED = JointLaw(2.4, 1.2, (-30.0, -2.0), (-10.0, 14.0))


def _draws(law: JointLaw, count: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.array([draw_informativeness(law, rng) for _ in range(count)])


@pytest.mark.parametrize("law", [BALANCED, SKEWED, replace(SKEWED, alpha=3.0)])
def test_discrepancy_follows_the_beta_law_and_the_mean_is_uniform_given_it(law: JointLaw) -> None:
    audio, visual = _draws(law).T
    assert min(audio.min(), visual.min()) >= 0.0 and max(audio.max(), visual.max()) <= 1.0
    discrepancy = audio - visual
    assert stats.kstest((discrepancy + 1) / 2, stats.beta(law.alpha, law.beta).cdf).pvalue > 0.01
    # feasible means run from |d|/2 to 1 - |d|/2: their place in that range must be uniform and unrelated to d
    place = ((audio + visual) / 2 - abs(discrepancy) / 2) / (1 - abs(discrepancy))
    assert stats.kstest(place, stats.uniform.cdf).pvalue > 0.01
    assert abs(stats.spearmanr(place, discrepancy).statistic) < 0.05


def test_snr_is_linear_in_the_informativeness() -> None:
    # -10 + .25 * (14 - -10) = -4
    assert SKEWED.snr_db((0.0, 0.25)) == (-30.0, -4.0)
    scene = plan_single_event(3, 5, 0, 4.0, SKEWED)
    assert scene.snr_audio_db == pytest.approx(-30.0 + 28.0 * scene.planted_audio)
    assert scene.snr_visual_db == pytest.approx(-10.0 + 24.0 * scene.planted_visual)


def test_flip_exchanges_the_modalities_and_leaves_the_rest() -> None:
    for index in range(50):
        plain = plan_single_event(3, index, 1, 4.0, SKEWED)
        flipped = plan_single_event(3, index, 1, 4.0, replace(SKEWED, flip=True))
        assert (flipped.planted_audio, flipped.planted_visual) == (plain.planted_visual, plain.planted_audio)
        assert flipped.events == plain.events and flipped.seed == plain.seed


def test_a_clip_depends_on_its_seed_and_number_alone() -> None:
    few = plan_dataset(3, {"train": 5, "val": 2, "test": 4}, 3, 4.0, SKEWED)
    many = plan_dataset(3, {"train": 9, "val": 0, "test": 6}, 3, 4.0, SKEWED)
    by_id = {clip.id: clip for clip in many}
    assert all(by_id[clip.id] == clip for clip in few if clip.split != "val")
    assert few != plan_dataset(4, {"train": 5, "val": 2, "test": 4}, 3, 4.0, SKEWED)
    assert len({clip.scene.planted_audio for clip in few}) == len(few)


def test_splits_have_their_sizes_and_balanced_classes() -> None:
    clips = plan_dataset(0, {"train": 25, "val": 12, "test": 6}, 6, 4.0, BALANCED)
    counts = {split: np.bincount([c.cls for c in clips if c.split == split]) for split in ("train", "val", "test")}
    # 25 = 4 * 6 + 1: the first class has one more
    assert counts["train"].tolist() == [5, 4, 4, 4, 4, 4]
    assert counts["val"].tolist() == [2] * 6 and counts["test"].tolist() == [1] * 6


def test_sound_lasts_about_half_of_the_clip_inside_it_and_the_object_is_always_seen() -> None:
    for index in range(100):
        scene = plan_single_event(1, index, 2, 4.0, BALANCED)
        sound, sight = scene.events
        assert sound.gain_visual == 0 and sight.gain_audio == 0
        assert sound.start >= 0 and sound.end <= 4.0 and 1.6 <= sound.end - sound.start <= 2.4
        assert (sight.start, sight.end) == (0.0, 4.0)
        assert scene.labels() == (2,)


# Clips on a timeline


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
    for heard, seen in (each for scene in SCENES for each in _tracks(scene).values()):
        assert not (heard and seen) or max(heard[0], seen[0]) < min(heard[1], seen[1])  # shifted ones overlap


def test_a_localised_clip_is_one_event_heard_and_seen_at_once() -> None:
    lengths = []
    for number in range(400):
        scene = plan_localised_clip(3, number, 7, LAW)
        heard = intervals(scene, "audio")
        assert heard == intervals(scene, "visual") and len(heard) == 1 and heard[0][0] == 7
        lengths.append(heard[0][2] - heard[0][1])
    # .6 of the clips are filled; in the rest lengths are uniform on 2..9, mean 5.5: background 1 - (6 + 2.2) / 10 = .18
    assert 1 - np.mean(lengths) / SEGMENTS == pytest.approx(0.18, abs=0.06)


def test_intervals_are_of_one_track() -> None:
    events = (Event(4, 1, 3, 1.0, 0.0), Event(1, 2, 5, 1.0, 1.0))
    scene = Scene(events, 10.0, 0.0, 0.0, 1.0, 1.0, (0, 0))
    assert intervals(scene, "audio") == [(1, 2, 5), (4, 1, 3)]
    assert intervals(scene, "visual") == [(1, 2, 5)]
    assert scene.labels() == (1, 4)


@pytest.mark.parametrize("scheme", ["parsing", "localisation"])
def test_a_clip_on_a_timeline_depends_on_its_seed_and_number_alone(scheme: str) -> None:
    few = plan_timelines(scheme, 3, {"train": 6, "val": 2, "test": 4}, 5, LAW)
    many = {clip.id: clip for clip in plan_timelines(scheme, 3, {"train": 9, "test": 6}, 5, LAW)}
    assert len(few) == 12 and all(many[clip.id] == clip for clip in few if clip.split != "val")
    assert few != plan_timelines(scheme, 4, {"train": 6, "val": 2, "test": 4}, 5, LAW)
    assert all(clip.cls == clip.scene.labels()[0] for clip in few)
    for number, clip in enumerate(many.values()):
        if clip.split == "train":  # classes take turns
            assert number % 5 in clip.scene.labels()


def test_a_clip_never_has_more_events_than_there_are_classes() -> None:
    scenes = [plan_parsing_clip(0, number, number % 2, 2, LAW) for number in range(40)]
    assert {len(scene.labels()) for scene in scenes} == {1, 2}


# Clips with two labels


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
