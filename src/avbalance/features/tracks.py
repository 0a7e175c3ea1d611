"""One track of a media file while it is decoded: its place on the file's time line, and whether all of it came out.

Time zero of a file is where the first of its tracks begins, or 0 s when one begins before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SLACK = 0.1  # s and share of the declared duration that may be absent before a clip counts as truncated
MICROSECONDS = 1_000_000
_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


class Track:
    """What sound and pictures share; `done`: nothing more of the track is needed, or it failed with `error`.

    start: time (s) of what was decoded first. declared: length (s) that the file claims, 0 when it claims none.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        # Decoder processes run side by side: threads of their own would only compete.
        stream.codec_context.thread_count = 1
        self.index: int = stream.index
        self.origin = max(0.0, (container.start_time or 0) / MICROSECONDS)
        self.start = 0.0
        begin = stream.start_time
        late = 0.0 if begin is None else float(begin * stream.time_base) - self.origin
        late = 0.0 if abs(late) < 2 / MICROSECONDS else late  # the origin is rounded to microseconds
        self.declared = _declared_seconds(container, stream, self.origin + late)
        self.declared_end = late + self.declared if self.declared else 0.0
        self.count = 0  # samples or frames
        self.done = False
        self.error = ""

    def take(self, frames: Iterable[Any]) -> None:
        """Use decoded frames, in their order."""
        raise NotImplementedError

    def fail(self, reason: str) -> None:
        """Note that nothing more can be decoded."""
        if not self.done:
            self.error, self.done = reason, True

    def time_of(self, frame: Any) -> float | None:
        """Time (s) of a frame on the file's time line; None where it has no time stamp."""
        return None if frame.pts is None else float(frame.pts * frame.time_base) - self.origin

    def truncated(self, decoded: float) -> str:
        """Why the track does not count as whole when `decoded` seconds of it came out; empty text when it does."""
        if self.error:
            return f"decoding failed after {decoded:.2f} s ({self.error})"
        # What the file claims to come before the first that could be decoded is no part that got lost at the end.
        missing = self.declared_end - self.start - decoded
        if not self.done and missing > SLACK * self.declared + SLACK:
            return f"only {decoded:.2f} s of the declared {self.declared:.2f} s can be decoded"
        return ""


def _declared_seconds(container: Any, stream: Any, start: float) -> float:
    """Duration that the file claims for a track that begins at `start` (s, as time stamps tell); 0 without a claim."""
    if stream.duration is not None:
        seconds = float(stream.duration * stream.time_base)
        return seconds / _present_share(Path(container.name)) if container.format.name == "wav" else seconds
    before = start if "matroska" in container.format.name else 0.0  # Matroska tells the time of the end
    if match := _CLOCK.fullmatch(stream.metadata.get("DURATION", "")):
        return max(0.0, 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3]) - before)
    # The file's own duration is that of its longest track: no claim about one of several.
    alone = len(container.streams) == 1
    return max(0.0, float((container.duration or 0) / MICROSECONDS) - before) if alone else 0.0


def _present_share(path: Path) -> float:
    """Share of a RIFF file that is there: of a cut file FFmpeg tells the duration of the rest."""
    with path.open("rb") as handle:
        head = handle.read(8)
    announced = int.from_bytes(head[4:8], "little")
    if head[:4] != b"RIFF" or announced in (0, 0xFFFFFFFF):  # written to a pipe: the length was not known
        return 1.0
    return min(1.0, path.stat().st_size / (announced + 8))


def exact_end(container: Any, stream: Any) -> float:
    """Time stamp (s) after which a track holds nothing but padding; infinite where no container says so exactly."""
    if "mov" not in container.format.name or stream.duration is None:
        return math.inf
    return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
