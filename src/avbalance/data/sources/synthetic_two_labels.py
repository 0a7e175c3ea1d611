"""Generated stand-in data with two labels per clip: the place, which is mostly seen, and speech, mostly heard.

planted_audio and planted_visual are of the labels urban and rural, planted_audio_speech and planted_visual_speech of
the labelling speech; snr_* is the SNR of all events of a clip together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from avbalance.data.scenes import PLACES, PROTOTYPES, SPEECH, JointLaw, TwoLabelClip, plan_two_labels
from avbalance.data.sources.base import Row
from avbalance.data.sources.generated import Beta, Side
from avbalance.data.sources.scene import LawOptions, SceneSource
from avbalance.declared import Above0, Count, Range, Size


class SyntheticTwoLabelsOptions(SceneSource, LawOptions):
    """Options of kind synthetic-two-labels; the law of noise is that of the place."""

    seed: Count
    """seed of all clips and of their parts"""
    clips: Annotated[int, Field(ge=10)]
    """number of clips, in parts of 70, 20 and 10 %"""
    speech_discrepancy_beta: Beta
    """alpha and beta of speech"""
    speech_snr_audio_db: Range
    """SNR of its sound at informativeness 0 and 1 in dB"""
    speech_snr_visual_db: Range
    """SNR of its pictures at informativeness 0 and 1 in dB"""
    speech_share: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """share of clips with speech"""
    test_share: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """share of clips in the test part"""
    duration: Above0 = 2.0
    """length of a clip in seconds"""
    side: Side = 48
    """height and width in pixels"""
    fps: Size = 4
    """frames per second"""

    def plan(self) -> Sequence[TwoLabelClip]:
        speech = JointLaw(*self.speech_discrepancy_beta, self.speech_snr_audio_db, self.speech_snr_visual_db)
        shares = self.speech_share, self.test_share
        return plan_two_labels(self.seed, self.clips, self.duration, self.law(), speech, *shares)

    @property
    def class_names(self) -> list[str]:
        return list(PLACES)

    @property
    def prototypes(self) -> int:
        return PROTOTYPES

    def columns(self, clip: TwoLabelClip) -> Row:  # type: ignore[override]
        return {
            **super().columns(clip),
            "label_speech": SPEECH[clip.spoken],
            "planted_audio_speech": clip.planted_audio_speech,
            "planted_visual_speech": clip.planted_visual_speech,
        }

    def further_card(self) -> dict[str, Any]:
        return {"labellings": {"speech": list(SPEECH)}}


OPTIONS = SyntheticTwoLabelsOptions
