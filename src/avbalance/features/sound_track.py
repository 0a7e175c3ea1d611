"""The sound of a media file as a mono waveform on the file's time line."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avbalance.features.recipes import HeardRecipe
from avbalance.features.tracks import Track, exact_end

SILENCE_DB = -90.0
SHORTEST_SOUND = 0.05  # s
GAP = 0.1  # s between two time stamps that count as a gap: FFmpeg's own limit (min_hard_comp of aresample)
LONGEST_GAP = 600  # s of silence before or inside a track: a time stamp that asks for more is wrong


@dataclass(frozen=True)
class Sound:
    """A decoded track: status and reason, waveform (n,) float32 mono at `rate`, duration (s)."""

    status: str
    reason: str = ""
    waveform: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    rate: int = 0
    duration: float = 0.0


class SoundTrack(Track):
    """Gathers one audio track, puts it on the clip's time line and resamples it."""

    def __init__(self, container: Any, stream: Any, recipe: HeardRecipe) -> None:
        super().__init__(container, stream)
        self.recipe = recipe
        self.rate = int(stream.rate or 0)
        self.chunks: list[NDArray[np.float32]] = []
        self.filled = 0  # samples of silence in gaps
        self.end = exact_end(container, stream)
        # AVI has no time stamps of sound: FFmpeg makes them up, wrong ones where the bit rate varies.
        self.stamped = container.format.name != "avi"
        self.expected: float | None = None

    def take(self, frames: Iterable[Any]) -> None:
        for frame in frames:
            time = self.time_of(frame)
            if not self.chunks:
                self.rate, self.start = frame.sample_rate, time or 0.0
            elif frame.sample_rate != self.rate:
                raise ValueError(f"the sampling rate changes from {self.rate} to {frame.sample_rate} Hz")
            elif self.stamped and time is not None and self.expected is not None:
                self._fill(time - self.expected)
            self.expected = None if time is None else time + frame.samples / self.rate
            self.chunks.append(mono(frame))
            self.count += frame.samples
        seconds = self.recipe.seconds
        # The margin keeps the resampling filter's tail outside the part that is used.
        self.done = seconds is not None and self.count >= (seconds + 0.5) * self.rate

    def _fill(self, gap: float) -> None:
        """Silence where a recorder paused or sent nothing, so that what follows stays with its pictures."""
        # A damaged stamp may ask for days of silence, which would fill the memory.
        if gap > LONGEST_GAP:
            raise ValueError(f"a time stamp lies {gap:.0f} s after the one before")
        if gap > GAP:
            samples = round(gap * self.rate)
            self.chunks.append(np.zeros(samples, np.float32))
            self.count += samples
            self.filled += samples

    def result(self) -> Sound:
        """The track as far as it came out."""
        if not self.count:
            return Sound("corrupt", f"no sound can be decoded ({self.error or 'the track is empty'})")
        # Silence in gaps is not decoded: too much of it may be lost sound.
        if reason := self.truncated((self.count - self.filled) / self.rate):
            gaps = f", with {self.filled / self.rate:.2f} s of gaps in between" if self.filled else ""
            return Sound("truncated", reason + gaps)
        placed = self._placed()
        if wrong := np.flatnonzero(~np.isfinite(placed)).tolist():
            first = wrong[0] / self.rate
            return Sound("corrupt", f"{len(wrong)} samples are NaN or infinite, the first at {first:g} s")
        rate = self.recipe.rate or self.rate
        waveform = resample(placed, self.rate, rate)
        seconds = len(waveform) / rate
        if seconds < SHORTEST_SOUND:
            return Sound("too_short", f"{seconds:.3f} s of sound; at least {SHORTEST_SOUND} s are needed")
        duration = max(seconds, self.declared_end) if self.done else seconds
        if np.abs(waveform).max() < 10 ** (SILENCE_DB / 20):
            reason = f"never louder than {SILENCE_DB:.0f} dB of full scale"
            return Sound("silent", reason, waveform, rate, duration)
        return Sound("ok", "", waveform, rate, duration)

    def _placed(self) -> NDArray[np.float32]:
        """Waveform from the clip's time zero to the track's end: padding off, a late start filled up."""
        waveform = np.concatenate(self.chunks)
        offset = round(self.start * self.rate)
        late, early = max(0, min(offset, LONGEST_GAP * self.rate)), max(0, -offset)
        waveform = np.pad(waveform, (late, 0))[early:]
        if math.isfinite(self.end):
            waveform = waveform[: max(0, round((self.end - self.origin) * self.rate))]
        return waveform


def mono(frame: Any) -> NDArray[np.float32]:
    """Mean of the channels of an audio frame, (samples,) in [-1, 1].

    FFmpeg's own mix-down of float sound is 3 dB louder than the mean; public loaders of these data sets take
    the mean.
    """
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, len(frame.layout.channels)).T
    if samples.dtype == np.uint8:
        scaled = (samples.astype(np.float32) - 128.0) / 128.0
    elif samples.dtype.kind == "i":
        scaled = samples.astype(np.float32) / np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    else:
        scaled = samples.astype(np.float32, copy=False)
    mixed: NDArray[np.float32] = scaled[0] if len(scaled) == 1 else scaled.mean(axis=0)
    return mixed


def resample(waveform: NDArray[np.float32], source: int, target: int) -> NDArray[np.float32]:
    """Waveform (n,) from one rate to another, round(n * target / source) samples."""
    if source == target or not len(waveform):
        return waveform
    frame = av.AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = source, 0
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=target)
    parts = [part.to_ndarray()[0] for given in (frame, None) for part in resampler.resample(given)]
    length = round(len(waveform) * target / source)
    result = np.concatenate(parts)[:length]
    return np.pad(result, (0, length - len(result)))
