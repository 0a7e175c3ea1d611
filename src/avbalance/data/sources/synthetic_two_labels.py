"""Generated stand-in data with two labels per clip: the place, which is mostly seen, and speech, mostly heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources import generated
from avbalance.data.sources.common import read_options, required
from avbalance.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from avbalance.data.manifest import Manifest
    from avbalance.data.scenes import JointLaw, PlannedClip

LAWS = ("discrepancy_beta", "snr_audio_db", "snr_visual_db")
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("seed", "clips", *LAWS, *(f"speech_{name}" for name in LAWS)), required()),
    "speech_share": 0.6,
    "test_share": 0.1,
    "duration": 2.0,
    "side": 48,
    "fps": 4,
    "rate": 16000,
    "workers": 1,
}


def preflight(spec: Mapping[str, Any]) -> str | None:
    """None: generated data need nothing. Raises UserError on unknown or absent options."""
    _options(spec)
    return None


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that the data set is made from: none."""
    return []


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """As `generated.build`; the labels urban and rural, and those of the labelling speech.

    planted_audio and planted_visual are of the former, planted_audio_speech and planted_visual_speech of the latter;
    snr_* is the SNR of all events of a clip together.
    """
    return generated.build(_GENERATOR, name, spec, out_dir)


def remake(manifest: Manifest, media: Path, workers: int) -> list[str]:
    """As `generated.remake`."""
    return generated.remake(_GENERATOR, manifest, media, workers)


def _options(spec: Mapping[str, Any]) -> dict[str, Any]:
    options = read_options(spec, DEFAULTS)
    generated.check_pictures("synthetic-two-labels", options)
    for name in ("discrepancy_beta", "speech_discrepancy_beta"):
        generated.check_beta("synthetic-two-labels", options, name)
    if not 0 < options["speech_share"] < 1:
        raise UserError("data set of kind synthetic-two-labels: option 'speech_share' must lie between 0 and 1.")
    if not 0 < options["test_share"] <= 0.5:
        raise UserError("data set of kind synthetic-two-labels: option 'test_share' must lie between 0 and 0.5.")
    if options["clips"] < 10:
        raise UserError("data set of kind synthetic-two-labels: option 'clips' must be at least 10.")
    return options


def _law(options: generated.Options, prefix: str) -> JointLaw:
    return generated.joint_law({"flip": False, **{name: options[prefix + name] for name in LAWS}})


def _plan(options: generated.Options) -> Sequence[PlannedClip]:
    from avbalance.data.scenes import plan_two_labels

    laws = _law(options, ""), _law(options, "speech_")
    shares = float(options["speech_share"]), float(options["test_share"])
    return plan_two_labels(int(options["seed"]), int(options["clips"]), float(options["duration"]), *laws, *shares)


def _classes(options: generated.Options) -> list[str]:
    from avbalance.data.scenes import PLACES

    return list(PLACES)


def _render(clip: PlannedClip, options: generated.Options) -> tuple[np.ndarray, np.ndarray]:
    from avbalance.data.scenes import PROTOTYPES

    return generated.render_scene(clip, {**options, "classes": PROTOTYPES})


def _columns(clip: PlannedClip, options: generated.Options) -> dict[str, Any]:
    from avbalance.data.scenes import SPEECH, TwoLabelClip

    assert isinstance(clip, TwoLabelClip)
    return {
        **generated.scene_columns(clip, _classes(options)),
        "label_speech": SPEECH[clip.spoken],
        "planted_audio_speech": clip.planted_audio_speech,
        "planted_visual_speech": clip.planted_visual_speech,
    }


def _card(options: generated.Options) -> dict[str, Any]:
    from avbalance.data.scenes import SPEECH

    return {"labellings": {"speech": list(SPEECH)}}


_GENERATOR = generated.Generator(
    modules=("scenes", "render"),
    options=_options,
    plan=_plan,
    classes=_classes,
    render=_render,
    columns=_columns,
    card=_card,
)
