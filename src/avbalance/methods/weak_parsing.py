"""Weakly supervised parsing of video by the probability of the whole video alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from avbalance.methods.base import MethodCard, Training, TrainingStep
from avbalance.methods.parts.parsing import Pair, WatchedMethod, binary_cross_entropy, parsing_output
from avbalance.models.base import Batch, Model, ModelOutput


class WeakParsing(WatchedMethod):
    """Cross-entropy of the video's probability with its labels, and the network's own regulariser.

    Equation: `BCE(P, Y)` plus the network's regulariser.
    """

    card = MethodCard(
        name="weak-parsing",
        label="Weak parsing",
        reference="rows TALNet, STPN, CMCS, AVE and AVSDN of Tian et al., ECCV 2020, arXiv 2007.10558, table 1",
        summary="Each network learns the video's labels through the probability that it pools over time.",
        models=("talnet", "stpn", "cmcs", "ave-net", "avsdn"),
        deviations=(
            "Approximate re-implementation: the adaptations to this task whose numbers are published have no public "
            "code; what each network leaves open is said in its module.",
            "Decision: a network of two modalities learns from the video's joint probability alone, since a label "
            "speaks of neither modality; losses for each are what HAN adds.",
        ),
    )

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """BCE(P, Y), with P that of the only modality where there is one, plus the network's regulariser."""
        parsed = parsing_output(self, output)
        self.watch(parsed, batch.label, Pair(batch.label, batch.label))
        loss = binary_cross_entropy(parsed.P, batch.label)
        return loss if parsed.auxiliary is None else loss + parsed.auxiliary

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        losses: dict[str, Any] = {}
        super().epoch_end(trainer, epoch, losses)
        seen = trainer.model.modalities
        log |= {column: value for column, value in losses.items() if column.split("_")[1] in seen}


METHOD = WeakParsing
