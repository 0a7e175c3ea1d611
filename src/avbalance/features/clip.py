"""One clip to its stored arrays: the work that a decoder process does for each row of a manifest.

Files are decoded or, where they are no media, read as they are; what comes out becomes a spectrogram, a block of small
frames, an array per second or one vector, as the recipe says.

An array per second: a segment has media when at least half of its second is there; sound is padded with zeros to ten
seconds before it is encoded, and what an encoder made of segments without media is replaced.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import LostClip
from avbalance.features import networks, small_encoders
from avbalance.features.audio import spectrogram
from avbalance.features.decode import Pictures, Sound, decode_file
from avbalance.features.image_files import holds_pictures, read_pictures
from avbalance.features.picture_track import Keep
from avbalance.features.pixels import shrink
from avbalance.features.ready_made import is_pickled, is_released, read_released, read_spectrogram
from avbalance.features.recipes import (
    GREYS,
    USABLE,
    AudioRecipe,
    ClipVectorRecipe,
    HeardRecipe,
    SeenRecipe,
    SegmentRecipe,
    SoundVectorRecipe,
    VisualRecipe,
)

if TYPE_CHECKING:
    from PIL.Image import Image

BLACK_LEVEL = 16  # of 255: the darkest value that studio-range video can carry
BLACK_SHARE = 0.01  # a frame with fewer bright values than this is black
SIDE = 64  # pixels of the frames of the small encoders, which average them further
_BLACK = ("black", "every kept frame is nearly black")
Halves = NDArray[np.float16]


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
    sound, pictures = None, None
    # In one pass, so that a video is read from the disk once for both.
    shared = job.audio if audio and visual and job.audio == job.visual else None
    if shared is not None and not (holds_pictures(shared) or is_released(shared)):
        sound, pictures = decode_file(shared, audio, visual, _keeper(visual))
    heard = None if audio is None or job.audio is None else _or_lost(_hear, job.audio, audio, sound)
    seen = None if visual is None or job.visual is None else _or_lost(_see, job.visual, visual, pictures)
    return heard, seen


def _or_lost(make: Callable[..., Feature], *given: Any) -> Feature:
    try:
        return make(*given)
    except LostClip as error:
        return Feature(None, error.status, error.reason)


def _hear(path: Path, recipe: HeardRecipe, sound: Sound | None) -> Feature:
    """The audio feature of a file, of which `sound` may have been decoded already; raises LostClip where useless."""
    if is_released(path):
        return _released(path, recipe)
    if is_pickled(path):
        return _pickled(path, recipe)
    if sound is None:
        sound, _ = decode_file(path, recipe, None)
        assert sound is not None
    if sound.status not in USABLE:
        raise LostClip(sound.status, sound.reason)
    if isinstance(recipe, SegmentRecipe):
        array, covered = _sound_segments(sound, recipe)
        status, reason = _partial(covered, recipe) if sound.status == "ok" else (sound.status, sound.reason)
        return Feature(array, status, reason, covered, duration=sound.duration)
    if isinstance(recipe, SoundVectorRecipe):
        array = _checked(networks.sound_vector(sound.waveform), recipe)
        return Feature(array, sound.status, sound.reason, duration=sound.duration)
    array = spectrogram(sound.waveform, sound.rate, recipe)
    return Feature(array, sound.status, sound.reason, recipe.frames, duration=sound.duration)


def _see(path: Path, recipe: SeenRecipe, pictures: Pictures | None) -> Feature:
    """The visual feature of a file, of which `pictures` may have been decoded already; raises LostClip as `_hear`."""
    if is_released(path):
        return _released(path, recipe)
    if pictures is None:
        pictures = _pictures(path, recipe)
    if pictures.status not in USABLE:
        raise LostClip(pictures.status, pictures.reason)
    array: NDArray[Any]
    if isinstance(recipe, SegmentRecipe):
        array, kept = _picture_segments(pictures, recipe)
        black, (status, reason) = _segments_are_black(pictures, recipe), _partial(kept, recipe)
    elif isinstance(recipe, ClipVectorRecipe):
        array, kept, status = _vector(pictures, recipe), len(pictures.images), "ok"
        black = is_black(np.stack(pictures.images))
        reason = "" if kept == recipe.frames else f"{kept} of {recipe.frames} frames; the last one is repeated"
    else:
        array, status, reason = frame_block(pictures.images, recipe), "ok", ""
        black = is_black(array)
        kept = len(array) if recipe.grey else min(len(pictures.images), recipe.max_frames)
    if black:
        status, reason = _BLACK
    reason = "; ".join(part for part in (reason, pictures.reason) if part)
    return Feature(array, status, reason, kept, pictures.width, pictures.height, pictures.duration)


def _pictures(path: Path, recipe: SeenRecipe) -> Pictures:
    keep = _keeper(recipe)
    if not holds_pictures(path):
        _, decoded = decode_file(path, None, recipe, keep)
        assert decoded is not None
        return decoded
    read = read_pictures(path, recipe)
    return dataclasses.replace(read, images=[keep(image) for image in read.images]) if keep else read


def _partial(covered: int, recipe: SegmentRecipe) -> tuple[str, str]:
    """Status and reason of an array per second that rests on `covered` segments."""
    if covered == recipe.segments:
        return "ok", ""
    return "partial", f"{covered} of {recipe.segments} segments; the others repeat the last one before them"


def _released(path: Path, recipe: HeardRecipe | SeenRecipe) -> Feature:
    array, covered = read_released(path, recipe)
    assert isinstance(recipe, SegmentRecipe)
    status, reason = _partial(covered, recipe)
    if not array.any():
        status = "silent" if recipe.modality == "audio" else "black"
        reason = "the released features are zero throughout"
    return Feature(array, status, reason, covered, duration=float(covered))


def _pickled(path: Path, recipe: HeardRecipe) -> Feature:
    array = read_spectrogram(path, recipe)
    assert isinstance(recipe, AudioRecipe)
    # The logarithm of a magnitude of 0, rounded as the stored array is.
    silent = bool(array.max() <= np.float16(np.log(recipe.floor)))
    status, reason = ("silent", "the stored spectrogram is zero throughout") if silent else ("ok", "")
    return Feature(array, status, reason, recipe.frames, duration=recipe.seconds or 0.0)


# Blocks of frames


def frame_block(images: Sequence[Image], recipe: VisualRecipe) -> NDArray[np.uint8]:
    """RGB images, at least one -> array of the recipe's shape; unused rows repeat the last image."""
    kept = [shrink(image, recipe.size) for image in images[: recipe.max_frames]]
    block = np.stack([*kept, *kept[-1:] * (recipe.max_frames - len(kept))])
    return _grey_channels(block) if recipe.grey else block


