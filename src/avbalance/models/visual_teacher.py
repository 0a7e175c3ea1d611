"""The video teacher of the distilled student: two layers on a frozen ResNet-50 (modality-relevance, section 3.2)."""

from __future__ import annotations

from typing import Literal

from torch import nn

from avbalance.declared import Size
from avbalance.models.relevance import CutModel, LinearBranch, StoredFeatureSettings


class VisualTeacherSettings(StoredFeatureSettings):
    """Settings of visual-teacher."""

    name: Literal["visual-teacher"] = "visual-teacher"
    """which network"""
    hidden: Size = 128
    """width of the hidden layer"""


class VisualTeacher(CutModel):
    """Two linear layers on the stored feature, whose extractor is frozen and no part of the network.

    Two classes: 51,586 parameters for features of 400 values, 262,530 for 2,048.
    """

    Settings = VisualTeacherSettings

    def __init__(self, settings: VisualTeacherSettings, classes: int) -> None:
        super().__init__()
        self.modalities = ("visual",)
        branch = LinearBranch((settings.visual_feature,), settings.hidden, "visual")
        self.encoders = nn.ModuleDict({"visual": branch})
        self.head = nn.Linear(settings.hidden, classes)


MODEL = VisualTeacher
