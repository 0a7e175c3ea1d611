"""What config/costs.yaml says: counts, seconds and limits, each with its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from avbalance.declared import Above0, Count, Declared, listed, nearest, read, refusal
from avbalance.plan.config import load_yaml

COSTS = "config/costs.yaml"
MODELS = Path(__file__).parents[1] / "models"


class ClipCounts(Declared):
    """Clips that the lists of a data set name."""

    train: Count
    """for training"""
    evaluated: Count
    """after each epoch"""
    source: str
    """where this is known from"""


class CostFactor(Declared):
    """A number that many estimates share."""

    factor: Above0
    """the number"""
    source: str
    """where this is known from, or that it is assumed"""


class Limit(Declared):
    """What a site or this design has."""

    at: Above0
    """the largest quantity that fits"""
    source: str
    """where this is known from, or that it is assumed"""
    then: str
    """what gives way beyond it, and what helps"""


class Limits(Declared):
    """One for each quantity that `avbalance estimate` reckons."""

    run_hours: Limit
    feature_hours: Limit
    store_gb: Limit
    gb_per_s: Limit
    dag_jobs: Limit
    submissions_per_minute: Limit
    hours_of_the_driver: Limit


class Costs(Declared):
    """The whole file."""

    clips: dict[str, ClipCounts]
    """data set -> its clips"""
    train_core_s: dict[str, dict[str, float | str]] = Field(min_length=1)
    """network, or any -> seconds of a core for a clip in one epoch, on a data set or any; and their source"""
    evaluated: Above0
    """cost of an evaluated clip, in clips trained"""
    gpu_speedup: CostFactor
    """seconds of a core in one second of a GPU"""
    feature_core_s: CostFactor
    """seconds of a core that decode and store a clip"""
    job_start_s: CostFactor
    """seconds until a training begins"""
    run_mb: CostFactor
    """megabytes that a run leaves"""
    limits: Limits
    """beyond which something gives way"""

    @model_validator(mode="after")
    def _check_names(self) -> Costs:
        # By file name: importing the networks takes seconds.
        networks = {"any", *(path.stem.replace("_", "-") for path in MODELS.glob("*.py"))}
        places = {"any", "source", *self.clips}
        for network, seconds in self.train_core_s.items():
            if network not in networks:
                raise refusal(f"train_core_s: there is no network {network!r}{nearest(network, networks)}")
            for place, value in seconds.items():
                if place not in places:
                    raise refusal(f"train_core_s.{network}: unknown key {place!r}{nearest(place, places)}")
                if (place == "source") != isinstance(value, str):
                    raise refusal(
                        f"train_core_s.{network}.{place}: is {value!r}; seconds are numbers, a source is text"
                    )
            if missing := [name for name in ("any", "source") if name not in seconds]:
                raise refusal(f"train_core_s.{network}: lacks {listed(missing)}")
        return self


def load_costs(root: Path) -> Costs:
    """The costs of a checkout; raises UserError or Faults, naming file and place, for what is wrong in it."""
    given: dict[str, Any] = load_yaml(root / COSTS)
    return read(Costs, given, COSTS)
