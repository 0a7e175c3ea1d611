"""Two HANs that see the same batch, for methods in which two networks teach each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from avbalance.errors import UserError
from avbalance.models import han
from avbalance.models.base import MODALITIES, Batch
from avbalance.models.parsing import ParsingModel, ParsingOutput

DEFAULTS = han.DEFAULTS


@dataclass
class TwinOutput(ParsingOutput):
    """The first network's output, and in `peer` the second's."""

    peer: ParsingOutput | None = None


class TwinHAN(ParsingModel):
    """Two HANs of equal settings and different initial weights; predictions are the first one's.

    Decision: one network predicts, as in the public code of Co-teaching and JoCoR, where both are reported apart.
    """

    modalities = MODALITIES

    def __init__(self, first: han.HAN, second: han.HAN) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, batch: Batch) -> TwinOutput:
        """Parse the batch with both networks."""
        own, peer = self.first(batch), self.second(batch)
        computed = {name: value for name, value in vars(own).items() if name not in ("logits", "scores", "features")}
        return TwinOutput(**computed, peer=peer)

    def own(self, modality: str) -> list[nn.Module]:
        """Return the modules of both networks that serve this modality alone."""
        return [*self.first.own(modality), *self.second.own(modality)]


def build(settings: dict[str, Any], classes: int, generator: torch.Generator) -> TwinHAN:
    """Return an initialised pair; settings are HAN's. The first network starts as a single HAN of that generator.

    Raises UserError for measuring heads, which no method of two networks trains.
    """
    if settings.get("msdu"):
        raise UserError("model setting msdu is true; twin-han has no measuring heads, use han.")
    first, second = (han.build(settings, classes, generator) for _ in range(2))
    return TwinHAN(first, second)
