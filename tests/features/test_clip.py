"""One clip to its arrays: statuses, blocks of frames, arrays per second and vectors; what is covered and repeated."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from clip_files import RATE, grey_steps, tone, write_mp4, write_wav
from PIL import Image
from real_data import real

from avbalance.features import decode, small_encoders
from avbalance.features.clip import ClipJob, black_vector, extract_clip, frame_block
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe

SPECTROGRAM, FRAMES = get_audio_recipe("logmel32x64-4s"), get_visual_recipe("fps1-middle-32")
AUDIO, VISUAL = get_audio_recipe("seconds10-mel128"), get_visual_recipe("seconds10-conv2560")
GRID, VECTOR = get_visual_recipe("seconds10-grid4"), get_visual_recipe("uniform8-small64")


def both(path, audio=AUDIO, visual=VISUAL):
    return extract_clip(ClipJob(path, path), audio, visual)


def seen(path, recipe=VISUAL):
    return extract_clip(ClipJob(None, path), None, recipe)[1]


def dark_clip(path: Path, frames: int = 80) -> Path:
    return write_mp4(path, np.zeros((frames, 64, 64, 3), np.uint8), np.zeros(frames // 8 * RATE, np.float32))


def write_pictures(folder: Path) -> Path:
    """80 pictures in a folder, the same in an HDF5 file beside it; number k is k grey."""
    folder.mkdir()
    for number in range(80):
        Image.new("RGB", (20, 30), (number, number, number)).save(folder / f"{number:06d}.png")
    with h5py.File(folder.with_suffix(".h5"), "w") as file:
        stored = file.create_dataset("video", (80,), dtype=h5py.vlen_dtype(np.uint8))
        for number in range(80):
            stored[number] = np.frombuffer((folder / f"{number:06d}.png").read_bytes(), np.uint8)
    return folder


@pytest.mark.parametrize(("audio", "visual"), [(SPECTROGRAM, FRAMES), (AUDIO, VISUAL), (SPECTROGRAM, VECTOR)])
def test_silence_and_blackness_are_usable_and_flagged_and_absent_media_are_lost(tmp_path, audio, visual):
    features = both(dark_clip(tmp_path / "a.mp4"), audio, visual)
    assert [each.status for each in features] == ["silent", "black"]
    assert [each.array.shape for each in features] == [audio.shape, visual.shape]
    assert [each.status for each in both(tmp_path / "absent.mp4", audio, visual)] == ["missing", "missing"]


def test_a_dark_scene_with_a_bright_object_is_not_black(tmp_path):
    frames = np.zeros((32, 64, 64, 3), np.uint8)
    frames[:, 20:32, 20:32] = 255  # 144 of 4096 pixels, 3.5 %
    assert seen(write_mp4(tmp_path / "a.mp4", frames, None), FRAMES).status == "ok"


# Blocks of frames


def test_unused_rows_repeat_the_last_frame(tmp_path):
    feature = seen(write_mp4(tmp_path / "a.mp4", grey_steps(32), None), FRAMES)
    assert feature.n_frames == 4
    level = [round((block.mean() - 20) / 6) for block in feature.array]
    assert level == [4, 12, 20, 28, 28, 28, 28, 28, 28, 28]


def test_three_grey_frames_are_the_channels_of_one_picture():
    images = [Image.new("RGB", (2, 2), (number, number + 30, number + 60)) for number in range(5)]
    block = frame_block(images, get_visual_recipe("fps5-first-2-1.2s-grey"))
    assert block.dtype == np.uint8 and block[:, 0, 0].tolist() == [[30, 31, 32], [33, 34, 34]]  # the last one again
    assert frame_block(images, get_visual_recipe("fps5-first-2-1.2s"))[1, 0, 0].tolist() == [1, 31, 61]


@pytest.mark.parametrize(
    ("mode", "value"), [("L", 200), ("RGB", (200,) * 3), ("I;16", 200 * 256), ("RGBA", (200, 200, 200, 255))]
)
def test_a_lone_image_of_any_kind_is_one_frame(tmp_path, mode, value):
    Image.new(mode, (20, 10), value).save(tmp_path / "a.png")
    feature = seen(tmp_path / "a.png", get_visual_recipe("fps1-middle-256"))
    assert (feature.status, feature.n_frames, feature.width, feature.height) == ("ok", 1, 20, 10)
    assert (feature.array == 200).all()


# Arrays per second


@pytest.fixture
def plain_encoders(monkeypatch):
    """Encoders whose values tell what they were given: loudness of each second, grey of its frames (-1 without)."""

    def loudness(waveform, rate, seconds):
        level = np.abs(waveform.reshape(seconds, rate)).mean(axis=1)
        return np.repeat(level[:, None], 128, axis=1).astype(np.float16)

    def grey(frames, times, seconds):
        level = np.full((seconds, 2560), -1.0)
        for second in range(seconds):
            inside = (times >= second) & (times < second + 1)
            if inside.any():
                level[second] = frames[inside].mean()
        return level.astype(np.float16)

    def grid(frames, times, seconds, channels):
        return np.tile(grey(frames, times, seconds)[:, None, None, :channels], (1, 7, 7, 1))

    monkeypatch.setattr(small_encoders, "mel_statistics", loudness)
    monkeypatch.setattr(small_encoders, "frame_statistics", grey)
    monkeypatch.setattr(small_encoders, "frame_grid", grid)


def louder_every_second(seconds: float) -> np.ndarray:
    level = (1 + np.arange(round(seconds * RATE)) // RATE) / 16
    return (tone(seconds) * level).astype(np.float32)


def test_each_second_is_encoded_by_itself(tmp_path, plain_encoders):
    heard, seen = both(write_mp4(tmp_path / "a.mp4", grey_steps(20).repeat(4, axis=0), louder_every_second(10.0)))
    assert (heard.status, seen.status, heard.n_frames, seen.n_frames) == ("ok", "ok", 10, 10)
    # A sine of amplitude 0.5 * k / 16 in second k - 1 has the mean 0.5 * k / 16 * 2 / pi = 0.0199 k.
    assert np.abs(heard.array[:, 0] / 0.0199 - np.arange(1, 11)).max() < 0.2
    # 8 frames per second, two steps of grey in each: steps 2s and 2s + 1 are 20 + 6 (2s + 0.5) grey on average.
    assert np.abs(seen.array[:, 0] - (23 + 12 * np.arange(10))).max() < 3
    assert (seen.width, seen.height) == (64, 64)


def test_segments_without_media_repeat_the_last_one_with_some(tmp_path, plain_encoders):
    clip = write_mp4(tmp_path / "a.mp4", grey_steps(8).repeat(4, axis=0)[:27], louder_every_second(3.2))
    # 3.2 s of sound are three whole seconds and less than half of a fourth; 27 frames (3.4 s) as well.
    for feature in both(clip, visual=GRID):
        assert (feature.status, feature.n_frames) == ("partial", 3) and "3 of 10 segments" in feature.reason
        assert (feature.array[3:] == feature.array[2]).all() and (feature.array[2] != feature.array[1]).any()


def test_frames_come_at_most_at_the_recipes_rate_and_each_once(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        small_encoders, "frame_statistics", lambda frames, times, s: given.append(times) or np.zeros((s, 2560), "f2")
    )
    seen(write_mp4(tmp_path / "fast.mp4", grey_steps(40).repeat(6, axis=0), None, fps=24))
    seen(write_mp4(tmp_path / "slow.mp4", grey_steps(20), None, fps=2))
    assert np.allclose(given[0], np.arange(80) / 8) and np.allclose(given[1], np.arange(20) / 2)


def test_seconds_without_a_frame_repeat_the_one_before(tmp_path, plain_encoders):
    feature = seen(write_mp4(tmp_path / "a.mp4", grey_steps(4), None, fps=1))
    assert (feature.status, feature.n_frames) == ("partial", 4)
    assert feature.array[3:, 0].tolist() == [float(feature.array[3, 0])] * 7


def test_values_beyond_float16_are_a_defect_not_an_infinity(tmp_path, monkeypatch):
    monkeypatch.setattr(small_encoders, "mel_statistics", lambda *_: np.full((10, 128), np.inf, np.float16))
    with pytest.raises(ValueError, match="mel_statistics made values that are no numbers of float16"):
        extract_clip(ClipJob(write_wav(tmp_path / "a.wav", tone(2.0)), None), AUDIO, None)


def test_a_folder_of_pictures_is_eight_per_second_and_a_lone_one_fills_all(tmp_path, plain_encoders):
    many = seen(write_pictures(tmp_path / "frames"))
    assert (many.status, many.n_frames) == ("ok", 10)
    assert many.array[:, 0].tolist() == [3.5 + 8 * second for second in range(10)]  # mean of 8s ... 8s + 7
    one = seen(tmp_path / "frames" / "000040.png")
    assert (one.status, one.n_frames, set(one.array[:, 0])) == ("partial", 1, {40.0})


# One vector per clip


@pytest.fixture
def greys(monkeypatch):
    """The mean grey of each frame that the small encoder is given, clip by clip."""
    given, real = [], small_encoders.clip_statistics
    note = lambda frames, width: given.append(frames.mean(axis=(1, 2, 3)).tolist()) or real(frames, width)  # noqa: E731
    monkeypatch.setattr(small_encoders, "clip_statistics", note)
    return given


@pytest.mark.parametrize(
    ("count", "chosen"), [(40, [0, 6, 11, 17, 22, 28, 33, 39]), (3, [0, 1, 2, 2, 2, 2, 2, 2]), (1, [0] * 8)]
)
def test_eight_frames_are_spread_over_the_whole_video(tmp_path, greys, count, chosen):
    feature = seen(write_mp4(tmp_path / "a.mp4", grey_steps(count), None), VECTOR)
    assert (feature.status, feature.n_frames) == ("ok", min(count, 8))
    assert np.round((np.array(greys[0]) - 20) / 6).tolist() == chosen
    assert ("the last one is repeated" in feature.reason) == (count < 8)


def test_eight_frames_of_a_folder_an_hdf5_file_and_a_lone_picture(tmp_path, greys):
    folder = write_pictures(tmp_path / "frames")
    for source in (folder, folder.with_suffix(".h5")):
        feature = seen(source, VECTOR)
        assert (feature.status, feature.n_frames, feature.width, feature.height) == ("ok", 8, 20, 30)
        assert greys.pop() == [0, 11, 23, 34, 45, 56, 68, 79]
    lone = seen(folder / "000040.png", VECTOR)
    assert (lone.status, lone.n_frames) == ("ok", 1) and greys.pop() == [40] * 8


def test_a_wrong_count_of_packets_only_costs_a_second_pass(tmp_path, monkeypatch):
    clip = write_mp4(tmp_path / "a.mp4", grey_steps(20), tone(2.5))
    right = seen(clip, VECTOR)
    for wrong in (0, 3, 19, 23):
        monkeypatch.setattr(decode, "_packet_times", lambda path, wrong=wrong: [number / 8 for number in range(wrong)])
        heard, again = both(clip, get_audio_recipe("decibel64-2s"), VECTOR)
        assert (heard.status, again.status, again.n_frames) == ("ok", "ok", 8)
        assert np.array_equal(again.array, right.array)


def test_videos_of_which_no_vector_can_be_made_have_the_usual_statuses(tmp_path):
    whole = write_mp4(tmp_path / "a.mp4", grey_steps(32, 128), tone(4.0), index_first=True)
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    write_mp4(tmp_path / "sound.mp4", None, tone(1.0))
    (tmp_path / "empty").mkdir()
    statuses = [seen(tmp_path / name, VECTOR).status for name in ("cut.mp4", "sound.mp4", "empty")]
    assert statuses == ["truncated", "no_video", "too_short"]


def test_a_black_vector_is_that_of_a_black_video_and_not_zero(tmp_path):
    black = black_vector(VECTOR)
    assert any(black) and len(black) == 64 and all(float(np.float16(value)) == value for value in black)
    feature = seen(dark_clip(tmp_path / "d.mp4", 16), VECTOR)
    # H.264 keeps black within a grey level or so
    assert np.abs(feature.array.astype(float) - black).max() < 0.05
    grey = seen(write_mp4(tmp_path / "g.mp4", grey_steps(20), None), VECTOR)
    assert np.abs(grey.array.astype(float) - black).max() > 0.5
    assert black_vector(get_visual_recipe("uniform8-grey2048")) == [-2.5] * 2048


def test_extraction_by_small_encoders_does_not_load_torch(tmp_path):
    clip = write_wav(tmp_path / "a.wav", tone(2.0))
    program = (
        "import sys, avbalance.features.extract\nfrom pathlib import Path\n"
        "from avbalance.features.clip import ClipJob, extract_clip\n"
        "from avbalance.features.recipes import get_audio_recipe\n"
        f"extract_clip(ClipJob(Path({str(clip)!r}), None), get_audio_recipe('seconds10-mel128'), None)\n"
        "print('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "False"


# Real recordings


def test_real_videos():
    files = sorted(path for path in real("media").iterdir() if path.suffix in (".mpg", ".mp4"))
    assert len(files) == 5
    for path in files:
        seconds = 10 if path.suffix == ".mp4" else 3
        heard, frames = both(path, get_audio_recipe("ogm_vgg"), FRAMES)
        assert (heard.status, frames.status, frames.n_frames) == ("ok", "ok", seconds), path
        assert heard.duration == pytest.approx(seconds, abs=0.05) and frames.duration == pytest.approx(
            seconds, abs=0.05
        )
        assert min(frames.width, frames.height) >= 240 and 20 < frames.array.mean() < 235
        heard, vector = both(path, get_audio_recipe("decibel64-10s"), VECTOR)
        assert (heard.array.shape, vector.status, vector.n_frames) == ((64, 313), "ok", 8)
    for feature in both(real("media", "llp_BjCEufrlXm4.mp4")):
        assert (feature.status, feature.n_frames) == ("ok", 10)
        assert np.isfinite(feature.array).all() and len(np.unique(feature.array, axis=0)) == 10


def test_real_wav_and_png():
    folder = real("avdigits")
    job = ClipJob(folder / "audio" / "0_george_0.wav", folder / "image" / "0_george_0.png")
    heard, seen = extract_clip(job, get_audio_recipe("logmel32x64-1s"), get_visual_recipe("still-32"))
    assert (heard.status, seen.status, seen.n_frames, seen.width) == ("ok", "ok", 1, 28)
    assert heard.duration == pytest.approx(0.298)  # 2,384 samples at 8 kHz
    # What was not spoken is zero: log(1e-6) in the last frame
    assert heard.array[:, -1].astype(float) == pytest.approx(np.log(1e-6), abs=0.01)
