"""ResNet-18 without classifier, in four stages that a caller may step through one by one."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from avbalance.errors import UserError

IN_CHANNELS = {"audio": 1, "visual": 3}
INPUTS = {"audio": (4, "a spectrogram"), "visual": (5, "frames")}  # axes of a batch, and what they are


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; the shortcut is a 1x1 convolution where the shape changes.

    Where the block has a stride the convolution sees every `stride`-th row and column.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, maps: Tensor) -> Tensor:
        inner = functional.relu(self.norm1(self.conv1(maps)), inplace=True)
        inner = self.norm2(self.conv2(inner))
        # What a 1x1 convolution of that stride would see. The library behind torch 2.11 on CPUs (oneDNN 3.10) writes
        # outside its memory in the backward pass of such a convolution of few channels.
        seen = maps[..., :: self.stride, :: self.stride]
        return functional.relu(inner + self.shortcut(seen), inplace=True)


class ResNet18(nn.Module):
    """ResNet-18 encoder (He et al. 2016): a stem and stages of w, 2w, 4w, 8w channels, two basic blocks each.

    Width 64 with the "imagenet" stem is the network of the papers: 11,170,240 parameters for one input channel,
    11,176,512 for three. The "small" stem (one 3x3 convolution of stride `stem_stride`, no pool) keeps resolution on
    inputs of about 32x32, for generated data. `forward`: `(N, in_channels, H, W)` to `(N, 8w, h, w')`, not pooled.
    """

    def __init__(self, in_channels: int, width: int = 64, stem: str = "imagenet", stem_stride: int = 2) -> None:
        super().__init__()
        # A stem of stride 2 and a pool would leave one pixel of a 32 x 32 picture after four stages.
        kernel, stride = (7, 2) if stem == "imagenet" else (3, stem_stride)
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, width, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        if stem == "imagenet":
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.stem = nn.Sequential(*layers)
        self.channels = tuple(width * 2**stage for stage in range(4))
        self.stages = nn.ModuleList(
            _stage(self.channels[max(stage - 1, 0)], self.channels[stage], 1 if stage == 0 else 2) for stage in range(4)
        )

    @property
    def dimension(self) -> int:
        """Number of channels after the last stage, 512 at width 64."""
        return int(self.channels[-1])

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.stem(images)
        for stage in self.stages:
            maps = stage(maps)
        return maps


def _stage(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(in_channels, channels, stride), BasicBlock(channels, channels, 1))


def as_images(modality: str, tensor: Tensor) -> Tensor:
    """Audio `(B, 1, F, T)` as it is and visual `(B, 3, K, H, W)` as images `(B*K, 3, H, W)`.

    Batch norm therefore sees B*K images. The K frames of a sample lie next to each other. Raises UserError for vectors.
    """
    axes, what = INPUTS[modality]
    if tensor.ndim != axes:
        raise UserError(
            f"the network takes {what} per clip, and the {modality} store has vectors; set data.{modality}_recipe to a "
            "recipe of another kind, or choose a model of vectors."
        )
    return tensor if modality == "audio" else tensor.transpose(1, 2).flatten(0, 1)


def pool(maps: Tensor, samples: int) -> Tensor:
    """One joint mean over frames, height and width: `(B*K, C, h, w)` to `(B, C)` for B = `samples` (OGM-GE code).

    The gradient of `avg_pool2d` has the memory layout of the maps: ReLU and batch norm before it run at full speed.
    """
    return functional.avg_pool2d(maps, maps.shape[2:]).view(samples, -1, maps.shape[1]).mean(1)


def encode(encoder: nn.Module, modality: str, tensor: Tensor) -> Tensor:
    """The pooled feature `(B, D)` of a modality's input, for an encoder of images to maps."""
    maps: Tensor = encoder(as_images(modality, tensor))
    return pool(maps, tensor.shape[0])
