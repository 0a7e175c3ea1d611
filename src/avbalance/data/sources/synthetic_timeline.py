"""Generated stand-in data on a timeline: mp4 clips of ten seconds that record what is heard and seen when.

The manifest has the columns labels, events_audio and events_visual, in all parts: the events of training clips are
there for a strongly supervised reference; weakly supervised training reads labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from avbalance.data.scenes import PlannedClip, intervals, plan_timelines
from avbalance.data.sources.base import Row
from avbalance.data.sources.scene import SceneOptions, scene_columns

Scheme = Literal["parsing", "localisation"]


class SyntheticTimelineOptions(SceneOptions):
    """Options of kind synthetic-timeline."""

    scheme: Scheme
    """parsing: one to three events per clip, each heard, seen or both; localisation: one event, heard and seen"""
    duration: Literal[10] = 10
    """length of a clip in seconds: what plans, truth and evaluation of these tasks assume"""

    def plan(self) -> list[PlannedClip]:
        return plan_timelines(self.scheme, self.seed, self.clips, self.classes, self.law())

    @property
    def class_names(self) -> list[str]:
        return with_background(super().class_names, self.scheme)

    def columns(self, clip: PlannedClip) -> Row:
        return timeline_columns(clip, self.class_names)


OPTIONS = SyntheticTimelineOptions


def with_background(classes: Sequence[str], scheme: Scheme) -> list[str]:
    """Classes of events, and the last class of a localisation data set: no event."""
    return [*classes, *(["Background"] if scheme == "localisation" else [])]


def timeline_columns(clip: PlannedClip, classes: Sequence[str]) -> Row:
    """The columns of clips that are planned on a timeline: those of a scene, its labels and its events."""
    columns = {**scene_columns(clip, classes), "labels": json.dumps([classes[cls] for cls in clip.scene.labels()])}
    for modality in ("audio", "visual"):
        events = [[classes[cls], onset, offset] for cls, onset, offset in intervals(clip.scene, modality)]
        columns[f"events_{modality}"] = json.dumps(events)
    return columns
