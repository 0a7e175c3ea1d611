"""Effects and their intervals as small drawings: where each mark stands along a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

WIDTH, EDGE = 400, 16  # of a drawing, and what is left free at either end
CUT = 1.3  # an interval that reaches this many times further than all effects is cut off, with an arrow


@dataclass(frozen=True)
class EffectScale:
    """A line from `low` to `high`, in the unit of the effects, that holds 0."""

    low: float
    high: float

    def at(self, value: float) -> int:
        """Where a value stands, between 0 and WIDTH; values beyond the ends stand at the ends."""
        share = (value - self.low) / (self.high - self.low)
        return round(EDGE + min(max(share, 0.0), 1.0) * (WIDTH - 2 * EDGE))


def scale_of(outcomes: Iterable[Mapping[str, Any]]) -> EffectScale:
    """A line long enough for some outcomes of one unit: effects, published ones, and intervals unless they are huge."""
    known = [outcome for outcome in outcomes if outcome["effect"] is not None]
    points = [abs(value) for each in known for value in (each["effect"], each["published"] or 0.0, *each["seeds"])]
    ends = [(each["low"], each["high"]) for each in known if each["low"] is not None]
    reach = CUT * max(points, default=0.0) or max((abs(end) for pair in ends for end in pair), default=1.0) or 1.0
    values = [0.0, *(value for each in known for value in (each["effect"], each["published"] or 0.0, *each["seeds"]))]
    values += [min(max(end, -reach), reach) for pair in ends for end in pair]
    low, high = min(values), max(values)
    # All values may be 0, and a line needs a length.
    margin = 0.04 * (high - low) or 1.0
    return EffectScale(low - margin, high + margin)


def drawing(outcome: Mapping[str, Any], scale: EffectScale) -> dict[str, Any] | None:
    """Where zero, effect, interval, single seeds and the published effect stand; None without an effect."""
    if outcome["effect"] is None:
        return None
    low, high = outcome["low"], outcome["high"]
    return {
        "zero": scale.at(0.0),
        "effect": scale.at(outcome["effect"]),
        "interval": None if low is None else (scale.at(low), scale.at(high)),
        "cut": (low is not None and low < scale.low, high is not None and high > scale.high),
        "seeds": [scale.at(value) for value in outcome["seeds"]],
        "published": None if outcome["published"] is None else scale.at(outcome["published"]),
    }
