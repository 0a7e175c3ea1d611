"""Two HANs that see the same batch, for methods in which two networks teach each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from avbalance.models.base import MODALITIES, Batch
from avbalance.models.han import CrossAttentionSettings, HANNet, HANSettings
from avbalance.models.parsing import ParsingModel, ParsingOutput


class TwinHANSettings(CrossAttentionSettings):
    """Settings of twin-han: those of han without measuring heads, which no method of two networks trains."""

    name: Literal["twin-han"] = "twin-han"
    """which network"""


@dataclass
class TwinOutput(ParsingOutput):
    """The first network's output, and in `peer` the second's."""

    peer: ParsingOutput | None = None


class TwinHAN(ParsingModel):
    """Two HANs of equal settings and different initial weights; predictions are the first one's.

    Decision: one network predicts, as in the public code of Co-teaching and JoCoR, where both are reported apart. The
    first network starts as a single HAN of that generator.
    """

    Settings = TwinHANSettings
    modalities = MODALITIES

    def __init__(self, settings: TwinHANSettings, classes: int) -> None:
        super().__init__()
        own = HANSettings(**settings.model_dump(exclude={"name"}))
        self.first, self.second = HANNet(own, classes), HANNet(own, classes)

    def forward(self, batch: Batch) -> TwinOutput:
        own, peer = self.first(batch), self.second(batch)
        # These three are made by __post_init__ from the others.
        computed = {name: value for name, value in vars(own).items() if name not in ("logits", "scores", "features")}
        return TwinOutput(**computed, peer=peer)

    def own(self, modality: str) -> list[nn.Module]:
        return [*self.first.own(modality), *self.second.own(modality)]


MODEL = TwinHAN
