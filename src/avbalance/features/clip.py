"""One clip to its stored arrays: the work that a worker process does for each row of a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.features.audio import spectrogram
from avbalance.features.decode import (
    Pictures,
    Sound,
    SoundRequest,
    decode_audio,
    decode_file,
    decode_frames,
)
from avbalance.features.recipes import USABLE, AudioRecipe, VisualRecipe
from avbalance.features.spectrogram_file import PICKLE_SUFFIXES, load_log_spectrogram
from avbalance.features.stills import is_still_source, read_pictures
from avbalance.features.visual import frame_block, is_black


@dataclass(frozen=True)
class Feature:
    """What one modality of one clip became: its array (None when unusable) and its line of the index."""

    array: NDArray[Any] | None
    status: str
    reason: str = ""
    n_frames: int = 0
    width: int = 0
    height: int = 0
    duration: float = 0.0


@dataclass(frozen=True)
class ClipJob:
    """Files of one clip; None where the modality is not wanted."""

    audio: Path | None
    visual: Path | None


def extract_clip(
    job: ClipJob, audio: AudioRecipe | None, visual: VisualRecipe | None
) -> tuple[Feature | None, Feature | None]:
    """Audio and visual feature of a clip, None where not wanted; one file that holds both is opened once."""
    wants_both = audio is not None and visual is not None
    if wants_both and job.audio is not None and job.audio == job.visual and not is_still_source(job.audio):
        assert audio is not None
        assert visual is not None
        sound, pictures = decode_file(job.audio, SoundRequest(audio.rate, audio.seconds), visual)
        assert sound is not None
        assert pictures is not None
        return audio_feature(sound, audio), visual_feature(pictures, visual)
    heard = None if audio is None or job.audio is None else _hear(job.audio, audio)
    seen = None if visual is None or job.visual is None else _see(job.visual, visual)
    return heard, seen


def _hear(path: Path, recipe: AudioRecipe) -> Feature:
    if path.suffix.lower() in PICKLE_SUFFIXES:
        return _pickled(path, recipe)
    return audio_feature(decode_audio(path, recipe.rate, recipe.seconds), recipe)


def _see(path: Path, recipe: VisualRecipe) -> Feature:
    pictures = read_pictures(path, recipe) if is_still_source(path) else decode_frames(path, recipe)
    return visual_feature(pictures, recipe)


def audio_feature(sound: Sound, recipe: AudioRecipe) -> Feature:
    """Spectrogram of a decoded track, or its status alone."""
    if sound.status not in USABLE:
        return Feature(None, sound.status, sound.reason)
    array = spectrogram(sound.waveform, sound.rate, recipe)
    return Feature(array, sound.status, sound.reason, recipe.frames, duration=sound.duration)


def visual_feature(pictures: Pictures, recipe: VisualRecipe) -> Feature:
    """Frame block of decoded pictures, or their status alone."""
    if pictures.status not in USABLE:
        return Feature(None, pictures.status, pictures.reason)
    block = frame_block(pictures.images, recipe)
    status, reason = ("black", "every kept frame is nearly black") if is_black(block) else ("ok", pictures.reason)
    kept = min(len(pictures.images), recipe.max_frames)
    return Feature(block, status, reason, kept, pictures.width, pictures.height, pictures.duration)


def _pickled(path: Path, recipe: AudioRecipe) -> Feature:
    if not path.is_file():
        return Feature(None, "missing", "there is no such file")
    try:
        array = load_log_spectrogram(path, recipe)
    except UserError as error:
        return Feature(None, "corrupt", str(error))
    silent = bool(array.max() <= np.float16(np.log(recipe.floor)))
    status, reason = ("silent", "the stored spectrogram is zero throughout") if silent else ("ok", "")
    return Feature(array, status, reason, recipe.frames, duration=recipe.seconds or 0.0)
