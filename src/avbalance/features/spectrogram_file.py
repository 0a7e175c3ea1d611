"""Spectrograms that were computed elsewhere and pickled: read without running what a pickle asks for."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.features.audio import log_of_magnitude
from avbalance.features.recipes import AudioRecipe, HeardRecipe

PICKLE_SUFFIXES = (".pkl", ".pickle")
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),  # how protocols 0 to 2 spell bytes
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def load_array(path: Path) -> NDArray[Any]:
    """The numeric array in a pickle file.

    Raises UserError for anything but one plain array of numbers: a pickle that names any other class or
    function is refused before that is looked up.
    """
    try:
        value = _ArrayUnpickler(io.BytesIO(path.read_bytes())).load()
    except Exception as error:
        # Broken pickle bytes may raise nearly any exception.
        raise UserError(
            f"{path}: refused as a pickled array ({error}); store a plain numeric numpy array instead."
        ) from error
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiuc" or value.dtype.hasobject:
        raise UserError(f"{path}: holds no array of numbers; store a plain numeric numpy array instead.")
    return value


def load_log_spectrogram(path: Path, recipe: HeardRecipe) -> NDArray[np.float16]:
    """log(magnitude + floor) of `recipe.shape` from a pickled magnitude (F, T'), cut or padded with silence.

    Raises UserError when the recipe is no log-magnitude recipe, or the array is not its (F, T') magnitude.
    """
    magnitude = load_array(path)
    if not isinstance(recipe, AudioRecipe) or recipe.kind != "log-magnitude":
        raise UserError(f"{path}: a stored spectrogram cannot become {recipe.name}; choose paper48k.")
    if np.iscomplexobj(magnitude):
        magnitude = np.abs(magnitude)
    if magnitude.ndim != 2 or len(magnitude) != recipe.bins or not magnitude.shape[1]:
        raise UserError(
            f"{path}: array of shape {magnitude.shape}; recipe {recipe.name} needs ({recipe.bins}, frames)."
        )
    if not np.isfinite(magnitude).all() or magnitude.min() < 0:
        raise UserError(f"{path}: negative or non-finite values; a magnitude spectrogram is needed.")
    fitted = magnitude[:, : recipe.frames]
    fitted = np.pad(fitted, ((0, 0), (0, recipe.frames - fitted.shape[1])))
    return log_of_magnitude(fitted, recipe).astype(np.float16)
