"""Decoded media to one array per second: the encoders that recipes name, and what holds for all of them.

A segment has media when at least half of its second is there; sound is padded with zeros to ten seconds before it is
encoded, and what an encoder made of segments without media is replaced. Encoders are imported when they are used:
networks need torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avbalance.features.decode import Keep, Pictures, Sound
from avbalance.features.recipes import SegmentRecipe
from avbalance.features.visual import is_black, shrink

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 64  # pixels of the frames of the small encoders, which average them further
Halves = NDArray[np.float16]


def picture_keeper(recipe: SegmentRecipe) -> Keep:
    """What is held of each image for the recipe's encoder."""
    if recipe.encoder in ("res152-r2plus1d", "vgg19"):
        from avbalance.features import networks

        return networks.picture_keeper(recipe.encoder)
    return _small


def _small(image: Image) -> NDArray[np.uint8]:
    return shrink(image, SIDE)


def heard_segments(sound: Sound, recipe: SegmentRecipe) -> tuple[Halves, int]:
    """Array of `recipe.shape` from a usable track at the recipe's rate, and the number of segments with sound."""
    length = recipe.rate * recipe.segments
    waveform = np.pad(sound.waveform[:length], (0, max(0, length - len(sound.waveform))))
    covered = _covered(len(sound.waveform) / recipe.rate, recipe)
    array = _encode_sound(waveform, recipe)
    return _repeated(array, np.arange(recipe.segments) < covered, recipe), covered


def _encode_sound(waveform: NDArray[np.float32], recipe: SegmentRecipe) -> Halves:
    if recipe.encoder == "vggish":
        from avbalance.features.networks import vggish_segments

        return vggish_segments(waveform)
    from avbalance.features.small_encoders import mel_statistics

    return mel_statistics(waveform, recipe.rate, recipe.segments)


def seen_segments(pictures: Pictures, recipe: SegmentRecipe) -> tuple[Halves, int]:
    """Array of `recipe.shape` from usable pictures, and the number of segments with pictures.

    Images are what `picture_keeper` made of the frames. Images without a clock are one per 1/rate seconds, a lone one
    stands for the first second.
    """
    clock = pictures.times or [number / recipe.rate for number in range(len(pictures.images))]
    # A track with fewer frames than the rate serves some of them twice.
    once = [position for position, time in enumerate(clock) if position == 0 or time > clock[position - 1]]
    kept = [position for position in once if clock[position] < recipe.seconds]
    times = np.array([clock[position] for position in kept], np.float32)
    images = [pictures.images[position] for position in kept]
    covered = _covered(pictures.duration, recipe)
    array = _encode_pictures(images, times, recipe)
    seconds = np.arange(recipe.segments)
    with_media = np.isin(seconds, times.astype(int)) & (seconds < covered)
    return _repeated(array, with_media, recipe), int(with_media.sum())


def _encode_pictures(images: list[Any], times: NDArray[np.float32], recipe: SegmentRecipe) -> Halves:
    if recipe.encoder in ("res152-r2plus1d", "vgg19"):
        from avbalance.features import networks

        return networks.picture_segments(images, times, recipe)
    from avbalance.features import small_encoders

    frames = np.stack(images)
    if recipe.encoder == "frame_grid":
        return small_encoders.frame_grid(frames, times, recipe.segments, recipe.vector[-1])
    encode = getattr(small_encoders, recipe.encoder)
    array: Halves = encode(frames, times, recipe.segments)
    return array


def pictures_are_black(pictures: Pictures, recipe: SegmentRecipe) -> bool:
    """Whether every kept frame is nearly black, see `avbalance.features.visual.is_black`."""
    if recipe.encoder == "res152-r2plus1d":
        return is_black(np.stack([small for _, small in pictures.images]))
    return is_black(np.stack(pictures.images))


def _covered(duration: float, recipe: SegmentRecipe) -> int:
    """Number of segments of which at least half is there; at least one."""
    return min(recipe.segments, max(1, math.floor(duration + 0.5)))


def _repeated(array: Halves, with_media: NDArray[np.bool_], recipe: SegmentRecipe) -> Halves:
    """The array with each segment without media replaced by the last one before it that has some."""
    if array.shape != recipe.shape or array.dtype != np.float16:
        raise ValueError(f"encoder {recipe.encoder} made {array.dtype} {array.shape}, not float16 {recipe.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"encoder {recipe.encoder} made values that are no numbers of float16")
    source = np.maximum.accumulate(np.where(with_media, np.arange(recipe.segments), 0))
    return array[source]
