"""Two unimodal branches joined by MMTM (Joze et al. 2020) between stages: the network of Greedy (Wu et al. 2022)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from torch import Tensor, nn

from avbalance.declared import Size, refusal
from avbalance.models.base import MODALITIES, Batch, ImageModel, ModelOutput
from avbalance.models.encoders import ConvolutionalEncoder, EncoderSettings, build_encoder
from avbalance.models.fusion import ConcatFusion
from avbalance.models.mmtm import MMTM
from avbalance.models.resnet import ResNet18, as_images, pool


def _some(stages: list[int]) -> list[int]:
    if not stages or len(set(stages)) < len(stages) or not set(stages) <= {1, 2, 3, 4}:
        raise refusal(f"is {stages}; it must be some of 1 to 4")
    return stages


class MMTMNetSettings(EncoderSettings):
    """Settings of mmtm-net."""

    name: Literal["mmtm-net"] = "mmtm-net"
    """which network"""
    mmtm_stages: Annotated[list[int], AfterValidator(_some)] = Field(default=[2, 3, 4])
    """stages after which the branches see each other"""
    reduction: Size = 4
    """by how much the shared layer of a block is narrower than what it reads"""
    head: Literal["branches", "concat"] = "branches"
    """a head per branch, whose logits are averaged, or one on both features"""


class MMTMNet(ImageModel):
    """An encoder per modality, an MMTM block after each of `mmtm_stages`, and a linear head per branch.

    Stages are ResNet-18's four, or the four layers of the convolutional encoder. A visual map `(B*K, C, h, w)` is
    squeezed over its K frames as well, which share its gate. Prediction logits are the mean of the branches'; with head
    "concat" (the form of BalanceBenchmark) those of one linear head on both features. `cared`: whose gates are replaced
    by their running mean.
    """

    Settings = MMTMNetSettings

    def __init__(self, settings: MMTMNetSettings, classes: int) -> None:
        super().__init__()
        self.modalities = MODALITIES
        self.cared: str | None = None
        encoders = {name: build_encoder(name, settings) for name in MODALITIES}
        channels, dimension = stage_channels(encoders["audio"]), encoders["audio"].dimension
        self.encoders = nn.ModuleDict(encoders)
        self.blocks = nn.ModuleDict(
            {
                str(stage): MMTM(MODALITIES, channels[stage - 1], settings.reduction)
                for stage in sorted(settings.mmtm_stages)
            }
        )
        self.heads: nn.ModuleDict | None = None
        self.joint_head: ConcatFusion | None = None
        if settings.head == "branches":
            self.heads = nn.ModuleDict({name: nn.Linear(dimension, classes) for name in MODALITIES})
        else:
            self.joint_head = ConcatFusion(dimension, classes)

    def forward(self, batch: Batch) -> ModelOutput:
        features = self._features({name: batch.modality(name) for name in self.modalities})
        if self.joint_head is not None:
            logits, audio, visual = self.joint_head(features["audio"], features["visual"])
            return ModelOutput(logits, {"audio": audio, "visual": visual}, features)
        assert self.heads is not None
        scores = {name: self.heads[name](feature) for name, feature in features.items()}
        return ModelOutput((scores["audio"] + scores["visual"]) / 2, scores, features)

    def _features(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        samples = inputs["audio"].shape[0]
        maps = {name: as_images(name, tensor) for name, tensor in inputs.items()}
        stages = {name: stages_of(self._encoder(name)) for name in inputs}
        for stage in range(1, 5):
            maps = {name: stages[name][stage - 1](tensor) for name, tensor in maps.items()}
            if str(stage) in self.blocks:
                squeezes = {name: pool(tensor, samples) for name, tensor in maps.items()}
                gates = self.blocks[str(stage)](squeezes, self.cared)
                # After the squeeze of both: neither modality is squeezed with the other's gate already on it.
                maps = {name: apply_gate(tensor, gates[name]) for name, tensor in maps.items()}
        return {name: pool(tensor, samples) for name, tensor in maps.items()}

    def _encoder(self, name: str) -> ResNet18 | ConvolutionalEncoder:
        encoder = self.encoders[name]
        assert isinstance(encoder, ResNet18 | ConvolutionalEncoder)
        return encoder

    def main(self, modality: str) -> list[nn.Parameter]:
        """A modality's main branch: its encoder and its head (a joint head counts in both)."""
        head = self.joint_head if self.heads is None else self.heads[modality]
        assert head is not None
        return [*self.group(modality), *head.parameters()]

    def bypass(self, modality: str) -> list[nn.Parameter]:
        """The path by which a branch learns from the other: all its excitations and shared squeezes.

        The shared squeeze layers count in the bypass of both modalities (Wu et al. 2022, reference code).
        """
        blocks = [block for block in self.blocks.values() if isinstance(block, MMTM)]
        layers = [layer for block in blocks for layer in (block.squeeze, block.excite[modality])]
        return [parameter for layer in layers for parameter in layer.parameters()]


def stages_of(encoder: ResNet18 | ConvolutionalEncoder) -> list[nn.Module]:
    """The four stages of an encoder; ResNet-18's stem is part of the first."""
    if isinstance(encoder, ResNet18):
        first, *others = encoder.stages
        return [nn.Sequential(encoder.stem, first), *others]
    layer = len(encoder.layers) // 4  # a convolution, its norm and its activation
    return [encoder.layers[layer * number : layer * (number + 1)] for number in range(4)]


def stage_channels(encoder: ResNet18 | ConvolutionalEncoder) -> tuple[int, ...]:
    """Channels of the maps after each stage."""
    if isinstance(encoder, ResNet18):
        return encoder.channels
    return tuple(layer.out_channels for layer in encoder.layers if isinstance(layer, nn.Conv2d))


def apply_gate(maps: Tensor, gate: Tensor) -> Tensor:
    """Multiply maps `(B*K, C, h, w)` by a gate `(B, C)`, the same for all K maps of a sample."""
    return maps * gate.repeat_interleave(maps.shape[0] // gate.shape[0], dim=0)[:, :, None, None]


MODEL = MMTMNet
