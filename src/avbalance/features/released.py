"""Features that others released: files of arrays per second, read in place of media.

Layouts: one .npy file per clip, vggish/<id>.npy (10, 128), res152/<id>.npy (80, 2048) with its sibling
r2plus1d_18/<id>.npy (10, 512) (YapengTian/AVVP-ECCV20); row r of one HDF5 file for all clips, <file>.h5#<r>, dataset
avadataset of (clips, 10, 128) or (clips, 10, 7, 7, 512) (YapengTian/AVE-ECCV18); or the record that begins at byte b of
a TFRecord file, <file>.tfrecord#<b>, uint8 (T, 128) (AudioSet).

AudioSet's values are those of VGGish after a PCA with whitening, cut to [-2, 2] and quantised to 8 bits "to be
compatible with the audio features provided with YouTube-8M" (research.google.com/audioset/download.html): q is
(value + 2) 255 / 4, rounded down (vggish_postprocess.py in tensorflow/models). They are read as YouTube-8M reads its
own (Dequantize in utils.py of google/youtube-8m): 4 q / 255 - 2 + 4 / 512, about the middle of what q stands for.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avbalance.data.tfrecords import embedded_clip, read_record
from avbalance.errors import UserError
from avbalance.features.recipes import Recipe, SegmentRecipe

_ROW = re.compile(r"(?P<file>.+\.(?P<kind>h5|hdf5|tfrecord))#(?P<row>\d+)")
_TFRECORD = "tfrecord"
_DATASET = "avadataset"
_RELEASED = ("vggish", "res152-r2plus1d", "vgg19")
RELEASED_ONLY = "vggish-pca"  # no encoder of media: the PCA of the release is not at hand
_RANGE = 4.0  # of the values of AudioSet, from -2
_FRAMES_PER_SEGMENT = 8
_FRAME_WIDTH, _CLIP_WIDTH = 2048, 512
_SIBLING = "r2plus1d_18"

Floats = NDArray[np.floating]


def is_released(path: Path) -> bool:
    """True for a .npy file, a row of an HDF5 file and a record of a TFRecord file."""
    return path.suffix.lower() == ".npy" or _ROW.fullmatch(path.name) is not None


def read_released(path: Path, recipe: Recipe) -> tuple[NDArray[np.float16], int]:
    """The released features of a clip as the array of the recipe, and of how many segments there are some.

    Of a record of fewer seconds the last one is repeated, of one of more the first ones are taken.

    The 80 frames of res152 are averaged over each second's 8; the 512 values of r2plus1d_18 follow. A model that maps
    each frame linearly and then averages, as the public code does, computes the same from either, up to rounding.
    Raises FileNotFoundError (with `filename`) for an absent file, and UserError, naming the file, what it holds and
    what is wanted, for everything else.
    """
    match = _ROW.fullmatch(path.name)
    records = match is not None and match["kind"] == _TFRECORD
    readable = (RELEASED_ONLY,) if records else _RELEASED
    if not isinstance(recipe, SegmentRecipe) or recipe.encoder not in readable:
        raise UserError(
            f"{path}: released features cannot become recipe {recipe.name}; choose seconds10-vggish for sound, "
            "seconds10-res152-r2plus1d or seconds10-vgg19 for pictures, seconds10-vggish-pca for records of AudioSet."
        )
    if match and records:
        return _read_embeddings(path.with_name(match["file"]), int(match["row"]), recipe.shape)
    if match:
        values = _read_row(path.with_name(match["file"]), int(match["row"]), recipe.shape)
    elif recipe.encoder == "res152-r2plus1d":
        values = _frames_and_clips(path, recipe)
    else:
        values = _read_npy(path, recipe.shape)
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise UserError(f"{path}: holds values beyond those of float16 (65504); take the file again.")
    return halves, recipe.segments


def _read_embeddings(path: Path, offset: int, shape: tuple[int, ...]) -> tuple[NDArray[np.float16], int]:
    where = f"{path}, byte {offset}"
    stored = embedded_clip(read_record(path, offset), where).embeddings
    seconds, width = shape
    if stored.shape[1] != width:
        raise UserError(f"{where}: holds uint8 {stored.shape}, (seconds, {width}) is wanted; take the file again.")
    values = stored * (_RANGE / 255) - _RANGE / 2 + _RANGE / 512
    covered = min(len(values), seconds)
    return values[np.minimum(np.arange(seconds), covered - 1)].astype(np.float16), covered


def _frames_and_clips(path: Path, recipe: SegmentRecipe) -> Floats:
    frames = _read_npy(path, (recipe.segments * _FRAMES_PER_SEGMENT, _FRAME_WIDTH))
    clips = _read_npy(path.parent.parent / _SIBLING / path.name, (recipe.segments, _CLIP_WIDTH))
    per_second = frames.reshape(recipe.segments, _FRAMES_PER_SEGMENT, _FRAME_WIDTH).mean(axis=1, dtype=np.float64)
    return np.concatenate([per_second, clips], axis=1)


def _read_npy(path: Path, shape: tuple[int, ...]) -> Floats:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: not a readable .npy file of numbers ({error}); take the file again.") from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path}: an archive of several arrays where one .npy array is wanted; take the file again.")
    return _checked(array, shape, str(path))


def _read_row(path: Path, row: int, shape: tuple[int, ...]) -> Floats:
    import h5py

    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    try:
        with h5py.File(path, "r") as file:
            stored = file[_DATASET]
            if row >= len(stored):
                raise UserError(
                    f"{path}: holds {len(stored)} clips, row {row} (from 0) is wanted; take the file again."
                )
            return _checked(np.asarray(stored[row]), shape, f"{path}, row {row}")
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no readable dataset {_DATASET} ({error}); take the file again.") from error


def _checked(array: NDArray[np.generic], shape: tuple[int, ...], where: str) -> Floats:
    """The values of an array, if it is the one that is wanted; raises UserError otherwise."""
    if array.shape != shape or array.dtype.kind != "f":
        raise UserError(f"{where}: holds {array.dtype} {array.shape}, float32 {shape} is wanted; take the file again.")
    values: Floats = np.asarray(array)
    if not np.isfinite(values).all():
        raise UserError(f"{where}: holds {array.dtype} {array.shape} with NaN or infinite values; take the file again.")
    return values
