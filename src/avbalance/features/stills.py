"""Frames that are already pictures: one image, a folder of images, or an HDF5 file of JPEG bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from avbalance.data.sources.common import IMAGE_SUFFIXES
from avbalance.features.decode import Pictures, unreadable
from avbalance.features.recipes import SeenRecipe

if TYPE_CHECKING:
    from PIL.Image import Image

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
_DATASET = "video"  # of the balanced audiovisual data set, as distributed


def is_still_source(path: Path) -> bool:
    """True for an image file, a folder and an HDF5 file; everything else is video."""
    return path.suffix.lower() in IMAGE_SUFFIXES + HDF5_SUFFIXES or path.is_dir()


def read_pictures(path: Path, recipe: SeenRecipe) -> Pictures:
    """Pictures of a still source in name (or stored) order; bad media end in a status, not an error.

    The frames of a folder or an HDF5 file are taken as they are, one per 1/rate seconds; a lone image is
    always enough.
    """
    if not path.exists():
        return Pictures("missing", "there is no such file")
    try:
        if path.is_dir():
            return _many(_folder(path, recipe.max_frames), recipe)
        if reason := unreadable(path):
            return Pictures("corrupt", reason)
        if path.suffix.lower() in HDF5_SUFFIXES:
            return _many(_hdf5(path, recipe.max_frames), recipe)
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


def _folder(path: Path, most: int) -> list[Image]:
    names = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES)
    images = []
    for name in names[:most]:
        with name.open("rb") as handle:
            images.append(load_image(handle))
    return images


def _hdf5(path: Path, most: int) -> list[Image]:
    import h5py

    with h5py.File(path, "r") as file:
        stored = file[_DATASET]
        return [
            load_image(io.BytesIO(np.asarray(stored[i], np.uint8).tobytes())) for i in range(min(most, len(stored)))
        ]


def _many(images: list[Image], recipe: SeenRecipe) -> Pictures:
    if len(images) < recipe.min_frames:
        return Pictures("too_short", f"{len(images)} frames; {recipe.min_frames} are needed")
    return Pictures("ok", "", images, *images[0].size, len(images) / recipe.rate)
