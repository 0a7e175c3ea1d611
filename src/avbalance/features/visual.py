"""From decoded frames to the stored uint8 block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avbalance.features.recipes import GREYS, VisualRecipe

if TYPE_CHECKING:
    from PIL.Image import Image

BLACK_LEVEL = 16  # of 255: the darkest value that studio-range video can carry
BLACK_SHARE = 0.01  # a frame with fewer bright values than this is black


def frame_block(images: Sequence[Image], recipe: VisualRecipe) -> NDArray[np.uint8]:
    """RGB images, at least one -> array of the recipe's shape; unused rows repeat the last image."""
    block = np.empty((recipe.max_frames, recipe.size, recipe.size, 3), np.uint8)
    kept = images[: recipe.max_frames]
    for position, image in enumerate(kept):
        block[position] = shrink(image, recipe.size)
    block[len(kept) :] = block[len(kept) - 1]
    return _stacked(block) if recipe.grey else block


def _stacked(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames (n, S, S, 3) -> (n / 3, S, S, 3): each three in grey, the mean of red, green and blue, as channels."""
    grey = np.rint(block.mean(axis=3, dtype=np.float32)).astype(np.uint8)
    return grey.reshape(-1, GREYS, *grey.shape[1:]).transpose(0, 2, 3, 1)


def shrink(image: Image, size: int) -> NDArray[np.uint8]:
    """Image -> (size, size, 3), bilinear with antialiasing.

    The aspect ratio is not kept, as at test time in the OGM-GE reference code.
    """
    from PIL.Image import Resampling

    if image.size == (size, size):
        return np.asarray(image)
    return np.asarray(image.resize((size, size), Resampling.BILINEAR))


def is_black(block: NDArray[np.uint8]) -> bool:
    """True when in every frame of (K, S, S, 3) fewer than 1 % of the values reach 16 of 255."""
    bright = (block >= BLACK_LEVEL).mean(axis=(1, 2, 3))
    return bool((bright < BLACK_SHARE).all())
