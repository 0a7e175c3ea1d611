"""Decoded pictures as they are meant to be seen: upright, without transparency, RGB, and shrunk."""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.reformatter import VideoReformatter
    from PIL.Image import Image

ON_WHITE = "transparent parts are shown on white"
_MATRIX = struct.Struct("=9i")  # (a b u, c d v, x y w): a pixel at (x, y) is shown at (a x + c y, b x + d y)
_ONE = 65536  # 1 in the 16.16 numbers of a display matrix


@functools.cache
def _turns() -> dict[tuple[int, int, int, int], Any]:
    """(a, b, c, d) of the display matrix -> how Pillow calls that turn or mirror image."""
    from PIL.Image import Transpose

    return {
        (0, -1, 1, 0): Transpose.ROTATE_90,
        (-1, 0, 0, -1): Transpose.ROTATE_180,
        (0, 1, -1, 0): Transpose.ROTATE_270,
        (-1, 0, 0, 1): Transpose.FLIP_LEFT_RIGHT,
        (1, 0, 0, -1): Transpose.FLIP_TOP_BOTTOM,
        (0, 1, 1, 0): Transpose.TRANSPOSE,
        (0, -1, -1, 0): Transpose.TRANSVERSE,
    }


def image_of_frame(frame: Any, scaler: VideoReformatter) -> tuple[Image, bool]:
    """A video frame as RGB image, turned as its display matrix says (phones write one); True where it is on white.

    Only quarter turns and mirror images are followed: no camera writes others.
    """
    see_through = any(component.is_alpha for component in frame.format.components)
    # Equal to frame.to_image(), which starts a scaler and its threads for every frame.
    scaled: Any = scaler.reformat(frame, format="rgba" if see_through else "rgb24", threads=1)
    if see_through:
        from PIL import Image

        image, transparent = on_white(Image.fromarray(scaled.to_ndarray()))
    else:
        image, transparent = scaled.to_image(), False
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        a, b, _, c, d, *_ = (round(value / _ONE) for value in _MATRIX.unpack(bytes(matrix)))
        if (turn := _turns().get((a, b, c, d))) is not None:
            image = image.transpose(turn)
    return image, transparent


def on_white(image: Image) -> tuple[Image, bool]:
    """An image as RGB, and whether something of it was transparent: that is then shown on white.

    What colours lie under full transparency is chance: the program that wrote the file never showed them.
    """
    if not image.has_transparency_data:
        return image.convert("RGB"), False
    from PIL import Image as images

    rgba = image.convert("RGBA")
    if rgba.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB"), False
    return images.alpha_composite(images.new("RGBA", rgba.size, "white"), rgba).convert("RGB"), True


def shrink(image: Image, side: int) -> NDArray[np.uint8]:
    """Image -> (side, side, 3), bilinear with antialiasing.

    The aspect ratio is not kept, as at test time in the OGM-GE reference code.
    """
    from PIL.Image import Resampling

    if image.size == (side, side):
        return np.asarray(image)
    return np.asarray(image.resize((side, side), Resampling.BILINEAR))
