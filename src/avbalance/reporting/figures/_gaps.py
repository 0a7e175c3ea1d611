"""What figures of the modality gap share: the run that is drawn, its fit at an epoch, planted truth, empty panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avbalance.evaluation.gap_files import GapFit, Gaps, read_gaps, read_mixtures
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.frames import read_parquet
from avbalance.reporting.figures.discrepancy_map import stand_in_note

EPOCHS = ("first", "last")
PLANTED = ("planted_audio", "planted_visual")
ABSENT = "not made in this tier"


@dataclass(frozen=True)
class Measurement:
    """The gaps of one run's training clips after one epoch, and the fit to them; scores (N,)."""

    run: RunFile
    fit: GapFit
    gaps: Gaps
    audio: NDArray[np.float64]
    visual: NDArray[np.float64]

    @property
    def signed(self) -> NDArray[np.float64]:
        """Signed gaps (N,), positive where audio leads."""
        return self.audio - self.visual

    @property
    def frame(self) -> pd.DataFrame:
        """One row per clip: id, label (index of its class), s_audio, s_visual, d, g."""
        columns = {"id": self.gaps.ids, "label": self.gaps.labels, "s_audio": self.audio, "s_visual": self.visual}
        return pd.DataFrame({**columns, "d": self.signed, "g": np.abs(self.signed)})


def reference(paper: Paper, role: str, run: str) -> RunFile | None:
    """The run under the first seed of the sheet; None where the tier leaves it out."""
    files = paper.run_files(role, run)
    return files[0] if files else None


def measurement(run: RunFile, epoch: str) -> Measurement:
    """The gaps and their fit after the warm-up (`first`) or the last epoch (`last`)."""
    gaps, (_, fits) = read_gaps(run), read_mixtures(run)
    place = {"first": 0, "last": len(gaps.epochs) - 1}[epoch]
    fit = next(each for each in fits if each.epoch == gaps.epochs[place])
    return Measurement(run, fit, gaps, gaps.audio[place], gaps.visual[place])


def planted_imbalance(info: DatasetInfo, ids: NDArray[np.str_]) -> NDArray[np.float64] | None:
    """|u_audio - u_visual| (N,) of generated clips; None for data without planted truth."""
    if info.manifest is None:
        return None
    manifest = read_parquet(info.manifest, ("id",), "manifest")
    if not set(PLANTED) <= set(manifest.columns):
        return None
    planted = manifest.set_index("id")[list(PLANTED)].reindex(ids).to_numpy(dtype=np.float64)
    return np.abs(planted[:, 0] - planted[:, 1])


def empty(axis: Axes) -> None:
    """Say in a panel that there is nothing to draw."""
    axis.text(0.5, 0.5, ABSENT, ha="center", va="center", transform=axis.transAxes)


def head(figure: Figure, title: object, paper: Paper, roles: Sequence[str], note: str = "") -> None:
    """The figure's title with the data behind each panel."""
    figure.suptitle("\n".join(filter(None, (str(title), stand_in_note(paper, list(roles)), note))), fontsize=8)
