"""The kind synthetic-groups: equal clips under both ways of making parts, habits, and numbers that do not fit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from avbalance.data.sources import read_source
from avbalance.errors import UserError

OPTIONS = {
    "seed": 3, "classes": 3, "groups": 4, "habit": 0.5, "clips": {"train": 48, "val": 24, "test": 24},
    "discrepancy_beta": [2.0, 2.0], "snr_audio_db": [0.0, 20.0], "snr_visual_db": [0.0, 20.0], "duration": 1.0,
    "side": 32, "rate": 8000,
}  # fmt: skip


def source(**changes: Any) -> Any:
    return read_source({"kind": "synthetic-groups", "options": {**OPTIONS, **changes}})


def test_the_clips_are_the_same_whatever_parts_are_made_of() -> None:
    mixed, apart = source().plan(), source(parts="groups").plan()
    assert [(clip.id, clip.scene, clip.group) for clip in mixed] == [
        (clip.id, clip.scene, clip.group) for clip in apart
    ]
    assert Counter(clip.split for clip in mixed) == Counter(clip.split for clip in apart) == OPTIONS["clips"]
    of = {part: {clip.group for clip in apart if clip.split == part} for part in OPTIONS["clips"]}
    assert [len(groups) for groups in of.values()] == [2, 1, 1] and len(set.union(*of.values())) == 4
    assert {clip.group for clip in mixed if clip.split == "test"} & {
        clip.group for clip in mixed if clip.split == "train"
    }
    for clips in (mixed, apart):
        per_class = Counter((clip.split, clip.cls) for clip in clips)
        assert {per_class["train", cls] for cls in range(3)} == {16} and {
            per_class["test", cls] for cls in range(3)
        } == {8}


def test_a_speaker_adds_the_same_weaker_event_to_all_clips_of_a_class() -> None:
    habits: dict[tuple[int, int], set[int]] = {}
    for clip in source().plan():
        own, added = clip.scene.events[:2], clip.scene.events[2:]
        assert {event.cls for event in own} == {clip.cls} and len(added) == 2
        for event, weak in zip(own, added, strict=True):
            assert (weak.start, weak.end) == (event.start, event.end)
            assert (weak.gain_audio, weak.gain_visual) == (0.5 * event.gain_audio, 0.5 * event.gain_visual)
        habits.setdefault((clip.group, clip.cls), set()).update(event.cls for event in added)
    assert all(len(found) == 1 for found in habits.values()) and len(habits) == 12
    assert not any(cls in found for (_, cls), found in habits.items())
    assert len({tuple(min(habits[group, cls]) for cls in range(3)) for group in range(4)}) > 1, "they differ"


def test_rows_name_the_speaker_and_the_label_is_that_of_the_strong_event() -> None:
    made = source()
    clip = made.plan()[4]
    row = made.columns(clip)
    assert (row["group"], row["label"]) == ("speaker-01", "class-01") and row[
        "planted_audio"
    ] == clip.scene.planted_audio
    with_habit, without = made.render(clip), source(habit=0.0).render(source(habit=0.0).plan()[4])
    assert not np.array_equal(with_habit[0], without[0]) and not np.array_equal(with_habit[1], without[1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clips": {"train": 47, "test": 24}}, "clips are 71 in all; make them a multiple of groups x classes, 12"),
        ({"clips": {"train": 60, "test": 36}}, "clips of train are 60; make them a multiple of those of a group, 24"),
        ({"groups": 2}, "groups: "),
    ],
)
def test_numbers_that_do_not_fit_are_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        source(**changes)
