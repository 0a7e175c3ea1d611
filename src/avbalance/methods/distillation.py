"""Knowledge distillation: a student of both modalities learns from one teacher of each (modality-relevance)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from avbalance.analysis.distillation import TEMPERATURE, WEIGHTS, DistillationTerms, distillation_terms
from avbalance.methods.base import Method, MethodCard, NoOp, Step, Trainer
from avbalance.methods.parts.teachers import teacher_logits

if TYPE_CHECKING:
    from torch import Tensor

    from avbalance.models.base import Batch, Model, ModelOutput

_DECIDED = "decision, the paper has a plain sum of the losses"


class Distillation(Method):
    """Cross-entropy plus, per modality, the divergence of the prediction from that of a frozen teacher."""

    card = MethodCard(
        name="distillation",
        label="Knowledge distillation",
        reference="modality-relevance, sections 3.2 and 4; Hinton, Vinyals and Dean 2015, arXiv 1503.02531",
        summary="The prediction is drawn to the label and to what one frozen teacher of each modality predicts.",
        options={
            "temperature": (TEMPERATURE, "decision, the paper states none; 1 is the divergence as it is"),
            "w_label": (WEIGHTS[0], _DECIDED),
            "w_audio": (WEIGHTS[1], _DECIDED),
            "w_visual": (WEIGHTS[2], _DECIDED),
        },
        models=("kd-student",),
        no_op=NoOp({"w_audio": 0.0, "w_visual": 0.0}, {}, "baseline"),
        deviations=(
            "A teacher sees every training clip once, before the student's first step: it is frozen and its logits "
            "depend on nothing but the clip.",
        ),
    )

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.require("temperature", self.options["temperature"] > 0, "above 0")
        for name in ("w_label", "w_audio", "w_visual"):
            self.require(name, self.options[name] >= 0, "at least 0")
        self._teachers: dict[str, Tensor] = {}  # logits (N, C) by modality
        self._losses: Tensor | None = None  # sums over the epoch's batches, float64 (3,), on the device
        self._batches = 0

    @property
    def weights(self) -> tuple[float, float, float]:
        """Weights of label, audio teacher and visual teacher."""
        return self.options["w_label"], self.options["w_audio"], self.options["w_visual"]

    def prepare(self, trainer: Trainer) -> None:
        """Let both teachers predict the training clips; raises UserError when one does not fit the student's data."""
        self._teachers = {name: teacher_logits(self, trainer, name) for name in ("audio", "visual")}

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: Step) -> Tensor:
        """Return the weighted sum of the three losses."""
        audio, visual = (self._teachers[name][batch.index] for name in ("audio", "visual"))
        terms = distillation_terms(output.logits, audio, visual, batch.label, self.options["temperature"])
        self._watch(terms)
        return terms.total(self.weights)

    def _watch(self, terms: DistillationTerms) -> None:
        """Add this batch's losses to the sums; nothing here waits for the device."""
        import torch

        losses = torch.stack([term.detach() for term in terms]).double()
        self._losses = losses if self._losses is None else self._losses.to(losses.device) + losses
        self._batches += 1

    def epoch_end(self, trainer: Trainer, epoch: int, log: dict[str, Any]) -> None:
        """Log the means of the three losses over the epoch's batches, unweighted."""
        if self._losses is not None:
            means = (self._losses / self._batches).tolist()
            log |= {f"loss_{name}": mean for name, mean in zip(DistillationTerms._fields, means, strict=True)}
        self._losses, self._batches = None, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the unfinished epoch."""
        return {"losses": self._losses, "batches": self._batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the sums of the unfinished epoch."""
        self._losses, self._batches = state["losses"], state["batches"]


METHOD = Distillation
