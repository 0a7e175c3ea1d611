"""One pass over a media file: its sound as a mono waveform, and the frames that a recipe keeps.

Nothing here guards against a decoder that hangs or crashes: that is what `avbalance.features.pool` is for.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from avbalance.features.recipes import ClipVectorRecipe, SeenRecipe, SegmentRecipe, VisualRecipe
from avbalance.features.uniform_clip import distinct_frames

if TYPE_CHECKING:
    from PIL.Image import Image

av.logging.set_level(av.logging.PANIC)

SILENCE_DB = -90.0
SHORTEST_SOUND = 0.05  # s
SHORTEST_VIDEO = 4  # frames; OGM-GE reference code drops clips with 3 or fewer
SLACK = 0.1  # s and share of the declared duration that may be absent before a clip counts as truncated
LONGEST_LAG = 10  # s of silence put before a track that starts late
MICROSECONDS = 1_000_000
Keep = Callable[["Image"], Any]
_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class SoundRequest:
    """Rate in Hz (None: the file's own); seconds after which decoding may stop (None: never)."""

    rate: int | None
    seconds: float | None = None


@dataclass(frozen=True)
class Sound:
    """A decoded track: status and reason, waveform (n,) float32 mono at `rate`, duration (s)."""

    status: str
    reason: str = ""
    waveform: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    rate: int = 0
    duration: float = 0.0


@dataclass(frozen=True)
class Pictures:
    """Decoded frames: status and reason, RGB images in time order, original size (pixels), duration (s).

    times: seconds of the images from the start of the track; empty where the images came without a clock. total: frames
    of the track, where all were decoded. Who decodes with `keep` gets what that made of the images in their place.
    """

    status: str
    reason: str = ""
    images: list[Any] = field(default_factory=list)
    width: int = 0
    height: int = 0
    duration: float = 0.0
    times: list[float] = field(default_factory=list)
    total: int = 0


def decode_audio(path: Path, rate: int | None, seconds: float | None = None) -> Sound:
    """The first audio track of a media file as a mono waveform at `rate`."""
    sound, _ = decode_file(path, SoundRequest(rate, seconds), None)
    assert sound is not None
    return sound


def decode_frames(path: Path, recipe: SeenRecipe, keep: Keep | None = None) -> Pictures:
    """The frames of the first video track that `recipe` keeps; `keep` as in `decode_file`."""
    _, pictures = decode_file(path, None, recipe, keep)
    assert pictures is not None
    return pictures


def decode_file(
    path: Path, sound: SoundRequest | None, pictures: SeenRecipe | None, keep: Keep | None = None
) -> tuple[Sound | None, Pictures | None]:
    """Sound and frames of one file in a single pass; None for what was not asked.

    keep: what is held of each kept image, made at once, so that many large frames need little memory. Bad media end
    in a status and a reason, not in an exception.

    Frames at even distances depend on how many there are. As many are expected as the file has packets of video, which
    are counted without decoding; where there turn out to be more or fewer, the pictures are decoded once again.
    """
    if reason := unreadable(path):
        return _lost("corrupt" if path.exists() else "missing", reason, sound, pictures)
    try:
        if not isinstance(pictures, ClipVectorRecipe):
            return _decode_once(path, sound, pictures, keep)
        expected = _packets(path)
        heard, seen = _decode_once(path, sound, pictures, keep, expected)
        if seen is not None and seen.total not in (0, expected):
            _, seen = _decode_once(path, None, pictures, keep, seen.total)
        return heard, seen
    except (av.FFmpegError, ValueError) as error:
        return _lost("corrupt", f"cannot be opened as a media file ({_said(error)})", sound, pictures)


def _packets(path: Path) -> int:
    """Number of packets with data in the first video track, as far as the file can be read; 0 without a track."""
    count = 0
    with av.open(str(path)) as container, contextlib.suppress(av.FFmpegError):
        for packet in container.demux(container.streams.video[:1]):
            count += packet.size > 0
    return count


def _decode_once(
    path: Path, sound: SoundRequest | None, pictures: SeenRecipe | None, keep: Keep | None, expected: int = 0
) -> tuple[Sound | None, Pictures | None]:
    with av.open(str(path)) as container:
        return _decode_container(container, sound, pictures, keep, expected)


def _lost(
    status: str, reason: str, sound: SoundRequest | None, pictures: SeenRecipe | None
) -> tuple[Sound | None, Pictures | None]:
    return (
        None if sound is None else Sound(status, reason),
        None if pictures is None else Pictures(status, reason),
    )


def unreadable(path: Path) -> str:
    """Why a file cannot hold media at all, told from its size and first bytes; empty text when it may."""
    if not path.is_file():
        return "there is no such file"
    with path.open("rb") as handle:
        head = handle.read(64)
    if not head:
        return "the file is empty"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer stands in place of the file; fetch the real one with git lfs pull"
    return ""


def _decode_container(
    container: Any, sound: SoundRequest | None, pictures: SeenRecipe | None, keep: Keep | None, expected: int
) -> tuple[Sound | None, Pictures | None]:
    collectors: dict[int, _SoundCollector | _PictureCollector] = {}
    heard = seen = None
    if sound is not None and container.streams.audio:
        track = container.streams.audio[0]
        heard = collectors[track.index] = _SoundCollector(container, track, sound)
    if pictures is not None and container.streams.video:
        track = container.streams.video[0]
        picks = _picks(track, pictures, expected)
        seen = collectors[track.index] = _PictureCollector(container, track, picks, keep)
    if collectors:
        _pump(container, collectors)
    no_sound, _ = _lost("no_audio", "the file has no audio track", sound, None)
    _, no_pictures = _lost("no_video", "the file has no video track", None, pictures)
    return heard.finish() if heard else no_sound, seen.finish() if seen else no_pictures


def _picks(track: Any, recipe: SeenRecipe, expected: int) -> _ClockPicks | _UniformPicks:
    return _UniformPicks(expected, recipe) if isinstance(recipe, ClipVectorRecipe) else _ClockPicks(track, recipe)


def _pump(container: Any, collectors: dict[int, _SoundCollector | _PictureCollector]) -> None:
    """Feed decoded frames to their collectors until all are served; an error ends its track, or all."""
    streams = [container.streams[index] for index in collectors]
    try:
        for packet in container.demux(streams):
            collector = collectors[packet.stream.index]
            if not collector.served:
                try:
                    collector.take(packet.decode())
                except (av.FFmpegError, ValueError) as error:
                    collector.fail(_said(error))
            if all(each.served for each in collectors.values()):
                return
    except (av.FFmpegError, ValueError) as error:
        for collector in collectors.values():
            collector.fail(_said(error))


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _declared_seconds(container: Any, stream: Any) -> float:
    """Duration that the file claims for a track; 0 when it claims none."""
    if stream.duration is not None:
        seconds = float(stream.duration * stream.time_base)
        return seconds / _present_share(Path(container.name)) if container.format.name == "wav" else seconds
    if match := _CLOCK.fullmatch(stream.metadata.get("DURATION", "")):  # how Matroska tells it
        return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
    # The file's own duration is that of its longest track: no claim about one of several.
    alone = len(container.streams) == 1
    return float((container.duration or 0) / MICROSECONDS) if alone else 0.0


def _present_share(path: Path) -> float:
    """Share of a RIFF file that is there: of a cut file FFmpeg tells the duration of the rest."""
    with path.open("rb") as handle:
        head = handle.read(8)
    announced = int.from_bytes(head[4:8], "little")
    if head[:4] != b"RIFF" or announced in (0, 0xFFFFFFFF):  # written to a pipe: the length was not known
        return 1.0
    return min(1.0, path.stat().st_size / (announced + 8))


def _missing_tail(declared: float, decoded: float) -> str:
    if declared - decoded > SLACK * declared + SLACK:
        return f"only {decoded:.2f} s of the declared {declared:.2f} s can be decoded"
    return ""


class _SoundCollector:
    """Gathers one audio track, puts it on the clip's time line and resamples it."""

    def __init__(self, container: Any, stream: Any, request: SoundRequest) -> None:
        stream.codec_context.thread_count = 1
        self.declared = _declared_seconds(container, stream)
        self.origin = max(0.0, (container.start_time or 0) / MICROSECONDS)
        self.request = request
        self.rate = int(stream.rate or 0)
        self.chunks: list[NDArray[np.float32]] = []
        self.count = 0
        self.start = 0.0
        self.served = False
        self.error = ""
        # Only these containers state exact track lengths; elsewhere the length is an estimate.
        exact = "mov" in container.format.name and stream.duration is not None
        self.end = float(((stream.start_time or 0) + stream.duration) * stream.time_base) if exact else math.inf

    def take(self, frames: Iterable[Any]) -> None:
        for frame in frames:
            if not self.chunks:
                self.rate = frame.sample_rate
                if frame.pts is not None:
                    self.start = float(frame.pts * frame.time_base) - self.origin
            self.chunks.append(mono(frame))
            self.count += frame.samples
        seconds = self.request.seconds
        # The margin keeps the resampling filter's tail outside the part that is used.
        self.served = seconds is not None and self.count >= (seconds + 0.5) * self.rate

    def fail(self, reason: str) -> None:
        if not self.served:
            self.error, self.served = reason, True

    def finish(self) -> Sound:
        if not self.count:
            return Sound("corrupt", f"no sound can be decoded ({self.error or 'the track is empty'})")
        if self.error:
            return Sound("truncated", f"decoding failed after {self.count / self.rate:.2f} s ({self.error})")
        tail = "" if self.served else _missing_tail(self.declared, self.count / self.rate)
        if tail:
            return Sound("truncated", tail)
        rate = self.request.rate or self.rate
        waveform = resample(self._placed(), self.rate, rate)
        seconds = len(waveform) / rate
        if seconds < SHORTEST_SOUND:
            return Sound("too_short", f"{seconds:.3f} s of sound; at least {SHORTEST_SOUND} s are needed")
        duration = max(seconds, self.declared) if self.served else seconds
        if np.abs(waveform).max() < 10 ** (SILENCE_DB / 20):
            reason = f"never louder than {SILENCE_DB:.0f} dB of full scale"
            return Sound("silent", reason, waveform, rate, duration)
        return Sound("ok", "", waveform, rate, duration)

    def _placed(self) -> NDArray[np.float32]:
        """Waveform from the clip's time zero to the track's end: padding off, a late start filled up."""
        waveform = np.concatenate(self.chunks)
        offset = round(self.start * self.rate)
        late, early = max(0, min(offset, LONGEST_LAG * self.rate)), max(0, -offset)
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


class _ClockPicks:
    """Frames that a recipe picks by the clock, from the start of a track on."""

    def __init__(self, stream: Any, recipe: VisualRecipe | SegmentRecipe) -> None:
        self.fps, self.recipe = _frame_rate(stream), recipe
        self.least, self.shortest = recipe.min_frames, SHORTEST_VIDEO

    def wanted(self, picked: int, number: int) -> bool:
        """Whether frame `number` is the next pick after `picked` others; a slow track serves one for several."""
        return picked < self.recipe.max_frames and number >= pick_index(picked, self.fps, self.recipe)

    def complete(self, picked: int, count: int) -> bool:
        """Whether no further frame is of use."""
        return picked >= self.recipe.max_frames and count >= SHORTEST_VIDEO


class _UniformPicks:
    """Frames at even distances of a track that is expected to have so many; it is decoded to its end, to count them."""

    least = shortest = 1

    def __init__(self, expected: int, recipe: ClipVectorRecipe) -> None:
        self.numbers = distinct_frames(expected, recipe.frames)

    def wanted(self, picked: int, number: int) -> bool:
        """Whether frame `number` is the next pick after `picked` others."""
        return picked < len(self.numbers) and number == self.numbers[picked]

    def complete(self, picked: int, count: int) -> bool:
        return False


class _PictureCollector:
    """Counts the frames of one video track and keeps those that are picked."""

    def __init__(self, container: Any, stream: Any, picks: _ClockPicks | _UniformPicks, keep: Keep | None) -> None:
        stream.codec_context.thread_count = 1
        self.declared = _declared_seconds(container, stream)
        self.picks = picks
        self.keep = keep
        self.scaler = VideoReformatter()
        self.fps = _frame_rate(stream)
        self.images: list[Any] = []
        self.numbers: list[int] = []
        self.count = 0
        self.size = (0, 0)
        self.served = False
        self.error = ""

    def take(self, frames: Iterable[Any]) -> None:
        for frame in frames:
            if not self.count:
                self.size = (frame.width, frame.height)
            image = None
            while not self.served and self.picks.wanted(len(self.images), self.count):
                image = self._image(frame) if image is None else image
                self.images.append(image)
                self.numbers.append(self.count)
            self.count += 1
            self.served = self.picks.complete(len(self.images), self.count)

    def _image(self, frame: Any) -> Any:
        # Equal to frame.to_image(), which starts a scaler and its threads for every frame.
        scaled: Any = self.scaler.reformat(frame, format="rgb24", threads=1)
        image = scaled.to_image()
        return self.keep(image) if self.keep else image

    def fail(self, reason: str) -> None:
        if not self.served:
            self.error, self.served = reason, True

    def finish(self) -> Pictures:
        if not self.count or self.fps <= 0:
            return Pictures("corrupt", f"no picture can be decoded ({self.error or 'the track is empty'})")
        decoded = self.count / self.fps
        if self.error:
            return Pictures("truncated", f"decoding failed after {decoded:.2f} s ({self.error})")
        tail = "" if self.served else _missing_tail(self.declared, decoded)
        if tail:
            return Pictures("truncated", tail)
        total = 0 if self.served else self.count
        least, shortest = self.picks.least, self.picks.shortest
        if self.count < shortest or len(self.images) < least:
            return Pictures(
                "too_short",
                f"{self.count} frames of video, {len(self.images)} of them kept; {shortest} and {least} are needed",
                total=total,
            )
        duration = max(decoded, self.declared) if self.served else decoded
        times = [number / self.fps for number in self.numbers]
        return Pictures("ok", "", self.images, *self.size, duration, times, total)


def _frame_rate(stream: Any) -> float:
    return float(stream.average_rate or stream.guessed_rate or 0)


def pick_index(position: int, fps: float, recipe: VisualRecipe | SegmentRecipe) -> int:
    """Number of the video frame that becomes kept frame `position`.

    Middle rule: round((0.5 + i) * fps / rate), halves up, as in the extraction scripts of Xia et al. 2023 at
    rate 1; first rule: round(i * fps / rate), as in OGM-GE.
    """
    offset = 0.5 if recipe.rule == "middle" else 0.0
    return math.floor((offset + position) * fps / recipe.rate + 0.5)
