"""The video teacher of the distilled student: two layers on a frozen ResNet-50 (modality-relevance, section 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from avbalance.models.base import complete
from avbalance.models.parsing import assemble_default, check_sizes
from avbalance.models.relevance import VISUAL_DEFAULTS, Branch, CutModel

DEFAULTS: dict[str, Any] = {**VISUAL_DEFAULTS, "hidden": 128}


class VisualTeacher(CutModel):
    """Two linear layers on the stored feature, whose extractor is frozen and no part of the network.

    Two classes: 51,586 parameters for features of 400 values, 262,530 for 2,048.
    """

    def __init__(self, settings: dict[str, Any], classes: int) -> None:
        super().__init__()
        check_sizes(settings, *DEFAULTS)
        self.modalities = ("visual",)
        self.encoders = nn.ModuleDict({"visual": Branch((settings["visual_feature"],), settings["hidden"], "visual")})
        self.head = nn.Linear(settings["hidden"], classes)


def build(settings: dict[str, Any], classes: int, generator: torch.Generator) -> VisualTeacher:
    """Return an initialised network; settings and defaults are those of DEFAULTS."""
    filled = complete(settings, DEFAULTS)
    return assemble_default(lambda: VisualTeacher(filled, classes), generator)
