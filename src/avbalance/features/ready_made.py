"""Files of clips that are no media: pickled spectrograms, and features that others released.

Layouts of released features: one .npy file per clip, vggish/<id>.npy (10, 128), res152/<id>.npy (80, 2048) with its
sibling r2plus1d_18/<id>.npy (10, 512) (YapengTian/AVVP-ECCV20); row r of one HDF5 file for all clips, <file>.h5#<r>,
dataset avadataset of (clips, 10, 128) or (clips, 10, 7, 7, 512) (YapengTian/AVE-ECCV18); or the record that begins at
byte b of a TFRecord file, <file>.tfrecord#<b>, uint8 (T, 128) (AudioSet).

AudioSet's values are those of VGGish after a PCA with whitening, cut to [-2, 2] and quantised to 8 bits "to be
compatible with the audio features provided with YouTube-8M" (research.google.com/audioset/download.html): q is
(value + 2) 255 / 4, rounded down (vggish_postprocess.py in tensorflow/models). They are read as YouTube-8M reads its
own (Dequantize in utils.py of google/youtube-8m): 4 q / 255 - 2 + 4 / 512, about the middle of what q stands for.
"""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.data.tfrecords import embedded_clip, read_record
from avbalance.errors import LostClip, UserError
from avbalance.features.audio import log_of_magnitude
from avbalance.features.recipes import AudioRecipe, Recipe, SegmentRecipe

RELEASED_ONLY = "vggish-pca"  # no encoder of media: the PCA of the release is not at hand
_ROW = re.compile(r"(?P<file>.+\.(?P<kind>h5|hdf5|tfrecord))#(?P<row>\d+)")
_ROWS = "avadataset"
_READABLE = ("vggish", "res152-r2plus1d", "vgg19")  # encoders whose features were released
_FRAMES_PER_SEGMENT = 8
_FRAME_WIDTH, _CLIP_WIDTH = 2048, 512
_SIBLING = "r2plus1d_18"
_RANGE = 4.0  # of the values of AudioSet, from -2
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),  # how protocols 0 to 2 spell bytes
}


def is_released(path: Path) -> bool:
    """True for a .npy file, a row of an HDF5 file and a record of a TFRecord file."""
    return path.suffix.lower() == ".npy" or _ROW.fullmatch(path.name) is not None


def is_pickled(path: Path) -> bool:
    """True for a pickled spectrogram."""
    return path.suffix.lower() in (".pkl", ".pickle")


# Pickled spectrograms, read without running what a pickle asks for


def read_spectrogram(path: Path, recipe: Recipe) -> NDArray[np.float16]:
    """log(magnitude + floor) of `recipe.shape` from a pickled magnitude (F, T'), cut or padded with silence.

    Raises LostClip when the recipe is no log-magnitude recipe, or the array is not its (F, T') magnitude.
    """
    magnitude = load_array(path)
    if not isinstance(recipe, AudioRecipe) or recipe.kind != "log-magnitude":
        raise _corrupt(f"{path}: a stored spectrogram cannot become {recipe.name}; choose paper48k.")
    if np.iscomplexobj(magnitude):
        magnitude = np.abs(magnitude)
    if magnitude.ndim != 2 or len(magnitude) != recipe.bins or not magnitude.shape[1]:
        raise _corrupt(f"{path}: array of shape {magnitude.shape}; recipe {recipe.name} needs ({recipe.bins}, frames).")
    if not np.isfinite(magnitude).all() or magnitude.min() < 0:
        raise _corrupt(f"{path}: negative or non-finite values; a magnitude spectrogram is needed.")
    fitted = magnitude[:, : recipe.frames]
    fitted = np.pad(fitted, ((0, 0), (0, recipe.frames - fitted.shape[1])))
    return log_of_magnitude(fitted, recipe).astype(np.float16)


def load_array(path: Path) -> NDArray[Any]:
    """The numeric array in a pickle file.

    Raises LostClip for an absent file and for anything but one plain array of numbers: a pickle that names any other
    class or function is refused before that is looked up.
    """
    if not path.is_file():
        raise LostClip("missing", "there is no such file")
    try:
        value = _ArrayUnpickler(io.BytesIO(path.read_bytes())).load()
    except Exception as error:  # broken pickle bytes may raise nearly any exception
        raise _corrupt(
            f"{path}: refused as a pickled array ({error}); store a plain numeric numpy array instead."
        ) from error
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiuc" or value.dtype.hasobject:
        raise _corrupt(f"{path}: holds no array of numbers; store a plain numeric numpy array instead.")
    return value


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


# Released features


