"""Generated stand-in data of people who each have their own way, in parts that share them or keep them apart.

Every clip belongs to a group, a speaker. With the class of a clip a second event is heard and seen, weaker, of another
class: which one is the speaker's habit, the same in all clips that he makes of that class. Who knows the speaker knows
the habit, so that it helps; of a speaker who was never heard it misleads. Column group of the manifest names them.

The clips do not depend on how they are cut into parts. With `parts: clips` those of a speaker are in all parts, as in
the lists of CREMA-D that go with the code of OGM-GE; with `parts: groups` every speaker is in one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from avbalance.data.scenes import SPLIT_OFFSETS, Event, PlannedClip, plan_single_event
from avbalance.data.sources.base import Row
from avbalance.data.sources.synthetic import SyntheticOptions
from avbalance.declared import Share, refusal

_HABITS, _PARTS = 1, 2  # streams of the seed


@dataclass(frozen=True)
class GroupedClip(PlannedClip):
    """A planned clip of a group, numbered from 0."""

    group: int


class SyntheticGroupsOptions(SyntheticOptions):
    """Options of kind synthetic-groups."""

    groups: Annotated[int, Field(ge=3)]
    """number of groups, such as speakers"""
    habit: Share
    """amplitude of the event by which groups differ, over that of the label's event"""
    parts: Literal["clips", "groups"] = "clips"
    """what parts are made of: clips, so that those of a group are in all parts, or whole groups"""

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        each = self.groups * self.classes
        if self.total % each:
            raise refusal(f"clips are {self.total} in all; make them a multiple of groups x classes, {each}")
        odd = [part for part, number in self.clips.items() if number % (self.total // self.groups)]
        if odd:
            size = self.total // self.groups
            raise refusal(
                f"clips of {odd[0]} are {self.clips[odd[0]]}; make them a multiple of those of a group, {size}"
            )
        return self

    @property
    def total(self) -> int:
        """Number of clips."""
        return sum(self.clips.values())

    def plan(self) -> list[PlannedClip]:
        """All clips: classes and groups take turns, so that every group has equally many clips of every class."""
        habits = [habits_of(self.seed, group, self.classes) for group in range(self.groups)]
        planned: list[PlannedClip] = []
        for number, part in enumerate(self._part_of_each()):
            cls, group = number % self.classes, number // self.classes % self.groups
            scene = plan_single_event(self.seed, number, cls, self.duration, self.law())
            added = [weaker(event, habits[group][cls], self.habit) for event in scene.events]
            scene = replace(scene, events=(*scene.events, *added))
            planned.append(GroupedClip(f"clip-{number:05d}", part, cls, scene, group))
        return planned

    def _part_of_each(self) -> list[str]:
        """The part of every clip, drawn for whole groups, or for sets of a clip of each class of one group."""
        sizes = {part: self.clips[part] for part in SPLIT_OFFSETS if self.clips.get(part)}
        sets = self.total // self.classes
        units = self.groups if self.parts == "groups" else sets
        order = np.random.default_rng([self.seed, _PARTS]).permutation(units)
        named = np.repeat(list(sizes), [size * units // self.total for size in sizes.values()])
        of_unit = dict(zip(order.tolist(), named.tolist(), strict=True))
        return [of_unit[number // self.classes % units] for number in range(self.total)]

    def columns(self, clip: PlannedClip) -> Row:
        assert isinstance(clip, GroupedClip)
        return {**super().columns(clip), "group": f"speaker-{clip.group:02d}"}


OPTIONS = SyntheticGroupsOptions


def habits_of(seed: int, group: int, classes: int) -> list[int]:
    """Class -> the other class whose event a group adds to its own."""
    drawn = np.random.default_rng([seed, _HABITS, group]).integers(0, classes - 1, classes)
    return [int(other) + (int(other) >= cls) for cls, other in enumerate(drawn)]


def weaker(event: Event, cls: int, gain: float) -> Event:
    """An event at the same time in the same track, of another class and so much weaker."""
    return replace(event, cls=cls, gain_audio=gain * event.gain_audio, gain_visual=gain * event.gain_visual)
