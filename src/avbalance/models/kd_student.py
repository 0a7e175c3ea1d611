"""The student of one audio and one video teacher (modality-relevance, section 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from avbalance.models.base import MODALITIES, complete
from avbalance.models.parsing import assemble_default, check_sizes
from avbalance.models.relevance import AUDIO_DEFAULTS, VISUAL_DEFAULTS, Branch, CutModel

DEFAULTS: dict[str, Any] = {**AUDIO_DEFAULTS, **VISUAL_DEFAULTS, "audio_width": 512, "visual_width": 400}


class KDStudent(CutModel):
    """One linear layer per modality, concatenated, and one output layer; no convolution, nothing shared with teachers.

    Decisions: audio is the flattened log-mel (20,032 values at 10 s), audio comes first, and a single layer on the 912
    concatenated values "produces the final prediction". Two classes: 10,419,122 parameters for features of 400 values,
    11,078,322 for 2,048.
    """

    def __init__(self, settings: dict[str, Any], classes: int) -> None:
        super().__init__()
        check_sizes(settings, *DEFAULTS)
        self.modalities = MODALITIES
        audio = Branch((1, settings["bins"], settings["frames"]), settings["audio_width"], "audio")
        visual = Branch((settings["visual_feature"],), settings["visual_width"], "visual")
        self.encoders = nn.ModuleDict({"audio": audio, "visual": visual})
        self.head = nn.Linear(settings["audio_width"] + settings["visual_width"], classes)


def build(settings: dict[str, Any], classes: int, generator: torch.Generator) -> KDStudent:
    """Return an initialised network; settings and defaults are those of DEFAULTS."""
    filled = complete(settings, DEFAULTS)
    return assemble_default(lambda: KDStudent(filled, classes), generator)
