"""Named recipes: how sound becomes a spectrogram, video a few small frames, and either one array per second.

Longer than other files because it is mostly a table: named recipes with the source of each number. Sources, as
abbreviated in the comments:
- paper: Xia et al. 2023 (arXiv 2302.10912), "Balanced Audiovisual Dataset for Imbalance Analysis", experiment settings
- OGM: public reference code of OGM-GE (Peng et al., CVPR 2022, arXiv 2203.15332), data loaders and scripts
- tool: public extraction scripts of the same group, repository GeWu-Lab/AV_preprocess_tool, commit 5c832388c71e
- ours: a decision of this project where no public source settles it
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from avbalance.errors import UserError

GREYS = 3  # grey frames in one picture
USABLE = ("ok", "silent", "black", "partial")  # partial: some segments had no media, see SegmentRecipe


@dataclass(frozen=True)
class _Named:
    """What all recipes share: a name, the type of the stored numbers, and all fields as a dictionary for cards."""

    name: str

    dtype: ClassVar[str] = "float16"

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class AudioRecipe(_Named):
    """How one waveform becomes one array of `shape`.

    kind: "log-magnitude" log(|STFT| + floor), shape (F, T); "log-mel" log(mel power + floor), shape (F, T);
    "decibel-mel" 10 log10(max(mel power, floor)), shape (F, T); "kaldi-fbank" log filter bank, shape (T, F), time
    first. fit (how a waveform gets `seconds`):
    "repeat-last-second", "double", "tile" (`tiles` copies), "pad" (zeros); all cut at the end. window_frames:
    training draws this many frames out of the stored ones, tests take the centre ones.
    """

    kind: str
    rate: int | None  # samples per second; None keeps the file's own rate
    seconds: float | None  # None: the length is set in frames, after the transform
    fit: str
    n_fft: int
    hop: int
    bins: int
    frames: int
    floor: float
    clip: bool  # cut the waveform to [-1, 1] first
    tiles: int = 1
    pool: int = 1  # neighbouring power frames averaged into one
    window_frames: int | None = None
    mean: float = 0.0  # stored value = (value - mean) / scale
    scale: float = 1.0

    modality: ClassVar[str] = "audio"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one stored array."""
        return (self.frames, self.bins) if self.kind == "kaldi-fbank" else (self.bins, self.frames)


@dataclass(frozen=True)
class VisualRecipe(_Named):
    """Which frames of a clip are kept, and their size: uint8 array of shape (max_frames, size, size, 3).

    rule: "first" frame of each 1/rate seconds, "middle" frame of it, or "still" (one image).
    Sources with fewer than `min_frames` kept frames are dropped, still images excepted. grey: each three kept frames
    that follow each other become the channels of one picture, (max_frames / 3, size, size, 3): its first layer sees
    what moves, at a third of the cost.
    """

    rule: str
    rate: float  # kept frames per second
    size: int
    max_frames: int
    min_frames: int
    grey: bool = False

    modality: ClassVar[str] = "visual"
    dtype: ClassVar[str] = "uint8"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one stored array."""
        return (self.max_frames // (GREYS if self.grey else 1), self.size, self.size, 3)


@dataclass(frozen=True)
class SegmentRecipe(_Named):
    """One array of `vector` values per second of a clip: float16 of shape (segments, *vector).

    encoder: what makes the array of a second out of decoded media (see `avbalance.features.clip`) or reads it from
    a file of released features (`avbalance.features.ready_made`), whatever the clip's path names. Segments of which a
    clip has no media repeat the last one that has some; the clip's status is then "partial", its n_frames the number of
    segments with media. For 11,849 clips (LLP) seconds10-vggish and seconds10-res152-r2plus1d take 637 MB together:
    11,849 clips x 10 segments x (128 + 2560) values x 2 bytes.
    """

    modality: str
    encoder: str
    rate: int  # samples of sound, or at most so many frames, per second
    vector: tuple[int, ...]
    segments: int = 10

    rule: ClassVar[str] = "first"
    min_frames: ClassVar[int] = 1

    @property
    def seconds(self) -> float:
        """Seconds that are looked at."""
        return float(self.segments)

    @property
    def max_frames(self) -> int:
        """Frames that are looked at, at the most."""
        return self.rate * self.segments

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one stored array."""
        return (self.segments, *self.vector)


