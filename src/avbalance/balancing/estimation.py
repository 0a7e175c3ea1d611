"""Confidences of a pool by unimodal models that have not seen the clip: cross-fitting.

Xia et al. 2023, section 2.1, estimate on the training set itself; here (decision) a clip of a pool is judged by models
trained on the other folds, so that no confidence is a memory. Folds keep all clips of a video together.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from avbalance.analysis.confidence import mean_confidence, stopping_epoch
from avbalance.balancing.candidates import grouped_split
from avbalance.errors import UserError
from avbalance.methods.unimodal import Unimodal
from avbalance.stopping import StopRule
from avbalance.training.cell import make_trainer
from avbalance.training.data import Clips
from avbalance.training.loop import Trainer
from flowkeeper.files import atomic_path, digest_json

logger = logging.getLogger(__name__)

OUT = "left-out"  # a part that no training knows

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Estimators:
    """Unimodal models of both modalities: settings as of a run, by modality, and when they count as stopped."""

    settings: Mapping[str, dict[str, Any]]
    rule: StopRule
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise UserError(f"estimators: folds is {self.folds}; two are needed at the least.")


def fold_of(labels: NDArray[np.int64], groups: Sequence[str], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of each clip (N,): equal shares of each class, all clips of a group in one fold."""
    shares = {str(fold): 1 / folds for fold in range(folds)}
    return grouped_split(labels, groups, shares, seed, "folds").astype(np.int64)


def cross_fitted(
    clips: Clips,
    groups: Sequence[str],
    inside: NDArray[np.bool_],
    estimators: Estimators,
    device: torch.device,
    work: Path,
    code: str,
) -> Floats:
    """Confidences (N, 2), audio and visual, of the clips `inside` by models of the other folds; NaN for the others.

    groups (N,): the video of each clip. What a fold gave is kept in the folder `work` under a digest of all that it
    depends on, `code` included, so that a killed build goes on with the next fold.
    """
    confidences = np.full((len(clips.ids), 2), np.nan, dtype=np.float32)
    chosen = np.flatnonzero(inside)
    folds = fold_of(clips.labels[chosen], np.array(groups)[chosen].tolist(), estimators.folds, estimators.seed)
    for column, modality in enumerate(("audio", "visual")):
        for fold in range(estimators.folds):
            split = np.full(len(clips.ids), OUT, dtype="<U8")
            # As a test part, of which no training or stopping sees anything.
            split[chosen] = np.where(folds == fold, "test", "train")
            held = chosen[folds == fold]
            identity = [clips.digest, split.tolist(), estimators.settings[modality], vars(estimators.rule), code]
            path = work / f"{digest_json([*identity, estimators.seed])[:32]}.npy"
            if not path.exists():
                values = _fold(replace(clips, split=split), modality, estimators, device, held)
                with atomic_path(path) as temporary, open(temporary, "wb") as handle:
                    np.save(handle, values, allow_pickle=False)
                logger.info("%s, fold %d of %d: estimated", modality, fold + 1, estimators.folds)
            confidences[held, column] = np.load(path, allow_pickle=False)
    return confidences


class _Judge(Unimodal):
    """Unimodal training that keeps the confidences of the test part, the fold that is judged, after every epoch.

    The setting protocol.record_confidence would evaluate the training part as well, which takes as long as training.
    """

    def __init__(self, trainer: Trainer) -> None:
        super().__init__({})
        self.trainer = trainer
        self.confidences: list[Floats] = []

    def epoch_end(self, trainer: object, epoch: int, log: dict[str, Any]) -> None:
        self.confidences.append(np.asarray(self.trainer.evaluate("test").true_class))


def _fold(clips: Clips, modality: str, estimators: Estimators, device: torch.device, held: NDArray[np.int64]) -> Floats:
    """Mean confidences (n,) of the clips `held`, the test part of `clips`, over the epochs before the early stop."""
    trainer = make_trainer("unimodal", dict(estimators.settings[modality]), estimators.seed, clips, device)
    # It needs the trainer that it is the method of, so it comes second.
    trainer.method = judge = _Judge(trainer)
    if not np.array_equal(trainer.parts["test"], held):
        raise AssertionError("the confidences would be those of other clips")
    trainer.train()
    accuracies = [float(row["val_accuracy"]) for row in trainer.history]
    epochs = stopping_epoch(accuracies, estimators.rule).estimation_epochs
    return mean_confidence(np.stack(judge.confidences), epochs)
