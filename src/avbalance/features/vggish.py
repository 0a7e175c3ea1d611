"""VGGish (Hershey et al. 2017): log-mel patches of one second each, and the network that maps them to 128 values.

Constants are those of the public TensorFlow release (tensorflow/models, research/audioset/vggish). As there until 2020,
when the features of LLP were made, the last layer ends in a rectifier; no PCA, whitening or quantisation follows.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

RATE = 16_000
PATCH_FRAMES, MEL_BANDS, EMBEDDING = 96, 64, 128
_WINDOW, _HOP, _FFT = 400, 160, 512  # 25 ms and 10 ms
_RANGE_HZ = (125.0, 7500.0)
_LOG_OFFSET = 0.01
_CHANNELS = ((64,), (128,), (256, 256), (512, 512))  # a max pooling ends each group
_HIDDEN = 4096

Floats = NDArray[np.float32]


def log_mel_patches(waveform: Floats) -> Floats:
    """Patches (seconds, 96, 64) of a mono waveform (seconds * 16000,) in [-1, 1]: log(mel magnitude + 0.01).

    Each second is transformed by itself: 98 windows fit, the first 96 are kept (AVVP-ECCV20).
    """
    per_second = np.clip(waveform, -1.0, 1.0).reshape(-1, RATE)
    frames = np.lib.stride_tricks.sliding_window_view(per_second, _WINDOW, axis=1)[:, ::_HOP][:, :PATCH_FRAMES]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    magnitude = np.abs(np.fft.rfft(frames * hann, n=_FFT, axis=-1))
    return np.log(magnitude @ _mel_weights() + _LOG_OFFSET).astype(np.float32)


@functools.cache
def _mel_weights() -> NDArray[np.float64]:
    """Triangles (257, 64) of height 1, straight in mel (1127 ln(1 + f / 700)), not in Hz; the constant bin counts 0."""
    mel = 1127 * np.log1p(np.arange(_FFT // 2 + 1) * RATE / _FFT / 700)[:, None]
    lowest, highest = (1127 * np.log1p(hertz / 700) for hertz in _RANGE_HZ)
    edges = np.linspace(lowest, highest, MEL_BANDS + 2)
    rising = (mel - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - mel) / np.diff(edges)[1:]
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights


def build_vggish() -> nn.Module:
    """The network: (N, 1, 96, 64) -> (N, 128); parameters are named as in harritaylor/torchvggish."""
    import torch
    from torch import nn

    class ChannelsLast(nn.Module):
        """Flattens (N, C, H, W) in the order H, W, C, in which TensorFlow's weights were made."""

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps.permute(0, 2, 3, 1).flatten(1)

    layers: list[nn.Module] = []
    width = 1
    for group in _CHANNELS:
        for channels in group:
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
            width = channels
        layers.append(nn.MaxPool2d(2))
    flat = width * (PATCH_FRAMES // 16) * (MEL_BANDS // 16)
    heads: list[nn.Module] = []
    for narrow, wide in ((flat, _HIDDEN), (_HIDDEN, _HIDDEN), (_HIDDEN, EMBEDDING)):
        heads += [nn.Linear(narrow, wide), nn.ReLU()]
    parts = {"features": nn.Sequential(*layers), "flatten": ChannelsLast(), "embeddings": nn.Sequential(*heads)}
    network = nn.Sequential()
    for name, part in parts.items():
        network.add_module(name, part)
    return network
