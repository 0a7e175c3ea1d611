"""The student of one audio and one video teacher (modality-relevance, section 3.2)."""

from __future__ import annotations

from typing import Literal

from torch import nn

from avbalance.declared import Size
from avbalance.models.base import MODALITIES
from avbalance.models.relevance import CutModel, LinearBranch, SpectrogramSettings, StoredFeatureSettings


class KDStudentSettings(SpectrogramSettings, StoredFeatureSettings):
    """Settings of kd-student."""

    name: Literal["kd-student"] = "kd-student"
    """which network"""
    audio_width: Size = 512
    """values that the audio layer makes"""
    visual_width: Size = 400
    """values that the visual layer makes"""


class KDStudent(CutModel):
    """One linear layer per modality, concatenated, and one output layer; no convolution, nothing shared with teachers.

    Decisions: audio is the flattened log-mel (20,032 values at 10 s), audio comes first, and a single layer on the 912
    concatenated values "produces the final prediction". Two classes: 10,419,122 parameters for features of 400 values,
    11,078,322 for 2,048.
    """

    Settings = KDStudentSettings

    def __init__(self, settings: KDStudentSettings, classes: int) -> None:
        super().__init__()
        self.modalities = MODALITIES
        audio = LinearBranch((1, settings.bins, settings.frames), settings.audio_width, "audio")
        visual = LinearBranch((settings.visual_feature,), settings.visual_width, "visual")
        self.encoders = nn.ModuleDict({"audio": audio, "visual": visual})
        self.head = nn.Linear(settings.audio_width + settings.visual_width, classes)


MODEL = KDStudent
