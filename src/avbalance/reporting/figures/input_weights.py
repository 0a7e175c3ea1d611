"""How large the weights are with which late fusion's first layer reads each modality (modality-relevance, ours).

A modality whose columns stay as small as they start is hardly listened to; the reverse need not be true.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from safetensors import SafetensorError
from safetensors.numpy import load_file

from avbalance.errors import UserError
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import Measured
from avbalance.reporting.facts import backend_line
from avbalance.reporting.figures.discrepancy_map import stand_in_note

COLUMNS = ["seed", "modality", "inputs", "mean_absolute_weight"]
FIRST, SOUND = "head.0.weight", "encoders.audio.linear.bias"  # video's columns come first, then one per value of sound


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers, one row per seed and modality: inputs that it has, and their mean absolute weight.

    declaration: title, dataset (role), runs: [{run, file: model.safetensors}], one of them; colours by modality.
    """
    role, need = str(declaration["dataset"]), declaration["runs"][0]
    records = []
    for run in paper.run_files(role, str(need["run"])):
        for modality, (inputs, weight) in mean_weights(run.beside(str(need["file"]))).items():
            records.append(dict(zip(COLUMNS, (run.seed, modality, inputs, weight), strict=True)))
    numbers = pd.DataFrame(records, columns=COLUMNS)
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axis = figure.subplots()
    axis.set(ylabel="mean absolute weight")
    if numbers.empty:
        axis.text(0.5, 0.5, "not made in this tier", ha="center", va="center", transform=axis.transAxes)
    modalities = sorted(set(numbers["modality"]))
    for place, modality in enumerate(modalities):
        own = numbers[numbers["modality"] == modality]
        weights = own["mean_absolute_weight"].to_numpy(dtype=float)
        axis.bar(place, weights.mean(), color=declaration["colours"][modality])
        axis.plot(np.full(len(weights), place), weights, linestyle="none", marker=".", color="black")
        axis.annotate(f"{own['inputs'].iloc[0]} inputs", (place, 0), (0, 4), textcoords="offset points", ha="center")
    axis.set_xticks(range(len(modalities)), modalities)
    lines = (str(declaration["title"]), stand_in_note(paper, [role]), backend_line(paper.dataset(role)))
    figure.suptitle("\n".join(filter(None, (*lines, "bars: mean over seeds, dots: seeds"))))
    return figure, numbers


def mean_weights(path: Path) -> dict[str, tuple[int, float]]:
    """Modality -> inputs of the head's first layer and their mean absolute weight, of late fusion's saved weights.

    Raises UserError when the file is absent, damaged or another network's.
    """
    try:
        tensors = load_file(path)
        first, audio = tensors[FIRST], len(tensors[SOUND])
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(
            f"{path}: not the weights of late fusion ({error}); delete it to have its run made again."
        ) from error
    columns = {"visual": first[:, : first.shape[1] - audio], "audio": first[:, first.shape[1] - audio :]}
    return {name: (part.shape[1], float(np.abs(part).mean(dtype=np.float64))) for name, part in columns.items()}
