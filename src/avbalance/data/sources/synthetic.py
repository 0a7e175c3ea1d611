"""Generated stand-in data: mp4 clips whose informativeness per modality is planted and recorded."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from avbalance.data.render import SLOW_LOOKS
from avbalance.data.scenes import PlannedClip, plan_dataset
from avbalance.data.sources.scene import SceneOptions
from avbalance.declared import Above0, refusal


class SyntheticOptions(SceneOptions):
    """Options of kind synthetic."""

    slow: Literal["none", "audio", "visual"] = "none"
    """modality whose classes are told by what takes long to learn: shape and texture, or rhythm and glides"""
    duration: Above0 = 4.0
    """length of a clip in seconds"""

    @model_validator(mode="after")
    def _slow_looks(self) -> Self:
        if self.slow == "visual" and self.classes > SLOW_LOOKS:
            raise refusal(
                f"classes is {self.classes}, and slow pictures tell at most {SLOW_LOOKS} apart; lower it, or set slow "
                "to none or audio"
            )
        return self

    def plan(self) -> list[PlannedClip]:
        return plan_dataset(self.seed, self.clips, self.classes, self.duration, self.law())

    def render(self, clip: PlannedClip, slow: str = "none") -> tuple[np.ndarray, np.ndarray]:
        return super().render(clip, self.slow)


OPTIONS = SyntheticOptions
