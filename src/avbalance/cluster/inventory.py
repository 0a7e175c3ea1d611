"""What of each data set of a plan is at hand, what is missing and where to get it, and what the data set costs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avbalance.data.at_hand import AtHand, at_hand, is_fetched
from avbalance.plan.entries import members, source_module
from avbalance.plan.plan import Plan

if TYPE_CHECKING:
    from avbalance.cluster.estimate import Estimate

_HEADER = (
    f"{'data set':<28}{'lists':>6}{'clips at hand':>22}{'media':>10}{'decoding':>14}{'store':>8}{'training':>11}",
    f"{'':<28}{'':>6}{'of those listed':>22}{'GB':>10}{'core-hours':>14}{'GB':>8}{'GPU-hours':>11}",
)
_DRY_RUN = re.compile(r"--dry-?run|-[npqFk]*n[npqFk]*")


@dataclass(frozen=True)
class Inventory:
    """Data set -> what is there of it; None for one that the workflow makes, or the user's own folder."""

    found: dict[str, AtHand | None]

    @property
    def gaps(self) -> list[str]:
        """A sentence for each data set of which something is missing."""
        return [f"{name}: {there.missing}" for name, there in self.found.items() if there and there.missing]


def take_inventory(plan: Plan) -> Inventory:
    """Look at the folders of every data set of the plan."""
    found: dict[str, AtHand | None] = {}
    for name, spec in plan.datasets.items():
        source = source_module(spec["kind"])
        found[name] = at_hand(source, name, spec) if is_fetched(source) else None
    return Inventory(found)


def table(inventory: Inventory, estimate: Estimate) -> Iterator[str]:
    """A line for each data set: what is at hand, what it costs to decode, to store and to train on."""
    yield from _HEADER
    for name, there in inventory.found.items():
        yield f"{name:<28}{_there(there, estimate.known_clips(name))}{_costs(name, estimate)}"


def _there(there: AtHand | None, known: float | None) -> str:
    if there is None:
        return f"{'-':>6}{'made here':>22}{'-':>10}"
    if there.listed:
        return f"{'yes':>6}{f'{there.found:,} of {there.listed:,}':>22}{there.size / 1e9:>10,.2f}"
    clips = f"? of {known:,.0f}" if known else "?"
    return f"{'wrong' if there.lists else 'no':>6}{clips:>22}{'?':>10}"


def _costs(name: str, estimate: Estimate) -> str:
    if estimate.known_clips(name) is None:
        return f"{'?':>14}{'?':>8}{'?':>11}"
    hours, store = estimate.feature_hours(name), estimate.store_gb(name)
    return f"{hours:>14,.0f}{store:>8,.0f}{estimate.training_hours(name):>11,.0f}"


def asks_for_dry_run(arguments: Sequence[str]) -> bool:
    """Whether a command line of snakemake asks for a dry run: `-n` alone or among other letters, or `--dry-run`.

    Snakemake itself tells a Snakefile only after all of it was read.
    """
    return any(_DRY_RUN.fullmatch(argument) for argument in arguments)


def told_in_dry_run(plan: Plan) -> list[str]:
    """The table, what building sets costs, which data sets were chosen, and of which a part of the media is missing.

    Nothing without data sets that are fetched. What keeps a data set from being read at all is the preflight's matter.
    """
    if not any(is_fetched(source_module(spec["kind"])) for spec in plan.datasets.values()):
        return []
    from avbalance.cluster.estimate import Estimate

    inventory, estimate = take_inventory(plan), Estimate(plan)
    known = set(plan.preflight())
    gaps = [gap for gap in inventory.gaps if gap not in known]
    return [*table(inventory, estimate), *(f"note: {said}" for said in [*building(estimate), *plan.chosen, *gaps])]


def building(estimate: Estimate) -> Iterator[str]:
    """A sentence on each set that is built: what is decoded and trained for it, besides what the table tells."""
    for name, spec in estimate.plan.datasets.items():
        if spec["kind"] == "built" and all(estimate.known_clips(each) for each in members(spec)):
            cost = estimate.building(name)
            yield (
                f"{name}: building it decodes {cost.clips:,.0f} clips ({cost.decode_hours:,.0f} core-hours) and trains "
                f"{cost.estimators} models that judge clips ({cost.gpu_hours:,.0f} GPU-hours at most)."
            )
