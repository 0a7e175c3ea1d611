"""The audio teacher of the distilled student: a small CNN on log-mel spectrograms (modality-relevance, section 3.2)."""

from __future__ import annotations

from typing import Literal

from torch import nn

from avbalance.models.relevance import AudioTrunk, AudioTrunkSettings, CutModel


class AudioTeacherSettings(AudioTrunkSettings):
    """Settings of audio-teacher."""

    name: Literal["audio-teacher"] = "audio-teacher"
    """which network"""


class AudioTeacher(CutModel):
    """One convolution and two linear layers; deeper ones did not train, as the paper says.

    Two classes: 5,179,090 parameters.
    """

    Settings = AudioTeacherSettings

    def __init__(self, settings: AudioTeacherSettings, classes: int) -> None:
        super().__init__()
        self.modalities = ("audio",)
        self.encoders = nn.ModuleDict({"audio": AudioTrunk(settings)})
        self.head = nn.Linear(settings.audio_width, classes)


MODEL = AudioTeacher
