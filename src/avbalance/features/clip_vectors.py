"""Decoded frames to one vector per clip: the encoders that recipes name, and what they make of black frames.

Encoders are imported when they are used: networks need torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avbalance.features.decode import Keep, Pictures
from avbalance.features.recipes import ClipVectorRecipe
from avbalance.features.visual import is_black, shrink

if TYPE_CHECKING:
    from PIL.Image import Image

NETWORKS = ("k400r50", "imagenetr50", "randomr50")
SIDE = 64  # pixels of the frames of the small encoders, which average them further
Halves = NDArray[np.float16]


def vector_keeper(recipe: ClipVectorRecipe) -> Keep:
    """What is held of each image for the recipe's encoder."""
    if recipe.encoder in NETWORKS:
        from avbalance.features import networks

        return networks.picture_keeper(recipe.encoder)
    return _small


def _small(image: Image) -> NDArray[np.uint8]:
    return shrink(image, SIDE)


def seen_vector(pictures: Pictures, recipe: ClipVectorRecipe) -> Halves:
    """Vector `(recipe.width,)` of usable pictures; images are what `vector_keeper` made of the frames.

    Of fewer images than the recipe's frames the last one is repeated. Raises ValueError when the encoder makes values
    that are none of float16.
    """
    missing = recipe.frames - len(pictures.images)
    vector = _encode(np.stack([*pictures.images, *pictures.images[-1:] * missing]), recipe)
    if vector.shape != recipe.shape or not np.isfinite(vector).all():
        raise ValueError(f"encoder {recipe.encoder} made values that are no vector of {recipe.width} float16")
    return vector


def _encode(frames: NDArray[np.uint8], recipe: ClipVectorRecipe) -> Halves:
    if recipe.encoder in NETWORKS:
        from avbalance.features import networks

        return networks.picture_vector(frames, recipe.encoder)
    from avbalance.features import small_encoders

    encode = small_encoders.clip_greys if recipe.encoder == "grey" else small_encoders.clip_statistics
    return encode(frames, recipe.width)


def frames_are_black(pictures: Pictures) -> bool:
    """Whether every kept frame is nearly black, see `avbalance.features.visual.is_black`."""
    return is_black(np.stack(pictures.images))


def black_vector(recipe: ClipVectorRecipe) -> list[float]:
    """What the recipe makes of a clip of black frames: `recipe.width` values of float16."""
    from PIL import Image

    frame: Any = vector_keeper(recipe)(Image.new("RGB", (320, 240)))
    return [float(value) for value in seen_vector(Pictures("ok", images=[frame]), recipe)]
