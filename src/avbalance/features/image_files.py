"""Pictures that are no video: one image, a folder of images, or an HDF5 file of JPEG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from avbalance.data.media_files import IMAGE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES, images_in, no_images, unreadable
from avbalance.features.frame_choice import distinct_frames
from avbalance.features.picture_track import Pictures
from avbalance.features.pixels import ON_WHITE, on_white
from avbalance.features.recipes import ClipVectorRecipe, SeenRecipe

if TYPE_CHECKING:
    from PIL.Image import Image

_HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
_NO_PICTURES = ("MPEG", "HDF5", "GRIB", "BUFR")  # formats that Pillow tells but does not decode
_FRAMES = "video"  # of the balanced audiovisual data set, as distributed


def holds_pictures(path: Path) -> bool:
    """True for an image file, a folder and an HDF5 file; a .gif of several pictures is a video.

    Of a file with a suffix that says nothing Pillow is asked, so that the suffix does not matter.
    """
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in _HDF5_SUFFIXES:
        return True
    if suffix == ".gif" or suffix not in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, *SOUND_SUFFIXES):
        return _is_one_picture(path)
    return suffix in IMAGE_SUFFIXES


def _is_one_picture(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.format not in _NO_PICTURES and getattr(image, "n_frames", 1) == 1
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def read_pictures(path: Path, recipe: SeenRecipe) -> Pictures:
    """Pictures in name (or stored) order; bad media end in a status, not an error.

    The frames of a folder or an HDF5 file are taken as they are, one per 1/rate seconds, or at even distances where the
    recipe says so; a lone image is always enough.
    """
    if not path.exists():
        return Pictures("missing", "there is no such file")
    if reason := no_images(path) if path.is_dir() else unreadable(path):
        return Pictures("corrupt", reason)
    try:
        if path.is_dir():
            return _several(_images_in(path, recipe), recipe)
        if path.suffix.lower() in _HDF5_SUFFIXES:
            return _several(_images_of_hdf5(path, recipe), recipe)
        image, transparent = _load_image(path)
        return Pictures("ok", ON_WHITE if transparent else "", [image], *image.size)
    except (OSError, ValueError, SyntaxError, KeyError) as error:
        return Pictures("corrupt", f"not a readable picture source ({error})")


def _load_image(source: Path | IO[bytes]) -> tuple[Image, bool]:
    """Decode one image wholly, upright, as RGB, True where it is put on white; 16-bit grey is brought to 8 bits."""
    from PIL import Image, ImageOps

    try:
        with Image.open(source) as image:
            ImageOps.exif_transpose(image, in_place=True)
            image.load()
            if image.mode.startswith("I"):
                return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB"), False
            return on_white(image)
    except Image.DecompressionBombError as error:  # no OSError
        raise ValueError(str(error)) from error


def _chosen(available: int, recipe: SeenRecipe) -> Sequence[int]:
    """Numbers of the frames that are read."""
    if isinstance(recipe, ClipVectorRecipe):
        return distinct_frames(available, recipe.frames)
    return range(min(available, recipe.max_frames))


def _images_in(folder: Path, recipe: SeenRecipe) -> list[tuple[Image, bool]]:
    paths = images_in(folder)
    return [_load_image(paths[number]) for number in _chosen(len(paths), recipe)]


def _images_of_hdf5(path: Path, recipe: SeenRecipe) -> list[tuple[Image, bool]]:
    import h5py

    with h5py.File(path, "r") as file:
        stored = file[_FRAMES]
        numbers = _chosen(len(stored), recipe)
        return [_load_image(io.BytesIO(np.asarray(stored[number], np.uint8).tobytes())) for number in numbers]


def _several(loaded: list[tuple[Image, bool]], recipe: SeenRecipe) -> Pictures:
    images = [image for image, _ in loaded]
    if len(images) < recipe.min_frames:
        return Pictures("too_short", f"{len(images)} frames; {recipe.min_frames} are needed")
    duration = 0.0 if isinstance(recipe, ClipVectorRecipe) else len(images) / recipe.rate  # without a rate: unknown
    reason = ON_WHITE if any(transparent for _, transparent in loaded) else ""
    return Pictures("ok", reason, images, *images[0].size, duration)
