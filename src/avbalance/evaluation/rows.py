"""The words of measurements.parquet: protocols, metrics and rows that belong to no run."""

from __future__ import annotations

from typing import Any, NamedTuple

from avbalance.analysis.subsets import OVERALL

NO_SUBSET, REPAIRED, EVENTS = "none", "repaired", "events"  # protocols in which no model chooses subsets
ESTIMATED, CROSS_FITTED, PLANTED, SEED_MATCHED = "estimated", "cross-fitted", "planted", "seed-matched"
HALVES = {f"{CROSS_FITTED}-a": "b", f"{CROSS_FITTED}-b": "a"}  # subsets by one half's models -> the half that is scored
ACCURACY, CHANCE = "accuracy", "chance"  # metrics
MAJORITY, NO_EVENT = "majority-label", "no-event"  # in place of a run: what an answer that looks at nothing scores
BOTH = "both"  # the condition in which no modality is missing
HEADS = ("audio", "visual")  # with logits of their own

Row = dict[str, Any]


class Coordinates(NamedTuple):
    """Where something is measured."""

    split: str = "test"
    subset: str = OVERALL
    condition: str = BOTH
    protocol: str = NO_SUBSET
    checkpoint: str = "selected"


USUAL = Coordinates()


def majority(labelling: str) -> str:
    """What stands in place of a run where the most frequent label is named; a further labelling has its own."""
    return f"{MAJORITY}-{labelling}" if labelling else MAJORITY


def is_majority(run: str) -> bool:
    """Whether a row is that of the most frequent label, under any labelling."""
    return run == MAJORITY or run.startswith(f"{MAJORITY}-")


def is_reference(run: str) -> bool:
    """Whether a name is that of a row of no run."""
    return run == NO_EVENT or is_majority(run)
