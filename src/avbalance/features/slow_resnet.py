"""The "slow" 3-D ResNet-50 for clips of 8 frames (Feichtenhofer et al. 2019), which Kinetics-400 has trained.

Layers, strides and parameter names are those of the public PyTorchVideo model slow_r50, so that its checkpoint
SLOW_8x8_R50.pyth loads. Imported when it is used: it needs torch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLASSES = 400
_DEPTHS = (3, 4, 6, 3)
_TEMPORAL = (1, 1, 3, 3)  # frames that the first convolution of a block looks at, by stage
_POOL = (8, 7, 7)


class SlowResNet(nn.Module):
    """Clips (B, 3, 8, 256, 256), normalised -> scores before the softmax (B, 400)."""

    def __init__(self) -> None:
        super().__init__()
        stages: list[nn.Module] = [_Stem()]
        width = 64
        for number, (depth, temporal) in enumerate(zip(_DEPTHS, _TEMPORAL, strict=True)):
            inner = 64 * 2**number
            stages.append(_Stage(width, inner, depth, temporal, stride=1 if number == 0 else 2))
            width = 4 * inner
        self.blocks = nn.ModuleList([*stages, _Head(width)])

    def forward(self, clips: Tensor) -> Tensor:
        for block in self.blocks:
            clips = block(clips)
        return clips


class _Stem(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 64, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)
        self.norm = nn.BatchNorm3d(64)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        pooled: Tensor = self.pool(torch.relu(self.norm(self.conv(maps))))
        return pooled


class _Stage(nn.Module):
    def __init__(self, width: int, inner: int, depth: int, temporal: int, stride: int) -> None:
        super().__init__()
        first = _Block(width, inner, temporal, stride, shortcut=True)
        others = (_Block(4 * inner, inner, temporal, 1, shortcut=False) for _ in range(depth - 1))
        self.res_blocks = nn.ModuleList([first, *others])

    def forward(self, maps: Tensor) -> Tensor:
        for block in self.res_blocks:
            maps = block(maps)
        return maps


class _Block(nn.Module):
    def __init__(self, width: int, inner: int, temporal: int, stride: int, shortcut: bool) -> None:
        super().__init__()
        if shortcut:
            self.branch1_conv = nn.Conv3d(width, 4 * inner, 1, (1, stride, stride), bias=False)
            self.branch1_norm = nn.BatchNorm3d(4 * inner)
        self.shortcut = shortcut
        self.branch2 = _Bottleneck(width, inner, temporal, stride)

    def forward(self, maps: Tensor) -> Tensor:
        kept = self.branch1_norm(self.branch1_conv(maps)) if self.shortcut else maps
        return torch.relu(kept + self.branch2(maps))


class _Bottleneck(nn.Module):
    def __init__(self, width: int, inner: int, temporal: int, stride: int) -> None:
        super().__init__()
        self.conv_a = nn.Conv3d(width, inner, (temporal, 1, 1), padding=(temporal // 2, 0, 0), bias=False)
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = nn.Conv3d(inner, inner, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
        self.norm_b = nn.BatchNorm3d(inner)
        self.conv_c = nn.Conv3d(inner, 4 * inner, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(4 * inner)

    def forward(self, maps: Tensor) -> Tensor:
        maps = torch.relu(self.norm_a(self.conv_a(maps)))
        maps = torch.relu(self.norm_b(self.conv_b(maps)))
        out: Tensor = self.norm_c(self.conv_c(maps))
        return out


class _Head(nn.Module):
    """Means over all frames and 7 x 7 places, wherever that window fits; the scores are averaged over the windows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool3d(_POOL, stride=1)
        self.proj = nn.Linear(width, CLASSES)

    def forward(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.proj(self.pool(maps).permute(0, 2, 3, 4, 1))
        return scores.mean(dim=(1, 2, 3))
