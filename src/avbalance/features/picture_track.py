"""The pictures of a media file: the frames that a recipe keeps, by number or by the file's time line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from av.video.reformatter import VideoReformatter

from avbalance.features.frame_choice import beginning, keeps_the_rate, moment, pick_index, spread_frames
from avbalance.features.pixels import ON_WHITE, image_of_frame
from avbalance.features.recipes import ClipVectorRecipe, SeenRecipe
from avbalance.features.tracks import Track

if TYPE_CHECKING:
    from PIL.Image import Image

SHORTEST_VIDEO = 4  # frames; OGM-GE reference code drops clips with 3 or fewer
USUAL_FPS = 25.0  # frames a second, FFmpeg's own guess, where a file states neither rate nor time stamps
Keep = Callable[["Image"], Any]


@dataclass(frozen=True)
class Pictures:
    """Decoded frames: status and reason, RGB images in time order, original size (pixels), duration (s).

    times: seconds at which the images are shown, from the file's time zero; empty where the images came without a
    clock. total: frames of the track, where all were decoded. Who decodes with `keep` gets what that made of the images
    in their place.
    """

    status: str
    reason: str = ""
    images: list[Any] = field(default_factory=list)
    width: int = 0
    height: int = 0
    duration: float = 0.0
    times: list[float] = field(default_factory=list)
    total: int = 0


class PictureTrack(Track):
    """Counts the frames of one video track and keeps those that the recipe asks for.

    As long as the frames come from the beginning at the constant rate that the file states (`steady`), they are kept by
    number. After the first one that does not, the picture of a moment is the frame shown then, by the time stamps.

    expected: times of all frames, for frames at even distances; such a track is decoded to its end, to count them.
    """

    def __init__(
        self, container: Any, stream: Any, recipe: SeenRecipe, keep: Keep | None, expected: Sequence[float]
    ) -> None:
        super().__init__(container, stream)
        self.recipe, self.keep = recipe, keep
        self.fps = float(stream.average_rate or stream.guessed_rate or USUAL_FPS)
        self.spread = isinstance(recipe, ClipVectorRecipe)
        self.wanted = self._spread_over(expected) if self.spread else self._by_number()
        self.shortest = 1 if self.spread else SHORTEST_VIDEO
        # One for the whole track: PyAV otherwise makes one for every frame.
        self.scaler = VideoReformatter()
        self.images: list[Any] = []
        self.times: list[float] = []
        self.clock: list[float] = []  # times of all frames
        self.steady = True
        self.transparent = False
        self.size = (0, 0)
        self.shown: Any = None  # the last frame
        self.shown_image: Any = None  # what was kept of it
        self.last = 0.0  # s for which it is shown

    def misses_its_frames(self) -> bool:
        """True when, now that all frames have been seen, others than those that were kept are at even distances."""
        return self.spread and not self.error and self._spread_over(self.clock) != self.wanted

    def _spread_over(self, times: Sequence[float]) -> list[int]:
        assert isinstance(self.recipe, ClipVectorRecipe)
        return spread_frames(times, self.fps, self.recipe.frames)

    def _by_number(self) -> list[int]:
        assert not isinstance(self.recipe, ClipVectorRecipe)
        return [pick_index(position, self.fps, self.recipe) for position in range(self.recipe.max_frames)]

    def take(self, frames: Iterable[Any]) -> None:
        for frame in frames:
            time = self._next_time(frame)
            if not self.count:
                self.start = time
            self.steady = self.steady and keeps_the_rate(time - beginning(self.start), self.count, self.fps)
            if not (self.spread or self.steady):
                if self.shown is None:
                    self.shown = frame  # pictures begin late: the first one stands before
                self._keep_shown_before(time)
            self.shown, self.shown_image = frame, None
            self.clock.append(time)
            # A slow track serves one frame for several that are wanted.
            while not self.done and (self.spread or self.steady) and self._wants(self.count):
                self._keep_shown(self.count / self.fps if self.steady else time)
            self.count += 1
            self._look_whether_done()

    def _next_time(self, frame: Any) -> float:
        """Time of the next frame (s); one at the rate of the file where there is no time stamp that goes on."""
        earlier = self.clock[-1] if self.clock else None
        time = self.time_of(frame)
        step = 1 / self.fps
        if earlier is None:
            time = time or 0.0
        # Some encoders write a stamp twice, or none: frames still come one after another.
        elif time is None or time <= earlier:
            time = earlier + step
        # The last frame of a screen recording stands, whatever its own duration says, as long as the one before.
        stated = float((frame.duration or 0) * (frame.time_base or 0))
        self.last = max(step if earlier is None else time - earlier, stated)
        return time

    @property
    def _missing(self) -> bool:
        return len(self.images) < len(self.wanted)

    def _wants(self, number: int) -> bool:
        return self._missing and self.wanted[len(self.images)] <= number

    def _keep_shown_before(self, time: float) -> None:
        """Keep the last frame for each wanted moment before `time`; one before the track's start belongs to that."""
        assert not isinstance(self.recipe, ClipVectorRecipe)
        while not self.done and self._missing and (at := moment(len(self.images), self.recipe)) < time:
            self._keep_shown(max(at, self.start))

    def _keep_shown(self, time: float) -> None:
        if self.shown_image is None:
            image, transparent = image_of_frame(self.shown, self.scaler)
            self.size = image.size if self.size == (0, 0) else self.size
            self.transparent = self.transparent or transparent
            self.shown_image = self.keep(image) if self.keep else image
        self.images.append(self.shown_image)
        self.times.append(time)

    def _look_whether_done(self) -> None:
        self.done = not (self.spread or self._missing) and self.count >= self.shortest

    def fail(self, reason: str) -> None:
        self._close()
        super().fail(reason)

    def _close(self) -> None:
        """Keep the last frame for what is wanted of the time that it is shown."""
        if self.count and not (self.done or self.spread or self.steady):
            self._keep_shown_before(self._end)
            self._look_whether_done()

    @property
    def _end(self) -> float:
        return self.count / self.fps if self.steady else self.clock[-1] + self.last

    def result(self) -> Pictures:
        """The track as far as it came out."""
        if not self.count:
            return Pictures("corrupt", f"no picture can be decoded ({self.error or 'the track is empty'})")
        self._close()
        if reason := self.truncated(self._end if self.steady else self._end - self.start):
            return Pictures("truncated", reason)
        total = 0 if self.done else self.count
        least, kept = self.recipe.min_frames, len(self.images)
        if self.count < self.shortest or kept < least:
            reason = f"{self.count} frames of video, {kept} of them kept; {self.shortest} and {least} are needed"
            return Pictures("too_short", reason, total=total)
        declared = self.declared if self.steady else self.declared_end
        duration = max(self._end, declared) if self.done else self._end
        return Pictures("ok", self._remarks(), self.images, *self.size, duration, self.times, total)

    def _remarks(self) -> str:
        remarks = [ON_WHITE] if self.transparent else []
        late = self.start > beginning(self.start)
        if late and not isinstance(self.recipe, ClipVectorRecipe) and moment(0, self.recipe) < self.start:
            remarks.append(f"the pictures begin {self.start:.2f} s after the sound; the first one stands before")
        return "; ".join(remarks)
