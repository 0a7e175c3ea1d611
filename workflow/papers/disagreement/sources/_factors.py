"""The combinations of choices that were tried, and the accuracies that they have."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from avbalance.analysis.factorial import Contrast, contrasts
from avbalance.declared import Declared
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.coordinates import Word


class Factor(Declared):
    """A choice."""

    name: str
    """what stands for its level in `place`, in braces"""
    reference: Word
    """level beside which the others are set"""
    levels: Annotated[dict[Word, str], Field(min_length=2)]
    """level -> what it is called"""

    @model_validator(mode="after")
    def _reference_is_a_level(self) -> Factor:
        if self.reference not in self.levels:
            raise ValueError(f"{self.name}: the reference {self.reference!r} is none of its levels {[*self.levels]}")
        return self

    def ordered(self) -> dict[Word, str]:
        """The levels, the reference first: a job reads its settings with sorted keys."""
        return {self.reference: self.levels[self.reference]} | self.levels


class Factorial(Declared):
    """Choices of which every combination was tried."""

    place: dict[str, str]
    """coordinates of the accuracy of a combination, with the levels of the factors in braces"""
    factors: Annotated[list[Factor], Field(min_length=1)]
    """the choices"""

    def choices(self) -> dict[str, Contrast]:
        """What each level beside a reference is called -> the contrast."""
        sizes = tuple(len(each.levels) for each in self.factors)
        return {
            [*self.factors[factor].ordered().values()][level]: (factor, level) for factor, level in contrasts(sizes)
        }

    def values(self, measured: MeasuredCells) -> NDArray[np.float64] | None:
        """Accuracies in percent (seeds, levels of each factor); None unless two seeds have every combination."""
        cells = [measured.by_seed(place) for place in self._places()]
        # Effects are differences within a seed, so a seed counts only where it has every combination.
        seeds = sorted(set.intersection(*(set(each) for each in cells)))
        if len(seeds) < 2:
            return None
        table = np.array([[each[seed] for each in cells] for seed in seeds])
        return table.reshape(len(seeds), *(len(each.levels) for each in self.factors))

    def _places(self) -> Iterator[dict[str, str]]:
        names = [each.name for each in self.factors]
        for levels in itertools.product(*(each.ordered() for each in self.factors)):
            own = dict(zip(names, levels, strict=True))
            yield {key: text.format(**own) for key, text in self.place.items()}
