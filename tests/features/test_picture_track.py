"""Pictures of videos by the time line: variable rates, late pictures, tracks that end; compared with FFmpeg's own."""

import numpy as np
import pytest
from clip_files import ffmpeg_frames, grey_steps, tone, write_mp4

from avbalance.features.clip import ClipJob, extract_clip
from avbalance.features.decode import decode_file
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe

FIRST = get_visual_recipe("fps2-first-32")
MIXED = [*(k / 10 for k in range(20)), *(2 + k / 2.5 for k in range(10))]  # 2 s at 10, then 4 s at 2.5 frames a second
SCREEN = [0.0, 0.4, 0.45, 2.6, 2.65, 2.7, 5.1]  # changes of a screen


def seen(path, recipe=FIRST):
    return decode_file(path, None, recipe)[1]


def numbers(frames):
    """Frame numbers of decoded `grey_steps`."""
    return [round((np.asarray(frame).mean() - 20) / 6) for frame in frames]


def by_ffmpeg(path, rate=2):
    """Numbers of the frames that FFmpeg shows at 0, 1/rate, ... s: the last one that has come by then."""
    return numbers(ffmpeg_frames(path, 64, 64, "-vf", f"fps={rate}:round=up:start_time=0"))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "webm"])
@pytest.mark.parametrize("times", [MIXED, SCREEN])
def test_frames_of_a_variable_rate_are_those_shown_at_each_moment(tmp_path, suffix, times):
    codec = {"webm": "libvpx"}.get(suffix, "libx264")
    path = write_mp4(tmp_path / f"a.{suffix}", grey_steps(len(times)), None, times=times, codec=codec)
    pictures = seen(path)
    shown = [sum(time <= k / 2 for time in times) - 1 for k in range(20) if k / 2 < times[-1]]
    assert pictures.status == "ok" and numbers(pictures.images)[: len(shown)] == shown
    expected = by_ffmpeg(path)
    assert numbers(pictures.images)[: len(expected)] == expected[: len(pictures.images)]


def test_eight_frames_of_a_variable_rate_lie_at_even_times(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", grey_steps(30), None, times=MIXED)
    # moments at k 5.6 / 7 = 0.8 k: frames 0, 8, 16, then 20 + 2.5 (0.8 k - 2) = 21, 23, 25, 27, 29
    assert numbers(seen(path, get_visual_recipe("uniform8-small64")).images) == [0, 8, 16, 21, 23, 25, 27, 29]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_late_pictures_stay_with_their_sound(tmp_path, suffix):
    # Pictures at 8 a second from 3 s on; the sound from 0 on, as after a cut without encoding
    path = write_mp4(tmp_path / f"a.{suffix}", grey_steps(24), tone(6.0), times=[3 + k / 8 for k in range(24)])
    sound, pictures = decode_file(path, get_audio_recipe("logmel32x64-4s"), FIRST)
    assert (sound.status, pictures.status) == ("ok", "ok")
    assert numbers(pictures.images) == [0] * 7 + [4, 8, 12, 16, 20]
    # FFmpeg shows frames by time stamps with the first one before, too.
    assert by_ffmpeg(path)[:12] == [0] * 7 + [4, 8, 12, 16, 20]
    assert pictures.reason == "the pictures begin 3.00 s after the sound; the first one stands before"
    assert pictures.times[6:] == pytest.approx([3.0, 3.5, 4.0, 4.5, 5.0, 5.5])
    assert pictures.duration == pytest.approx(6.0)


def test_seconds_before_late_pictures_hold_the_first_one(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", grey_steps(24), tone(6.0), times=[3 + k / 8 for k in range(24)])
    feature = extract_clip(ClipJob(None, path), None, get_visual_recipe("seconds10-grey2560"))[1]
    assert (feature.status, feature.n_frames) == ("partial", 3) and "begin 3.00 s after the sound" in feature.reason
    assert (feature.array[:3] == feature.array[3]).all() and (feature.array[4] != feature.array[3]).any()


def test_a_start_that_nobody_sees_changes_no_choice(tmp_path):
    whole = seen(write_mp4(tmp_path / "a.mp4", grey_steps(24), tone(3.0)))
    late = seen(write_mp4(tmp_path / "b.mp4", grey_steps(24), tone(3.0), times=[0.08 + k / 8 for k in range(24)]))
    assert numbers(late.images) == numbers(whole.images) == [0, 4, 8, 12, 16, 20] and not late.reason


def test_a_cut_file_of_variable_rate_is_truncated_and_a_whole_one_is_not(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)
    for suffix in ("mp4", "mkv"):
        path = write_mp4(tmp_path / f"a.{suffix}", noise, None, times=MIXED, index_first=suffix == "mp4")
        assert seen(path).status == "ok"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert seen(path).status == "truncated"


def test_the_last_frame_of_a_cut_file_serves_what_was_wanted_before_the_cut(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)
    path = write_mp4(tmp_path / "a.mp4", noise, None, times=MIXED, index_first=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])  # frames beyond 4.5 s are lost
    assert seen(path, get_visual_recipe("fps2-first-32-4s")).status == "ok"


def test_pictures_of_an_unknown_codec_cost_the_pictures_only(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", grey_steps(16), tone(2.0))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"vvxx"))
    for recipe in (FIRST, get_visual_recipe("uniform8-small64")):
        sound, pictures = decode_file(path, get_audio_recipe("decibel64-2s"), recipe)
        assert (sound.status, pictures.status) == ("ok", "corrupt")
        assert "no decoder for the codec of the pictures, vvxx; convert the file" in pictures.reason
