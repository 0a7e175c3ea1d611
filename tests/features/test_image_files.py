"""Pictures of any suffix, folders in natural order and HDF5 files; what is none says so."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
from clip_files import grey_steps, write_mp4
from PIL import Image

from avbalance.features.clip import ClipJob, extract_clip
from avbalance.features.image_files import holds_pictures, read_pictures
from avbalance.features.recipes import get_visual_recipe

FOUR, ONE_A_SECOND = get_visual_recipe("fps1-middle-8-4s"), get_visual_recipe("fps1-middle-256")


def picture(level, size=(20, 10)):
    return Image.new("RGB", size, (level, level, level))


def levels(pictures):
    return [int(np.asarray(image).mean()) for image in pictures.images]


def test_folders_are_read_in_name_order_and_cut(tmp_path):
    for name, level in (("00060.png", 60), ("00000.png", 0), ("00030.png", 30), ("00090.png", 90), ("00120.png", 120)):
        picture(level).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    pictures = read_pictures(tmp_path, FOUR)
    assert levels(pictures) == [0, 30, 60, 90]
    assert (pictures.status, pictures.width, pictures.height) == ("ok", 20, 10)


def test_frames_count_by_the_numbers_in_their_names(tmp_path):
    for number in (0, 1, 2, 9, 10, 11):
        picture(10 * number).save(tmp_path / f"{number}.png")
        (tmp_path / f"._{number}.png").write_bytes(b"\0\x05\x16\x07" + bytes(100))
    assert levels(read_pictures(tmp_path, get_visual_recipe("fps1-first-8"))) == [0, 10, 20, 90, 100, 110]


def test_a_folder_without_readable_pictures_says_which_are(tmp_path):
    (tmp_path / "0.heic").write_bytes(bytes(9))
    pictures = read_pictures(tmp_path, FOUR)
    assert pictures.status == "corrupt" and "there are .heic (pictures: .png .jpg" in pictures.reason


@pytest.mark.parametrize("suffix", ["tif", "TIFF", "gif", "jp2", "tga", "ppm", "qoi", "dat", ""])
def test_a_picture_is_one_whatever_its_suffix(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}".rstrip(".")
    formats = {"": "png", "dat": "jpeg", "jp2": "jpeg2000", "tif": "tiff"}
    with path.open("wb") as file:
        picture(200).save(file, formats.get(suffix, suffix))
    assert holds_pictures(path) and levels(read_pictures(path, FOUR)) == [200]


def test_a_gif_of_several_pictures_is_a_video(tmp_path):
    first, *others = (picture(level) for level in (0, 80, 160, 240))
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, duration=500)
    feature = extract_clip(ClipJob(None, tmp_path / "a.gif"), None, get_visual_recipe("fps2-first-8-2s"))[1]
    assert (feature.status, feature.n_frames) == ("ok", 4)
    assert np.abs(feature.array.mean(axis=(1, 2, 3)) - [0, 80, 160, 240]).max() < 3


def test_a_video_without_suffix_is_a_video(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", grey_steps(8), None).rename(tmp_path / "clip")
    assert not holds_pictures(path)
    assert extract_clip(ClipJob(None, path), None, FOUR)[1].status == "ok"


def test_few_extracted_frames_are_too_short_where_the_recipe_says_so(tmp_path):
    for number in range(3):
        picture(100).save(tmp_path / f"{number}.jpg")
    assert read_pictures(tmp_path, ONE_A_SECOND).status == "too_short"
    assert read_pictures(tmp_path, FOUR).status == "ok"


def write_hdf5(path, blobs):
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("video", (len(blobs),), dtype=h5py.vlen_dtype(np.uint8))
        for position, blob in enumerate(blobs):
            stored[position] = np.frombuffer(blob, np.uint8)
    return path


def jpeg(level):
    buffer = io.BytesIO()
    picture(level).save(buffer, "JPEG")
    return buffer.getvalue()


def test_hdf5_of_jpeg_bytes(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", [jpeg(level) for level in (40, 80, 120, 160, 200)])
    pictures = read_pictures(path, ONE_A_SECOND)
    assert levels(pictures) == [40, 80, 120, 160, 200]
    assert pictures.duration == 5.0


def test_bad_still_sources_have_a_status_and_a_reason(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "bad.h5").write_bytes(b"nonsense")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["audio"] = [1, 2]
    write_hdf5(tmp_path / "cut.h5", [jpeg(9)[:200], jpeg(9), jpeg(9), jpeg(9)])
    for name in ("bad.png", "empty.jpg", "bad.h5", "other.h5", "cut.h5"):
        pictures = read_pictures(tmp_path / name, FOUR)
        assert pictures.status == "corrupt", name
        assert pictures.reason
    assert read_pictures(tmp_path / "absent.png", FOUR).status == "missing"
