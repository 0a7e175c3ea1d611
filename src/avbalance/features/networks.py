"""Pretrained networks: VGGish, ResNet-152 with R(2+1)D-18 and VGG-19 of segments, ResNet-50 and -18 of whole clips.

Preprocessing of segments is that of the features released with LLP (YapengTian/AVVP-ECCV20) and AVE
(YapengTian/AVE-ECCV18), that of clips the one with which the weights were trained. The weights are files. A GPU is used
where there is one; its values may differ from the processor's in the last bits of a float16. Loads torch when it is
used.
"""

from __future__ import annotations

import functools
import os
import pickle
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.features.audio import log_mel_patches, vggsound_spectrogram
from avbalance.features.picture_track import Keep
from avbalance.features.pixels import shrink
from avbalance.features.recipes import SegmentRecipe
from flowkeeper.files import sha256_file

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import nn

FOLDER_VARIABLE = "AVBALANCE_WEIGHTS"
_DEFAULT_FOLDER = "downloads/weights"
_TORCHVISION = "https://download.pytorch.org/models/{}, where torchvision publishes it"
_PYTORCHVIDEO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/{}, where PyTorchVideo publishes it"
_VGGSOUND = "http://www.robots.ox.ac.uk/~vgg/data/vggsound/models/{}, where the authors of VGG-Sound publish it"
_TORCHVGGISH = "the releases of the repository harritaylor/torchvggish (v0.1)"
# Network -> the file of its weights, by the name that it is published under, and where it is published
_WEIGHTS = {
    "vggish": ("vggish-10086976.pth", _TORCHVGGISH),
    "resnet152": ("resnet152-394f9c45.pth", _TORCHVISION),
    "r2plus1d_18": ("r2plus1d_18-91a641e6.pth", _TORCHVISION),
    "vgg19": ("vgg19-dcbb9e9d.pth", _TORCHVISION),
    "slow_r50": ("SLOW_8x8_R50.pyth", _PYTORCHVIDEO),
    "resnet50": ("resnet50-0676ba61.pth", _TORCHVISION),
    "vggsound": ("H.pth.tar", _VGGSOUND),
}
_RANDOM = "random-resnet50"  # drawn from a seed
# Encoder of a recipe -> the networks that it runs
ENCODERS = {
    "vggish": ("vggish",),
    "res152-r2plus1d": ("resnet152", "r2plus1d_18"),
    "vgg19": ("vgg19",),
    "k400r50": ("slow_r50",),
    "imagenetr50": ("resnet50",),
    "randomr50": (_RANDOM,),
    "vggsoundr18": ("vggsound",),
}
LIBRARIES = ("torch", "torchvision")
TIMEOUT_S = 900.0  # per clip: ResNet-152 and R(2+1)D-18 take a minute on a core that they have for themselves

_SHORTER_SIDE, _CROP, _CLIP_SIDE = 256, 224, 112
_SLOW_CROP = 256
_RANDOM_SEED = 0
_FRAMES = 8  # per second, those of one clip of R(2+1)D
_BATCH = 16
# Means and standard deviations of RGB in [0, 1], as torchvision states them with the weights
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SLOW = ((0.45,) * 3, (0.225,) * 3)  # PyTorchVideo
_KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Bytes = NDArray[np.uint8]


def weight_digests(encoders: Iterable[str]) -> dict[str, str]:
    """File name -> sha256 of all weights of some encoders.

    Raises UserError, naming the source, for an absent file and one that is cut short.
    """
    digests = {}
    for name, source in (
        _WEIGHTS[network] for encoder in encoders for network in ENCODERS[encoder] if network in _WEIGHTS
    ):
        path = _weights_file(name)
        if not path.is_file():
            raise UserError(
                f"{path}: no such file of pretrained weights; take {name} from {source.format(name)}, put it there "
                f"or set {FOLDER_VARIABLE} to its folder, or give the clips' released features in the manifest."
            )
        digests[name] = sha256_file(path)
        prefix = name.rpartition("-")[2].removesuffix(".pth")
        # torchvision publishes the first 8 digits of the sha256 as part of a file's name; the other sources do not.
        if source is _TORCHVISION and not digests[name].startswith(prefix):
            raise UserError(
                f"{path}: its sha256 does not begin with {prefix}, as that of the published file does; take it "
                f"again from {source.format(name)}."
            )
    return digests


