import os
from pathlib import Path

import numpy as np
import pytest
from clip_files import RATE, grey_steps, tone, write_mp4, write_wav

from avbalance.features.clip import ClipJob, extract_clip
from avbalance.features.decode import SoundRequest as Request
from avbalance.features.decode import decode_audio, decode_file, decode_frames, pick_index, resample
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe

AUDIO = get_audio_recipe("logmel32x64-4s")
VISUAL = get_visual_recipe("fps1-middle-32")


def numbers(pictures):
    """Frame numbers of decoded `grey_steps`."""
    return [round((np.asarray(image).mean() - 20) / 6) for image in pictures.images]


def statuses(path):
    sound, pictures = decode_file(path, Request(RATE), VISUAL)
    assert all(part.reason for part in (sound, pictures) if part.status != "ok")
    return sound.status, pictures.status


def test_aac_comes_back_with_the_samples_that_went_in(tmp_path):
    click = np.zeros(4 * RATE, np.float32)
    click[20_000:20_040] = 0.9
    sound = decode_audio(write_mp4(tmp_path / "a.mp4", grey_steps(32), click), RATE)
    assert (sound.status, len(sound.waveform), sound.duration) == ("ok", 64_000, 4.0)
    # An AAC frame is 1024 samples: a forgotten priming frame would move the click that far.
    assert abs(int(np.abs(sound.waveform).argmax()) - 20_020) < 40


def click_position(path, **start):
    click = np.zeros(2 * RATE, np.float32)
    click[8000:8040] = 0.9
    sound, pictures = decode_file(write_mp4(path, grey_steps(20), click, **start), Request(RATE), VISUAL)
    assert (sound.status, pictures.status) == ("ok", "ok")
    return int(np.abs(sound.waveform).argmax())


def test_sound_stays_on_the_time_line_of_the_pictures(tmp_path):
    assert abs(click_position(tmp_path / "a.mp4") - 8020) < 40
    # Sound that starts 0.5 s after the pictures is moved by 8000 samples of silence.
    assert abs(click_position(tmp_path / "b.mp4", delay=0.5) - 16_020) < 40
    # Matroska has the encoder's padding before time zero.
    assert abs(click_position(tmp_path / "c.mkv") - 8020) < 40
    # A transport stream may start at any time: that is its zero, not a delay. It keeps the padding, 1024 samples.
    assert 8020 - 40 < click_position(tmp_path / "d.ts", start=2.0) < 8020 + 1024 + 40


def test_one_pass_gives_what_two_passes_give(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", grey_steps(32), tone())
    sound, pictures = decode_file(path, Request(RATE), VISUAL)
    assert np.array_equal(sound.waveform, decode_audio(path, RATE).waveform)
    assert numbers(pictures) == numbers(decode_frames(path, VISUAL)) == [4, 12, 20, 28]
    assert (pictures.width, pictures.height, pictures.duration) == (64, 64, 4.0)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("fps1-middle-32", [4, 12, 20, 28]),  # round(0.5 * 8) = 4, then 8 more each
        ("fps1-first-32", [0, 8, 16, 24]),
        ("fps2-middle-32", [2, 6, 10, 14, 18, 22, 26, 30]),  # round((0.5 + i) * 8 / 2)
        ("fps1-first-32-2s", [0, 8]),
        ("still-32", [0]),
    ],
)
def test_frames_are_picked_by_number(tmp_path, recipe, expected):
    path = write_mp4(tmp_path / "a.mp4", grey_steps(32), None)
    assert numbers(decode_frames(path, get_visual_recipe(recipe))) == expected


def test_a_slow_track_serves_a_frame_for_several_picks(tmp_path):
    # 2 frames a second, 4 wanted: pick i is frame floor(i / 2 + 1 / 2), and frame 8 does not exist
    path = write_mp4(tmp_path / "a.mp4", grey_steps(8), None, fps=2)
    pictures = decode_frames(path, get_visual_recipe("fps4-first-32-4s"))
    assert numbers(pictures) == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]


def test_middle_index_rounds_halves_up():
    # 25 frames per second: 12.5 -> 13, 37.5 -> 38; 30000/1001: 14.985 -> 15
    assert [pick_index(0, 25, VISUAL), pick_index(1, 25, VISUAL)] == [13, 38]
    assert pick_index(0, 30_000 / 1001, VISUAL) == 15


def test_stereo_is_the_mean_of_its_channels(tmp_path):
    left = tone(1.0)
    sound = decode_audio(write_wav(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1)), RATE)
    np.testing.assert_allclose(sound.waveform, left / 2, atol=2e-5)


def test_resampling_keeps_length_level_and_phase(tmp_path):
    result = resample(tone(1.0, 8000, 300.0), 8000, RATE)
    assert len(result) == 16_000
    np.testing.assert_allclose(result[100:-100], tone(1.0, RATE, 300.0)[100:-100], atol=2e-3)


def test_long_files_are_decoded_only_as_far_as_needed(tmp_path):
    path = write_wav(tmp_path / "a.wav", tone(30.0))
    sound = decode_audio(path, RATE, seconds=2.0)
    assert 2.0 * RATE < len(sound.waveform) < 4.0 * RATE
    assert sound.duration == pytest.approx(30.0)


def test_media_without_one_of_the_tracks(tmp_path):
    assert statuses(write_mp4(tmp_path / "mute.mp4", grey_steps(32), None)) == ("no_audio", "ok")
    assert statuses(write_mp4(tmp_path / "blind.mp4", None, tone())) == ("ok", "no_video")


