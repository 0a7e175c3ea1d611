"""AGM: adaptive gradient modulation by what each modality contributes to the logits (Li et al. 2023)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import get_total_norm

from avbalance.declared import Above0, Declared, Weight
from avbalance.methods.base import Given, Method, MethodCard, NoOp, TrainingStep
from avbalance.methods.parts.fusing import both_features, fused
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput

LARGEST = -math.log(1e-8)  # a clip's score at the most: probabilities below 1e-8 count as 1e-8 (reference code)


class AGMOptions(Declared):
    """Options of agm."""

    alpha: Weight = 1.0
    """Li et al. 2023, reference code: its default; 2.5 in its example for AV-MNIST, 0.1 in BalanceBenchmark"""
    limit: Above0 = 10.0
    """Li et al. 2023, reference code for CREMA-D: tau - r counts as this at the most; 7 for UR-Funny"""
    max_norm: Above0 | None = 1.0
    """Li et al. 2023, reference code for CREMA-D: see the card; 5 for UR-Funny; null: gradients are never clipped"""


def responses(both: Tensor, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
    """What audio and visual contribute to the logits, their Shapley values: two `(B, C)` that add up to `both`.

    both, audio, visual: logits `(B, C)` of both modalities, and of one with a blank input in the other's place. `phi_a
    = (f(a, v) + f(a, 0) - f(0, v)) / 2`; f(0, 0), which no modality brought about, is left out (reference code).
    """
    return (both + audio - visual) / 2, (both + visual - audio) / 2


def score(response: Tensor, label: Tensor) -> Tensor:
    """Mean over the batch of `-log softmax(phi)[y]`, each at most `-log 1e-8`: a detached scalar, float64."""
    return cross_entropy(response.detach().double(), label, reduction="none").clamp_max(LARGEST).mean()


def discrepancy(scores: Tensor) -> Tensor:
    """r `(2,)` of the scores `(2,)`: `r_m = exp(c_other - c_m)`, above 1 for the modality that tells the class better.

    It is `exp(n / (n - 1) (mean c - c_m))` for n = 2 modalities.
    """
    return (scores.flip(0) - scores).exp()


def coefficients(scores: Tensor, average: Tensor, alpha: float, limit: float) -> Tensor:
    """kappa `(2,)`: `exp(alpha min(tau_m - r_m, limit))`, r of the batch's scores, tau of their average so far."""
    # Bounded above alone: a difference far below 0 makes kappa small, one far above would make it explode.
    return (alpha * (discrepancy(average) - discrepancy(scores)).clamp_max(limit)).exp()


def modulated(parts: tuple[Tensor, Tensor], both: Tensor, kappa: Tensor) -> Tensor:
    """`both` to the bit, but its gradient reaches the two parts, which sum to it, times kappa `(2,)`."""
    audio, visual = kappa.to(both.dtype)
    scaled = audio * parts[0] + visual * parts[1]
    # The value is that of `both`, bit for bit, since the bracket is exactly 0; only the gradient is that of `scaled`.
    return both.detach() + (scaled - scaled.detach())


class AGM(Method):
    """Scale the gradient that each modality's contribution passes on by how far its lead is from the usual one.

    A modality that leads by more than on average is slowed down, one that leads by less is sped up. Encoder m gets its
    gradient times kappa_m exactly where the head is linear (concat, sum).

    Equation: `kappa_m = exp(alpha min(tau_m - r_m, limit))`, `r_m = exp(c_other - c_m)`, `c_m = mean -log
    softmax(phi_m)[y]`, `phi_a = (f(a, v) + f(a, 0) - f(0, v)) / 2`; tau_m is r_m of the mean c of all steps before.
    """

    card = MethodCard(
        name="agm",
        label="AGM",
        reference="Li et al., ICCV 2023, arXiv 2308.07686",
        summary="Each modality's gradient is scaled by how far its lead, by Shapley values, is from the usual one.",
        options=AGMOptions,
        fusions=("concat", "sum", "film", "gated"),
        no_op=NoOp({"alpha": 0.0, "max_norm": None}, {}, "baseline"),
        deviations=(
            "BalanceBenchmark has r with the opposite sign, which would speed up the modality that leads; here, as in "
            "all scripts of the authors, it is slowed down.",
            "The reference code encodes each clip again, in evaluation mode, beside a blank input; here the features "
            "of the training step stand beside those of one blank clip per step, encoded in evaluation mode without "
            "gradient, which spares three passes of the network per step.",
            "As in the reference code all gradients are clipped to the norm `max_norm`, in steps where an entry of the "
            "head's exceeds `max_norm`; Baseline is not clipped.",
        ),
    )
    kept = ("means", "average")
    options: AGMOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.average = torch.zeros(2, dtype=torch.float64)  # of the scores of all steps so far

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The cross-entropy of the prediction, whose gradient is scaled; raises UserError for another network."""
        audio, visual = both_features(output, self.name)
        blank_audio, blank_visual = self._blank(model, batch)
        parts = responses(
            output.logits,
            fused(model, audio, blank_visual.expand_as(visual), self.name),
            fused(model, blank_audio.expand_as(audio), visual, self.name),
        )
        scores = torch.stack([score(part, batch.label) for part in parts])
        before = self.average.to(scores.device)
        kappa = coefficients(scores, before, self.options.alpha, self.options.limit)
        # Counted from the step, not kept: a resumed run has the same number without any state for it.
        done = step.epoch * step.batches + step.index
        # After kappa was found: tau is of the steps before this one.
        self.average = (before * done + scores) / (done + 1)
        self.means.add([f"coefficient_{name}" for name in MODALITIES], kappa)
        return cross_entropy(modulated(parts, output.logits, kappa), batch.label)

    def _blank(self, model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features `(1, D)` of both modalities for inputs of zeros; batch norm, which has no batch, is in eval mode."""
        audio, visual = (torch.zeros_like(batch.modality(name)[:1]) for name in MODALITIES)
        # One blank clip would be a batch of one, whose batch-norm statistics are those of zeros; running ones are
        # meant.
        model.eval()
        with torch.no_grad():
            features = model(Batch(audio, visual, batch.label[:1], batch.index[:1])).features
        model.train()
        return features["audio"], features["visual"]

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> None:
        """Clip all gradients to a norm where the head's are large; nothing waits for the device."""
        if self.options.max_norm is None:
            return
        head = [each.grad.abs().max() for each in model.group("head") if each.grad is not None and each.grad.ndim > 1]
        gradients = [each.grad for each in model.parameters() if each.grad is not None]
        scale = (self.options.max_norm / get_total_norm(gradients)).clamp_max(1)
        # A `where` on the device in place of an `if`, which would wait for it in every step.
        scale = scale.where(torch.stack(head).max() > self.options.max_norm, 1)
        for gradient in gradients:
            gradient.mul_(scale)


METHOD = AGM