def _grey_channels(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames (n, S, S, 3) -> (n / 3, S, S, 3): each three in grey, the mean of red, green and blue, as channels."""
    grey = np.rint(block.mean(axis=3, dtype=np.float32)).astype(np.uint8)
    return grey.reshape(-1, GREYS, *grey.shape[1:]).transpose(0, 2, 3, 1)


def is_black(block: NDArray[np.uint8]) -> bool:
    """True when in every frame of (K, S, S, 3) fewer than 1 % of the values reach 16 of 255."""
    bright = (block >= BLACK_LEVEL).mean(axis=(1, 2, 3))
    return bool((bright < BLACK_SHARE).all())


# Arrays per second


def _keeper(recipe: SeenRecipe | None) -> Keep | None:
    """What is held of each image until the clip is encoded; None: the image itself."""
    if recipe is None or isinstance(recipe, VisualRecipe):
        return None
    if recipe.encoder in networks.ENCODERS:
        return networks.picture_keeper(recipe.encoder)
    return lambda image: shrink(image, SIDE)


def _sound_segments(sound: Sound, recipe: SegmentRecipe) -> tuple[Halves, int]:
    """Array of `recipe.shape` from a usable track at the recipe's rate, and the number of segments with sound."""
    length = recipe.rate * recipe.segments
    waveform = np.pad(sound.waveform[:length], (0, max(0, length - len(sound.waveform))))
    if recipe.encoder == "vggish":
        array = networks.vggish_segments(waveform)
    else:
        array = small_encoders.mel_statistics(waveform, recipe.rate, recipe.segments)
    covered = _covered(len(sound.waveform) / recipe.rate, recipe)
    return _repeated(array, np.arange(recipe.segments) < covered, recipe), covered


def _picture_segments(pictures: Pictures, recipe: SegmentRecipe) -> tuple[Halves, int]:
    """Array of `recipe.shape` from usable pictures, and the number of segments with pictures.

    Images are what `_keeper` made of the frames. Images without a clock are one per 1/rate seconds, a lone one
    stands for the first second.
    """
    clock = pictures.times or [number / recipe.rate for number in range(len(pictures.images))]
    # A track with fewer frames than the rate serves some of them twice.
    once = [position for position, time in enumerate(clock) if position == 0 or time > clock[position - 1]]
    kept = [position for position in once if clock[position] < recipe.seconds]
    times = np.array([clock[position] for position in kept], np.float32)
    array = _encode_pictures([pictures.images[position] for position in kept], times, recipe)
    seconds = np.arange(recipe.segments)
    with_media = np.isin(seconds, times.astype(int)) & (seconds < _covered(pictures.duration, recipe))
    return _repeated(array, with_media, recipe), int(with_media.sum())


def _encode_pictures(images: list[Any], times: NDArray[np.float32], recipe: SegmentRecipe) -> Halves:
    if recipe.encoder in networks.ENCODERS:
        return networks.picture_segments(images, times, recipe)
    if recipe.encoder == "frame_grid":
        return small_encoders.frame_grid(np.stack(images), times, recipe.segments, recipe.vector[-1])
    array: Halves = getattr(small_encoders, recipe.encoder)(np.stack(images), times, recipe.segments)
    return array


def _segments_are_black(pictures: Pictures, recipe: SegmentRecipe) -> bool:
    pairs = recipe.encoder == "res152-r2plus1d"  # of a crop and the squeezed image
    return is_black(np.stack([image[1] for image in pictures.images] if pairs else pictures.images))


def _covered(duration: float, recipe: SegmentRecipe) -> int:
    """Number of segments of which at least half is there; at least one."""
    return min(recipe.segments, max(1, math.floor(duration + 0.5)))


def _repeated(array: Halves, with_media: NDArray[np.bool_], recipe: SegmentRecipe) -> Halves:
    """The array with each segment without media replaced by the last one before it that has some, or by the first."""
    # argmax is the first segment with media: those before it have none to repeat, and take that one.
    source = np.maximum.accumulate(np.where(with_media, np.arange(recipe.segments), with_media.argmax()))
    return _checked(array, recipe)[source]


def _checked(array: Halves, recipe: SegmentRecipe | ClipVectorRecipe | SoundVectorRecipe) -> Halves:
    """The array, unless an encoder made another shape or values that are none of float16, which is a defect."""
    if array.shape != recipe.shape or array.dtype != np.float16:
        raise ValueError(f"encoder {recipe.encoder} made {array.dtype} {array.shape}, not float16 {recipe.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"encoder {recipe.encoder} made values that are no numbers of float16")
    return array


# One vector per clip


def _vector(pictures: Pictures, recipe: ClipVectorRecipe) -> Halves:
    """Vector `(recipe.width,)` of usable pictures; images are what `_keeper` made of the frames.

    Of fewer images than the recipe's frames the last one is repeated. Raises ValueError when the encoder makes values
    that are none of float16.
    """
    missing = recipe.frames - len(pictures.images)
    frames = np.stack([*pictures.images, *pictures.images[-1:] * missing])
    if recipe.encoder in networks.ENCODERS:
        return _checked(networks.picture_vector(frames, recipe.encoder), recipe)
    encode = small_encoders.clip_greys if recipe.encoder == "grey" else small_encoders.clip_statistics
    return _checked(encode(frames, recipe.width), recipe)


def black_vector(recipe: ClipVectorRecipe) -> list[float]:
    """What the recipe makes of a clip of black frames: `recipe.width` values of float16."""
    from PIL import Image

    keep = _keeper(recipe)
    assert keep is not None
    return [float(value) for value in _vector(Pictures("ok", images=[keep(Image.new("RGB", (320, 240)))]), recipe)]
