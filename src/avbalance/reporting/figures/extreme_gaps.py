"""The training clips with the largest modality gaps: which they are, and what each modality says of them. Ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from avbalance.evaluation.gap_files import read_gaps
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.frames import read_parquet
from avbalance.reporting.cells import Measured
from avbalance.reporting.figures._gaps import empty, head, planted_imbalance, reference

COLUMNS = ["dataset", "method", "seed", "epoch", "rank", "id", "label", "s_audio", "s_visual", "d", "g", "planted"]
AUDIO, VISUAL = "#3b6fd4", "#f2a900"


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers, a row per clip: rank, id, class, scores, gaps, planted imbalance (generated clips).

    declaration: title, datasets (roles, a panel each), run, count (clips per data set). The first seed of the sheet is
    drawn, after the last epoch with kept scores; clips of equal gaps in the order of their ids.
    """
    roles, run = [str(role) for role in declaration["datasets"]], str(declaration["run"])
    figure = Figure(figsize=(3.6 * len(roles), 0.24 * int(declaration["count"]) + 1.8), layout="constrained")
    axes = figure.subplots(1, len(roles), squeeze=False)[0]
    numbers = []
    for axis, role in zip(axes, roles, strict=True):
        info, file = paper.dataset(role), reference(paper, role, run)
        axis.set_title(info.label, fontsize=8)
        if file is None:
            empty(axis)
            continue
        frame = extremes(file, info, int(declaration["count"]))
        places = range(len(frame))
        axis.barh([place - 0.2 for place in places], frame["s_audio"], 0.4, color=AUDIO, label="audio")
        axis.barh([place + 0.2 for place in places], frame["s_visual"], 0.4, color=VISUAL, label="visual")
        named = [f"{row.id} ({row.label})" for row in frame.itertuples()]
        axis.set_yticks(places, named, fontsize=5)
        axis.set(xlabel="score of the true class", xlim=(0, 1), ylim=(len(frame) - 0.5, -0.5))
        numbers.append(frame.assign(dataset=info.label, method=paper.label(run), seed=file.seed))
    drawn = [axis for axis in axes if axis.get_legend_handles_labels()[0]]
    if drawn:
        figure.legend(*drawn[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    head(figure, declaration["title"], paper, roles)
    whole = pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame()
    return figure, whole.reindex(columns=COLUMNS).astype({"seed": "Int64", "epoch": "Int64", "rank": "Int64"})


def extremes(run: RunFile, info: DatasetInfo, count: int) -> pd.DataFrame:
    """The `count` clips with the largest gaps after the last epoch of which a run kept the scores."""
    gaps = read_gaps(run)
    frame = pd.DataFrame({"id": gaps.ids, "s_audio": gaps.audio[-1], "s_visual": gaps.visual[-1]})
    frame["d"] = frame["s_audio"] - frame["s_visual"]
    frame["g"] = frame["d"].abs()
    frame["planted"] = planted_imbalance(info, gaps.ids)
    frame["label"] = _labels(info, frame["id"]) if info.manifest is not None else gaps.labels
    frame = frame.sort_values(["g", "id"], ascending=[False, True], ignore_index=True).head(count)
    return frame.assign(rank=frame.index + 1, epoch=gaps.epochs[-1])


def _labels(info: DatasetInfo, ids: pd.Series) -> pd.Series:
    manifest = read_parquet(str(info.manifest), ("id", "label"), "manifest")
    return ids.map(manifest.set_index("id")["label"])