def test_unreadable_files(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "pointer.mp4").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    whole = write_mp4(tmp_path / "whole.mp4", grey_steps(32), tone()).read_bytes()
    (tmp_path / "no_index.mp4").write_bytes(whole[: len(whole) // 2])
    for name in ("empty", "noise", "pointer", "no_index"):
        assert statuses(tmp_path / f"{name}.mp4") == ("corrupt", "corrupt"), name
    assert statuses(tmp_path / "absent.mp4") == ("missing", "missing")
    assert "git lfs pull" in decode_audio(tmp_path / "pointer.mp4", RATE).reason


def test_a_cut_file_is_truncated(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (32, 64, 64, 3), dtype=np.uint8)
    whole = write_mp4(tmp_path / "whole.mp4", frames, tone(), index_first=True)
    assert statuses(whole) == ("ok", "ok")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert statuses(cut) == ("truncated", "truncated")
    whole = write_mp4(tmp_path / "whole.mkv", frames, tone())
    assert statuses(whole) == ("ok", "ok")
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert statuses(whole) == ("truncated", "truncated")
    wav = write_wav(tmp_path / "a.wav", tone())
    wav.write_bytes(wav.read_bytes()[:64_000])
    assert decode_audio(wav, RATE).status == "truncated"


def test_bytes_overwritten_midway_are_never_taken_for_whole_sound(tmp_path):
    whole = write_mp4(tmp_path / "a.mp4", None, tone(), index_first=True)
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle:] = np.random.default_rng(1).bytes(len(data) - middle)
    whole.write_bytes(bytes(data))
    assert decode_audio(whole, RATE).status == "truncated"


def test_silence_and_blackness_are_usable_and_flagged(tmp_path):
    black = np.zeros((32, 64, 64, 3), np.uint8)
    path = write_mp4(tmp_path / "a.mp4", black, np.zeros(4 * RATE, np.float32))
    heard, seen = extract_clip(ClipJob(path, path), AUDIO, VISUAL)
    assert (heard.status, seen.status) == ("silent", "black")
    assert heard.array.shape == AUDIO.shape
    assert seen.array.shape == VISUAL.shape


def test_a_dark_scene_with_a_bright_object_is_not_black(tmp_path):
    frames = np.zeros((32, 64, 64, 3), np.uint8)
    frames[:, 20:32, 20:32] = 255  # 144 of 4096 pixels, 3.5 %
    path = write_mp4(tmp_path / "a.mp4", frames, None)
    assert extract_clip(ClipJob(None, path), None, VISUAL)[1].status == "ok"


def test_faint_sound_is_not_silence(tmp_path):
    # -80 dB is 1e-4 of full scale, three steps of 16 bits; -90 dB is 3.2e-5
    assert decode_audio(write_wav(tmp_path / "a.wav", tone() * 2e-4), RATE).status == "ok"


def test_clips_that_are_too_short(tmp_path):
    assert decode_frames(write_mp4(tmp_path / "a.mp4", grey_steps(3), None), VISUAL).status == "too_short"
    assert decode_audio(write_wav(tmp_path / "a.wav", tone(0.04)), RATE).status == "too_short"
    assert decode_audio(write_wav(tmp_path / "b.wav", tone(0.06)), RATE).status == "ok"
    # Three seconds give three frames at one per second: fewer than the papers' profile asks for.
    three = write_mp4(tmp_path / "three.mp4", grey_steps(24), None)
    assert decode_frames(three, get_visual_recipe("fps1-middle-256")).status == "too_short"
    assert numbers(decode_frames(three, get_visual_recipe("fps1-middle-256-min1"))) == [4, 12, 20]


def test_unused_rows_repeat_the_last_frame(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", grey_steps(32), None)
    seen = extract_clip(ClipJob(None, path), None, VISUAL)[1]
    assert seen.n_frames == 4
    level = [round((block.mean() - 20) / 6) for block in seen.array]
    assert level == [4, 12, 20, 28, 28, 28, 28, 28, 28, 28]


def real_data() -> Path:
    folder = os.environ.get("AVBALANCE_REAL_DATA")
    if not folder:
        pytest.skip("AVBALANCE_REAL_DATA is unset: no real clips to decode")
    return Path(folder)


def test_real_videos_decode():
    files = sorted(path for path in (real_data() / "media").iterdir() if path.suffix in (".mpg", ".mp4"))
    assert len(files) == 5
    for path in files:
        heard, seen = extract_clip(ClipJob(path, path), get_audio_recipe("ogm_vgg"), VISUAL)
        assert (heard.status, seen.status) == ("ok", "ok"), path
        seconds, frames = (10, 10) if path.suffix == ".mp4" else (3, 3)
        assert heard.duration == pytest.approx(seconds, abs=0.05)
        assert seen.duration == pytest.approx(seconds, abs=0.05)
        assert seen.n_frames == frames
        assert min(seen.width, seen.height) >= 240
        assert 20 < seen.array.mean() < 235


def test_real_wav_and_png_decode():
    folder = real_data() / "avdigits"
    job = ClipJob(folder / "audio" / "0_george_0.wav", folder / "image" / "0_george_0.png")
    heard, seen = extract_clip(job, get_audio_recipe("logmel32x64-1s"), get_visual_recipe("still-32"))
    assert (heard.status, seen.status, seen.n_frames, seen.width) == ("ok", "ok", 1, 28)
    assert heard.duration == pytest.approx(0.298)  # 2,384 samples at 8 kHz
    # What was not spoken is zero: log(1e-6) in the last frame
    assert heard.array[:, -1].astype(float) == pytest.approx(np.log(1e-6), abs=0.01)
