"""Frames that are already pictures: one image, a folder of images, or an HDF5 file of JPEG bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from avbalance.data.sources.common import IMAGE_SUFFIXES
from avbalance.features.decode import Pictures, unreadable
from avbalance.features.recipes import ClipVectorRecipe, SeenRecipe
from avbalance.features.uniform_clip import distinct_frames

if TYPE_CHECKING:
    from PIL.Image import Image

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
_DATASET = "video"  # of the balanced audiovisual data set, as distributed


def is_still_source(path: Path) -> bool:
    """True for an image file, a folder and an HDF5 file; everything else is video."""
    return path.suffix.lower() in IMAGE_SUFFIXES + HDF5_SUFFIXES or path.is_dir()


def read_pictures(path: Path, recipe: SeenRecipe) -> Pictures:
    """Pictures of a still source in name (or stored) order; bad media end in a status, not an error.

    The frames of a folder or an HDF5 file are taken as they are, one per 1/rate seconds, or at even distances where the
    recipe says so; a lone image is always enough.
    """
    if not path.exists():
        return Pictures("missing", "there is no such file")
    try:
        if path.is_dir():
            return _many(_folder(path, recipe), recipe)
        if reason := unreadable(path):
            return Pictures("corrupt", reason)
        if path.suffix.lower() in HDF5_SUFFIXES:
            return _many(_hdf5(path, recipe), recipe)
        with path.open("rb") as handle:
            image = load_image(handle)
        return Pictures("ok", "", [image], *image.size)
    except (OSError, ValueError, SyntaxError, KeyError) as error:
        return Pictures("corrupt", f"not a readable picture source ({error})")


def load_image(source: IO[bytes]) -> Image:
    """Decode one image wholly, as RGB; 16-bit grey is brought to 8 bits."""
    from PIL import Image

    with Image.open(source) as image:
        image.load()
        if image.mode.startswith("I"):
            return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
        return image.convert("RGB")


def _chosen(available: int, recipe: SeenRecipe) -> list[int]:
    """Numbers of the frames that are read."""
    if isinstance(recipe, ClipVectorRecipe):
        return distinct_frames(available, recipe.frames)
    return list(range(min(available, recipe.max_frames)))


def _folder(path: Path, recipe: SeenRecipe) -> list[Image]:
    names = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES)
    images = []
    for number in _chosen(len(names), recipe):
        with names[number].open("rb") as handle:
            images.append(load_image(handle))
    return images


def _hdf5(path: Path, recipe: SeenRecipe) -> list[Image]:
    import h5py

    with h5py.File(path, "r") as file:
        stored = file[_DATASET]
        return [
            load_image(io.BytesIO(np.asarray(stored[number], np.uint8).tobytes()))
            for number in _chosen(len(stored), recipe)
        ]


def _many(images: list[Image], recipe: SeenRecipe) -> Pictures:
    least = 1 if isinstance(recipe, ClipVectorRecipe) else recipe.min_frames
    if len(images) < least:
        return Pictures("too_short", f"{len(images)} frames; {least} are needed")
    duration = 0.0 if isinstance(recipe, ClipVectorRecipe) else len(images) / recipe.rate  # without a rate: unknown
    return Pictures("ok", "", images, *images[0].size, duration)
