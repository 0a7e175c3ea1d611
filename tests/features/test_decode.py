import dataclasses
from pathlib import Path

import numpy as np
import pytest
from clip_files import RATE, ffmpeg, ffmpeg_frames, grey_steps, tone, write_mp4, write_wav
from PIL import Image

from avbalance.features.decode import Pictures, Sound, decode_file
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe

AUDIO = get_audio_recipe("logmel32x64-4s")
WHOLE = dataclasses.replace(AUDIO, seconds=None)  # asks for all of a track
VISUAL = get_visual_recipe("fps1-middle-32")


def heard(path: Path, recipe=WHOLE) -> Sound:
    return decode_file(path, recipe, None)[0]


def seen(path: Path, recipe=VISUAL) -> Pictures:
    return decode_file(path, None, recipe)[1]


def numbers(pictures):
    """Frame numbers of decoded `grey_steps`."""
    return [round((np.asarray(image).mean() - 20) / 6) for image in pictures.images]


def statuses(path):
    sound, pictures = decode_file(path, WHOLE, VISUAL)
    assert all(part.reason for part in (sound, pictures) if part.status != "ok")
    return sound.status, pictures.status


def test_aac_comes_back_with_the_samples_that_went_in(tmp_path):
    click = np.zeros(4 * RATE, np.float32)
    click[20_000:20_040] = 0.9
    sound = heard(write_mp4(tmp_path / "a.mp4", grey_steps(32), click))
    assert (sound.status, len(sound.waveform), sound.duration) == ("ok", 64_000, 4.0)
    # An AAC frame is 1024 samples: a forgotten priming frame would move the click that far.
    assert abs(int(np.abs(sound.waveform).argmax()) - 20_020) < 40


def click_position(path, **start):
    click = np.zeros(2 * RATE, np.float32)
    click[8000:8040] = 0.9
    sound, pictures = decode_file(write_mp4(path, grey_steps(20), click, **start), WHOLE, VISUAL)
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
    sound, pictures = decode_file(path, WHOLE, VISUAL)
    assert np.array_equal(sound.waveform, heard(path).waveform)
    assert numbers(pictures) == numbers(seen(path)) == [4, 12, 20, 28]
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
    assert numbers(seen(path, get_visual_recipe(recipe))) == expected


def test_a_slow_track_serves_a_frame_for_several_picks(tmp_path):
    # 2 frames a second, 4 wanted: pick i is frame floor(i / 2 + 1 / 2), and frame 8 does not exist
    path = write_mp4(tmp_path / "a.mp4", grey_steps(8), None, fps=2)
    pictures = seen(path, get_visual_recipe("fps4-first-32-4s"))
    assert numbers(pictures) == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]


def test_long_files_are_decoded_only_as_far_as_needed(tmp_path):
    path = write_wav(tmp_path / "a.wav", tone(30.0))
    sound = heard(path, dataclasses.replace(AUDIO, seconds=2.0))
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
    assert "git lfs pull" in heard(tmp_path / "pointer.mp4").reason


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
    assert heard(wav).status == "truncated"


def test_bytes_overwritten_midway_are_never_taken_for_whole_sound(tmp_path):
    whole = write_mp4(tmp_path / "a.mp4", None, tone(), index_first=True)
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle:] = np.random.default_rng(1).bytes(len(data) - middle)
    whole.write_bytes(bytes(data))
    assert heard(whole).status == "truncated"


def test_clips_that_are_too_short(tmp_path):
    assert seen(write_mp4(tmp_path / "a.mp4", grey_steps(3), None)).status == "too_short"
    assert heard(write_wav(tmp_path / "a.wav", tone(0.04))).status == "too_short"
    assert heard(write_wav(tmp_path / "b.wav", tone(0.06))).status == "ok"
    # Three seconds give three frames at one per second: fewer than the papers' profile asks for.
    three = write_mp4(tmp_path / "three.mp4", grey_steps(24), None)
    assert seen(three, get_visual_recipe("fps1-middle-256")).status == "too_short"
    assert numbers(seen(three, get_visual_recipe("fps1-middle-256-min1"))) == [4, 12, 20]


# Frames at even distances


def test_of_300_frames_those_of_the_worked_example_are_kept_and_no_others(tmp_path):
    pixels = np.zeros((300, 32, 32, 3), np.uint8) + (np.arange(300) % 200 + 20).astype(np.uint8)[:, None, None, None]
    clip = write_mp4(tmp_path / "a.mp4", pixels, None, fps=30)
    held = []
    recipe = get_visual_recipe("uniform8-small64")
    _, pictures = decode_file(clip, None, recipe, lambda image: held.append(np.asarray(image).mean()))
    assert len(held) == len(pictures.images) == 8 and pictures.total == 300
    assert [round(time * 30) for time in pictures.times] == [0, 43, 85, 128, 171, 214, 256, 299]
    assert np.abs(np.array(held) - 20 - np.array([0, 43, 85, 128, 171, 14, 56, 99])).max() < 2


# Other containers


@pytest.mark.parametrize("suffix", ["mov", "m4v", "avi", "mpg", "ts", "flv", "3gp", "nut", "mkv", "gif", "mxf"])
def test_every_container_gives_the_frames_of_its_time_line(tmp_path, suffix):
    whole = write_mp4(tmp_path / "whole.mp4", grey_steps(32), None)
    path = tmp_path / f"a.{suffix}"
    rate = "24" if suffix in ("mpg", "mxf") else "8"  # they hold no slow video
    ffmpeg("-i", whole, "-r", rate, "-vf", "scale=64:64", *(["-s", "176x144"] if suffix == "3gp" else []), path)
    pictures = seen(path, get_visual_recipe("fps2-first-64"))
    assert (pictures.status, numbers(pictures)[:8]) == ("ok", [0, 4, 8, 12, 16, 20, 24, 28]), pictures.reason
    if suffix == "mpg":  # FFmpeg guesses its time stamps, some of them one frame too late
        return
    shown = ffmpeg_frames(path, pictures.width, pictures.height, "-vf", "fps=2:round=up:start_time=0")
    assert len(shown) >= 8
    for ours, theirs in zip(pictures.images, shown, strict=False):
        assert abs(np.asarray(ours).mean() - theirs.mean()) < 2.5


def test_a_file_that_is_no_media_says_which_suffixes_are_read(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"PK" + bytes(500))
    reason = seen(tmp_path / "a.docx").reason
    assert ".docx is none of those that are read (videos: .mp4 .mkv" in reason and ".tif" in reason
    (tmp_path / "a.mp4").write_bytes(b"PK" + bytes(500))
    assert "suffix" not in seen(tmp_path / "a.mp4").reason


def test_the_cover_of_a_song_is_no_video(tmp_path):
    write_wav(tmp_path / "a.wav", tone(1.0))
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    song = tmp_path / "a.mp3"
    ffmpeg("-i", tmp_path / "a.wav", "-i", tmp_path / "a.png", "-map", "0", "-map", "1", "-c:v", "copy", song)
    assert statuses(song) == ("ok", "no_video")
