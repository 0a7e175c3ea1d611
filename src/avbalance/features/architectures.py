"""Networks that torchvision lacks: two for sound, VGGish and VGG-Sound's, and the "slow" 3-D ResNet-50 for 8 frames.

Parameters are named as in the public checkpoints, so that those load. Imported when it is used: it needs torch.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

KINETICS_CLASSES = 400
_VGGISH_CHANNELS = ((64,), (128,), (256, 256), (512, 512))  # a max pooling ends each group
_VGGISH_HIDDEN, _VGGISH_EMBEDDING = 4096, 128
_SLOW_DEPTHS = (3, 4, 6, 3)
_SLOW_TEMPORAL = (1, 1, 3, 3)  # frames that the first convolution of a block looks at, by stage
# frames, and rows and columns that 224 pixels leave; a crop of 256 leaves 8 and has several windows
_SLOW_POOL = (8, 7, 7)


def vggish() -> nn.Module:
    """VGGish (Hershey et al. 2017): patches (N, 1, 96, 64) -> (N, 128); parameters as in harritaylor/torchvggish.

    As in the TensorFlow release until 2020, when the features of LLP were made, the last layer ends in a rectifier; no
    PCA, whitening or quantisation follows.
    """
    layers: list[nn.Module] = []
    width = 1
    for group in _VGGISH_CHANNELS:
        for channels in group:
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
            width = channels
        layers.append(nn.MaxPool2d(2))
    heads: list[nn.Module] = []
    for narrow, wide in ((width * 6 * 4, _VGGISH_HIDDEN), (_VGGISH_HIDDEN,) * 2, (_VGGISH_HIDDEN, _VGGISH_EMBEDDING)):
        heads += [nn.Linear(narrow, wide), nn.ReLU()]
    return _chain(features=nn.Sequential(*layers), flatten=_ChannelsLast(), embeddings=nn.Sequential(*heads))


class _ChannelsLast(nn.Module):
    """Flattens (N, C, H, W) in the order H, W, C, in which TensorFlow's weights were made."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.permute(0, 2, 3, 1).flatten(1)


def vggsound_resnet18() -> nn.Module:
    """ResNet-18 (Chen et al. 2020): spectrograms (N, 1, 257, T) -> scores of the 309 classes of VGG-Sound (N, 309).

    torchvision's, with one channel in; the classes are in the order of their names, by code point.
    """
    from torchvision.models import resnet18

    network: nn.Module = resnet18(weights=None, num_classes=309)
    network.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    return network


def slow_r50() -> nn.Module:
    """Clips (B, 3, 8, 256, 256), normalised -> scores of Kinetics-400 before the softmax (B, 400).

    Feichtenhofer et al. 2019; parameters as in PyTorchVideo's slow_r50, whose checkpoint is SLOW_8x8_R50.pyth.
    """
    stem = _chain(
        conv=nn.Conv3d(3, 64, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
        norm=nn.BatchNorm3d(64),
        relu=nn.ReLU(),
        pool=nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    )
    stages, width = [stem], 64
    for number, (depth, temporal) in enumerate(zip(_SLOW_DEPTHS, _SLOW_TEMPORAL, strict=True)):
        inner = 64 * 2**number
        first = _Block(width, inner, temporal, stride=1 if number == 0 else 2, shortcut=True)
        width = 4 * inner
        others = (_Block(width, inner, temporal, stride=1, shortcut=False) for _ in range(depth - 1))
        stages.append(_chain(res_blocks=nn.Sequential(first, *others)))
    return _chain(blocks=nn.Sequential(*stages, _Head(width)))


class _Block(nn.Module):
    """A bottleneck beside a path that is kept, or brought to the new width and size by a shortcut."""

    def __init__(self, width: int, inner: int, temporal: int, stride: int, shortcut: bool) -> None:
        super().__init__()
        if shortcut:
            self.branch1_conv = nn.Conv3d(width, 4 * inner, 1, (1, stride, stride), bias=False)
            self.branch1_norm = nn.BatchNorm3d(4 * inner)
        self.shortcut = shortcut
        self.branch2 = _chain(
            conv_a=nn.Conv3d(width, inner, (temporal, 1, 1), padding=(temporal // 2, 0, 0), bias=False),
            norm_a=nn.BatchNorm3d(inner),
            relu_a=nn.ReLU(),
            conv_b=nn.Conv3d(inner, inner, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
            norm_b=nn.BatchNorm3d(inner),
            relu_b=nn.ReLU(),
            conv_c=nn.Conv3d(inner, 4 * inner, 1, bias=False),
            norm_c=nn.BatchNorm3d(4 * inner),
        )

    def forward(self, maps: Tensor) -> Tensor:
        kept = self.branch1_norm(self.branch1_conv(maps)) if self.shortcut else maps
        return torch.relu(kept + self.branch2(maps))


class _Head(nn.Module):
    """Means over all frames and 7 x 7 places, wherever that window fits; the scores are averaged over the windows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool3d(_SLOW_POOL, stride=1)
        self.proj = nn.Linear(width, KINETICS_CLASSES)

    def forward(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.proj(self.pool(maps).permute(0, 2, 3, 4, 1))
        return scores.mean(dim=(1, 2, 3))


def _chain(**modules: nn.Module) -> nn.Sequential:
    """Modules that follow each other, under their names."""
    return nn.Sequential(OrderedDict(modules))
