from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from avbalance.analysis.confidence import join_modalities, read_unimodal, stopping_epoch
from avbalance.analysis.flatness import GRID, grid_cells, jensen_shannon
from avbalance.analysis.statistics import Floats
from avbalance.declared import Role
from avbalance.evaluation.evidence import LACKING, Evidence
from avbalance.evaluation.kinds import AtLeastOne, Block
from avbalance.evaluation.outcomes import NotTestable, Outcome, Trial, attempt, trial_of
from avbalance.evaluation.rows import ESTIMATED, PLANTED
from avbalance.table_files import read_parquet


class Flatness(Block):
    """J2, the divergence of a confidence map from a flat one, of every larger data set minus that of every smaller one.

    Clips of the two are drawn independently. No multimodal run enters.
    """

    kind: Literal["flatness"]
    """J2 of `larger` - J2 of `smaller`, in bits"""
    larger: AtLeastOne[Role]
    """data sets whose map is claimed to be less flat"""
    smaller: AtLeastOne[Role]
    """data sets that they are compared with"""
    split: Literal["train", "val", "test"]
    """part whose samples are in the map"""

    @property
    def roles(self) -> list[str]:
        return [*self.larger, *self.smaller]

    @property
    def uses_subsets(self) -> bool:
        return True

    def run_files(self, estimators: Sequence[str]) -> list[tuple[str, str, str]]:
        return [(role, run, "confidence.npz") for role in self.roles for run in estimators]

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        return [self._trial(evidence, pair, protocol) for pair in itertools.product(self.larger, self.smaller)]

    def _trial(self, evidence: Evidence, roles: tuple[str, str], protocol: str) -> Trial:
        labels = [evidence.label(role) for role in roles]
        first, second = (evidence.published.get((label, "map", "train", "j2")) for label in labels)
        bare = Outcome(
            f"J2 of {labels[0]} > J2 of {labels[1]} ({self.split} samples)",
            published=None if first is None or second is None else first - second,
            unit="bits",
        )

        def trial() -> Trial:
            (larger, n), (smaller, m) = (self._divergences(evidence, role, protocol) for role in roles)
            common = larger.keys() & smaller.keys()
            for role in roles:
                evidence.failed.check(role, evidence.estimators(protocol), common)
            values = {seed: larger[seed] - smaller[seed] for seed in common}
            where, trained = f"of {' and '.join(labels)}", protocol != PLANTED
            return trial_of(bare, values, min(n, m), evidence.statistics.min_n, where, trained)

        return attempt(bare, trial)

    def _divergences(self, evidence: Evidence, role: str, protocol: str) -> tuple[dict[int, Floats], int]:
        """Seed -> J2 of the map under every drawing of the part's clips; their number."""
        values, n = {}, 0
        for seed, frame in confidences(evidence, role, self.split, protocol).items():
            n = len(frame)
            rows, columns = grid_cells(frame["audio"].to_numpy(), frame["visual"].to_numpy())
            counts = evidence.weights(role, n, self.split) @ np.eye(GRID * GRID)[rows * GRID + columns]
            values[seed] = jensen_shannon(counts, np.ones_like(counts))
        return values, n


def confidences(evidence: Evidence, role: str, split: str, protocol: str) -> dict[int, pd.DataFrame]:
    """Seed -> the two confidences (columns audio, visual) of a part's clips, by unimodal models or as planted."""
    info = evidence.info(role)
    if protocol == PLANTED:
        if info.confidence is None:
            raise NotTestable(f"no confidences of {info.label}")
        frame = read_parquet(Path(info.confidence) / "confidence.parquet", ("id", "split"), "confidence")
        if "planted_audio" not in frame.columns:
            raise NotTestable(f"{info.label}: {LACKING[PLANTED]}")
        frames = {0: frame[frame["split"] == split].sort_values("id", ignore_index=True)}
    elif protocol == ESTIMATED and evidence.confidence:
        frames = _estimated(evidence, role, split)
    else:
        raise NotTestable(f"the map has no {protocol} form")
    if any(frame.empty for frame in frames.values()):
        raise NotTestable(f"{info.label} has no {split} samples")
    prefix = "planted" if protocol == PLANTED else "u"
    columns = {f"{prefix}_{side}": side for side in ("audio", "visual")}
    return {seed: frame[list(columns)].rename(columns=columns) for seed, frame in frames.items()}


def _estimated(evidence: Evidence, role: str, split: str) -> dict[int, pd.DataFrame]:
    assert evidence.confidence is not None
    rule = evidence.confidence.rule
    audio, visual = (
        {each.seed: read_unimodal(each.beside("confidence.npz")) for each in evidence.runs(role, run)}
        for run in (evidence.confidence.audio, evidence.confidence.visual)
    )
    frames = {}
    for seed in audio.keys() & visual.keys():
        pair = audio[seed], visual[seed]
        first, second = (stopping_epoch(each.val_accuracy, rule).estimation_epochs for each in pair)
        frames[seed] = join_modalities(*pair, split, (first, second))
    return frames
