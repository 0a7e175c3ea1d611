"""Upright, on white, and small: compared with FFmpeg's own turning of phone video and Pillow's of photographs."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from clip_files import ffmpeg, ffmpeg_frames, write_mp4
from PIL import Image

from avbalance.features.decode import decode_file
from avbalance.features.image_files import read_pictures
from avbalance.features.pixels import ON_WHITE, on_white, shrink
from avbalance.features.recipes import get_visual_recipe

STILL = get_visual_recipe("still-32")


def quarters():
    """A picture, 96 high and 128 wide, with another colour in each quarter."""
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[:48, :64], picture[:48, 64:], picture[48:, :64] = (200, 40, 40), (40, 200, 40), (40, 40, 200)
    return picture


@pytest.mark.parametrize("mirror", [(), ("-display_hflip",), ("-display_vflip",)])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_phone_video_is_upright_as_ffmpeg_shows_it(tmp_path, degrees, mirror):
    plain = write_mp4(tmp_path / "plain.mp4", np.stack([quarters()] * 8), None)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", str(degrees), *mirror, "-i", plain, "-c", "copy", turned)
    pictures = decode_file(turned, None, STILL)[1]
    width, height = (128, 96) if degrees % 180 == 0 else (96, 128)
    assert (pictures.status, pictures.width, pictures.height) == ("ok", width, height)
    shown = ffmpeg_frames(turned, width, height)[0]
    assert np.abs(np.asarray(pictures.images[0]).astype(int) - shown).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_upright(tmp_path, orientation):
    upright = Image.fromarray(quarters())
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera that writes this orientation did, as Transpose
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    pictures = read_pictures(tmp_path / "a.png", STILL)
    assert (pictures.width, pictures.height) == (128, 96)
    assert np.array_equal(np.asarray(pictures.images[0]), quarters())


def transparent():
    """Black ink (left) on nothing, under which red is hidden; half transparent blue on the right."""
    picture = np.zeros((8, 12, 4), np.uint8)
    picture[:, :4, 3] = 255
    picture[:, 4:8] = 255, 0, 0, 0
    picture[:, 8:] = 0, 0, 255, 128
    return picture


def test_transparency_is_shown_on_white_and_told(tmp_path):
    Image.fromarray(transparent()).save(tmp_path / "a.png")
    pictures = read_pictures(tmp_path / "a.png", STILL)
    assert pictures.reason == ON_WHITE
    assert np.asarray(pictures.images[0])[0, [0, 5, 9]].tolist() == [[0, 0, 0], [255, 255, 255], [127, 127, 255]]


@pytest.mark.parametrize("mode", ["LA", "P", "1 bit"])
def test_every_way_to_store_transparency_is_seen(mode):
    ink = Image.fromarray(transparent()[:, :8])
    file = io.BytesIO()
    if mode == "LA":
        ink.convert("LA").save(file, "PNG")
    elif mode == "P":
        ink.quantize(4).save(file, "PNG")
    else:
        Image.fromarray(np.repeat([[0, 255]], 4, axis=1).astype(np.uint8)).save(file, "PNG", transparency=255)
    with Image.open(file) as image:
        shown, told = on_white(image)
    assert told and np.asarray(shown)[0, [0, -1]].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_an_alpha_channel_without_transparency_changes_nothing():
    picture = np.dstack([quarters(), np.full((96, 128), 255, np.uint8)])
    shown, told = on_white(Image.fromarray(picture))
    assert not told and np.array_equal(np.asarray(shown), quarters())


def test_transparent_video_is_shown_on_white(tmp_path):
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("png", rate=8)
        stream.height, stream.width, stream.pix_fmt = 8, 12, "rgba"
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(transparent(), format="rgba")
            frame.pts, frame.time_base = number, Fraction(1, 8)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    pictures = decode_file(tmp_path / "a.mov", None, STILL)[1]
    assert (pictures.status, pictures.reason) == ("ok", ON_WHITE)
    assert np.asarray(pictures.images[0])[0, [0, 5, 9]].tolist() == [[0, 0, 0], [255, 255, 255], [127, 127, 255]]


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
