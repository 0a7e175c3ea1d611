"""Late fusion of a video and an audio sub-network, and its unimodal versions (modality-relevance, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from avbalance.errors import UserError
from avbalance.models.base import MODALITIES, complete
from avbalance.models.parsing import assemble_default, check_sizes
from avbalance.models.relevance import TRUNK_DEFAULTS, VISUAL_DEFAULTS, AudioTrunk, CutModel, VisualTrunk, head

DEFAULTS: dict[str, Any] = {
    "modalities": ["visual", "audio"],
    **TRUNK_DEFAULTS,
    **VISUAL_DEFAULTS,
    "visual_width": 400,
    "hidden": [256, 128],
}


class LateFusion(CutModel):
    """400 video and 512 audio values make 912, on which three linear layers predict.

    `modalities` lists what is concatenated, in order (decision: video first). With one modality it is the unimodal
    version: the only difference is the width of the first layer of the head. It is trained from scratch by itself.
    26 classes and features of 400 values, which the video sub-network leaves as they are: 5,448,042 parameters, video
    only 138,906, audio only 5,345,642; then no parameter belongs to the group "visual". Other features pass a linear
    layer, of 819,600 parameters for 2,048 values.
    """

    head: nn.Sequential

    def __init__(self, settings: dict[str, Any], classes: int) -> None:
        super().__init__()
        self.modalities = tuple(settings["modalities"])
        if sorted(self.modalities) not in (["audio"], ["visual"], sorted(MODALITIES)):
            raise UserError(f"model setting modalities is {settings['modalities']}; list audio, visual or both, once.")
        check_sizes(settings, *TRUNK_DEFAULTS, *VISUAL_DEFAULTS, "visual_width")
        widths = {"audio": settings["audio_width"], "visual": settings["visual_width"]}
        make: dict[str, Callable[[], nn.Module]] = {
            "audio": lambda: AudioTrunk(settings),
            "visual": lambda: VisualTrunk(settings["visual_feature"], widths["visual"]),
        }
        self.encoders = nn.ModuleDict({name: make[name]() for name in self.modalities})
        self.head = head(sum(widths[name] for name in self.modalities), settings["hidden"], classes)


def build(settings: dict[str, Any], classes: int, generator: torch.Generator) -> LateFusion:
    """Return an initialised network; settings and defaults are those of DEFAULTS."""
    filled = complete(settings, DEFAULTS)
    return assemble_default(lambda: LateFusion(filled, classes), generator)
