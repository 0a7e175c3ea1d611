"""Plans of generated clips: which events happen when, and how hard each modality is to read.

Nothing here draws a pixel or a sample. A clip is planned from the data set's seed and the clip's own number
alone, so any clip can be planned, and rendered, without the others. The joint law plants the informativeness
of the two modalities; its discrepancy plays the part of the modality discrepancy u_a - u_v of Xia et al.
2023, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

SPLIT_OFFSETS = {"train": 0, "val": 10_000_000, "test": 20_000_000}


@dataclass(frozen=True)
class Event:
    """Something of class `cls` from `start` to `end` (s); a gain of 0 hides it from that modality.

    A distractor is rendered like any event but is no part of the clip's labels.
    """

    cls: int
    start: float
    end: float
    gain_audio: float = 1.0
    gain_visual: float = 1.0
    distractor: bool = False


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
        """Classes of the events that count, ascending, without repetition."""
        return tuple(sorted({event.cls for event in self.events if not event.distractor}))


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


def draw_informativeness(law: JointLaw, rng: np.random.Generator) -> tuple[float, float]:
    """Draw (u_audio, u_visual), both in [0, 1], from the joint law."""
    discrepancy = 2.0 * rng.beta(law.alpha, law.beta) - 1.0
    slack = abs(discrepancy) / 2.0
    mean = rng.uniform(slack, 1.0 - slack)
    if law.flip:
        discrepancy = -discrepancy
    high, low = min(1.0, mean + slack), max(0.0, mean - slack)
    return (high, low) if discrepancy >= 0 else (low, high)


def snr_from_informativeness(informativeness: float, bounds: tuple[float, float]) -> float:
    """SNR in dB, linear in the informativeness between the two bounds."""
    low, high = bounds
    return low + informativeness * (high - low)


def plan_single_event(seed: int, clip_index: int, cls: int, duration: float, law: JointLaw) -> Scene:
    """Plan a clip of one class: seen throughout, heard in one stretch of 40 to 60 % with a random onset.

    The object is visible in every frame because a model may look at a single one: with a random visual
    interval, the choice of frame rather than the planted SNR would decide how informative the picture is.
    """
    rng = np.random.default_rng([seed, clip_index])
    u_audio, u_visual = draw_informativeness(law, rng)
    length = rng.uniform(0.4, 0.6) * duration
    onset = rng.uniform(0.0, duration - length)
    return Scene(
        events=(
            Event(cls, onset, onset + length, gain_audio=1.0, gain_visual=0.0),
            Event(cls, 0.0, duration, gain_audio=0.0, gain_visual=1.0),
        ),
        duration=duration,
        snr_audio_db=snr_from_informativeness(u_audio, law.snr_audio_db),
        snr_visual_db=snr_from_informativeness(u_visual, law.snr_visual_db),
        planted_audio=u_audio,
        planted_visual=u_visual,
        seed=(seed, clip_index),
    )


@dataclass(frozen=True)
class PlannedClip:
    """A scene with its place in a data set."""

    id: str
    split: str
    cls: int
    scene: Scene


def plan_dataset(
    seed: int, clips: Mapping[str, int], classes: int, duration: float, law: JointLaw
) -> list[PlannedClip]:
    """Plan all clips, split by split; classes take turns, so each split is as balanced as it can be.

    A clip's number is its position in its split plus the split's offset: the first n clips of a split are the
    same for every split size, so a larger set contains the smaller one.
    """
    planned = []
    for split, offset in SPLIT_OFFSETS.items():
        for position in range(clips.get(split, 0)):
            cls = position % classes
            scene = plan_single_event(seed, offset + position, cls, duration, law)
            planned.append(PlannedClip(f"{split}-{position:05d}", split, cls, scene))
    return planned
