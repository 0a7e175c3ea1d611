"""One pass over a media file: its sound as a mono waveform, and the frames that a recipe keeps.

Nothing here guards against a decoder that hangs or crashes: that is what `avbalance.features.pool` is for. Longer than
other files because sound and pictures share the pass: what ends, fails or is cut short is judged alike for both.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from avbalance.data.media_files import unreadable
from avbalance.errors import UserError
from avbalance.features.recipes import ClipVectorRecipe, HeardRecipe, SeenRecipe, SegmentRecipe, VisualRecipe

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


def decode_file(
    path: Path, sound: HeardRecipe | None, pictures: SeenRecipe | None, keep: Keep | None = None
) -> tuple[Sound | None, Pictures | None]:
    """The first audio and the first video track of one file, in a single pass; None for what no recipe asks for.

    keep: what is held of each kept image, made at once, so that many large frames need little memory. Bad media end
    in a status and a reason, not in an exception.

    Frames at even distances depend on how many there are. As many are expected as the file has packets of video, which
    are counted without decoding; where there turn out to be more or fewer, the pictures are decoded once again.
    """
    lost = unreadable(path)
    if not lost:
        try:
            if not isinstance(pictures, ClipVectorRecipe):
                return _decode(path, sound, pictures, keep)
            expected = _packets(path)
            heard, seen = _decode(path, sound, pictures, keep, expected)
            if seen is not None and seen.total not in (0, expected):
                _, seen = _decode(path, None, pictures, keep, seen.total)
            return heard, seen
        except (av.FFmpegError, ValueError) as error:
            lost = f"cannot be opened as a media file ({_message(error)})"
    status = "corrupt" if path.exists() else "missing"
    return Sound(status, lost) if sound else None, Pictures(status, lost) if pictures else None


def _packets(path: Path) -> int:
    """Number of packets with data in the first video track, as far as the file can be read; 0 without a track."""
    count = 0
    with av.open(str(path)) as container, contextlib.suppress(av.FFmpegError):
        for packet in container.demux(container.streams.video[:1]):
            count += packet.size > 0
    return count


def _decode(
    path: Path, sound: HeardRecipe | None, pictures: SeenRecipe | None, keep: Keep | None, expected: int = 0
) -> tuple[Sound | None, Pictures | None]:
    """One pass; expected: frames of video, of which frames at even distances are kept."""
    heard, seen = None, None
    with av.open(str(path)) as container:
        if sound is not None and container.streams.audio:
            heard = _SoundTrack(container, container.streams.audio[0], sound)
        if pictures is not None and container.streams.video:
            seen = _PictureTrack(container, container.streams.video[0], pictures, keep, expected)
        tracks = {track.index: track for track in (heard, seen) if track is not None}
        if tracks:
            _read_tracks(container, tracks)
    no_sound = Sound("no_audio", "the file has no audio track") if sound else None
    no_pictures = Pictures("no_video", "the file has no video track") if pictures else None
    return heard.result() if heard else no_sound, seen.result() if seen else no_pictures


def _read_tracks(container: Any, tracks: Mapping[int, _Track]) -> None:
    """Give decoded frames to their tracks until none needs more; an error ends its track, or all."""
    try:
        for packet in container.demux([container.streams[index] for index in tracks]):
            track = tracks[packet.stream.index]
            if not track.done:
                try:
                    track.take(packet.decode())
                except (av.FFmpegError, ValueError) as error:
                    track.fail(error)
            if all(each.done for each in tracks.values()):
                return
    except (av.FFmpegError, ValueError) as error:
        for track in tracks.values():
            track.fail(error)


def _message(error: Exception) -> str:
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


class _Track:
    """A track while it is decoded; `done`: nothing more of it is needed, or it failed with `error`."""

    def __init__(self, container: Any, stream: Any) -> None:
        stream.codec_context.thread_count = 1
        self.index: int = stream.index
        self.declared = _declared_seconds(container, stream)
        self.count = 0  # samples or frames
        self.done = False
        self.error = ""

    def take(self, frames: Iterable[Any]) -> None:
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        if not self.done:
            self.error, self.done = _message(error), True

    def truncated(self, decoded: float) -> str:
        """Why the track does not count as whole when `decoded` seconds of it came out; empty text when it does."""
        if self.error:
            return f"decoding failed after {decoded:.2f} s ({self.error})"
        if not self.done and self.declared - decoded > SLACK * self.declared + SLACK:
            return f"only {decoded:.2f} s of the declared {self.declared:.2f} s can be decoded"
        return ""


class _SoundTrack(_Track):
    """Gathers one audio track, puts it on the clip's time line and resamples it."""

    def __init__(self, container: Any, stream: Any, recipe: HeardRecipe) -> None:
        super().__init__(container, stream)
        self.recipe = recipe
        self.origin = max(0.0, (container.start_time or 0) / MICROSECONDS)
        self.rate = int(stream.rate or 0)
        self.chunks: list[NDArray[np.float32]] = []
        self.start = 0.0
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
        seconds = self.recipe.seconds
        # The margin keeps the resampling filter's tail outside the part that is used.
        self.done = seconds is not None and self.count >= (seconds + 0.5) * self.rate

    def result(self) -> Sound:
        if not self.count:
            return Sound("corrupt", f"no sound can be decoded ({self.error or 'the track is empty'})")
        if reason := self.truncated(self.count / self.rate):
            return Sound("truncated", reason)
        rate = self.recipe.rate or self.rate
        waveform = resample(self._placed(), self.rate, rate)
        seconds = len(waveform) / rate
        if seconds < SHORTEST_SOUND:
            return Sound("too_short", f"{seconds:.3f} s of sound; at least {SHORTEST_SOUND} s are needed")
        duration = max(seconds, self.declared) if self.done else seconds
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


