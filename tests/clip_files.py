"""Small real media files and manifests for the tests of this folder."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np

from avbalance.data.manifest import make_manifest, write_manifest

RATE = 16_000


def tone(seconds: float = 4.0, rate: int = RATE, frequency: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def grey_steps(count: int, size: int = 64) -> np.ndarray:
    """Frame number k is uniformly 6k + 20 grey, so that a decoded frame tells its number."""
    return np.broadcast_to((20 + 6 * np.arange(count, dtype=np.uint8))[:, None, None, None], (count, size, size, 3))


def write_mp4(
    path: Path,
    frames: np.ndarray | None,
    waveform: np.ndarray | None,
    fps: int = 8,
    rate: int = RATE,
    index_first: bool = False,
    start: float = 0.0,
    delay: float = 0.0,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
) -> Path:
    """H.264 and AAC; `index_first` puts the table of contents in front: a cut file can still be opened.

    The container follows the suffix of `path`; the pictures start at `start` seconds, the sound `delay` later.
    times: seconds of the frames, to the millisecond, where they do not come at `fps`.
    """
    options = {"movflags": "faststart"} if index_first else {}
    with av.open(str(path), "w", options=options) as container:
        video = audio = None
        if frames is not None:
            video = container.add_stream(
                codec, rate=fps, options={"preset": "ultrafast", "threads": "1"} if codec == "libx264" else {}
            )
            video.height, video.width = frames.shape[1:3]
            video.pix_fmt = "yuv420p"
            if times is not None:
                video.codec_context.time_base = Fraction(1, 1000)
        if waveform is not None:
            audio = container.add_stream("aac", rate=rate)
            audio.layout = "mono"
        if frames is not None and video is not None:
            for number, pixels in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                picture.pts, picture.time_base = number + round(start * fps), Fraction(1, fps)
                if times is not None:
                    picture.pts, picture.time_base = round(1000 * times[number]), Fraction(1, 1000)
                container.mux(video.encode(picture))
            container.mux(video.encode(None))
        if waveform is not None and audio is not None:
            sound = av.AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = rate, round((start + delay) * rate), Fraction(1, rate)
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    return path


def ffmpeg(*arguments: str | Path) -> bytes:
    """What FFmpeg's own program writes to its standard output."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    return subprocess.run([*program, *map(str, arguments)], capture_output=True, check=True).stdout


def ffmpeg_frames(path: Path, width: int, height: int, *options: str) -> np.ndarray:
    """RGB frames (n, height, width, 3) of a file as FFmpeg's own program shows them."""
    shown = ffmpeg("-i", path, *options, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return np.frombuffer(shown, np.uint8).reshape(-1, height, width, 3)


def touch(root: Path, *names: str) -> None:
    """Files of one byte, which nobody decodes."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def write_wav(path: Path, channels: np.ndarray, rate: int = RATE) -> Path:
    """16-bit PCM from values in [-1, 1] of shape (samples,) or (samples, channels)."""
    values = channels.reshape(len(channels), -1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(values.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(values * 32767).astype("<i2").tobytes())
    return path


def write_clip_manifest(folder: Path, names: list[str], kind: str = "folder", **columns: list[str]) -> Path:
    """Manifest of the files folder/media/<name>, each audio and visual unless `columns` say otherwise."""
    rows = []
    for position, name in enumerate(names):
        row = {"id": f"c{position:03d}", "audio": name, "visual": name, "label": "x", "split": "train"}
        rows.append(row | {column: values[position] for column, values in columns.items()})
    card = {
        "dataset": "toy",
        "kind": kind,
        "stands_for": None,
        "describe": "toy clips",
        "classes": ["x"],
        "media_root": "media",
        "options": {},
    }
    path = folder / "manifest.parquet"
    write_manifest(make_manifest(rows, card, str(path)), path)
    return path
