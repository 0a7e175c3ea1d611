"""Small files of the kinds that phones, screen recorders and browsers make: each gives what its kind must give.

They are no part of the repository; the kinds are made by the tests of single modules, too.
"""

import dataclasses

import numpy as np
import pytest
from clip_files import ffmpeg_frames
from PIL import Image
from real_data import real

from avbalance.features.clip import ClipJob, extract_clip
from avbalance.features.decode import decode_file
from avbalance.features.image_files import holds_pictures, read_pictures
from avbalance.features.pixels import ON_WHITE
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe

FIRST, STILL = get_visual_recipe("fps2-first-64"), get_visual_recipe("still-64")
WHOLE = dataclasses.replace(get_audio_recipe("logmel32x64-4s"), seconds=None)


@pytest.mark.parametrize(
    ("name", "begin", "count"),
    [
        ("cut_after.mkv", 3.777, 20),
        ("cut_after.mp4", 3.8, 20),
        ("v_late_video.mp4", 3.0, 18),
        ("vfr_mild.mkv", 0.0, 20),
        ("vfr_mild.mp4", 0.0, 20),
        ("screen.mp4", 0.0, 20),
        ("v_mediarecorder.webm", 0.0, 20),
        ("v_rot90.mp4", 0.0, 10),
    ],
)
def test_videos_give_the_frames_that_ffmpeg_shows(name, begin, count):
    path = real("faults", name)
    sound, pictures = decode_file(path, WHOLE, FIRST)
    assert (sound.status, pictures.status, len(pictures.images)) == ("ok", "ok", count), sound.reason
    assert (f"begin {begin:.2f} s after" in pictures.reason) == (begin > 0)
    shown = ffmpeg_frames(path, pictures.width, pictures.height, "-vf", "fps=2:round=up:start_time=0")
    # FFmpeg may hold the last one for a shorter time, or repeat it once more.
    for number, (ours, theirs) in enumerate(zip(pictures.images, shown, strict=False)):
        assert np.abs(np.asarray(ours).astype(int) - theirs).mean() < 3, number
    assert len(shown) >= count - 2


def test_phone_video_is_upright():
    assert decode_file(real("faults", "v_rot90.mp4"), None, STILL)[1].images[0].size == (96, 128)


def test_photographs_with_an_orientation_and_transparent_pictures():
    assert read_pictures(real("faults", "i_exif6.jpg"), STILL).images[0].size == (96, 128)
    for name in ("i_blackink.png", "i_hidden.png"):
        path = real("faults", name)
        pictures = read_pictures(path, STILL)
        with Image.open(path) as image:
            hidden = np.asarray(image.convert("RGBA"))[:, :, 3] == 0
        assert pictures.reason == ON_WHITE and hidden.any()
        assert (np.asarray(pictures.images[0])[hidden] == 255).all()


def test_pictures_of_any_suffix_and_frames_in_natural_order():
    assert holds_pictures(real("faults", "i_tif.tif"))
    assert read_pictures(real("faults", "i_tif.tif"), STILL).status == "ok"
    twelve = get_visual_recipe("fps2-first-32-6s")
    for folder, suffix in (("f_tif", "tif"), ("f_unpadded", "jpg"), ("f_macos", "jpg")):
        path = real("faults", folder)
        pictures = read_pictures(path, twelve)
        assert (pictures.status, len(pictures.images)) == ("ok", 12), folder
        name = "{}" if folder == "f_unpadded" else "{:03d}"
        for number, image in enumerate(pictures.images):
            with Image.open(path / f"{name.format(number)}.{suffix}") as expected:
                assert np.array_equal(np.asarray(image), np.asarray(expected.convert("RGB"))), (folder, number)


def test_sound_that_is_no_sound():
    sound = decode_file(real("faults", "a_nan1.wav"), WHOLE, None)[0]
    assert (sound.status, sound.reason[:30]) == ("corrupt", "1 samples are NaN or infinite,")
    sound = decode_file(real("faults", "a_chained.ogg"), WHOLE, None)[0]
    assert sound.status == "truncated" and "after 2.00 s (a second recording with another rate" in sound.reason


def test_pictures_without_decoder_cost_themselves_only():
    path = real("faults", "x_vunk.mp4")
    heard, seen = extract_clip(ClipJob(path, path), get_audio_recipe("logmel32x64-4s"), FIRST)
    assert (heard.status, seen.status) == ("ok", "corrupt") and "codec of the pictures, vvxx;" in seen.reason
