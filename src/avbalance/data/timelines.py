"""Plans of generated clips on a timeline of ten one-second segments.

A parsing clip holds one to three events that are audible, visible or both, as the videos of LLP do (Tian et al. 2020);
a localised clip holds one event that is audible and visible at once, as those of AVE do (Tian et al. 2018). Onsets and
offsets are whole seconds. As in `avbalance.data.scenes`, a clip is planned from the seed and its own number alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from avbalance.data.scenes import (
    SPLIT_OFFSETS,
    Event,
    JointLaw,
    PlannedClip,
    Scene,
    draw_informativeness,
    snr_from_informativeness,
)

SEGMENTS = 10  # of one second
# Decisions, fixed before any method was compared. Shares of clips with one, two and three events: LLP has 1.6 labels a
# training video, 1.8 a test video. Shares of the kinds of an event: two in five are not in both tracks at all, one in
# five is in both at different times, so that no track tells the other's truth.
EVENT_COUNTS = (0.4, 0.4, 0.2)
KINDS = {"together": 0.4, "shifted": 0.2, "audio": 0.25, "visual": 0.15}
_LENGTHS = (2, 7)  # s, of an event of a parsing clip: neither a blink nor the whole clip
_LOCALISED_LENGTHS = (2, 9)  # s, of events that do not fill the clip: AVE keeps those of at least two seconds
_FILLING = 0.6  # share of localised events that fill the clip: leaves 18 % of the seconds to the background, as in AVE


def plan_parsing_clip(seed: int, clip_index: int, cls: int, classes: int, law: JointLaw) -> Scene:
    """Plan a clip of one to three events of distinct classes, the first of class `cls`.

    An event is audible and visible in one interval ("together"), in two that differ but overlap ("shifted"), or in one
    track only ("audio", "visual"). It becomes one rendered event per track.
    """
    rng = np.random.default_rng([seed, clip_index])
    u_audio, u_visual = draw_informativeness(law, rng)
    count = min(classes, 1 + int(rng.choice(len(EVENT_COUNTS), p=EVENT_COUNTS)))
    others = rng.choice(classes - 1, size=count - 1, replace=False)  # numbers of the classes other than `cls`
    chosen = [cls, *(int(other) + (int(other) >= cls) for other in others)]
    events = tuple(event for each in chosen for event in _parsing_event(each, rng))
    return _scene(events, u_audio, u_visual, law, (seed, clip_index))


def plan_localised_clip(seed: int, clip_index: int, cls: int, law: JointLaw) -> Scene:
    """Plan a clip of one event of class `cls`, audible and visible in one interval; the rest is background."""
    rng = np.random.default_rng([seed, clip_index])
    u_audio, u_visual = draw_informativeness(law, rng)
    onset, offset = (0, SEGMENTS) if rng.uniform() < _FILLING else _interval(_LOCALISED_LENGTHS, rng)
    events = (_in_track(cls, onset, offset, audio=True), _in_track(cls, onset, offset, audio=False))
    return _scene(events, u_audio, u_visual, law, (seed, clip_index))


def plan_timelines(scheme: str, seed: int, clips: Mapping[str, int], classes: int, law: JointLaw) -> list[PlannedClip]:
    """Plan all clips of a scheme ("parsing" or "localisation"), split by split, as `scenes.plan_dataset` does.

    Classes take turns as the class of a clip's first event; `cls` of a planned clip is the first of its labels in the
    order of the classes.
    """
    planned = []
    for split, offset in SPLIT_OFFSETS.items():
        for position in range(clips.get(split, 0)):
            number, cls = offset + position, position % classes
            if scheme == "parsing":
                scene = plan_parsing_clip(seed, number, cls, classes, law)
            else:
                scene = plan_localised_clip(seed, number, cls, law)
            planned.append(PlannedClip(f"{split}-{position:05d}", split, scene.labels()[0], scene))
    return planned


def intervals(scene: Scene, modality: str) -> list[tuple[int, int, int]]:
    """(class, onset, offset) of all that is heard ("audio") or seen ("visual"), by class, then onset."""
    gains = {"audio": "gain_audio", "visual": "gain_visual"}
    present = [event for event in scene.events if getattr(event, gains[modality]) > 0 and not event.distractor]
    return sorted((event.cls, int(event.start), int(event.end)) for event in present)


def _parsing_event(cls: int, rng: np.random.Generator) -> list[Event]:
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    onset, offset = _interval(_LENGTHS, rng)
    if kind in ("audio", "visual"):
        return [_in_track(cls, onset, offset, audio=kind == "audio")]
    seen = (onset, offset)
    while kind == "shifted" and (seen == (onset, offset) or seen[0] >= offset or seen[1] <= onset):
        seen = _interval(_LENGTHS, rng)
    return [_in_track(cls, onset, offset, audio=True), _in_track(cls, *seen, audio=False)]


def _interval(lengths: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """Onset and offset of an interval inside the clip whose length is uniform on `lengths`, both included."""
    length = int(rng.integers(lengths[0], lengths[1] + 1))
    onset = int(rng.integers(0, SEGMENTS - length + 1))
    return onset, onset + length


def _in_track(cls: int, onset: int, offset: int, audio: bool) -> Event:
    return Event(cls, float(onset), float(offset), gain_audio=float(audio), gain_visual=float(not audio))


def _scene(events: tuple[Event, ...], u_audio: float, u_visual: float, law: JointLaw, seed: tuple[int, int]) -> Scene:
    return Scene(
        events=events,
        duration=float(SEGMENTS),
        snr_audio_db=snr_from_informativeness(u_audio, law.snr_audio_db),
        snr_visual_db=snr_from_informativeness(u_visual, law.snr_visual_db),
        planted_audio=u_audio,
        planted_visual=u_visual,
        seed=seed,
    )