def _weights_file(name: str) -> Path:
    """Path of a weights file, in the folder that AVBALANCE_WEIGHTS names (default downloads/weights)."""
    return Path(os.environ.get(FOLDER_VARIABLE) or _DEFAULT_FOLDER) / name


# What is held of a picture


def picture_keeper(encoder: str) -> Keep:
    """What the encoder needs of one image, uint8: a crop, the squeezed image, or both."""
    keepers: dict[str, Keep] = {
        "res152-r2plus1d": lambda image: (_centre(image), shrink(image, _CLIP_SIDE)),
        "vgg19": lambda image: shrink(image, _CROP),
        "k400r50": lambda image: _centre(image, _SLOW_CROP),
        "imagenetr50": _centre,
        "randomr50": _centre,
    }
    return keepers[encoder]


def _centre(image: Image, crop: int = _CROP) -> Bytes:
    """Centre (crop, crop, 3) of the image with a shorter side of 256."""
    from PIL.Image import Resampling

    # int() and max() as torchvision's Resize: the longer side is cut down to whole pixels, the shorter one is exact.
    factor = _SHORTER_SIDE / min(image.size)
    width, height = (max(_SHORTER_SIDE, int(side * factor)) for side in image.size)
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    resized = image.resize((width, height), Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + crop, top + crop)))


# Encoders


def vggish_segments(waveform: Floats) -> Halves:
    """(seconds, 128) of a mono waveform (seconds * 16000,) at 16 kHz."""
    return _run("vggish", [log_mel_patches(waveform)[:, None]]).astype(np.float16)


def sound_vector(waveform: Floats) -> Halves:
    """Scores of the 309 classes of VGG-Sound (309,), before the softmax, of a mono waveform (n,) at 16 kHz."""
    return _run("vggsound", [vggsound_spectrogram(waveform)[None, None]])[0].astype(np.float16)


def picture_segments(images: list[Any], times: Floats, recipe: SegmentRecipe) -> Halves:
    """Array of `recipe.shape` of what `picture_keeper` kept of n frames at `times` (n,), in seconds."""
    if recipe.encoder == "vgg19":
        return _vgg19_segments(np.stack(images), times, recipe)
    chosen = frames_of_clips(times, recipe.segments)
    crops = np.stack([images[position][0] for position in chosen])
    small = np.stack([images[position][1] for position in chosen])
    flat = _run("resnet152", _batches(crops))
    # The reference maps 80 frames linearly and then averages eight at a time; averaging first gives the same, in an
    # eighth.
    per_second = flat.reshape(recipe.segments, _FRAMES, -1).mean(axis=1, dtype=np.float64)
    clips = _normalised(small, _KINETICS).reshape(recipe.segments, _FRAMES, 3, _CLIP_SIDE, _CLIP_SIDE)
    moving = _run("r2plus1d_18", (clip.swapaxes(0, 1)[None] for clip in clips))
    return np.concatenate([per_second, moving], axis=1).astype(np.float16)


def frames_of_clips(times: Floats, segments: int) -> NDArray[np.intp]:
    """Which of n frames at ascending `times` make up the clips of 8 frames per segment, (segments * 8,).

    Of a whole clip those at round(linspace(0, n - 1)) (AVVP-ECCV20). That would stretch a shorter clip over all
    segments, away from its labels; of such a one (decision) the last frame before each eighth of a second.
    """
    count = segments * _FRAMES
    if times[-1] >= segments - 0.5:
        return np.round(np.linspace(0, len(times) - 1, count)).astype(np.intp)
    return np.maximum(0, np.searchsorted(times, np.arange(count) / _FRAMES + 1e-6, side="right") - 1)


