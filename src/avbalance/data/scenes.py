"""Plans of generated clips: which events happen when, and how hard each modality is to read.

Nothing here draws a pixel or a sample. A clip is planned from the data set's seed and the clip's own number alone, so
any clip can be planned, and rendered, without the others. The joint law plants the informativeness of the two
modalities; its discrepancy plays the part of the modality discrepancy u_a - u_v of Xia et al. 2023, section 3.

There are clips of one event; clips on a timeline of ten one-second segments; and clips with two labels that do not
depend on each other, one for the place, one for speech. A parsing clip holds one to three events that are audible,
visible or both, as the videos of LLP do (Tian et al. 2020); a localised clip holds one event that is audible and
visible at once, as those of AVE do (Tian et al. 2018). Clips with two labels stand in for the AudioSet clips of the
paper modality-relevance: urban or rural, and with speech or without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from avbalance.data import SEGMENTS
from avbalance.data.audioset import TASKS, random_parts

SPLIT_OFFSETS = {"train": 0, "val": 10_000_000, "test": 20_000_000}
# Decisions, fixed before any method was compared. Shares of clips with one, two and three events: LLP has 1.6 labels a
# training video, 1.8 a test video. Shares of the kinds of an event: two in five are not in both tracks at all, one in
# five is in both at different times, so that no track tells the other's truth.
EVENT_COUNTS = (0.4, 0.4, 0.2)
KINDS = {"together": 0.4, "shifted": 0.2, "audio": 0.25, "visual": 0.15}
_LENGTHS = (2, 7)  # s, of an event of a parsing clip: neither a blink nor the whole clip
_LOCALISED_LENGTHS = (2, 9)  # s, of events that do not fill the clip: AVE keeps those of at least two seconds
_FILLING = 0.6  # share of localised events that fill the clip: leaves 18 % of the seconds to the background, as in AVE
PLACES, SPEECH = TASKS["urban_rural"], TASKS["speech"]
PROTOTYPES = len(PLACES) + 1  # the classes of events of clips with two labels: the places, then speech
_SPEECH_EVENT = len(PLACES)


@dataclass(frozen=True)
class Event:
    """Something of class `cls` from `start` to `end` (s); a gain of 0 hides it from that modality."""

    cls: int
    start: float
    end: float
    gain_audio: float = 1.0
    gain_visual: float = 1.0


@dataclass(frozen=True)
class Scene:
    """One clip: events on a timeline of `duration` (s) under noise of a given strength.

    An SNR is the power of a gain-1 event over the power of the noise, in dB. `planted_*` is the
    informativeness in [0, 1] from which the SNR was made. `seed` starts the renderer's own random streams.
    """

    events: tuple[Event, ...]
    duration: float
    snr_audio_db: float
    snr_visual_db: float
    planted_audio: float
    planted_visual: float
    seed: tuple[int, ...]

    def labels(self) -> tuple[int, ...]:
        """Classes of the events, ascending, without repetition."""
        return tuple(sorted({event.cls for event in self.events}))


@dataclass(frozen=True)
class PlannedClip:
    """A scene with its place in a data set; `cls` is the first of its labels in the order of the classes."""

    id: str
    split: str
    cls: int
    scene: Scene


@dataclass(frozen=True)
class JointLaw:
    """How informative the two modalities of a clip are, together.

    The discrepancy d = u_a - u_v is 2 Beta(alpha, beta) - 1: alpha = beta gives a balanced set, alpha > beta
    an audio-dominated one. The mean (u_a + u_v) / 2 given d is uniform on its feasible range. `flip`
    exchanges the two modalities of every clip and leaves all other draws alone: the control under which every
    preference must reverse.
    """

    alpha: float
    beta: float
    snr_audio_db: tuple[float, float]
    snr_visual_db: tuple[float, float]
    flip: bool = False

    def snr_db(self, planted: tuple[float, float]) -> tuple[float, float]:
        """SNRs of audio and visual (dB), each linear in the informativeness between its two bounds."""
        (low_audio, high_audio), (low_visual, high_visual) = self.snr_audio_db, self.snr_visual_db
        audio, visual = planted
        return low_audio + audio * (high_audio - low_audio), low_visual + visual * (high_visual - low_visual)


def draw_informativeness(law: JointLaw, rng: np.random.Generator) -> tuple[float, float]:
    """Draw (u_audio, u_visual), both in [0, 1], from the joint law."""
    discrepancy = 2.0 * rng.beta(law.alpha, law.beta) - 1.0
    # Both numbers are mean +- slack, and must stay within 0 and 1.
    slack = abs(discrepancy) / 2.0
    mean = rng.uniform(slack, 1.0 - slack)
    if law.flip:
        discrepancy = -discrepancy
    high, low = min(1.0, mean + slack), max(0.0, mean - slack)
    return (high, low) if discrepancy >= 0 else (low, high)


def _under_noise(
    events: list[Event], duration: float, planted: tuple[float, float], law: JointLaw, seed: tuple[int, int]
) -> Scene:
    return Scene(tuple(events), duration, *law.snr_db(planted), *planted, seed)


def _plan_splits(clips: Mapping[str, int], classes: int, plan: Callable[[int, int], Scene]) -> list[PlannedClip]:
    """Plan all clips, split by split, with `plan` of a clip's number and class; classes take turns.

    A clip's number is its position in its split plus the split's offset: the first n clips of a split are the same for
    every split size, so a larger set contains the smaller one.
    """
    planned = []
    for split, offset in SPLIT_OFFSETS.items():
        for position in range(clips.get(split, 0)):
            scene = plan(offset + position, position % classes)
            planned.append(PlannedClip(f"{split}-{position:05d}", split, scene.labels()[0], scene))
    return planned


# Clips of one event


def plan_dataset(
    seed: int, clips: Mapping[str, int], classes: int, duration: float, law: JointLaw
) -> list[PlannedClip]:
    """Plan all clips of one event each; each split is as balanced as it can be."""
    return _plan_splits(clips, classes, lambda number, cls: plan_single_event(seed, number, cls, duration, law))


def plan_single_event(seed: int, clip_index: int, cls: int, duration: float, law: JointLaw) -> Scene:
    """Plan a clip of one class: seen throughout, heard in one stretch of 40 to 60 % with a random onset.

    The object is visible in every frame because a model may look at a single one: with a random visual
    interval, the choice of frame rather than the planted SNR would decide how informative the picture is.
    """
    rng = np.random.default_rng([seed, clip_index])
    planted = draw_informativeness(law, rng)
    events = [
        Event(cls, *_stretch(duration, rng), gain_audio=1.0, gain_visual=0.0),
        Event(cls, 0.0, duration, gain_audio=0.0, gain_visual=1.0),
    ]
    return _under_noise(events, duration, planted, law, (seed, clip_index))


def _stretch(duration: float, rng: np.random.Generator) -> tuple[float, float]:
    """Start and end of 40 to 60 % of a clip."""
    length = rng.uniform(0.4, 0.6) * duration
    onset = rng.uniform(0.0, duration - length)
    return onset, onset + length


# Clips on a timeline


def plan_timelines(scheme: str, seed: int, clips: Mapping[str, int], classes: int, law: JointLaw) -> list[PlannedClip]:
    """Plan all clips of a scheme ("parsing" or "localisation"); classes take turns as that of a clip's first event."""

    def plan(number: int, cls: int) -> Scene:
        if scheme == "parsing":
            return plan_parsing_clip(seed, number, cls, classes, law)
        return plan_localised_clip(seed, number, cls, law)

    return _plan_splits(clips, classes, plan)


