"""Which files of a folder are media, in which order, and what is said of those that are none."""

import contextlib

import av
import pytest
from clip_files import touch
from PIL import Image

from avbalance.data.media_files import (
    IMAGE_SUFFIXES,
    SOUND_SUFFIXES,
    VIDEO_SUFFIXES,
    files_below,
    images_in,
    no_images,
    not_read,
    unreadable,
)


def test_numbers_in_names_count_by_value(tmp_path):
    names = ["f2.png", "f10.png", "f1.png", "f01.png", "F3.png", "b-1-11.png", "b-1-9.png", "f.png"]
    touch(tmp_path, *names)
    assert [path.name for path in images_in(tmp_path)] == [
        *("F3.png", "b-1-9.png", "b-1-11.png", "f01.png", "f1.png", "f2.png", "f10.png", "f.png")
    ]


def test_names_that_begin_with_a_dot_are_neither_frames_nor_videos(tmp_path):
    touch(tmp_path, "._000.jpg", "000.jpg", ".DS_Store", "._clip.mp4", "clip.mp4")
    assert [path.name for path in images_in(tmp_path)] == ["000.jpg"]
    assert files_below(tmp_path, VIDEO_SUFFIXES) == ["clip.mp4"]


def test_every_suffix_of_pictures_that_pillow_decodes_is_taken():
    Image.init()
    # MPEG: a video. EPS needs another program. The others are told and not decoded, or no pictures.
    left_out = ("MPEG", "EPS", "HDF5", "GRIB", "BUFR", "WMF", "FLI", "IPTC")
    taken = {end for end, form in Image.registered_extensions().items() if form in Image.OPEN and form not in left_out}
    assert taken == set(IMAGE_SUFFIXES)


def test_suffixes_of_sound_and_video_are_some_that_ffmpeg_states():
    stated = set()
    for name in av.formats_available:
        for mode in "rw":
            with contextlib.suppress(ValueError):  # no such reader, or writer
                stated |= {f".{suffix}" for suffix in av.ContainerFormat(name, mode).extensions}
    # FFmpeg tells these by their content alone
    assert {*VIDEO_SUFFIXES, *SOUND_SUFFIXES} - stated <= {".f4v", ".mts", ".m2ts", ".sph", ".aifc", ".dv", ".mjpg"}


def test_the_suffixes_that_are_read_are_named(tmp_path):
    touch(tmp_path, "a.heic", "b.HEIC", "notes", ".hidden")
    reason = no_images(tmp_path)
    assert reason.startswith("the folder has no picture with a suffix that is read: there are .heic, no suffix (")
    assert ".png .jpg" in reason and ".tif" in reason
    assert ".mp4 .mkv" in not_read(tmp_path / "a.doc") and not_read(tmp_path / "a.mp4") == ""
    touch(tmp_path, "c.tif")
    assert no_images(tmp_path) == no_images(tmp_path / "absent") == ""


@pytest.mark.parametrize(("brands", "told"), [(b"heic\0\0\0\0mif1heic", True), (b"mif1\0\0\0\0avifmif1", False)])
def test_heif_of_phones_is_told_instead_of_one_tile_being_shown(tmp_path, brands, told):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftyp" + brands + bytes(50))
    assert ("save it as .jpg" in unreadable(tmp_path / "a.heic")) is told