def _vgg19_segments(frames: Bytes, times: Floats, recipe: SegmentRecipe) -> Halves:
    """Maps of the last pooling (7, 7, 512), averaged over the frames of each second; 0 where there are none."""
    maps = _run("vgg19", _batches(frames)).transpose(0, 2, 3, 1)
    array = np.zeros(recipe.shape, np.float16)
    for second in np.unique(times.astype(int)):
        array[second] = maps[times.astype(int) == second].mean(axis=0, dtype=np.float64)
    return array


def picture_vector(frames: Bytes, encoder: str) -> Halves:
    """One vector of the frames (n, S, S, 3) that `picture_keeper` kept of a clip.

    k400r50: the 400 scores, before the softmax, of the network for 8 frames. imagenetr50 and randomr50: the 2048 values
    before the classifier, averaged over the frames.
    """
    (network,) = ENCODERS[encoder]
    if encoder == "k400r50":
        return _run(network, [_normalised(frames, _SLOW).swapaxes(0, 1)[None]])[0].astype(np.float16)
    return _run(network, _batches(frames)).mean(axis=0, dtype=np.float64).astype(np.float16)


def _batches(frames: Bytes) -> Iterator[Floats]:
    for start in range(0, len(frames), _BATCH):
        yield _normalised(frames[start : start + _BATCH], _IMAGENET)


def _normalised(frames: Bytes, statistics: tuple[tuple[float, ...], tuple[float, ...]]) -> Floats:
    """(n, S, S, 3) uint8 -> (n, 3, S, S), less the mean and by the standard deviation of each channel."""
    mean, deviation = (np.array(values, np.float32) for values in statistics)
    values: Floats = (frames.astype(np.float32) / np.float32(255) - mean) / deviation
    return np.moveaxis(values, -1, 1)


# Networks


def _run(name: str, batches: Iterable[Floats]) -> Floats:
    """What a network makes of all batches, one after another."""
    import torch

    network, device = _loaded(name)
    with torch.inference_mode():
        parts = [network(torch.from_numpy(np.ascontiguousarray(batch)).to(device)).cpu() for batch in batches]
    return torch.cat(parts).numpy()


@functools.cache
def _loaded(name: str) -> tuple[nn.Module, torch.device]:
    """The network in evaluation mode on the best device; raises UserError when the file does not fit it."""
    import torch

    # Stores are compared by their bytes: TF32 and varying algorithms would make each machine's own.
    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, False
    network = _build(name)
    if name in _WEIGHTS:
        _load(network, _weights_file(_WEIGHTS[name][0]))
    # The features are what goes into torchvision's classifiers.
    if hasattr(network, "fc") and name != "vggsound":
        network.fc = torch.nn.Identity()
    if hasattr(network, "classifier"):
        # VGG-19: maps of the last pooling are wanted, which lie before torchvision's classifier.
        network = network.get_submodule("features")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return network.eval().to(device), device


def _build(name: str) -> nn.Module:
    """The network with weights as its library draws them.

    The random one has them from a fixed seed that leaves the caller's random numbers alone.
    """
    import torch

    if name != _RANDOM:
        return architecture(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_RANDOM_SEED)
        return architecture("resnet50")


def architecture(name: str) -> nn.Module:
    """The network of that name: one of torchvision's, or our own."""
    from torchvision.models import get_model

    from avbalance.features import architectures

    own = {
        "vggish": architectures.vggish,
        "slow_r50": architectures.slow_r50,
        "vggsound": architectures.vggsound_resnet18,
    }
    network: nn.Module = own[name]() if name in own else get_model(name, weights=None)
    return network


def _load(network: nn.Module, path: Path) -> None:
    """Fill a network with the parameters in a file, where a checkpoint may hold them beside other things."""
    import torch
    from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        parameters = content.get("model_state", content.get("model_state_dict", content))
        consume_prefix_in_state_dict_if_present(parameters, "audnet.")  # of VGG-Sound's checkpoint
        network.load_state_dict(parameters)
    except (OSError, RuntimeError, ValueError, TypeError, AttributeError, pickle.UnpicklingError, EOFError) as error:
        cause = textwrap.shorten(str(error), 200, placeholder=" ...")  # torch lists all parameters, one a line
        raise UserError(f"{path}: not the weights of this network ({cause}); take the file again.") from error