def plan_parsing_clip(seed: int, clip_index: int, cls: int, classes: int, law: JointLaw) -> Scene:
    """Plan a clip of one to three events of distinct classes, the first of class `cls`.

    An event is audible and visible in one interval ("together"), in two that differ but overlap ("shifted"), or in one
    track only ("audio", "visual"). It becomes one rendered event per track.
    """
    rng = np.random.default_rng([seed, clip_index])
    planted = draw_informativeness(law, rng)
    count = min(classes, 1 + int(rng.choice(len(EVENT_COUNTS), p=EVENT_COUNTS)))
    others = rng.choice(classes - 1, size=count - 1, replace=False)  # numbers of the classes other than `cls`
    chosen = [cls, *(int(other) + (int(other) >= cls) for other in others)]
    events = [event for each in chosen for event in _parsing_event(each, rng)]
    return _under_noise(events, float(SEGMENTS), planted, law, (seed, clip_index))


def _parsing_event(cls: int, rng: np.random.Generator) -> list[Event]:
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    onset, offset = _interval(_LENGTHS, rng)
    if kind in ("audio", "visual"):
        return [_in_track(cls, onset, offset, audio=kind == "audio")]
    seen = (onset, offset)
    # Drawn until the two overlap without being equal: what "shifted" means. Most draws do.
    while kind == "shifted" and (seen == (onset, offset) or seen[0] >= offset or seen[1] <= onset):
        seen = _interval(_LENGTHS, rng)
    return [_in_track(cls, onset, offset, audio=True), _in_track(cls, *seen, audio=False)]


