"""Plans of generated clips with two labels that do not depend on each other, one for the place, one for speech.

They stand in for the AudioSet clips of the paper modality-relevance: urban or rural, and with speech or without. A
place is an event of its class throughout the pictures and in one stretch of the sound; speech is one more event that
is there or is not. How informative sound and pictures are is planted per label. As in `avbalance.data.scenes`, a
scene is planned from the seed and the clip's own number alone; only its part depends on how many clips there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avbalance.data.audioset import TASKS, random_parts
from avbalance.data.scenes import (
    Event,
    JointLaw,
    PlannedClip,
    Scene,
    draw_informativeness,
    snr_from_informativeness,
)

PLACES, SPEECH = TASKS["urban_rural"], TASKS["speech"]
PROTOTYPES = len(PLACES) + 1  # the classes of events: the places, then speech
_SPEECH_EVENT = len(PLACES)


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

    place, speech: the laws of informativeness of the two labels. Raises UserError when a part would be empty.
    """
    ids = [f"clip-{number:05d}" for number in range(clips)]
    parts = random_parts(ids, np.random.default_rng(seed), test_share)
    planned = []
    for number, (name, part) in enumerate(zip(ids, parts, strict=True)):
        rng = np.random.default_rng([seed, number])
        spoken = int(rng.uniform() < share)
        planted = draw_informativeness(speech, rng)
        cls = number % len(PLACES)
        scene = _plan_scene((seed, number), cls, spoken, planted, duration, (place, speech), rng)
        planned.append(TwoLabelClip(name, str(part), cls, scene, spoken, *planted))
    return planned


def _plan_scene(
    seed: tuple[int, int],
    cls: int,
    spoken: int,
    planted_speech: tuple[float, float],
    duration: float,
    laws: tuple[JointLaw, JointLaw],
    rng: np.random.Generator,
) -> Scene:
    """The events under noise whose SNR is that of all of them together, so that loudness does not tell of speech."""
    planted_place = draw_informativeness(laws[0], rng)
    stretches = [_stretch(duration, rng) for _ in laws]  # drawn for every clip: the others do not shift with speech
    there = [(cls, laws[0], planted_place, stretches[0])]
    if spoken:
        there.append((_SPEECH_EVENT, laws[1], planted_speech, stretches[1]))
    heard, seen = ([_gain(law, planted, modality) for _, law, planted, _ in there] for modality in (0, 1))
    level_audio, level_visual = math.hypot(*heard), math.hypot(*seen)
    events = []
    for (event, _, _, stretch), gain_audio, gain_visual in zip(there, heard, seen, strict=True):
        events.append(Event(event, *stretch, gain_audio=gain_audio / level_audio, gain_visual=0.0))
        events.append(Event(event, 0.0, duration, gain_audio=0.0, gain_visual=gain_visual / level_visual))
    return Scene(
        events=tuple(events),
        duration=duration,
        snr_audio_db=20 * math.log10(level_audio),
        snr_visual_db=20 * math.log10(level_visual),
        planted_audio=planted_place[0],
        planted_visual=planted_place[1],
        seed=seed,
    )


def _stretch(duration: float, rng: np.random.Generator) -> tuple[float, float]:
    """Start and end of 40 to 60 % of a clip."""
    length = rng.uniform(0.4, 0.6) * duration
    onset = rng.uniform(0.0, duration - length)
    return onset, onset + length


def _gain(law: JointLaw, planted: tuple[float, float], modality: int) -> float:
    """Amplitude of an event over that of the noise, in sound (0) or pictures (1)."""
    bounds = (law.snr_audio_db, law.snr_visual_db)[modality]
    return float(10 ** (snr_from_informativeness(planted[modality], bounds) / 20))
