"""Generated stand-in data on a timeline: mp4 clips of ten seconds that record what is heard and seen when.

The manifest has the columns labels, events_audio and events_visual, in all parts: the events of training clips are
there for a strongly supervised reference; weakly supervised training reads labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from avbalance.data.sources import generated
from avbalance.data.sources.options import SceneOptions

if TYPE_CHECKING:
    import numpy as np

    from avbalance.data.scenes import PlannedClip

Scheme = Literal["parsing", "localisation"]
BACKGROUND = "Background"  # last class of a localisation data set: no event


class SyntheticTimelineOptions(SceneOptions):
    """Options of kind synthetic-timeline."""

    scheme: Scheme
    """parsing: one to three events per clip, each heard, seen or both; localisation: one event, heard and seen"""
    duration: Literal[10] = 10
    """length of a clip in seconds: what plans, truth and evaluation of these tasks assume"""


OPTIONS = SyntheticTimelineOptions


def _plan(options: SyntheticTimelineOptions) -> list[PlannedClip]:
    from avbalance.data.scenes import plan_timelines

    law = options.law()
    return plan_timelines(options.scheme, options.seed, options.clips, options.classes, law)


def _classes(options: SyntheticTimelineOptions) -> list[str]:
    return [*options.class_names, *([BACKGROUND] if options.scheme == "localisation" else [])]


def _render(clip: PlannedClip, options: SyntheticTimelineOptions) -> tuple[np.ndarray, np.ndarray]:
    return generated.render_scene(clip, options, options.classes)


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
    options=OPTIONS,
    plan=_plan,
    classes=_classes,
    render=_render,
    columns=lambda clip, options: timeline_columns(clip, _classes(options)),
)
preflight, inputs, build, remake = _GENERATOR.preflight, _GENERATOR.inputs, _GENERATOR.build, _GENERATOR.remake
