"""What each choice moves, and how two of them act together: means over seeds with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.factorial import interactions, main_effects, over_seeds
from avbalance.analysis.statistics import LEVEL
from avbalance.evaluation.paper import Paper
from avbalance.papers.disagreement.sources._factors import Factorial
from avbalance.reporting.cells import CellValue, MeasuredCells
from avbalance.reporting.declared_tables import Lookup, TableSource

ALONE = "none"  # in place of a second choice: the effect of the first one
QUANTITIES = ("effect", "low", "high")


class EffectsSource(Factorial, TableSource):
    """Effects in points: of a choice alone, or of two together; the interval's ends have no deviation."""

    def names(self) -> dict[str, Sequence[str]]:
        return {"choice": [*self.choices()], "other": [ALONE, *self.choices()], "quantity": QUANTITIES}

    def lookup(self, paper: Paper, measured: MeasuredCells) -> Lookup:
        values = self.values(measured)
        cells = {} if values is None else dict(self._cells(values))

        def cell(place: Mapping[str, str]) -> CellValue:
            return cells.get((place["choice"], place["other"], place["quantity"]), CellValue())

        return cell

    def _cells(self, values: NDArray[np.float64]) -> Iterator[tuple[tuple[str, str, str], CellValue]]:
        named = {contrast: name for name, contrast in self.choices().items()}
        effects = {(named[own], ALONE): own_effects for own, own_effects in main_effects(values).items()}
        for (one, other), both in interactions(values).items():
            effects |= {(named[one], named[other]): both, (named[other], named[one]): both}
        for key, own_effects in effects.items():
            estimate, seeds = over_seeds(own_effects), len(own_effects)
            half = estimate.half_width(1 - LEVEL)
            spread = float(own_effects.std(ddof=1))
            yield (*key, "effect"), CellValue(None, estimate.effect, spread, seeds)
            yield (*key, "low"), CellValue(None, estimate.effect - half, None, seeds)
            yield (*key, "high"), CellValue(None, estimate.effect + half, None, seeds)
