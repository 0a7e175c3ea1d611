"""Recordings of the GRID corpus, decoded: a window of their sound, and of their pictures a region in small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avbalance.data.grid import FPS, SLACK, Word
from avbalance.data.media_files import unreadable
from avbalance.errors import LostClip

av.logging.set_level(av.logging.PANIC)

_TRACKS = {"video": "pictures", "audio": "sound"}

Region = tuple[float, float, float, float]


@dataclass(frozen=True)
class Excerpt:
    """What of recordings becomes a clip.

    region: left, top, right and bottom as shares of the picture; it is stretched where it is no square. side: pixels.
    fps, rate: pictures and samples per second.
    """

    region: Region
    side: int
    fps: int
    rate: int


@dataclass(frozen=True)
class Recording:
    """A decoded clip: sound (n,) float32 mono at `rate`, from the first picture on, and its pictures as decoded."""

    sound: NDArray[np.float32]
    rate: int
    pictures: list[Any]

    @property
    def seconds(self) -> float:
        """Length of what has both sound and pictures."""
        return min(len(self.sound) / self.rate, len(self.pictures) / FPS)

    def span(self, word: Word, seconds: float) -> float:
        """Start (s) of a window of that length with the word in its middle, moved into the recording at its ends.

        Raises LostClip when word or window do not fit into the recording.
        """
        if word.end > self.seconds + SLACK or seconds > self.seconds:
            what = f"{word.word!r} ends at {word.end:.2f} s" if word.end > self.seconds else f"{seconds:g} s are needed"
            raise LostClip("short", f"{what}, the recording after {self.seconds:.2f} s")
        return min(max(0.0, (word.start + word.end - seconds) / 2), self.seconds - seconds)

    def sound_of(self, start: float, seconds: float) -> NDArray[np.float32]:
        """Sound (round(seconds * rate),) from `start` on; zeros where there is none."""
        part = self.sound[round(start * self.rate) :][: round(seconds * self.rate)]
        return np.pad(part, (0, round(seconds * self.rate) - len(part)))

    def frames_of(self, start: float, seconds: float, excerpt: Excerpt, fps: float | None = None) -> NDArray[np.uint8]:
        """Pictures from `start` on, RGB, uint8 (round(seconds * fps), side, side, 3); the last is repeated.

        fps: the excerpt's unless given; a picture is the one that is shown in the middle of its time, above FPS the
        same one several times.
        """
        rate = fps or excerpt.fps
        # Middles, not beginnings: rounding cannot push a moment into the picture before.
        middles = start + (np.arange(round(seconds * rate)) + 0.5) / rate
        numbers = np.minimum((middles * FPS).astype(int), len(self.pictures) - 1)
        return np.stack([_crop(self.pictures[number], excerpt) for number in numbers])


def decode(path: Path, rate: int) -> Recording:
    """Sound and pictures of a clip; raises LostClip for a file that cannot be read, or lacks one of the two."""
    frames = _decoded(path, "video", "audio")
    late = _time(frames["audio"][0]) - _time(frames["video"][0])
    sound, samples = _mono(frames["audio"], rate), round(late * rate)
    # Sound that begins late, or early, is brought to the beginning of the pictures.
    return Recording(np.pad(sound, (samples, 0)) if samples > 0 else sound[-samples:], rate, frames["video"])


@lru_cache(1000)  # the voice of a clip is part of the babble of three others; of 1,000 clips at 16 kHz 190 MB
def decode_sound(path: Path, rate: int) -> NDArray[np.float32]:
    """The sound of a clip alone, (n,) float32 mono; raises LostClip as `decode` does."""
    return _mono(_decoded(path, "audio")["audio"], rate)


def _decoded(path: Path, *kinds: str) -> dict[str, list[Any]]:
    """Kind of track -> the decoded frames of the first one, at least one; raises LostClip where there are none."""
    if reason := unreadable(path):
        raise LostClip("corrupt", f"{path.name}: {reason}")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, ValueError) as error:
        raise LostClip("corrupt", f"{path.name} cannot be opened as a media file ({error})") from error
    frames: dict[str, list[Any]] = {kind: [] for kind in kinds}
    with container:
        for kind in kinds:
            if not getattr(container.streams, kind):
                raise LostClip("corrupt", f"{path.name} has no {_TRACKS[kind]}")
        streams = [getattr(container.streams, kind)[0] for kind in kinds]
        for stream in streams:
            stream.codec_context.thread_count = 1
        try:
            for packet in container.demux(streams):
                frames[packet.stream.type] += packet.decode()
        except (av.FFmpegError, ValueError) as error:
            raise LostClip("corrupt", f"{path.name} cannot be decoded ({error})") from error
    for kind in kinds:
        if not frames[kind]:
            raise LostClip("corrupt", f"no {_TRACKS[kind].rstrip('s')} of {path.name} can be decoded")
    return frames


def _time(frame: Any) -> float:
    return 0.0 if frame.pts is None else float(frame.pts * frame.time_base)


def _mono(frames: Sequence[Any], rate: int) -> NDArray[np.float32]:
    """Frames of sound as one waveform at `rate`."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    parts = []
    for frame in frames:
        frame.pts = None  # a gap between two frames is none in the recording
        parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return np.concatenate(parts).astype(np.float32, copy=False)


def _crop(picture: Any, excerpt: Excerpt) -> NDArray[np.uint8]:
    from PIL.Image import Resampling

    left, top, right, bottom = excerpt.region
    box = (left * picture.width, top * picture.height, right * picture.width, bottom * picture.height)
    return np.asarray(picture.to_image().resize((excerpt.side, excerpt.side), Resampling.BILINEAR, box=box))