def plan_localised_clip(seed: int, clip_index: int, cls: int, law: JointLaw) -> Scene:
    """Plan a clip of one event of class `cls`, audible and visible in one interval; the rest is background."""
    rng = np.random.default_rng([seed, clip_index])
    planted = draw_informativeness(law, rng)
    onset, offset = (0, SEGMENTS) if rng.uniform() < _FILLING else _interval(_LOCALISED_LENGTHS, rng)
    events = [_in_track(cls, onset, offset, audio=True), _in_track(cls, onset, offset, audio=False)]
    return _under_noise(events, float(SEGMENTS), planted, law, (seed, clip_index))


def intervals(scene: Scene, modality: str) -> list[tuple[int, int, int]]:
    """(class, onset, offset) of all that is heard ("audio") or seen ("visual"), by class, then onset."""
    present = [event for event in scene.events if getattr(event, f"gain_{modality}") > 0]
    return sorted((event.cls, int(event.start), int(event.end)) for event in present)


def _interval(lengths: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """Onset and offset of an interval inside the clip whose length is uniform on `lengths`, both included."""
    length = int(rng.integers(lengths[0], lengths[1] + 1))
    onset = int(rng.integers(0, SEGMENTS - length + 1))
    return onset, onset + length


def _in_track(cls: int, onset: int, offset: int, audio: bool) -> Event:
    return Event(cls, float(onset), float(offset), gain_audio=float(audio), gain_visual=float(not audio))


# Clips with two labels


@dataclass(frozen=True)
class TwoLabelClip(PlannedClip):
    """A planned clip whose `cls` and planted truth are those of the place; here are those of the other label.

    spoken: class of the label speech. planted_*_speech: informativeness in [0, 1]; of a clip without speech that with
    which it would have been heard and seen.
    """

    spoken: int
    planted_audio_speech: float
    planted_visual_speech: float


def plan_two_labels(
    seed: int, clips: int, duration: float, place: JointLaw, speech: JointLaw, share: float, test_share: float = 0.1
) -> list[TwoLabelClip]:
    """Plan `clips` clips: places take turns, a clip has speech with probability `share`, parts are drawn at random.

    A place is an event of its class throughout the pictures and in one stretch of the sound; speech is one more event
    that is there or is not. place, speech: the laws of informativeness of the two labels. Only a clip's part depends on
    how many clips there are. Raises UserError when a part would be empty.
    """
    ids = [f"clip-{number:05d}" for number in range(clips)]
    parts = random_parts(ids, np.random.default_rng(seed), test_share)
    planned = []
    for number, (name, part) in enumerate(zip(ids, parts, strict=True)):
        rng = np.random.default_rng([seed, number])
        cls, spoken = number % len(PLACES), int(rng.uniform() < share)
        planted_speech, planted_place = draw_informativeness(speech, rng), draw_informativeness(place, rng)
        stretches = [_stretch(duration, rng) for _ in range(2)]  # of every clip: the others do not shift with speech
        sources = [(cls, place.snr_db(planted_place), stretches[0])]
        if spoken:
            sources.append((_SPEECH_EVENT, speech.snr_db(planted_speech), stretches[1]))
        scene = _two_label_scene(sources, duration, planted_place, (seed, number))
        planned.append(TwoLabelClip(name, str(part), cls, scene, spoken, *planted_speech))
    return planned


def _two_label_scene(
    sources: list[tuple[int, tuple[float, float], tuple[float, float]]],
    duration: float,
    planted: tuple[float, float],
    seed: tuple[int, int],
) -> Scene:
    """Events of (class, SNRs, stretch of the sound) under noise whose SNR is that of all of them together.

    So loudness does not tell of speech.
    """
    heard, seen = ([float(10 ** (snr_db[track] / 20)) for _, snr_db, _ in sources] for track in (0, 1))
    level_audio, level_visual = math.hypot(*heard), math.hypot(*seen)  # amplitudes over that of the noise
    events = []
    for (cls, _, stretch), gain_audio, gain_visual in zip(sources, heard, seen, strict=True):
        events.append(Event(cls, *stretch, gain_audio=gain_audio / level_audio, gain_visual=0.0))
        events.append(Event(cls, 0.0, duration, gain_audio=0.0, gain_visual=gain_visual / level_visual))
    snr_audio_db, snr_visual_db = 20 * math.log10(level_audio), 20 * math.log10(level_visual)
    return Scene(tuple(events), duration, snr_audio_db, snr_visual_db, *planted, seed)
