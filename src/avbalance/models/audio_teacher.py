"""The audio teacher of the distilled student: a small CNN on log-mel spectrograms (modality-relevance, section 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from avbalance.models.base import complete
from avbalance.models.parsing import assemble_default
from avbalance.models.relevance import TRUNK_DEFAULTS, AudioTrunk, CutModel

DEFAULTS: dict[str, Any] = dict(TRUNK_DEFAULTS)


class AudioTeacher(CutModel):
    """One convolution and two linear layers; deeper ones did not train, as the paper says.

    Two classes: 5,179,090 parameters.
    """

    def __init__(self, settings: dict[str, Any], classes: int) -> None:
        super().__init__()
        self.modalities = ("audio",)
        self.encoders = nn.ModuleDict({"audio": AudioTrunk(settings)})
        self.head = nn.Linear(settings["audio_width"], classes)


def build(settings: dict[str, Any], classes: int, generator: torch.Generator) -> AudioTeacher:
    """Return an initialised network; settings and defaults are those of DEFAULTS."""
    filled = complete(settings, DEFAULTS)
    return assemble_default(lambda: AudioTeacher(filled, classes), generator)
