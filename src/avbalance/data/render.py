"""Scenes turned into frames and sound.

Every class has an audio prototype (carrier family, pitch, rhythm) and a visual one (hue, shape, texture,
motion), which do not depend on each other. Clips vary around the prototypes; noise at the scene's SNR decides
how readable they are.

Sounds and pictures are quick to learn: pitch and hue tell most classes. The prototypes of a *slow* modality leave that
cue out. A slow picture has any hue, and shape and texture tell its class; a slow sound has any carrier and any pitch,
and its class is told by its rhythm and by how the pitch glides within a beat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avbalance.data.noise import CONTRAST, LOUDNESS, clutter, pink_noise
from avbalance.data.scenes import Scene

_AUDIO_STREAM, _VISUAL_STREAM = 1, 2
_PITCH_RANGE_HZ = (160.0, 900.0)
_RHYTHM_RANGE_HZ = (2.0, 7.0)
_FADE_SECONDS = 0.02
_HUE_SPREAD = 0.5  # standard deviation of a clip's hue, in distances between neighbouring classes
_ANY_HUE = 1.0  # standard deviation in turns: on the circle, uniform to one part in 10^8
_SLOW_SHAPES = 8  # shapes of slow pictures before another texture is taken
_SLOW_RHYTHM_RANGE_HZ = (1.5, 4.5)  # slow enough that the frames of a spectrogram resolve a glide within a beat
_GLIDE_OCTAVES = 2.0  # how far the pitch of a slow sound glides within a beat


@dataclass(frozen=True)
class AudioPrototype:
    """Sound of a class: carrier family (0..4), pitch in Hz, amplitude modulation in Hz."""

    family: int
    pitch: float
    rhythm: float


@dataclass(frozen=True)
class SlowAudioPrototype:
    """Slow sound of a class: beats in Hz, and how the pitch glides within each (0..3, see _CONTOURS)."""

    rhythm: float
    contour: int


@dataclass(frozen=True)
class VisualPrototype:
    """Look of a class: hue and its spread in turns, shape (0..7), texture (0..3), motion (0..3)."""

    hue: float
    hue_spread: float
    shape: int
    texture: int
    motion: int


def audio_prototype(cls: int, classes: int) -> AudioPrototype:
    """Sound of class `cls` of `classes`: families take turns, pitch rises by a ratio with every full turn."""
    turns = -(-classes // len(_CARRIERS))
    turn, family = divmod(cls, len(_CARRIERS))
    low, high = _PITCH_RANGE_HZ
    pitch = low * (high / low) ** ((turn + 0.5) / turns)
    slow, fast = _RHYTHM_RANGE_HZ
    # Steps of the golden ratio: any number of classes is spread evenly, and neighbours in pitch differ in rhythm.
    rhythm = slow + (fast - slow) * ((cls * 0.618034) % 1.0)
    return AudioPrototype(family, pitch, rhythm)


def slow_audio_prototype(cls: int, classes: int) -> SlowAudioPrototype:
    """Slow sound of class `cls` of `classes`: contours take turns, the rhythm rises by a ratio with every full turn."""
    turns = -(-classes // len(_CONTOURS))
    turn, contour = divmod(cls, len(_CONTOURS))
    slow, fast = _SLOW_RHYTHM_RANGE_HZ
    return SlowAudioPrototype(slow * (fast / slow) ** ((turn + 0.5) / turns), contour)


def slow_visual_prototype(cls: int) -> VisualPrototype:
    """Slow look of class `cls` < SLOW_LOOKS: shapes take turns, another texture with every full turn; any hue."""
    texture, shape = divmod(cls, _SLOW_SHAPES)
    return VisualPrototype(0.0, _ANY_HUE, shape, texture, motion=0)


def visual_prototype(cls: int, classes: int) -> VisualPrototype:
    """Look of class `cls` of `classes`: as many hues as classes, in another order than the sounds.

    The order differs so that classes which sound alike do not also look alike.
    """
    # A step without a common divisor visits every hue once; about a third of the circle sets neighbours far apart.
    step = next(s for s in range(classes // 3 + 1, 2 * classes + 2) if np.gcd(s, classes) == 1)
    hue = (cls * step % classes) / classes
    return VisualPrototype(hue, _HUE_SPREAD / classes, cls % len(_SHAPES), (cls // 2) % len(_TEXTURES), (cls // 3) % 4)


def render_audio(scene: Scene, classes: int, rate: int, slow: bool = False) -> np.ndarray:
    """Render the sound of a scene, by the prototypes of slow sounds if asked for.

    Returns float32 of shape (round(duration * rate),) in [-1, 1]: unit-power events times their gains, plus
    pink noise at the scene's SNR, brought to one loudness within 2 dB so that loudness gives no hint of the
    SNR.
    """
    rng = np.random.default_rng([*scene.seed, _AUDIO_STREAM])
    samples = round(scene.duration * rate)
    noise = pink_noise(samples, rng)
    level = 10.0 ** (scene.snr_audio_db / 20.0)
    # Both parts by the same root: signal and noise together have unit power at any SNR.
    sound = noise / np.float32(np.hypot(1.0, level))
    for event in scene.events:
        first, last = round(event.start * rate), min(samples, round(event.end * rate))
        if event.gain_audio > 0 and last > first:
            if slow:
                tone = _render_slow_tone(slow_audio_prototype(event.cls, classes), last - first, rate, rng)
            else:
                tone = _render_tone(audio_prototype(event.cls, classes), last - first, rate, rng)
            sound[first:last] += tone * np.float32(event.gain_audio * level / np.hypot(1.0, level))
    # Clipping is rare at this loudness; a sound that is brought to its own peak would give its SNR away.
    sound *= np.float32(LOUDNESS * 10.0 ** (rng.uniform(-2.0, 2.0) / 20.0))
    return np.clip(sound, -1.0, 1.0, out=sound)


def render_frames(scene: Scene, classes: int, side: int, fps: int, slow: bool = False) -> np.ndarray:
    """Render the pictures of a scene, by the prototypes of slow pictures if asked for.

    Returns uint8 of shape (round(duration * fps), side, side, 3), RGB: objects on grey times their gains,
    plus blocky coloured clutter at the scene's SNR (power of the object's contrast inside it over power of
    the clutter).
    """
    rng = np.random.default_rng([*scene.seed, _VISUAL_STREAM])
    count = round(scene.duration * fps)
    level = 10.0 ** (scene.snr_visual_db / 20.0)
    picture = clutter(count, side, rng)
    picture *= np.float32(CONTRAST / np.hypot(1.0, level))
    # The middle of each frame's time: an event that ends on a second is not seen in the frame that begins there.
    times = (np.arange(count, dtype=np.float32) + 0.5) / fps
    for event in scene.events:
        if event.gain_visual > 0:
            seen = np.flatnonzero((times >= event.start) & (times < event.end))
            look = slow_visual_prototype(event.cls) if slow else visual_prototype(event.cls, classes)
            thing = _render_object(look, times[seen], side, rng)
            thing *= np.float32(event.gain_visual * CONTRAST * level / np.hypot(1.0, level))
            picture[seen] += thing
    picture += np.float32(0.5)
    np.clip(picture, 0.0, 1.0, out=picture)
    return (picture * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def _render_tone(prototype: AudioPrototype, samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """A unit-power sound of the class with jittered pitch (4 %) and rhythm (10 %), float32 (samples,)."""
    time = np.arange(samples, dtype=np.float32) / np.float32(rate)
    pitch = prototype.pitch * np.exp(0.04 * rng.standard_normal())
    rhythm = prototype.rhythm * np.exp(0.1 * rng.standard_normal())
    carrier = _CARRIERS[prototype.family](time, float(pitch), rng)
    return _beaten(carrier, time, rhythm * time + rng.uniform())


def _render_slow_tone(prototype: SlowAudioPrototype, samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """A unit-power sound of any carrier and pitch with the beats of the class, jittered by 5 %, float32 (samples,).

    The pitch glides because the carrier runs on a clock that goes faster and slower: all carriers do it alike.
    """
    time = np.arange(samples, dtype=np.float32) / np.float32(rate)
    low, high = _PITCH_RANGE_HZ
    pitch = low * (high / low) ** rng.uniform()
    beats = prototype.rhythm * np.exp(0.05 * rng.standard_normal()) * time + rng.uniform()
    octaves = _GLIDE_OCTAVES * _CONTOURS[prototype.contour]((beats + 0.25) % 1.0)  # a beat is softest at phase 0.75
    clock = (np.cumsum(2.0**octaves) / rate).astype(np.float32)
    carrier = _CARRIERS[rng.integers(len(_CARRIERS))](clock, float(pitch), rng)
    return _beaten(carrier, time, beats)


def _beaten(carrier: np.ndarray, time: np.ndarray, beats: np.ndarray) -> np.ndarray:
    """The carrier with an amplitude that swings once a beat, faded at both ends, of unit power, float32 (samples,)."""
    carrier *= 1.0 + 0.8 * np.sin(2 * np.pi * beats, dtype=np.float32)
    carrier *= np.minimum(1.0, np.minimum(time, time[::-1]) / np.float32(_FADE_SECONDS))
    return carrier / np.sqrt(np.mean(carrier**2) + 1e-12)


def _harmonics(time: np.ndarray, pitch: float, orders: tuple[int, ...]) -> np.ndarray:
    phase = np.float32(2 * np.pi * pitch) * time
    total = np.sin(phase)
    for order in orders:
        total += np.sin(np.float32(order) * phase) / np.float32(order)
    return total


def _frequency_modulated(time: np.ndarray, pitch: float) -> np.ndarray:
    sweep = np.sin(np.float32(2 * np.pi * 0.37 * pitch) * time)
    return np.sin(np.float32(2 * np.pi * 2.0 * pitch) * time + np.float32(3.0) * sweep)


def _chirps(time: np.ndarray, pitch: float) -> np.ndarray:
    period = np.float32(0.12)
    inside = time % period
    return np.sin(np.float32(2 * np.pi * pitch) * (inside + np.float32(1.5) * inside**2 / period))


def _noise_band(time: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of about pitch / 4 bandwidth around twice the pitch."""
    # Envelopes change every 4 periods of the pitch, which makes the bandwidth; one knot beyond the end for interp.
    knots = np.arange(0.0, float(time[-1]) + 8.0 / pitch, 4.0 / pitch, dtype=np.float32)
    envelopes = rng.standard_normal((2, knots.size), dtype=np.float32)
    phase = np.float32(2 * np.pi * 2.0 * pitch) * time
    band = np.interp(time, knots, envelopes[0]) * np.sin(phase)
    band += np.interp(time, knots, envelopes[1]) * np.cos(phase)
    return band.astype(np.float32)


