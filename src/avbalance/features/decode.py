"""One pass over a media file: its sound as a mono waveform, and the frames that a recipe keeps.

Nothing here guards against a decoder that hangs or crashes: that is what `avbalance.features.pool` is for.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av

from avbalance.data.media_files import not_read, unreadable
from avbalance.features.picture_track import Keep, Pictures, PictureTrack
from avbalance.features.recipes import ClipVectorRecipe, HeardRecipe, SeenRecipe
from avbalance.features.sound_track import Sound, SoundTrack
from avbalance.features.tracks import Track

__all__ = ["Pictures", "Sound", "decode_file"]

av.logging.set_level(av.logging.PANIC)
# "vvc (Main) (vvc1 / 0x31637676)", or "none (vvxx / 0x78787676)" where FFmpeg knows no name but the container's
_CODEC = r"(?P<ffmpeg>\w+)(?: \([^/)]+\))*(?: \((?P<container>\S+) / )?"


def decode_file(
    path: Path, sound: HeardRecipe | None, pictures: SeenRecipe | None, keep: Keep | None = None
) -> tuple[Sound | None, Pictures | None]:
    """The first audio and the first video track of one file, in a single pass; None for what no recipe asks for.

    keep: what is held of each kept image, made at once, so that many large frames need little memory. Bad media end
    in a status and a reason, not in an exception.

    Frames at even distances depend on how many there are, and when. The times are those of the packets of video, which
    are read without decoding; where the decoded frames show others, the pictures are decoded once again.
    """
    lost = unreadable(path)
    if not lost:
        try:
            expected = _packet_times(path) if isinstance(pictures, ClipVectorRecipe) else []
            heard, seen = _decode(path, sound, pictures, keep, expected)
            # The times of packets are a promise of the file; a decoder may drop or reorder frames, which is known only
            # afterwards.
            if isinstance(seen, PictureTrack) and seen.misses_its_frames():
                _, seen = _decode(path, None, pictures, keep, seen.clock)
            return (
                heard.result() if isinstance(heard, Track) else heard,
                seen.result() if isinstance(seen, Track) else seen,
            )
        except (av.FFmpegError, ValueError) as error:
            lost = f"cannot be opened as a media file ({_message(error)}){not_read(path)}"
    status = "corrupt" if path.exists() else "missing"
    return Sound(status, lost) if sound else None, Pictures(status, lost) if pictures else None


def _packet_times(path: Path) -> list[float]:
    """Times (s) at which the frames of the video track are shown, as far as the file can be read; [] without a track.

    Where a packet has none, all are its numbers divided by the rate: frames that come evenly.
    """
    stamps: list[int | None] = []
    with av.open(str(path)) as container:
        stream, lost = _first(container, "video")
        if lost:
            return []
        with contextlib.suppress(av.FFmpegError):
            # Suppressed: a file that is cut still shows the packets before the cut, and decoding tells of the rest.
            stamps += [packet.pts for packet in container.demux(stream) if packet.size > 0]
        # Sorted, since B-frames are stored after the frames that they refer to.
        known = sorted(stamp for stamp in stamps if stamp is not None)
        if len(known) == len(stamps):
            return [float(stamp * stream.time_base) for stamp in known]
        return [number / float(stream.average_rate or stream.guessed_rate or 1) for number in range(len(stamps))]


def _decode(
    path: Path, sound: HeardRecipe | None, pictures: SeenRecipe | None, keep: Keep | None, expected: Sequence[float]
) -> tuple[SoundTrack | Sound | None, PictureTrack | Pictures | None]:
    """One pass; expected: times of the frames of video, of which frames at even distances are kept."""
    heard: SoundTrack | Sound | None = None
    seen: PictureTrack | Pictures | None = None
    with av.open(str(path)) as container:
        if sound is not None:
            stream, lost = _first(container, "audio")
            heard = Sound(*lost) if lost else SoundTrack(container, stream, sound)
        if pictures is not None:
            stream, lost = _first(container, "video")
            seen = Pictures(*lost) if lost else PictureTrack(container, stream, pictures, keep, expected)
        tracks = {track.index: track for track in (heard, seen) if isinstance(track, Track)}
        if tracks:
            _read_tracks(container, tracks)
    return heard, seen


def _first(container: Any, kind: str) -> tuple[Any, tuple[str, str] | None]:
    """The first track of that kind that is no cover of an album, and the status and reason where it is of no use."""
    covers = av.stream.Disposition.attached_pic
    for stream in getattr(container.streams, kind):
        if not stream.disposition & covers:
            return stream, None if stream.codec_context else ("corrupt", _no_decoder(container, kind))
    return None, (f"no_{kind}", f"the file has no {kind} track")


def _no_decoder(container: Any, kind: str) -> str:
    """Which codec of the first track of that kind has no decoder, in FFmpeg's own words."""
    # dumps_format writes through FFmpeg's own log, which is silent otherwise.
    av.logging.set_level(av.logging.INFO)
    try:
        lines = container.dumps_format().splitlines()
    finally:
        av.logging.set_level(av.logging.PANIC)
    told = next((match for line in lines if (match := re.search(rf" {kind.title()}: {_CODEC}", line))), None)
    name = told and (told["container"] if told["ffmpeg"] == "none" else told["ffmpeg"])
    what = "pictures" if kind == "video" else "sound"
    name = name or "which has no name"
    return f"there is no decoder for the codec of the {what}, {name}; convert the file, to H.264 and AAC for example"


def _read_tracks(container: Any, tracks: Mapping[int, Track]) -> None:
    """Give decoded frames to their tracks until none needs more; an error ends its track, or all."""
    try:
        for packet in container.demux([container.streams[index] for index in tracks]):
            track = tracks[packet.stream.index]
            # One track may be finished, or have failed, while the other still wants packets.
            if not track.done:
                try:
                    track.take(packet.decode())
                except (av.FFmpegError, ValueError) as error:
                    track.fail(_message(error))
            if all(each.done for each in tracks.values()):
                return
    except (av.FFmpegError, ValueError) as error:
        reason = _message(error)
        if isinstance(error, av.PatchWelcomeError) and container.format.name == "ogg":
            reason = (
                "a second recording with another rate or number of channels follows in the same file (a chained Ogg "
                "file), which FFmpeg does not read; store each in its own file"
            )
        for track in tracks.values():
            track.fail(reason)


def _message(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
