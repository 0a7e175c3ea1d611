"""The words of measurements.parquet: protocols, metrics and rows that belong to no run."""

from __future__ import annotations

from typing import Any

NO_SUBSET, REPAIRED = "none", "repaired"  # protocols
ACCURACY, CHANCE = "accuracy", "chance"  # metrics
MAJORITY, NO_EVENT = "majority-label", "no-event"  # in place of a run: what an answer that looks at nothing scores

Row = dict[str, Any]
