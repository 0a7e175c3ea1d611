"""How large the weights are with which late fusion's first layer reads each modality (modality-relevance, ours).

A modality whose columns stay as small as they start is hardly listened to; the reverse need not be true.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load_file

from avbalance.declared import Role
from avbalance.errors import UserError
from avbalance.evaluation.paper import Paper
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import LOOKS

WEIGHTS = "model.safetensors"
COLUMNS = ["seed", "modality", "inputs", "mean_absolute_weight"]
FIRST, SOUND = "head.0.weight", "encoders.audio.linear.bias"  # video's columns come first, then one per value of sound


class InputWeightsFigure(figures.DeclaredFigure):
    """A row per modality; the CSV has a row per seed and modality: its inputs, and their mean absolute weight."""

    dataset: Role
    """data set of the run"""
    runs: Annotated[list[figures.ReadFile], Field(min_length=1, max_length=1)]
    """the run of late fusion, with its model.safetensors"""

    def files(self) -> Iterable[tuple[str, str]]:
        return [(each.run, WEIGHTS) for each in self.runs]

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        (need,) = self.runs
        records = [
            (run.seed, modality, inputs, weight)
            for run in paper.run_files(self.dataset, need.run)
            for modality, (inputs, weight) in mean_weights(run.beside(WEIGHTS)).items()
        ]
        numbers = pd.DataFrame(records, columns=COLUMNS)
        figure, ((axis,),) = parts.new_figure(1.6)
        axis.set(xlabel="mean absolute weight")
        if numbers.empty:
            parts.write_inside(axis)
        else:
            points = [
                parts.Point(f"{modality}, {own['inputs'].iloc[0]} inputs", LOOKS[str(modality)],
                            own["mean_absolute_weight"].mean(), own["mean_absolute_weight"].to_list())
                for modality, own in numbers.groupby("modality")
            ]  # fmt: skip
            parts.draw_points(axis, [("", points)])
            axis.set_xlim(0, 1.1 * axis.dataLim.x1)
            parts.key_below(figure, {name: parts.POINT_KEY[name] for name in ("ours, mean over seeds", "one seed")})
        return self.drawing(figure, numbers, paper, [self.dataset], figures.seeds_line({numbers["seed"].nunique()}))


def mean_weights(path: Path) -> dict[str, tuple[int, float]]:
    """Modality -> inputs of the head's first layer and their mean absolute weight, of late fusion's saved weights.

    Raises UserError when the file is absent, damaged or another network's.
    """
    try:
        tensors = load_file(path)
        first, audio = tensors[FIRST], len(tensors[SOUND])
    except (OSError, SafetensorError, KeyError) as error:
        told = f"{path}: not the weights of late fusion ({error}); delete it to have its run made again."
        raise UserError(told) from error
    columns = {"visual": first[:, : first.shape[1] - audio], "audio": first[:, first.shape[1] - audio :]}
    return {name: (part.shape[1], float(np.abs(part).mean(dtype=np.float64))) for name, part in columns.items()}
