import io

import h5py
import numpy as np
import pytest
from PIL import Image

from avbalance.features.clip import ClipJob, extract_clip
from avbalance.features.recipes import get_visual_recipe
from avbalance.features.stills import read_pictures
from avbalance.features.visual import shrink

FOUR = get_visual_recipe("fps1-middle-8-4s")
PAPER = get_visual_recipe("fps1-middle-256")


def picture(level, size=(20, 10)):
    return Image.new("RGB", size, (level, level, level))


def levels(pictures):
    return [int(np.asarray(image).mean()) for image in pictures.images]


@pytest.mark.parametrize(
    ("mode", "value"), [("L", 200), ("RGB", (200,) * 3), ("I;16", 200 * 256), ("RGBA", (200,) * 4)]
)
def test_a_lone_image_of_any_kind_is_one_frame(tmp_path, mode, value):
    path = tmp_path / "a.png"
    Image.new(mode, (20, 10), value).save(path)
    seen = extract_clip(ClipJob(None, path), None, PAPER)[1]
    assert (seen.status, seen.n_frames, seen.width, seen.height) == ("ok", 1, 20, 10)
    assert (seen.array == 200).all()


def test_folders_are_read_in_name_order_and_cut(tmp_path):
    for name, level in (
        ("00060.png", 60),
        ("00000.png", 0),
        ("00030.png", 30),
        ("00090.png", 90),
        ("00120.png", 120),
    ):
        picture(level).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    pictures = read_pictures(tmp_path, FOUR)
    assert levels(pictures) == [0, 30, 60, 90]
    assert (pictures.status, pictures.width, pictures.height) == ("ok", 20, 10)


def test_few_extracted_frames_are_too_short_where_the_recipe_says_so(tmp_path):
    for number in range(3):
        picture(100).save(tmp_path / f"{number}.jpg")
    assert read_pictures(tmp_path, PAPER).status == "too_short"
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
    pictures = read_pictures(path, PAPER)
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


def test_shrinking_averages_instead_of_skipping():
    # One-pixel stripes of 0 and 255: any point sampling keeps them, antialiasing gives grey.
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = shrink(Image.fromarray(stripes), 8)
    assert small.shape == (8, 8, 3)
    assert np.abs(small.astype(int) - 127).max() < 12


def test_the_aspect_ratio_is_given_up():
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 20:] = 255
    small = shrink(Image.fromarray(wide), 8)
    assert small[:, :3].max() == 0
    assert small[:, 5:].min() == 255
