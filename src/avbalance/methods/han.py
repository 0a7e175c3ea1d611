"""HAN's weakly supervised training (Tian et al. 2020), also with MA's contrastive loss and refined labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from avbalance.analysis.parsing_losses import Pair, ma_contrastive, removed
from avbalance.methods.base import MethodCard, NoOp, Step, Trainer
from avbalance.methods.parts import modulation, parsing
from avbalance.methods.parts.labels import needed_labels, removed_labels
from avbalance.methods.parts.parsing import ParsingMethod

if TYPE_CHECKING:
    from torch import Tensor

    from avbalance.models.base import Batch, Model
    from avbalance.models.parsing import ParsingOutput

LABELS = ("plain", "refined")


class HAN(ParsingMethod):
    """`BCE(P, Y) + BCE(p_a, Y_a) + BCE(p_v, Y_v)`, plus MA's contrastive loss where it has a weight."""

    card = MethodCard(
        name="han",
        label="HAN",
        reference="Tian et al., ECCV 2020, arXiv 2007.10558, and YapengTian/AVVP-ECCV20",
        summary="Cross-entropy of pooled audio, visual and joint probabilities with the labels of the video.",
        options={
            "contrastive_weight": (0.0, "none in HAN; 1 in MA (Wu and Yang, CVPR 2021), 0 in its row without CL"),
            "labels": ("plain", "plain in HAN; refined in MA's last stage: without those of labels.json"),
            **parsing.OPTIONS,
        },
        models=("han", "mm-pyramid"),
        no_op=NoOp(modulation.OFF, {}, "han", "modulated by 1, without noise"),
        deviations=parsing.DEVIATIONS,
    )

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.require("contrastive_weight", self.options["contrastive_weight"] >= 0, "at least 0")
        self.require("labels", self.options["labels"] in LABELS, " or ".join(LABELS))
        self._gone: Pair | None = None

    def prepare(self, trainer: Trainer) -> None:
        """Read which labels to remove; raises UserError when that is asked for and not among the needs."""
        if self.options["labels"] == "refined":
            clips = trainer.source.clips
            gone = removed_labels(needed_labels(trainer.needs, self.name), clips.ids.tolist(), len(clips.classes))
            self._gone = Pair(*(each.to(trainer.device) for each in gone))

    def targets(self, model: Model, output: ParsingOutput, batch: Batch, step: Step) -> Pair:
        """Return HAN's targets, removed labels 0 exactly."""
        whole = super().targets(model, output, batch, step)
        if self._gone is None:
            return whole
        return removed(whole, Pair(*(gone[batch.index] for gone in self._gone)))

    def objective(self, output: ParsingOutput, batch: Batch, target: Pair) -> Tensor:
        """Return the main objective with MA's contrastive loss: attended audio against unattended visual."""
        total, weight = super().objective(output, batch, target), self.options["contrastive_weight"]
        return total + weight * ma_contrastive(output.f_a, output.e_v) if weight > 0 else total


METHOD = HAN