_Carrier = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
_CARRIERS: tuple[_Carrier, ...] = (
    lambda time, pitch, rng: _harmonics(time, pitch, (2, 3, 4)),
    lambda time, pitch, rng: _harmonics(time, pitch, (3, 5, 7)),
    lambda time, pitch, rng: _frequency_modulated(time, pitch),
    lambda time, pitch, rng: _chirps(time, pitch),
    _noise_band,
)

# octaves, of mean 0 and from -1/2 to 1/2, over a beat that runs from 0 to 1
_CONTOURS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda beat: beat - 0.5,
    lambda beat: 0.5 - beat,
    lambda beat: 0.5 - np.abs(2.0 * beat - 1.0),
    lambda beat: np.abs(2.0 * beat - 1.0) - 0.5,
)


def _render_object(prototype: VisualPrototype, times: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Contrast of a moving, textured, coloured object against grey, float32 (T, side, side, 3).

    Its colour has unit root-mean-square over the channels; outside the object it is zero.
    """
    radius = rng.uniform(0.26, 0.38) * np.ones_like(times)
    x, y = (rng.uniform(0.4, 0.6) * np.ones_like(times) for _ in range(2))
    swing = np.sin(2 * np.pi * (0.5 * times + rng.uniform())).astype(np.float32)
    if prototype.motion == 0:
        x = x + 0.12 * swing
    elif prototype.motion == 1:
        y = y + 0.12 * swing
    elif prototype.motion == 2:
        radius = radius * (1.0 + 0.25 * swing)
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side
    across = ((axis[None, :] - x[:, None]) / radius[:, None]).astype(np.float32)[:, None, :]
    down = ((axis[None, :] - y[:, None]) / radius[:, None]).astype(np.float32)[:, :, None]
    inside = _SHAPES[prototype.shape](across, down)
    edge = np.float32(side * 0.3)  # the outline fades over about three pixels, as a camera's would
    mask = np.clip(np.float32(0.5) - inside * edge * np.float32(0.33), 0.0, 1.0)
    mask = mask * _TEXTURES[prototype.texture](across, down)
    hue = prototype.hue + prototype.hue_spread * rng.standard_normal()
    return mask[..., None] * _colour(float(hue))


def _colour(hue: float) -> np.ndarray:
    """Direction from grey to a saturated colour, unit root-mean-square over the channels, float32 (3,)."""
    angle = 2 * np.pi * (hue + np.array([0.0, -1.0 / 3.0, 1.0 / 3.0]))
    # Three cosines at 120 degrees have a mean square of 1/2, whatever the hue: no colour stands out more.
    return (np.sqrt(2.0) * np.cos(angle)).astype(np.float32)


_Pattern = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _polar(x: np.ndarray, y: np.ndarray, points: int, depth: float) -> np.ndarray:
    bumps = np.cos(points * np.arctan2(y, x))
    return np.hypot(x, y) - (1.2 - depth + depth * bumps)


# negative inside, positive outside, about the distance to the outline in radii
_SHAPES: tuple[_Pattern, ...] = (
    lambda x, y: np.hypot(x, y) - 1.0,
    lambda x, y: np.maximum(np.abs(x), np.abs(y)) - 0.86,
    lambda x, y: np.maximum(np.abs(x) * 0.87 + y * 0.5, -y) - 0.62,
    lambda x, y: np.abs(np.hypot(x, y) - 0.75) - 0.28,
    lambda x, y: np.minimum(np.maximum(np.abs(x) - 1.0, np.abs(y) - 0.4), np.maximum(np.abs(y) - 1.0, np.abs(x) - 0.4)),
    lambda x, y: np.abs(x) + np.abs(y) - 1.2,
    lambda x, y: _polar(x, y, 5, 0.3),
    lambda x, y: np.maximum(np.abs(x) - 1.2, np.abs(y) - 0.5),
)

_TEXTURES: tuple[_Pattern, ...] = (
    lambda x, y: np.ones((1, 1, 1), dtype=np.float32),
    lambda x, y: np.where(np.sin(9.0 * (x + y)) > 0, np.float32(1.2), np.float32(0.6)),
    lambda x, y: np.where(np.sin(9.0 * x) * np.sin(9.0 * y) > 0, np.float32(1.2), np.float32(0.6)),
    lambda x, y: np.where(np.sin(9.0 * y) > 0, np.float32(1.2), np.float32(0.6)),
)
SLOW_LOOKS = _SLOW_SHAPES * len(_TEXTURES)  # most classes that slow pictures tell apart
