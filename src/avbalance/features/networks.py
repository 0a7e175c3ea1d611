"""Networks as encoders: VGGish, ResNet-152 with R(2+1)D-18 and VGG-19 of segments, ResNet-50 of whole clips.

Preprocessing of segments is that of the features released with LLP (YapengTian/AVVP-ECCV20) and AVE
(YapengTian/AVE-ECCV18), that of clips the one with which the weights were trained. The weights are files, see
`avbalance.features.weights`. A GPU is used where there is one; its values may differ from the
processor's in the last bits of a float16.
"""

from __future__ import annotations

import functools
import pickle
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.features.decode import Keep
from avbalance.features.recipes import SegmentRecipe
from avbalance.features.vggish import build_vggish, log_mel_patches
from avbalance.features.visual import shrink
from avbalance.features.weights import weights_file

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import nn

_SHORTER_SIDE, _CROP, _CLIP_SIDE = 256, 224, 112
_SLOW_CROP = 256
_RANDOM_SEED = 0
_FRAMES = 8  # per second, those of one clip of R(2+1)D
_BATCH = 16
# Means and standard deviations of RGB in [0, 1], as torchvision states them with the weights
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SLOW = ((0.45,) * 3, (0.225,) * 3)  # PyTorchVideo
_KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))

Halves = NDArray[np.float16]
Bytes = NDArray[np.uint8]


def picture_keeper(encoder: str) -> Keep:
    """What the encoder needs of one image, uint8: a crop, the squeezed image, or both."""
    keepers: dict[str, Keep] = {
        "res152-r2plus1d": _crop_and_squeezed,
        "vgg19": _squeezed,
        "k400r50": functools.partial(_centre, crop=_SLOW_CROP),
        "imagenetr50": _centre,
        "randomr50": _centre,
    }
    return keepers[encoder]


def _crop_and_squeezed(image: Image) -> tuple[Bytes, Bytes]:
    """Centre (224, 224, 3) of the image with a shorter side of 256; the image as (112, 112, 3), aspect not kept."""
    return _centre(image), shrink(image, _CLIP_SIDE)


def _centre(image: Image, crop: int = _CROP) -> Bytes:
    """Centre (crop, crop, 3) of the image with a shorter side of 256."""
    from PIL.Image import Resampling

    factor = _SHORTER_SIDE / min(image.size)
    width, height = (max(_SHORTER_SIDE, int(side * factor)) for side in image.size)
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    resized = image.resize((width, height), Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + crop, top + crop)))


def _squeezed(image: Image) -> Bytes:
    return shrink(image, _CROP)


def vggish_segments(waveform: NDArray[np.float32]) -> Halves:
    """(seconds, 128) of a mono waveform (seconds * 16000,) at 16 kHz."""
    return _run("vggish-10086976.pth", build_vggish, [log_mel_patches(waveform)[:, None]]).astype(np.float16)


def picture_segments(images: list[Any], times: NDArray[np.float32], recipe: SegmentRecipe) -> Halves:
    """Array of `recipe.shape` of what `picture_keeper` kept of n frames at `times` (n,), in seconds."""
    if recipe.encoder == "vgg19":
        return _vgg19_segments(np.stack(images), times, recipe)
    chosen = frames_of_clips(times, recipe.segments)
    crops = np.stack([images[position][0] for position in chosen])
    small = np.stack([images[position][1] for position in chosen])
    flat = _run("resnet152-394f9c45.pth", _resnet152, _batches(crops))
    per_second = flat.reshape(recipe.segments, _FRAMES, -1).mean(axis=1, dtype=np.float64)
    clips = _normalised(small, _KINETICS).reshape(recipe.segments, _FRAMES, 3, _CLIP_SIDE, _CLIP_SIDE)
    moving = _run("r2plus1d_18-91a641e6.pth", _r2plus1d_18, (clip.swapaxes(0, 1)[None] for clip in clips))
    return np.concatenate([per_second, moving], axis=1).astype(np.float16)


def picture_vector(frames: Bytes, encoder: str) -> Halves:
    """One vector of the frames (n, S, S, 3) that `picture_keeper` kept of a clip.

    k400r50: the 400 scores, before the softmax, of the network for 8 frames. imagenetr50 and randomr50: the 2048 values
    before the classifier, averaged over the frames.
    """
    if encoder == "k400r50":
        clip = _normalised(frames, _SLOW).swapaxes(0, 1)[None]
        return _run("SLOW_8x8_R50.pyth", _slow_resnet, [clip])[0].astype(np.float16)
    if encoder == "imagenetr50":
        values = _run("resnet50-0676ba61.pth", _resnet50, _batches(frames))
    else:
        values = _run(None, _random_resnet50, _batches(frames))
    return values.mean(axis=0, dtype=np.float64).astype(np.float16)


