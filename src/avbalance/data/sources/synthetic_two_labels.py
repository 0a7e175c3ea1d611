"""Generated stand-in data with two labels per clip: the place, which is mostly seen, and speech, mostly heard.

planted_audio and planted_visual are of the labels urban and rural, planted_audio_speech and planted_visual_speech of
the labelling speech; snr_* is the SNR of all events of a clip together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from avbalance.data.sources import generated
from avbalance.data.sources.options import Beta, LawOptions, MadeOptions, Side
from avbalance.declared import Above0, Count, Size, TwoNumbers

if TYPE_CHECKING:
    import numpy as np

    from avbalance.data.scenes import PlannedClip


class SyntheticTwoLabelsOptions(MadeOptions, LawOptions):
    """Options of kind synthetic-two-labels; the law of noise is that of the place."""

    seed: Count
    """seed of all clips and of their parts"""
    clips: Annotated[int, Field(ge=10)]
    """number of clips, in parts of 70, 20 and 10 %"""
    speech_discrepancy_beta: Beta
    """alpha and beta of speech"""
    speech_snr_audio_db: TwoNumbers
    """SNR of its sound at informativeness 0 and 1 in dB"""
    speech_snr_visual_db: TwoNumbers
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


OPTIONS = SyntheticTwoLabelsOptions


def _plan(options: SyntheticTwoLabelsOptions) -> Sequence[PlannedClip]:
    from avbalance.data.scenes import JointLaw, plan_two_labels

    place = options.law()
    speech = JointLaw(
        *options.speech_discrepancy_beta, options.speech_snr_audio_db, options.speech_snr_visual_db, flip=False
    )
    shares = options.speech_share, options.test_share
    return plan_two_labels(options.seed, options.clips, options.duration, place, speech, *shares)


def _classes(options: SyntheticTwoLabelsOptions) -> list[str]:
    from avbalance.data.scenes import PLACES

    return list(PLACES)


def _render(clip: PlannedClip, options: SyntheticTwoLabelsOptions) -> tuple[np.ndarray, np.ndarray]:
    from avbalance.data.scenes import PROTOTYPES

    return generated.render_scene(clip, options, PROTOTYPES)


def _columns(clip: PlannedClip, options: SyntheticTwoLabelsOptions) -> dict[str, Any]:
    from avbalance.data.scenes import SPEECH, TwoLabelClip

    assert isinstance(clip, TwoLabelClip)
    return {
        **generated.scene_columns(clip, _classes(options)),
        "label_speech": SPEECH[clip.spoken],
        "planted_audio_speech": clip.planted_audio_speech,
        "planted_visual_speech": clip.planted_visual_speech,
    }


def _card(options: SyntheticTwoLabelsOptions) -> dict[str, Any]:
    from avbalance.data.scenes import SPEECH

    return {"labellings": {"speech": list(SPEECH)}}


_GENERATOR = generated.Generator(
    modules=("scenes", "render"),
    options=OPTIONS,
    plan=_plan,
    classes=_classes,
    render=_render,
    columns=_columns,
    card=_card,
)
preflight, inputs, build, remake = _GENERATOR.preflight, _GENERATOR.inputs, _GENERATOR.build, _GENERATOR.remake
