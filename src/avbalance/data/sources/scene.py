"""What kinds of generated scenes share: the law by which noise is planted, how a scene is rendered, and its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from avbalance.data.render import render_audio, render_frames
from avbalance.data.scenes import JointLaw, PlannedClip
from avbalance.data.sources.base import Row
from avbalance.data.sources.generated import Beta, MadeSource, PartSizes, Side
from avbalance.declared import Count, Declared, Range, Size


class LawOptions(Declared):
    """The law by which noise is planted."""

    discrepancy_beta: Beta
    """alpha and beta: u_audio - u_visual is 2 Beta(alpha, beta) - 1"""
    snr_audio_db: Range
    """SNR of sound at informativeness 0 and 1 in dB"""
    snr_visual_db: Range
    """SNR of pictures at informativeness 0 and 1 in dB"""

    def law(self) -> JointLaw:
        """The law of informativeness that the options describe."""
        return JointLaw(*self.discrepancy_beta, self.snr_audio_db, self.snr_visual_db)


class FlipOptions(LawOptions):
    """The same, and its control."""

    flip: bool = False
    """exchange the informativeness of the two modalities (a control)"""

    def law(self) -> JointLaw:
        return replace(super().law(), flip=self.flip)


class SceneSource(MadeSource):
    """Data sets of generated scenes (see avbalance.data.scenes)."""

    MODULES = ("scenes", "render")

    @property
    def prototypes(self) -> int:
        """Number of classes of events."""
        return len(self.class_names)

    def render(self, clip: PlannedClip, slow: str = "none") -> tuple[np.ndarray, np.ndarray]:
        """slow: the modality whose classes are told by what takes long to learn."""
        frames = render_frames(clip.scene, self.prototypes, self.side, self.fps, slow == "visual")
        return frames, render_audio(clip.scene, self.prototypes, self.rate, slow == "audio")

    def columns(self, clip: PlannedClip) -> Row:
        return scene_columns(clip, self.class_names)


class SceneOptions(SceneSource, FlipOptions):
    """Options of generated scenes with classes."""

    seed: Count
    """seed of all clips"""
    clips: PartSizes
    """number of clips per part"""
    classes: Annotated[int, Field(ge=2)]
    """number of classes"""
    side: Side = 64
    """height and width in pixels"""
    fps: Size = 4
    """frames per second"""

    @property
    def class_names(self) -> list[str]:
        return [f"class-{cls:02d}" for cls in range(self.classes)]

    @property
    def prototypes(self) -> int:
        return self.classes


def scene_columns(clip: PlannedClip, classes: Sequence[str]) -> Row:
    """The columns of all clips that are planned as a scene: part, class, and what is planted."""
    return {
        "label": classes[clip.cls],
        "split": clip.split,
        "planted_audio": clip.scene.planted_audio,
        "planted_visual": clip.scene.planted_visual,
        "snr_audio_db": clip.scene.snr_audio_db,
        "snr_visual_db": clip.scene.snr_visual_db,
    }
