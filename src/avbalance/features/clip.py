"""One clip to its stored arrays: the work that a worker process does for each row of a manifest."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.features.audio import spectrogram
from avbalance.features.clip_vectors import frames_are_black, seen_vector, vector_keeper
from avbalance.features.decode import (
    Keep,
    Pictures,
    Sound,
    SoundRequest,
    decode_audio,
    decode_file,
    decode_frames,
)
from avbalance.features.recipes import (
    USABLE,
    AudioRecipe,
    ClipVectorRecipe,
    HeardRecipe,
    SeenRecipe,
    SegmentRecipe,
    VisualRecipe,
)
from avbalance.features.released import is_released, read_released
from avbalance.features.segments import heard_segments, picture_keeper, pictures_are_black, seen_segments
from avbalance.features.spectrogram_file import PICKLE_SUFFIXES, load_log_spectrogram
from avbalance.features.stills import is_still_source, read_pictures
from avbalance.features.visual import frame_block, is_black

_BLACK = ("black", "every kept frame is nearly black")


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
    job: ClipJob, audio: HeardRecipe | None, visual: SeenRecipe | None
) -> tuple[Feature | None, Feature | None]:
    """Audio and visual feature of a clip, None where not wanted; one file that holds both is opened once."""
    wants_both = audio is not None and visual is not None
    if wants_both and job.audio is not None and job.audio == job.visual and _is_media(job.audio):
        assert audio is not None
        assert visual is not None
        sound, pictures = decode_file(job.audio, SoundRequest(audio.rate, audio.seconds), visual, _keeper(visual))
        assert sound is not None
        assert pictures is not None
        return audio_feature(sound, audio), visual_feature(pictures, visual)
    heard = None if audio is None or job.audio is None else _hear(job.audio, audio)
    seen = None if visual is None or job.visual is None else _see(job.visual, visual)
    return heard, seen


def _is_media(path: Path) -> bool:
    """Whether a file may hold sound and pictures; a folder, a picture and a file of features do not."""
    return not (is_still_source(path) or is_released(path))


def _hear(path: Path, recipe: HeardRecipe) -> Feature:
    if is_released(path):
        return _released(path, recipe)
    if path.suffix.lower() in PICKLE_SUFFIXES:
        return _pickled(path, recipe)
    return audio_feature(decode_audio(path, recipe.rate, recipe.seconds), recipe)


def _see(path: Path, recipe: SeenRecipe) -> Feature:
    if is_released(path):
        return _released(path, recipe)
    keep = _keeper(recipe)
    if not is_still_source(path):
        return visual_feature(decode_frames(path, recipe, keep), recipe)
    pictures = read_pictures(path, recipe)
    kept = [keep(image) for image in pictures.images] if keep else pictures.images
    return visual_feature(dataclasses.replace(pictures, images=kept), recipe)


def _keeper(recipe: SeenRecipe) -> Keep | None:
    """What is held of each image until the clip is encoded; None: the image itself."""
    if isinstance(recipe, VisualRecipe):
        return None
    return vector_keeper(recipe) if isinstance(recipe, ClipVectorRecipe) else picture_keeper(recipe)


def audio_feature(sound: Sound, recipe: HeardRecipe) -> Feature:
    """Spectrogram, or array per second, of a decoded track, or its status alone."""
    if sound.status not in USABLE:
        return Feature(None, sound.status, sound.reason)
    if isinstance(recipe, SegmentRecipe):
        array, covered = heard_segments(sound, recipe)
        status, reason = _partial(covered, recipe) if sound.status == "ok" else (sound.status, sound.reason)
        return Feature(array, status, reason, covered, duration=sound.duration)
    array = spectrogram(sound.waveform, sound.rate, recipe)
    return Feature(array, sound.status, sound.reason, recipe.frames, duration=sound.duration)


def visual_feature(pictures: Pictures, recipe: SeenRecipe) -> Feature:
    """Frame block, array per second or vector of decoded pictures, or their status alone."""
    if pictures.status not in USABLE:
        return Feature(None, pictures.status, pictures.reason)
    if isinstance(recipe, SegmentRecipe):
        array, covered = seen_segments(pictures, recipe)
        status, reason = _BLACK if pictures_are_black(pictures, recipe) else _partial(covered, recipe)
        return Feature(array, status, reason, covered, pictures.width, pictures.height, pictures.duration)
    if isinstance(recipe, ClipVectorRecipe):
        return _vector_feature(pictures, recipe)
    block = frame_block(pictures.images, recipe)
    status, reason = _BLACK if is_black(block) else ("ok", pictures.reason)
    kept = len(block) if recipe.grey else min(len(pictures.images), recipe.max_frames)
    return Feature(block, status, reason, kept, pictures.width, pictures.height, pictures.duration)


def _vector_feature(pictures: Pictures, recipe: ClipVectorRecipe) -> Feature:
    kept = len(pictures.images)
    note = "" if kept == recipe.frames else f"{kept} of {recipe.frames} frames; the last one is repeated"
    status, reason = _BLACK if frames_are_black(pictures) else ("ok", note)
    vector = seen_vector(pictures, recipe)
    return Feature(vector, status, reason, kept, pictures.width, pictures.height, pictures.duration)


def _partial(covered: int, recipe: SegmentRecipe) -> tuple[str, str]:
    """Status and reason of an array per second that rests on `covered` segments."""
    if covered == recipe.segments:
        return "ok", ""
    return "partial", f"{covered} of {recipe.segments} segments; the others repeat the last one before them"


def _released(path: Path, recipe: HeardRecipe | SeenRecipe) -> Feature:
    try:
        array, covered = read_released(path, recipe)
    except FileNotFoundError as error:
        return Feature(None, "missing", f"{error.filename}: there is no such file")
    except UserError as error:
        return Feature(None, "corrupt", str(error))
    assert isinstance(recipe, SegmentRecipe)
    status, reason = _partial(covered, recipe)
    if not array.any():
        status = "silent" if recipe.modality == "audio" else "black"
        reason = "the released features are zero throughout"
    return Feature(array, status, reason, covered, duration=float(covered))


def _pickled(path: Path, recipe: HeardRecipe) -> Feature:
    if not path.is_file():
        return Feature(None, "missing", "there is no such file")
    try:
        array = load_log_spectrogram(path, recipe)
        assert isinstance(recipe, AudioRecipe)
    except UserError as error:
        return Feature(None, "corrupt", str(error))
    silent = bool(array.max() <= np.float16(np.log(recipe.floor)))
    status, reason = ("silent", "the stored spectrogram is zero throughout") if silent else ("ok", "")
    return Feature(array, status, reason, recipe.frames, duration=recipe.seconds or 0.0)
