"""Kinds of comparison: what one entry of a claim's `tests` may ask.

The kind `by_seed` is the class BySeed of the module by_seed, in the folder claims/ of a paper or, where several papers
use it, here. A new kind is a new file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import AfterValidator, Field

from avbalance.analysis.subsets import OVERALL, SIDES, TIE, subset_mask
from avbalance.declared import Condition, Declared, Role, Run, nearest, refusal
from avbalance.errors import UserError
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.outcomes import Trial
from avbalance.evaluation.rows import BOTH, Coordinates
from avbalance.evaluation.weighted_sums import WeightedSum

SUBSETS = (OVERALL, *(f"{side}_preferred" for side in SIDES), TIE, *(f"{side}_dominated@0.4" for side in SIDES))
_Item = TypeVar("_Item")
AtLeastOne = Annotated[list[_Item], Field(min_length=1)]
Pair = Annotated[list[_Item], Field(min_length=2, max_length=2)]


def check_subset(name: str) -> str:
    """Refuse a name that is none of a subset."""
    try:
        subset_mask(np.empty(0), name)
    except UserError:
        known = f"{', '.join(SUBSETS)}, or another threshold"
        raise refusal(f"there is no subset {name!r}{nearest(name, SUBSETS)}; there are {known}") from None
    return name


Subset = Annotated[str, AfterValidator(check_subset)]


class Block(Declared):
    """One entry of a claim's `tests`."""

    headline: bool = False
    """whether this, a single comparison, was chosen from the paper's text: it is judged alone and shown first"""

    @property
    def roles(self) -> list[str]:
        """Data sets that are compared, by role."""
        raise NotImplementedError

    @property
    def uses_subsets(self) -> bool:
        """False when all is about all clips only, so that all protocols give the same answer."""
        return False

    def run_files(self, estimators: Sequence[str]) -> list[tuple[str, str, str]]:
        """Data set (role), run and name of every file that is read beside predictions.

        estimators: the runs that choose subsets.
        """
        return []

    def scores(self) -> Iterable[tuple[str, str, str]]:
        """Data set (role), run and metric of every score that is compared, where the metric is declared."""
        return ()

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        """The comparisons, not yet judged. protocol: who chooses the subsets."""
        raise NotImplementedError


class OnOneSet(Block):
    """A comparison on one data set."""

    dataset: Role
    """role of the data set"""

    @property
    def roles(self) -> list[str]:
        return [self.dataset]


class UnderOneCondition(OnOneSet):
    """A comparison under one condition, at one checkpoint."""

    split: Literal["train", "val", "test"] = "test"
    """part of the data set"""
    condition: Condition = BOTH
    """condition of testing, for example silent-audio"""
    protocol: Literal["none", "repaired"] = "none"
    """repaired: against the second version of the truth, where the data have one"""
    checkpoint: Literal["selected", "last", "best-test"] = "selected"
    """epoch of the runs"""

    @property
    def place(self) -> Coordinates:
        """Where all is measured."""
        return Coordinates(self.split, OVERALL, self.condition, self.protocol, self.checkpoint)


class OnSets(Block):
    """Comparisons on each of some data sets, about subsets of their clips."""

    datasets: AtLeastOne[Role]
    """roles of the data sets, of which each is compared by itself"""

    @property
    def roles(self) -> list[str]:
        return self.datasets

    @property
    def uses_subsets(self) -> bool:
        return True

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        return [trial for role in self.datasets for trial in self.on(evidence, role, protocol)]

    def on(self, evidence: Evidence, role: str, protocol: str) -> Iterable[Trial]:
        """The comparisons on one data set: those of `sums`, unless a kind says otherwise."""
        place = Coordinates(protocol=protocol)
        for each in self.sums(evidence.paper.label):
            text = f"{evidence.label(role)}{each.text}"
            yield replace(each, role=role, text=text, place=place).trial(evidence)

    def sums(self, label: Callable[[str], str]) -> Iterable[WeightedSum]:
        """What is compared on every data set. label: of a run. Texts go on behind the label of the data set."""
        raise NotImplementedError


class LeftAndRight(OnSets):
    """Runs against others on subsets of the clips."""

    subsets: AtLeastOne[Subset]
    """subsets of the test clips, for example audio_preferred"""
    left: AtLeastOne[Run]
    """runs that are claimed to be better"""
    right: AtLeastOne[Run]
    """runs that they are compared with"""

    @property
    def uses_subsets(self) -> bool:
        return set(self.subsets) != {OVERALL}
