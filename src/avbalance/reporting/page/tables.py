"""Tables on the page: as the paper lays them out, and what stands behind every cell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.reporting.page.compact import UniqueValues
from flowkeeper.files import read_json


class Tables:
    """The tables of all papers; what stands behind their cells shares pools of places and of seeds."""

    def __init__(self) -> None:
        self.pools = {"places": UniqueValues(), "words": UniqueValues(), "seeds": UniqueValues()}

    def view(self, path: Path) -> dict[str, Any]:
        """What the template shows of a table, and `cells`: rows of what stands behind each cell.

        path: as table_data.py says. Raises UserError when it cannot be read.
        """
        table = read_json(path)
        try:
            cells = [[self._pooled(cell) for cell in row] for row in table.pop("behind")]
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(f"{path}: holds no table; delete it to have it made again.") from error
        return {**table, "cells": cells}

    def _pooled(self, cell: Mapping[str, Any] | None) -> list[Any] | None:
        """Place of the number, clips, and its values behind the place of their seeds, or the runs that it is of."""
        if cell is None:
            return None
        words, places = self.pools["words"], self.pools["places"]
        if "values" in cell:
            seeds, values = [seed for seed, _ in cell["values"]], [value for _, value in cell["values"]]
            where = places.place([words.place(word) for word in cell["place"].values()])
            return [where, cell["n"], self.pools["seeds"].place(seeds), *values]
        told = {key: words.place(value) for key, value in cell["place"].items()}
        runs = cell["runs"]
        behind = None if runs is None else [[words.place(run), *rest] for run, *rest in runs]
        return [places.place(told), cell["n"], behind]

    def as_json(self) -> dict[str, Any]:
        return {name: pool.values for name, pool in self.pools.items()}
