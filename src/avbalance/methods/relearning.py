"""Diagnosing and re-learning: encoders whose features do not generalise go some way back (Wei et al. 2024)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avbalance.declared import Count, Declared, Size, Weight
from avbalance.errors import UserError
from avbalance.methods.base import Given, Method, MethodCard, NoOp, Training
from avbalance.models.base import MODALITIES


class RelearningOptions(Declared):
    """Options of relearning."""

    every: Size = 15
    """BalanceBenchmark (reinit_epoch): epochs from one diagnosis to the next"""
    times: Count = 2
    """BalanceBenchmark (reinit_num): diagnoses at most"""
    strength: Weight = 3.0
    """BalanceBenchmark (move_lambda): how far an encoder goes back for a gap of purity"""


def purity(clusters: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """The share of clips `(N,)` whose label is the most frequent one of their cluster."""
    counts = np.zeros((clusters.max() + 1, labels.max() + 1), dtype=np.int64)
    np.add.at(counts, (clusters, labels), 1)
    return float(counts.max(axis=1).sum() / len(labels))


def clustered(features: NDArray[np.float32], classes: int) -> NDArray[np.int64]:
    """Clusters (N,) by k-means, as many as classes, of features `(N, D)`, each value scaled to [-1, 1]."""
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import MinMaxScaler

    scaled = MinMaxScaler((-1, 1)).fit_transform(features)
    # Seed 0 always: two parts, and two machines, are compared by what features say and not by how clusters start.
    clusters: NDArray[np.int64] = KMeans(classes, random_state=0).fit_predict(scaled).astype(np.int64)
    return clusters


def way_back(gap: float, strength: float) -> float:
    """How far an encoder goes back to its start, 0 to 1: `tanh(strength |gap|)`."""
    return math.tanh(strength * abs(gap))


class Relearning(Method):
    """Every few epochs, features of each encoder are clustered, on the training and on the validation part.

    The further apart the two purities, the more of its initial weights an encoder takes back.

    Equation: `theta <- tau theta_0 + (1 - tau) theta`, `tau = tanh(lambda |purity_train - purity_val|)`.
    """

    card = MethodCard(
        name="relearning",
        label="Diagnosing & re-learning",
        reference="Wei et al., ECCV 2024, arXiv 2407.09705",
        summary="Encoders go back towards their initial weights as far as their features do not generalise.",
        options=RelearningOptions,
        fusions=("concat", "sum", "film", "gated"),
        no_op=NoOp({"times": 0}, {}, "baseline"),
        deviations=(
            "It looks at the labels of the validation part, by which runs are selected, too.",
            "Weights go back, statistics of batch norm and the optimiser's momentum stay, as in BalanceBenchmark.",
        ),
    )
    kept = ("means", "diagnosis")
    options: RelearningOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.initial: dict[str, list[Tensor]] = {}
        self.diagnosis: dict[str, float] = {}  # of the epoch under way, for the history

    def prepare(self, trainer: Training) -> None:
        """Keep the initial weights; a resumed run starts from the same ones, before it takes up its state."""
        self.initial = {name: [each.detach().clone() for each in trainer.model.group(name)] for name in MODALITIES}

    def epoch_start(self, trainer: Training, epoch: int) -> None:
        """Diagnose and take encoders back; raises UserError where a part has fewer clips than there are classes."""
        self.diagnosis = {}
        # Epoch 0 is no diagnosis: nothing has been learnt that could be taken back.
        number, rest = divmod(epoch, self.options.every)
        if rest or not 1 <= number <= self.options.times:
            return
        train, val = (self._purities(trainer, part) for part in ("train", "val"))
        for name in MODALITIES:
            tau = way_back(train[name] - val[name], self.options.strength)
            self.diagnosis |= {f"purity_gap_{name}": train[name] - val[name], f"way_back_{name}": tau}
            with torch.no_grad():
                for parameter, initial in zip(trainer.model.group(name), self.initial[name], strict=True):
                    parameter.lerp_(initial, tau)

    @torch.no_grad()
    def _purities(self, trainer: Training, part: str) -> dict[str, float]:
        """Purity of each encoder's features on a part."""
        classes, clips = len(trainer.source.clips.classes), trainer.parts[part]
        if len(clips) < classes:
            raise UserError(
                f"method relearning: the part {part} has {len(clips)} clips, too few for {classes} clusters; give it "
                "more clips, or leave the method out."
            )
        outputs = [(batch.label, output.features) for batch, output in trainer.outputs(clips)]
        labels = torch.cat([label for label, _ in outputs]).cpu().numpy()
        features = {name: torch.cat([each[name] for _, each in outputs]).float().cpu().numpy() for name in MODALITIES}
        return {name: purity(clustered(values, classes), labels) for name, values in features.items()}

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        """Log the gaps of purity and how far encoders went back before this epoch, if they did."""
        log |= self.diagnosis


METHOD = Relearning