def frames_of_clips(times: NDArray[np.float32], segments: int) -> NDArray[np.intp]:
    """Which of n frames at ascending `times` make up the clips of 8 frames per segment, (segments * 8,).

    Of a whole clip those at round(linspace(0, n - 1)) (AVVP-ECCV20). That would stretch a shorter clip over all
    segments, away from its labels; of such a one (decision) the last frame before each eighth of a second.
    """
    count = segments * _FRAMES
    if times[-1] >= segments - 0.5:
        return np.round(np.linspace(0, len(times) - 1, count)).astype(np.intp)
    return np.maximum(0, np.searchsorted(times, np.arange(count) / _FRAMES + 1e-6, side="right") - 1)


def _vgg19_segments(frames: Bytes, times: NDArray[np.float32], recipe: SegmentRecipe) -> Halves:
    """Maps of the last pooling (7, 7, 512), averaged over the frames of each second; 0 where there are none."""
    maps = _run("vgg19-dcbb9e9d.pth", _vgg19, _batches(frames)).transpose(0, 2, 3, 1)
    array = np.zeros(recipe.shape, np.float16)
    for second in np.unique(times.astype(int)):
        array[second] = maps[times.astype(int) == second].mean(axis=0, dtype=np.float64)
    return array


def _batches(frames: Bytes) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(frames), _BATCH):
        yield _normalised(frames[start : start + _BATCH], _IMAGENET)


def _normalised(frames: Bytes, statistics: tuple[tuple[float, ...], tuple[float, ...]]) -> NDArray[np.float32]:
    """(n, S, S, 3) uint8 -> (n, 3, S, S), less the mean and by the standard deviation of each channel."""
    mean, deviation = (np.array(values, np.float32) for values in statistics)
    values: NDArray[np.float32] = (frames.astype(np.float32) / np.float32(255) - mean) / deviation
    return np.moveaxis(values, -1, 1)


def _run(
    file: str | None, build: Callable[[], nn.Module], batches: Iterable[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """What the network with the weights in `file` (None: its own) makes of all batches, one after another."""
    import torch

    network, device = _loaded(file, build)
    with torch.inference_mode():
        parts = [network(torch.from_numpy(np.ascontiguousarray(batch)).to(device)).cpu() for batch in batches]
    return torch.cat(parts).numpy()


@functools.cache
def _loaded(file: str | None, build: Callable[[], nn.Module]) -> tuple[nn.Module, torch.device]:
    """The network in evaluation mode on the best device; raises UserError when the file does not fit it."""
    import torch

    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, False
    network = build()
    if file is not None:
        _load(network, weights_file(file))
    # The features are what goes into torchvision's classifiers.
    if hasattr(network, "fc"):
        network.fc = torch.nn.Identity()
    if hasattr(network, "classifier"):
        network = network.get_submodule("features")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return network.eval().to(device), device


def _load(network: nn.Module, path: Path) -> None:
    """Fill a network with the parameters in a file, where a checkpoint may hold them as its `model_state`."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(content.get("model_state", content))
    except (OSError, RuntimeError, ValueError, TypeError, AttributeError, pickle.UnpicklingError, EOFError) as error:
        cause = textwrap.shorten(str(error), 200, placeholder=" ...")  # torch lists all parameters, one a line
        raise UserError(f"{path}: not the weights of this network ({cause}); take the file again.") from error


def _resnet152() -> nn.Module:
    from torchvision.models import resnet152

    network: nn.Module = resnet152(weights=None)
    return network


def _resnet50() -> nn.Module:
    from torchvision.models import resnet50

    network: nn.Module = resnet50(weights=None)
    return network


def _random_resnet50() -> nn.Module:
    """Weights as torchvision draws them, from a fixed seed that leaves the caller's random numbers alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_RANDOM_SEED)
        return _resnet50()


def _slow_resnet() -> nn.Module:
    from avbalance.features.slow_resnet import SlowResNet

    return SlowResNet()


def _r2plus1d_18() -> nn.Module:
    from torchvision.models.video import r2plus1d_18

    network: nn.Module = r2plus1d_18(weights=None)
    return network


def _vgg19() -> nn.Module:
    from torchvision.models import vgg19

    network: nn.Module = vgg19(weights=None)
    return network