def read_released(path: Path, recipe: Recipe) -> tuple[NDArray[np.float16], int]:
    """The released features of a clip as the array of the recipe, and of how many segments there are some.

    Of a record of fewer seconds the last one is repeated, of one of more the first ones are taken.

    The 80 frames of res152 are averaged over each second's 8; the 512 values of r2plus1d_18 follow. A model that maps
    each frame linearly and then averages, as the public code does, computes the same from either, up to rounding.
    Raises LostClip for an absent file and for everything else than what is wanted, naming the file and what it holds.
    """
    match = _ROW.fullmatch(path.name)
    records = match is not None and match["kind"] == "tfrecord"
    readable = (RELEASED_ONLY,) if records else _READABLE
    if not isinstance(recipe, SegmentRecipe) or recipe.encoder not in readable:
        raise _corrupt(
            f"{path}: released features cannot become recipe {recipe.name}; choose seconds10-vggish for sound, "
            "seconds10-res152-r2plus1d or seconds10-vgg19 for pictures, seconds10-vggish-pca for records of AudioSet."
        )
    try:
        if match and records:
            return _read_embeddings(path.with_name(match["file"]), int(match["row"]), recipe.shape)
        if match:
            values = _read_row(path.with_name(match["file"]), int(match["row"]), recipe.shape)
        elif recipe.encoder == "res152-r2plus1d":
            values = _frames_and_clips(path, recipe)
        else:
            values = _read_npy(path, recipe.shape)
    except FileNotFoundError as error:
        raise LostClip("missing", f"{error.filename}: there is no such file") from error
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise _corrupt(f"{path}: holds values beyond those of float16 (65504); take the file again.")
    return halves, recipe.segments


def _read_embeddings(path: Path, offset: int, shape: tuple[int, ...]) -> tuple[NDArray[np.float16], int]:
    where = f"{path}, byte {offset}"
    try:
        stored = embedded_clip(read_record(path, offset), where).embeddings
    except UserError as error:
        raise _corrupt(str(error)) from error
    seconds, width = shape
    if stored.shape[1] != width:
        raise _corrupt(f"{where}: holds uint8 {stored.shape}, (seconds, {width}) is wanted; take the file again.")
    values = stored * (_RANGE / 255) - _RANGE / 2 + _RANGE / 512
    covered = min(len(values), seconds)
    return values[np.minimum(np.arange(seconds), covered - 1)].astype(np.float16), covered


def _frames_and_clips(path: Path, recipe: SegmentRecipe) -> NDArray[np.floating]:
    frames = _read_npy(path, (recipe.segments * _FRAMES_PER_SEGMENT, _FRAME_WIDTH))
    clips = _read_npy(path.parent.parent / _SIBLING / path.name, (recipe.segments, _CLIP_WIDTH))
    per_second = frames.reshape(recipe.segments, _FRAMES_PER_SEGMENT, _FRAME_WIDTH).mean(axis=1, dtype=np.float64)
    return np.concatenate([per_second, clips], axis=1)


def _read_npy(path: Path, shape: tuple[int, ...]) -> NDArray[np.floating]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    except (OSError, ValueError, EOFError) as error:
        raise _corrupt(f"{path}: not a readable .npy file of numbers ({error}); take the file again.") from error
    if not isinstance(array, np.ndarray):
        raise _corrupt(f"{path}: an archive of several arrays where one .npy array is wanted; take the file again.")
    return _checked(array, shape, str(path))


def _read_row(path: Path, row: int, shape: tuple[int, ...]) -> NDArray[np.floating]:
    import h5py

    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    try:
        with h5py.File(path, "r") as file:
            stored = file[_ROWS]
            if row >= len(stored):
                raise _corrupt(f"{path}: holds {len(stored)} clips, row {row} (from 0) is wanted; take the file again.")
            return _checked(np.asarray(stored[row]), shape, f"{path}, row {row}")
    except (OSError, KeyError, TypeError) as error:
        raise _corrupt(f"{path}: no readable dataset {_ROWS} ({error}); take the file again.") from error


def _checked(array: NDArray[np.generic], shape: tuple[int, ...], where: str) -> NDArray[np.floating]:
    """The values of an array, if it is the one that is wanted; raises LostClip otherwise."""
    if array.shape != shape or array.dtype.kind != "f":
        raise _corrupt(f"{where}: holds {array.dtype} {array.shape}, float32 {shape} is wanted; take the file again.")
    values: NDArray[np.floating] = np.asarray(array)
    if not np.isfinite(values).all():
        raise _corrupt(f"{where}: holds {array.dtype} {array.shape} with NaN or infinite values; take the file again.")
    return values


def _corrupt(reason: str) -> LostClip:
    return LostClip("corrupt", reason)
