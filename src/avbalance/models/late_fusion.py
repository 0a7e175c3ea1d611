"""Late fusion of a video and an audio sub-network, and its unimodal versions (modality-relevance, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from torch import nn

from avbalance.declared import Size, refusal
from avbalance.models.relevance import AudioTrunk, AudioTrunkSettings, CutModel, StoredFeatureSettings, VisualTrunk


def _once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise refusal(f"is {names}; list audio, visual or both, once")
    return names


class LateFusionSettings(AudioTrunkSettings, StoredFeatureSettings):
    """Settings of late-fusion."""

    name: Literal["late-fusion"] = "late-fusion"
    """which network"""
    modalities: Annotated[list[Literal["audio", "visual"]], Field(min_length=1), AfterValidator(_once)] = Field(
        default=["visual", "audio"]
    )
    """what is concatenated, in order"""
    visual_width: Size = 400
    """values that the visual sub-network makes"""
    hidden: Annotated[list[Size], Field(min_length=1)] = Field(default=[256, 128])
    """sizes of the head's hidden layers"""


class LateFusion(CutModel):
    """400 video and 512 audio values make 912, on which three linear layers predict.

    Decision: video first. With one modality it is the unimodal version, trained from scratch by itself: only the first
    width of the head differs. 26 classes and features of 400 values, left as they are: 5,448,042 parameters, video only
    138,906, audio only 5,345,642; no parameter then belongs to "visual". Other features pass a linear layer, of 819,600
    parameters for 2,048 values.
    """

    Settings = LateFusionSettings
    head: nn.Sequential

    def __init__(self, settings: LateFusionSettings, classes: int) -> None:
        super().__init__()
        self.modalities = tuple(settings.modalities)
        widths = {"audio": settings.audio_width, "visual": settings.visual_width}
        make: dict[str, Callable[[], nn.Module]] = {
            "audio": lambda: AudioTrunk(settings),
            "visual": lambda: VisualTrunk(settings.visual_feature, settings.visual_width),
        }
        self.encoders = nn.ModuleDict({name: make[name]() for name in self.modalities})
        sizes = [sum(widths[name] for name in self.modalities), *settings.hidden]
        hidden = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
        self.head = nn.Sequential(*hidden, nn.Linear(sizes[-1], classes))


MODEL = LateFusion
