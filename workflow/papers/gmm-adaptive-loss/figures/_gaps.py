"""What figures of the modality gap share: the run that is drawn, its fit at an epoch, planted truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.declared import Declared, Run
from avbalance.evaluation.gap_files import GapFit, read_gaps, read_mixtures
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.reporting import figure_parts as parts
from avbalance.reporting.figure_style import BLACK, STRESS
from avbalance.table_files import read_parquet

BALANCED, IMBALANCED = BLACK, STRESS
PLANTED = ("planted_audio", "planted_visual")


class FittedRun(Declared):
    """A run, and one of the fits to its gaps."""

    run: Run
    """run that is drawn, under the first seed of the sheet"""
    epoch: Literal["first", "last"]
    """the fit after the warm-up, or the last one with kept scores"""


@dataclass(frozen=True)
class FittedGaps:
    """A frame of the training clips of one run after one epoch, see `gap_frame`, and the fit to their gaps.

    place: dataset, method, seed and epoch, as they stand beside the numbers that are drawn.
    """

    place: dict[str, Any]
    fit: GapFit
    clips: pd.DataFrame

    @property
    def said(self) -> str:
        """What stands above a panel: the data set, the run, and how much there is of it."""
        place = self.place
        told = f"seed {place['seed']}, epoch {self.fit.epoch}, n = {len(self.clips)}"
        return f"{place['dataset']}\n{place['method']}\n{told}"


def every_line(
    paper: Paper, roles: Sequence[str], lines: Sequence[FittedRun]
) -> Iterator[tuple[int, int, FittedGaps | None]]:
    """Number of the data set, number of the line, and its gaps, None where the tier leaves the run out."""
    for column, role in enumerate(roles):
        for number, line in enumerate(lines):
            # One seed is drawn: a histogram of all would mix fits that have different components.
            gaps, files = None, paper.run_files(role, line.run)
            if files:
                clips = gap_frame(files[0], {"first": 0, "last": -1}[line.epoch])
                epoch = clips["epoch"].iloc[0]
                fit = next(each for each in read_mixtures(files[0])[1] if each.epoch == epoch)
                place = {"dataset": paper.dataset(role).label, "method": paper.label(line.run), "seed": files[0].seed}
                gaps = FittedGaps({**place, "epoch": fit.epoch}, fit, clips)
            yield column, number, gaps


def every_dataset(
    axes: Sequence[parts.Axes], paper: Paper, roles: Sequence[str], run: str
) -> Iterator[tuple[parts.Axes, DatasetInfo, list[RunFile]]]:
    """The panels of data sets on which a run was made, with its seeds; the others say that it was not."""
    for axis, role in zip(axes, roles, strict=True):
        if files := paper.run_files(role, run):
            yield axis, paper.dataset(role), files
        else:
            parts.write_inside(axis)


def gap_frame(run: RunFile, number: int) -> pd.DataFrame:
    """The training clips after one of the epochs with kept scores: id, label, both scores s, signed gap d, gap g."""
    gaps = read_gaps(run)
    audio, visual = gaps.audio[number], gaps.visual[number]
    columns = {"id": gaps.ids, "label": gaps.labels, "s_audio": audio, "s_visual": visual, "d": audio - visual}
    return pd.DataFrame({**columns, "g": np.abs(audio - visual), "epoch": gaps.epochs[number]})


def planted_imbalance(info: DatasetInfo, ids: pd.Series) -> NDArray[np.float64] | None:
    """|u_audio - u_visual| (N,) of generated clips; None for data without planted truth."""
    if info.manifest is None:
        return None
    manifest = read_parquet(info.manifest, ("id",), "manifest")
    if not set(PLANTED) <= set(manifest.columns):
        return None
    planted = manifest.set_index("id")[list(PLANTED)].reindex(ids).to_numpy(dtype=np.float64)
    return np.abs(planted[:, 0] - planted[:, 1])
