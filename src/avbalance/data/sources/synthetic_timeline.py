"""Generated stand-in data on a timeline: mp4 clips of ten seconds that record what is heard and seen when."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources import generated
from avbalance.data.sources.common import read_options, required
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest
    from avbalance.data.scenes import PlannedClip

SCHEMES = ("parsing", "localisation")
SECONDS = 10  # what plans, truth and evaluation of these tasks assume
BACKGROUND = "Background"  # last class of a localisation data set: no event
DEFAULTS: dict[str, Any] = {
    "scheme": required(),
    **generated.REQUIRED,
    "flip": False,
    "duration": SECONDS,
    "side": 64,
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
    """As `generated.build`; the manifest has the columns labels, events_audio and events_visual, in all splits.

    The events of training clips are there for a strongly supervised reference; weakly supervised training reads labels.
    """
    return generated.build(_GENERATOR, name, spec, out_dir)


def remake(manifest: Manifest, media: Path, workers: int) -> list[str]:
    """As `generated.remake`."""
    return generated.remake(_GENERATOR, manifest, media, workers)


def _plan(options: generated.Options) -> list[PlannedClip]:
    from avbalance.data.scenes import plan_timelines

    law = generated.joint_law(options)
    return plan_timelines(options["scheme"], int(options["seed"]), options["clips"], options["classes"], law)


def _options(spec: Mapping[str, Any]) -> dict[str, Any]:
    options = read_options(spec, DEFAULTS)
    generated.check_options("synthetic-timeline", options)
    check_scheme("synthetic-timeline", options)
    if options["duration"] != SECONDS:
        raise UserError(f"data set of kind synthetic-timeline: option 'duration' must be {SECONDS} (seconds).")
    return options


def check_scheme(kind: str, options: generated.Options) -> None:
    """Raise UserError unless the option 'scheme' is one of SCHEMES."""
    if options["scheme"] not in SCHEMES:
        raise UserError(f"data set of kind {kind}: option 'scheme' must be one of {', '.join(SCHEMES)}.")


def _classes(options: generated.Options) -> list[str]:
    return [*generated.class_names(options), *([BACKGROUND] if options["scheme"] == "localisation" else [])]


def timeline_columns(clip: PlannedClip, classes: Sequence[str]) -> dict[str, Any]:
    """The columns of clips that are planned on a timeline: those of a scene, its labels and its events."""
    from avbalance.data.scenes import intervals

    columns = {
        **generated.scene_columns(clip, classes),
        "labels": json.dumps([classes[cls] for cls in clip.scene.labels()]),
    }
    for modality in ("audio", "visual"):
        events = [[classes[cls], onset, offset] for cls, onset, offset in intervals(clip.scene, modality)]
        columns[f"events_{modality}"] = json.dumps(events)
    return columns


_GENERATOR = generated.Generator(
    modules=("scenes", "render"),
    options=_options,
    plan=_plan,
    classes=_classes,
    render=generated.render_scene,
    columns=lambda clip, options: timeline_columns(clip, _classes(options)),
)
