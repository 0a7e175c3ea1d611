"""What figures of the modality gap share: the run that is drawn, its fit at an epoch, planted truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.declared import Declared, Run
from avbalance.evaluation.gap_files import GapFit, Gaps, read_gaps, read_mixtures
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.frames import read_parquet

BALANCED, IMBALANCED = "#3b6fd4", "#d62728"
PLANTED = ("planted_audio", "planted_visual")


class FittedRun(Declared):
    """A run, and one of the fits to its gaps."""

    run: Run
    """run that is drawn, under the first seed of the sheet"""
    epoch: Literal["first", "last"]
    """the fit after the warm-up, or the last one with kept scores"""


@dataclass(frozen=True)
class FittedGaps:
    """The gaps of one run's training clips after one epoch, and the fit to them; scores (N,).

    place: dataset, method, seed and epoch, as they stand beside the numbers that are drawn.
    """

    place: dict[str, Any]
    fit: GapFit
    gaps: Gaps
    audio: NDArray[np.float64]
    visual: NDArray[np.float64]

    @property
    def signed(self) -> NDArray[np.float64]:
        """Signed gaps (N,), positive where audio leads."""
        return self.audio - self.visual

    @property
    def said(self) -> str:
        """What stands above a panel."""
        return f"{self.place['method']}\nseed {self.place['seed']}, after {self.fit.epoch} epochs"


def fitted_gaps(paper: Paper, role: str, line: FittedRun) -> FittedGaps | None:
    """The gaps and their fit that a line asks for; None where the tier leaves the run out."""
    files = paper.run_files(role, line.run)
    if not files:
        return None
    gaps, (_, fits) = read_gaps(files[0]), read_mixtures(files[0])
    number = {"first": 0, "last": -1}[line.epoch]
    fit = next(each for each in fits if each.epoch == gaps.epochs[number])
    place = {"dataset": paper.dataset(role).label, "method": paper.label(line.run), "seed": files[0].seed}
    return FittedGaps({**place, "epoch": fit.epoch}, fit, gaps, gaps.audio[number], gaps.visual[number])


def every_line(
    paper: Paper, roles: Sequence[str], lines: Sequence[FittedRun]
) -> Iterator[tuple[int, int, FittedGaps | None]]:
    """Number of the data set, number of the line, and its gaps, one data set after the other."""
    for column, role in enumerate(roles):
        for number, line in enumerate(lines):
            yield column, number, fitted_gaps(paper, role, line)


def planted_imbalance(info: DatasetInfo, ids: NDArray[np.str_]) -> NDArray[np.float64] | None:
    """|u_audio - u_visual| (N,) of generated clips; None for data without planted truth."""
    if info.manifest is None:
        return None
    manifest = read_parquet(info.manifest, ("id",), "manifest")
    if not set(PLANTED) <= set(manifest.columns):
        return None
    planted = manifest.set_index("id")[list(PLANTED)].reindex(ids).to_numpy(dtype=np.float64)
    return np.abs(planted[:, 0] - planted[:, 1])


def gap_frame(ids: NDArray[np.str_], audio: NDArray[np.float64], visual: NDArray[np.float64]) -> pd.DataFrame:
    """id, both scores s, signed gap d and gap g of clips (N,)."""
    signed = audio - visual
    return pd.DataFrame({"id": ids, "s_audio": audio, "s_visual": visual, "d": signed, "g": np.abs(signed)})