class _PictureTrack(_Track):
    """Counts the frames of one video track and keeps those that the recipe asks for.

    expected: frames of the track, for frames at even distances; such a track is decoded to its end, to count them.
    """

    def __init__(self, container: Any, stream: Any, recipe: SeenRecipe, keep: Keep | None, expected: int) -> None:
        super().__init__(container, stream)
        self.recipe, self.keep = recipe, keep
        self.fps = float(stream.average_rate or stream.guessed_rate or 0)
        self.wanted = frame_numbers(recipe, self.fps, expected)
        self.to_the_end = isinstance(recipe, ClipVectorRecipe)
        self.shortest = 1 if self.to_the_end else SHORTEST_VIDEO
        self.scaler = VideoReformatter()
        self.images: list[Any] = []
        self.numbers: list[int] = []
        self.size = (0, 0)

    def take(self, frames: Iterable[Any]) -> None:
        for frame in frames:
            if not self.count:
                self.size = (frame.width, frame.height)
            image = None
            # A slow track serves one frame for several that are wanted.
            while not self.done and self._missing and self.wanted[len(self.images)] <= self.count:
                image = self._image(frame) if image is None else image
                self.images.append(image)
                self.numbers.append(self.count)
            self.count += 1
            self.done = not (self.to_the_end or self._missing) and self.count >= self.shortest

    @property
    def _missing(self) -> bool:
        return len(self.images) < len(self.wanted)

    def _image(self, frame: Any) -> Any:
        # Equal to frame.to_image(), which starts a scaler and its threads for every frame.
        scaled: Any = self.scaler.reformat(frame, format="rgb24", threads=1)
        image = scaled.to_image()
        return self.keep(image) if self.keep else image

    def result(self) -> Pictures:
        if not self.count or self.fps <= 0:
            return Pictures("corrupt", f"no picture can be decoded ({self.error or 'the track is empty'})")
        decoded = self.count / self.fps
        if reason := self.truncated(decoded):
            return Pictures("truncated", reason)
        total = 0 if self.done else self.count
        least, kept = self.recipe.min_frames, len(self.images)
        if self.count < self.shortest or kept < least:
            reason = f"{self.count} frames of video, {kept} of them kept; {self.shortest} and {least} are needed"
            return Pictures("too_short", reason, total=total)
        duration = max(decoded, self.declared) if self.done else decoded
        times = [number / self.fps for number in self.numbers]
        return Pictures("ok", "", self.images, *self.size, duration, times, total)


def frame_numbers(recipe: SeenRecipe, fps: float, available: int) -> list[int]:
    """Numbers, ascending, of the frames that a recipe keeps of a track: by the clock, or of `available` in all."""
    if isinstance(recipe, ClipVectorRecipe):
        return distinct_frames(available, recipe.frames)
    return [pick_index(position, fps, recipe) for position in range(recipe.max_frames)]


def pick_index(position: int, fps: float, recipe: VisualRecipe | SegmentRecipe) -> int:
    """Number of the video frame that becomes kept frame `position`.

    Middle rule: round((0.5 + i) * fps / rate), halves up, as in the extraction scripts of Xia et al. 2023 at
    rate 1; first rule: round(i * fps / rate), as in OGM-GE.
    """
    offset = 0.5 if recipe.rule == "middle" else 0.0
    return math.floor((offset + position) * fps / recipe.rate + 0.5)


def uniform_frames(available: int, wanted: int = 8) -> NDArray[np.intp]:
    """Which of F frames are kept, `(wanted,)`: `round(k (F - 1) / (wanted - 1))`; the last is repeated if F is less.

    The paper modality-relevance states 8 frames by uniform temporal sampling, no more. Halves, which occur for no k
    when `wanted` is 8, would be rounded to even. Raises UserError without a frame.
    """
    if available < 1:
        raise UserError("the clip has no frame to choose from; leave it out.")
    if available < wanted:
        return np.minimum(np.arange(wanted), available - 1)
    return np.round(np.linspace(0, available - 1, wanted)).astype(np.intp)


def distinct_frames(available: int, wanted: int) -> list[int]:
    """The numbers of `uniform_frames` without repetition; none without a frame."""
    return sorted(set(uniform_frames(available, wanted).tolist())) if available else []


def shrink(image: Image, side: int) -> NDArray[np.uint8]:
    """Image -> (side, side, 3), bilinear with antialiasing.

    The aspect ratio is not kept, as at test time in the OGM-GE reference code.
    """
    from PIL.Image import Resampling

    if image.size == (side, side):
        return np.asarray(image)
    return np.asarray(image.resize((side, side), Resampling.BILINEAR))