@dataclass(frozen=True)
class _VectorRecipe(_Named):
    """One vector for a whole clip: float16 of shape (width,). encoder: what makes it, see avbalance.features.clip."""

    encoder: str
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one stored array."""
        return (self.width,)


@dataclass(frozen=True)
class ClipVectorRecipe(_VectorRecipe):
    """A vector of `frames` frames at even distances; of a clip with fewer frames the last one is repeated.

    Features of different encoders have stores of different names and cards.
    """

    frames: int = 8

    modality: ClassVar[str] = "visual"
    min_frames: ClassVar[int] = 1


@dataclass(frozen=True)
class SoundVectorRecipe(_VectorRecipe):
    """A vector of the sound, by a pretrained network."""

    rate: int = 16_000
    seconds: float = 10.0

    modality: ClassVar[str] = "audio"


HeardRecipe = AudioRecipe | SegmentRecipe | SoundVectorRecipe
SeenRecipe = VisualRecipe | SegmentRecipe | ClipVectorRecipe
Recipe = HeardRecipe | SeenRecipe


_AUDIO = (
    # Default for Kinetics-Sounds, VGG-Sound and the balanced set.
    AudioRecipe(
        name="paper48k",
        kind="log-magnitude",
        rate=48_000,  # paper; the scripts' own default is 44,100 (tool)
        seconds=10.0,  # tool
        fit="repeat-last-second",  # tool: the last, partial second is repeated until 10 s
        n_fft=512,  # tool
        hop=440,  # tool
        bins=257,
        frames=1091,  # 480,000 // 440 + 1
        floor=1e-7,  # ours: tool stores the magnitude; the logarithm is that of OGM
        clip=True,  # OGM
    ),
    AudioRecipe(
        name="ogm_vgg",
        kind="log-magnitude",
        rate=16_000,  # OGM
        seconds=10.0,  # OGM; cut at 10 s is ours: OGM draws its window from the whole track
        fit="double",  # OGM
        n_fft=256,  # OGM
        hop=128,  # OGM
        bins=129,
        frames=1251,  # 160,000 // 128 + 1
        floor=1e-7,  # OGM
        clip=True,  # OGM
        window_frames=626,  # OGM: 5 s, 80,000 // 128 + 1; random also at test time there, centred here (ours)
    ),
    AudioRecipe(
        name="ogm_cremad",
        kind="log-magnitude",
        rate=22_050,  # OGM
        seconds=3.0,  # OGM
        fit="tile",  # OGM
        tiles=3,  # OGM
        n_fft=512,  # OGM
        hop=353,  # OGM
        bins=257,
        frames=188,  # 66,150 // 353 + 1
        floor=1e-7,  # OGM
        clip=True,  # OGM
    ),
    AudioRecipe(
        name="ks_fbank",
        kind="kaldi-fbank",
        rate=None,  # OGM: the file's own rate
        seconds=None,
        fit="pad",  # OGM: zeros after the transform, before the normalisation
        n_fft=0,  # 25 ms, padded to a power of two: depends on the rate
        hop=0,  # 10 ms (OGM)
        bins=128,  # OGM
        frames=1024,  # OGM
        floor=0.0,
        clip=False,
        mean=-4.503877,  # OGM
        scale=2 * 5.141276,  # OGM
    ),
)
_NAMED_VISUAL = (
    # One frame per second: paper. "middle" is the rule of tool, "first" that of OGM, which also drops clips
    # with fewer than 4 frames.
    VisualRecipe(name="fps1-middle-256", rule="middle", rate=1.0, size=256, max_frames=10, min_frames=4),
    VisualRecipe(name="fps1-first-256", rule="first", rate=1.0, size=256, max_frames=10, min_frames=4),
)
# vggish, res152-r2plus1d, vgg19: features of the public code of LLP and AVE (YapengTian/AVVP-ECCV20, AVE-ECCV18).
# The small encoders (ours) need no weights.
_SEGMENT_AUDIO = (
    SegmentRecipe("seconds10-mel128", "audio", "mel_statistics", 16_000, (128,)),
    SegmentRecipe("seconds10-vggish", "audio", "vggish", 16_000, (128,)),  # 16 kHz: VGGish
    SegmentRecipe("seconds10-vggish-pca", "audio", "vggish-pca", 16_000, (128,)),  # AudioSet's released embeddings
)
_SEGMENT_VISUAL = (
    SegmentRecipe("seconds10-conv2560", "visual", "frame_statistics", 8, (2560,)),
    SegmentRecipe("seconds10-grey2560", "visual", "grey_frames", 8, (2560,)),
    SegmentRecipe("seconds10-greygrid64", "visual", "grey_grid", 8, (7, 7, 64)),
    # 8 frames per second: AVVP-ECCV20; 16: AVE-ECCV18
    SegmentRecipe("seconds10-res152-r2plus1d", "visual", "res152-r2plus1d", 8, (2560,)),
    SegmentRecipe("seconds10-vgg19", "visual", "vgg19", 16, (7, 7, 512)),
)
# One vector per clip of 8 frames, as modality-relevance has it ("ResNet50", a feature of 400 values). It does not say
# which ResNet-50: 400 are the classes of Kinetics-400, hence the clip network; the others are there to compare.
_CLIP_VISUAL = (
    ClipVectorRecipe("uniform8-k400r50", "k400r50", 400),
    ClipVectorRecipe("uniform8-imagenetr50", "imagenetr50", 2048),
    ClipVectorRecipe("uniform8-randomr50", "randomr50", 2048),
    ClipVectorRecipe("uniform8-grey2048", "grey", 2048),  # ours, for mouths: 8 frames of 16 x 16 pixels
)
_CLIP_AUDIO = (SoundVectorRecipe("clip10-vggsoundr18", "vggsoundr18", 309),)  # 309: the classes of VGG-Sound
_RATE = 16_000  # Hz, of the small spectrograms
_LOGMEL = re.compile(r"logmel(\d+)x(\d+)-(\d+(?:\.\d+)?)s")
_LOGMEL_FFT, _MAX_BINS = 512, 128
_DECIBEL = re.compile(r"decibel64-(\d+(?:\.\d+)?)s")
_DECIBEL_FFT, _DECIBEL_HOP = 1024, 512
_FPS = re.compile(r"fps(\d+(?:\.\d+)?)-(first|middle)-(\d+)(?:-(\d+(?:\.\d+)?)s)?(-grey)?(?:-min(\d+))?")
_STILL = re.compile(r"still-(\d+)")
_MAX_SIZE = 1024
_GRID = re.compile(r"seconds10-grid(\d+)")
_MAX_CHANNELS = 512
_SMALL = re.compile(r"uniform8-small(\d+)")
_SMALL_WIDTHS = range(16, 1025, 8)


def chosen_recipes(recipes: Mapping[str, str]) -> dict[str, Recipe]:
    """Modality -> recipe of that name; raises UserError for unknown ones."""
    if not recipes or set(recipes) - {"audio", "visual"}:
        raise UserError(f"recipes {dict(recipes)!r}: name a recipe for audio, for visual, or for both.")
    get: dict[str, Callable[[str], Recipe]] = {"audio": get_audio_recipe, "visual": get_visual_recipe}
    return {modality: get[modality](recipes[modality]) for modality in get if modality in recipes}


def get_audio_recipe(name: str) -> HeardRecipe:
    """The audio recipe of that name.

    A profile, one of the recipes with an array per second, or one read from the patterns
    logmel<bins>x<frames>-<seconds>s and decibel64-<seconds>s.
    Raises UserError for an unknown name, listing what exists, and for sizes that cannot be had.
    """
    known: dict[str, HeardRecipe] = {recipe.name: recipe for recipe in (*_AUDIO, *_SEGMENT_AUDIO, *_CLIP_AUDIO)}
    if name in known:
        return known[name]
    if match := _DECIBEL.fullmatch(name):
        return _decibel_mel(name, float(match[1]))
    if match := _LOGMEL.fullmatch(name):
        return _logmel(name, int(match[1]), int(match[2]), float(match[3]))
    raise UserError(
        f"audio recipe {name!r} does not exist; choose one of {', '.join(known)}, or write "
        "logmel<bins>x<frames>-<seconds>s such as logmel32x64-4s, or decibel64-<seconds>s such as decibel64-10s."
    )


def _logmel(name: str, bins: int, frames: int, seconds: float) -> AudioRecipe:
    """A small log-mel recipe (ours) for generated and short clips: 16 kHz, FFT of 512.

    Where a frame spans more than half an FFT window, several transforms are averaged into it, so that no
    sample is passed over.
    """
    samples = round(seconds * _RATE)
    if not (1 <= bins <= _MAX_BINS and frames >= 1 and samples >= _LOGMEL_FFT):
        raise UserError(
            f"audio recipe {name!r}: needs 1 to {_MAX_BINS} bins, at least one frame and {_LOGMEL_FFT / _RATE} s of "
            "sound."
        )
    # Windows overlap by half at least: with steps of up to 256 samples an FFT of 512 sees each sample twice.
    pool = max(1, math.ceil(samples / frames / (_LOGMEL_FFT // 2)))
    hop, rest = divmod(samples, frames * pool)
    if rest:
        raise UserError(
            f"audio recipe {name!r}: {samples} samples do not divide into {frames} frames of {pool} equal "
            "steps; choose a number of frames such as 64."
        )
    shape = {"bins": bins, "frames": frames, "pool": pool, "hop": hop}
    return AudioRecipe(name, "log-mel", _RATE, seconds, "pad", n_fft=_LOGMEL_FFT, floor=1e-6, clip=True, **shape)


def _decibel_mel(name: str, seconds: float) -> AudioRecipe:
    """Log-mel in decibels, neither scaled nor standardised: modality-relevance; all but rate and length are ours."""
    samples = round(seconds * _RATE)
    if samples < _DECIBEL_FFT:
        raise UserError(f"audio recipe {name!r}: needs {_DECIBEL_FFT / _RATE} s of sound.")
    shape = {"bins": 64, "frames": 1 + samples // _DECIBEL_HOP, "hop": _DECIBEL_HOP}  # 313 frames for 10 s
    return AudioRecipe(name, "decibel-mel", _RATE, seconds, "pad", n_fft=_DECIBEL_FFT, floor=1e-10, clip=False, **shape)


def get_visual_recipe(name: str) -> SeenRecipe:
    """The visual recipe of that name.

    Pattern: fps<rate>-<first|middle>-<size>[-<seconds>s][-grey][-min<frames>], still-<size>,
    seconds10-grid<channels>, or uniform8-small<width>.
    Without `-<seconds>s` room for 10 s of frames is kept. Without `-min<frames>` one frame suffices, except
    in the two named profiles fps1-middle-256 and fps1-first-256, which drop clips of fewer than 4 frames.
    Raises UserError for an unknown name, listing what exists.
    """
    known: dict[str, SeenRecipe] = {recipe.name: recipe for recipe in (*_NAMED_VISUAL, *_SEGMENT_VISUAL, *_CLIP_VISUAL)}
    if name in known:
        return known[name]
    if (match := _SMALL.fullmatch(name)) and int(match[1]) in _SMALL_WIDTHS:
        return ClipVectorRecipe(name, "small", int(match[1]))
    if (match := _GRID.fullmatch(name)) and 1 <= int(match[1]) <= _MAX_CHANNELS:
        return SegmentRecipe(name, "visual", "frame_grid", 8, (7, 7, int(match[1])))
    if match := _STILL.fullmatch(name):
        return _checked(VisualRecipe(name, rule="still", rate=1.0, size=int(match[1]), max_frames=1, min_frames=1))
    if match := _FPS.fullmatch(name):
        rate, rule, size, seconds, grey, least = match.groups()
        room = round(float(rate) * float(seconds or 10))
        return _checked(VisualRecipe(name, rule, float(rate), int(size), room, int(least or 1), grey is not None))
    raise UserError(
        f"visual recipe {name!r} does not exist; choose one of {', '.join(known)}, or write "
        "fps<rate>-<first|middle>-<size>[-<seconds>s][-grey][-min<frames>] such as fps1-middle-32, "
        f"still-<size>, seconds10-grid<channels> with 1 to {_MAX_CHANNELS} channels, or uniform8-small<width> with "
        f"{_SMALL_WIDTHS[0]} to {_SMALL_WIDTHS[-1]} values, a multiple of 8."
    )


def _checked(recipe: VisualRecipe) -> VisualRecipe:
    if not (1 <= recipe.size <= _MAX_SIZE and 1 <= recipe.min_frames <= recipe.max_frames and recipe.rate > 0):
        raise UserError(
            f"visual recipe {recipe.name!r}: the size must lie in 1..{_MAX_SIZE}, and there must be room "
            "for at least the smallest number of frames."
        )
    if recipe.grey and recipe.max_frames % GREYS:
        raise UserError(
            f"visual recipe {recipe.name!r}: {recipe.max_frames} frames do not make pictures of {GREYS} grey frames "
            "each; change the rate or the seconds."
        )
    return recipe
