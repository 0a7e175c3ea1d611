"""A written clip comes back from an ordinary decoder, in step and recognisable."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from avbalance.data.media_write import write_clip
from avbalance.data.render import render_audio, render_frames
from avbalance.data.scenes import Event, Scene
from avbalance.features.decode import decode_file
from avbalance.features.recipes import get_audio_recipe

FPS, RATE = 4, 16000
SCENE = Scene((Event(5, 0.0, 4.0),), 4.0, 10.0, 10.0, 1.0, 1.0, (1, 2))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    path = tmp_path_factory.mktemp("clip") / "deep" / "clip.mp4"
    frames, waveform = render_frames(SCENE, 12, 64, FPS), render_audio(SCENE, 12, RATE)
    write_clip(path, frames, waveform, FPS, RATE)
    return path, frames, waveform


def test_frames_come_back_complete_and_close(clip: tuple[Path, np.ndarray, np.ndarray]) -> None:
    path, frames, _ = clip
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
    assert [float(frame.time) for frame in decoded] == [number / FPS for number in range(16)]
    pixels = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])
    assert pixels.shape == frames.shape
    assert np.mean(np.abs(pixels.astype(int) - frames)) < 12


def test_sound_comes_back_sample_by_sample(clip: tuple[Path, np.ndarray, np.ndarray]) -> None:
    path, _, waveform = clip
    with av.open(str(path)) as container:
        assert container.duration == pytest.approx(4_000_000, abs=1)
        stream = container.streams.audio[0]
        assert (stream.rate, stream.layout.name, stream.codec_context.name) == (RATE, "mono", "flac")
    sound, _ = decode_file(path, get_audio_recipe("logmel8x8-4s"), None)
    assert sound is not None and sound.status == "ok"
    assert sound.waveform.shape == waveform.shape
    # half a step of 16 bits, and the step between 32767 and 32768 as full scale
    assert np.abs(sound.waveform - waveform).max() < 0.5 / 32767 + np.abs(waveform).max() / 32767


def test_equal_input_gives_equal_bytes_and_no_leftovers(
    clip: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    path, frames, waveform = clip
    write_clip(tmp_path / "again.mp4", frames, waveform, FPS, RATE)
    assert (tmp_path / "again.mp4").read_bytes() == path.read_bytes()
    assert [entry.name for entry in path.parent.iterdir()] == ["clip.mp4"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    odd = np.zeros((2, 63, 63, 3), dtype=np.uint8)
    with pytest.raises(Exception, match=r".+"):
        write_clip(tmp_path / "clip.mp4", odd, np.zeros(RATE, dtype=np.float32), FPS, RATE)
    assert list(tmp_path.iterdir()) == []
