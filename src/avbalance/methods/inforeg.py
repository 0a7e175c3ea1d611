"""InfoReg: while the Fisher information of the leading encoder rises, its weights are held back (Huang et al. 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import get_total_norm

from avbalance.declared import Declared, Share, Weight
from avbalance.methods.base import Given, Method, MethodCard, Training, TrainingStep
from avbalance.methods.parts.modulation import both_scores
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput


class InfoRegOptions(Declared):
    """Options of inforeg."""

    beta: Weight = 0.9
    """Huang et al. 2025, section 4.7, the best of 0.1 to 1; how strongly regulation grows with the lead"""
    threshold: Share = 0.04
    """Huang et al. 2025, section 4.7, the best of 0.01 to 0.1; K: at 1 nothing is regulated, as no rise is larger"""


def rises(traces: Sequence[float], threshold: float) -> bool:
    """Whether `(T[t-1] - T[t-2]) / T[t-1] > K` for the traces of the epochs before t; False for the first two (11)."""
    return len(traces) >= 2 and traces[-1] - traces[-2] > threshold * traces[-1]


def regulation(lead: Tensor, beta: float) -> Tensor:
    """alpha, a scalar: `exp(beta tanh(lead))` for a modality that leads, else 0 (equations 10 and 16)."""
    # As printed: just above a lead of 0 alpha is 1, not 0.
    return torch.where(lead > 0, (beta * lead.tanh()).exp(), 0.0)


def audio_lead(audio: Tensor, visual: Tensor, label: Tensor) -> Tensor:
    """By how much the audio scores `(B, C)` explain the label `(B,)` better: difference of mean log probabilities."""
    return cross_entropy(visual.detach(), label) - cross_entropy(audio.detach(), label)


def hold_back(parameters: Sequence[nn.Parameter], anchors: Sequence[Tensor], strength: Tensor) -> None:
    """Add the gradient of `strength / 2 ||w - anchor||^2` (12) to that of each parameter w, in place."""
    for parameter, anchor in zip(parameters, anchors, strict=True):
        # A weight that took no part in the loss does not move, and so needs no holding back.
        if parameter.grad is not None:
            parameter.grad += strength * (parameter.detach() - anchor.to(parameter.device))


class InfoReg(Method):
    """The encoder of the modality that leads is drawn back to where it was at the end of the last epoch.

    Equation: `CE(z, y) + alpha_m / 2 ||w_m - w_m(t-1)||^2` in epoch t for the modality m that leads, if the trace T of
    its Fisher information rose by more than a share K of itself; `alpha_m = exp(beta tanh(lead_m))`, `T = mean over an
    epoch's batches of ||g_m||^2` (equations 7 to 16).
    """

    card = MethodCard(
        name="inforeg",
        label="InfoReg",
        reference="Huang et al., CVPR 2025, arXiv 2503.18595",
        summary="While its Fisher information rises, the leading encoder is held near its weights of the last epoch.",
        options=InfoRegOptions,
        fusions=("sum", "concat", "film", "gated"),
        deviations=(
            "Equation 8 is a loss, yet the paper calls the larger score the better one; here the modality with the "
            "smaller loss leads, as text and code mean it.",
            "The form with the fused loss alone; InfoReg*, with unimodal losses besides, is not there.",
            "The trace is that of the batches' gradients before regulation, of all weights of an encoder; the "
            "reference code takes means over 10 epochs, of audio alone, after regulation.",
            "Where the traces fall from the first epoch on, as with small networks on easy clips, this is Baseline.",
        ),
    )
    kept = ("means", "traces", "anchors")
    options: InfoRegOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.traces: dict[str, list[float]] = {name: [] for name in MODALITIES}  # of every finished epoch
        self.anchors: dict[str, list[Tensor]] = {}  # weights at the epoch's start, where the information rose

    def epoch_start(self, trainer: Training, epoch: int) -> None:
        """Note the weights of the encoders that may be regulated in this epoch."""
        rising = [name for name, traces in self.traces.items() if rises(traces, self.options.threshold)]
        self.anchors = {name: [each.detach().clone() for each in trainer.model.group(name)] for name in rising}

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> None:
        """Measure the traces and add the regulation's gradients; raises UserError without both modalities' scores."""
        lead = audio_lead(*both_scores(output, self.name), batch.label)
        traces, strengths = [], []
        for name, of_modality in zip(MODALITIES, (lead, -lead), strict=True):
            group = model.group(name)
            traces.append(get_total_norm([each.grad for each in group if each.grad is not None]).square())
            # The trace comes first: what is added below is no information of the batch.
            strengths.append(regulation(of_modality, self.options.beta) * (name in self.anchors))
            if name in self.anchors:
                hold_back(group, self.anchors[name], strengths[-1])
        names = [f"{column}_{name}" for column in ("trace", "regulation") for name in MODALITIES]
        self.means.add(names, torch.stack([*traces, *strengths]))

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        """Log and keep the traces of the epoch, and log the mean of each alpha."""
        super().epoch_end(trainer, epoch, log)
        for name, traces in self.traces.items():
            traces.append(log[f"trace_{name}"])


METHOD = InfoReg
