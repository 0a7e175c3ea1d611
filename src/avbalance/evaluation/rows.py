"""The words of measurements.parquet: protocols, metrics and rows that belong to no run."""

from __future__ import annotations

from typing import Any

NO_SUBSET, REPAIRED, EVENTS = "none", "repaired", "events"  # protocols
ACCURACY, CHANCE = "accuracy", "chance"  # metrics
MAJORITY, NO_EVENT = "majority-label", "no-event"  # in place of a run: what an answer that looks at nothing scores
BOTH = "both"  # the condition in which no modality is missing

Row = dict[str, Any]


def majority(labelling: str) -> str:
    """What stands in place of a run where the most frequent label is named; a further labelling has its own."""
    return f"{MAJORITY}-{labelling}" if labelling else MAJORITY


def is_majority(run: str) -> bool:
    """Whether a row is that of the most frequent label, under any labelling."""
    return run == MAJORITY or run.startswith(f"{MAJORITY}-")
