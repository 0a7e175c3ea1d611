"""Dynamic gradient modulation (Fu, Gao and Xu, section III): measure the imbalance, damp the leading modality."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn.functional import one_hot

from avbalance.declared import Count, Declared, Weight, refusal
from avbalance.errors import UserError
from avbalance.methods.base import EpochMeans, Given, Method, Training, TrainingStep
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput

COLUMNS = ("omega_va", "mu_a", "mu_v", "share_visual_damped")
OFF: dict[str, Any] = {"dgm": True, "gamma": 0.0, "noise": "none"}  # options that modulate by 1 everywhere
FLOOR = 1e-6  # of each side of the ratio: D of Eq. 6 may be 0 or negative while a network has hardly learnt

Measure = Literal["score", "discrepancy", "fusion"]
Noise = Literal["added", "literal", "none"]


class ModulationOptions(Declared):
    """When, by what and how gradients are modulated."""

    dgm: bool = False
    """Fu, Gao and Xu, section III: damp the gradients of the leading modality"""
    measure: Measure = "fusion"
    """Fu, Gao and Xu, Eq. 6; or score, or discrepancy alone (their Table V)"""
    gamma: Weight = 0.1
    """Fu, Gao and Xu, Table VI: the best of 0.1 to 0.9 on LLP"""
    noise: Noise = "added"
    """decision on Fu, Gao and Xu, Eq. 9: mu g + N(0, sd^2), as in OGM-GE; literal: g + N(0, (mu^2 + 1) sd^2); none"""
    apply: Literal["grad", "update"] = "grad"
    """Fu, Gao and Xu, Eq. 8; update is ours: the optimiser's step is scaled, not the gradient"""
    start_epoch: Count = 0
    """decision, nothing is stated: from the first epoch on; 0-based, included"""
    end_epoch: Count | None = None
    """decision, nothing is stated: to the end; 0-based, included"""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.end_epoch is not None and self.end_epoch < self.start_epoch:
            raise refusal(f"end_epoch is {self.end_epoch}; it must be null or at least start_epoch")
        if (self.noise, self.apply) == ("literal", "update"):
            raise refusal(
                "noise literal scales no gradient, so that apply: update has nothing to move; use noise added or none"
            )
        return self


def score_and_discrepancy(scores: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """The two parts of Eq. 6 of one modality, summed over a batch: S and D, detached float64 scalars.

    scores `(N, C)` in (0, 1), label `(N, C)` clean and binary. S sums s over samples and their positive classes, no
    mean; `D = sum_n (mean_{c positive} s - mean_{c negative} s)`. Samples without positives or negatives do not count.
    """
    known, positive = scores.detach().double(), label.detach().double()
    # A clip with every label, or with none, has no discrepancy: its mean over an empty set would be 0 / 0.
    negative = 1 - positive
    positives, negatives = positive.sum(1), negative.sum(1)
    usable = (positives > 0) & (negatives > 0)
    # Masked, not indexed: indexing by a mask waits for the device.
    of_positive, of_negative = (known * positive).sum(1), (known * negative).sum(1)
    # clamp_min keeps the clips that `where` drops below finite: a NaN would pass through the sum.
    discrepancy = of_positive / positives.clamp_min(1) - of_negative / negatives.clamp_min(1)
    return of_positive.where(usable, 0).sum(), discrepancy.where(usable, 0).sum()


def side(scores: Tensor, label: Tensor, measure: Measure = "fusion") -> Tensor:
    """One modality's side of the ratio, a scalar: S ("score"), D ("discrepancy") or S + D ("fusion", Eq. 6)."""
    score, discrepancy = score_and_discrepancy(scores, label)
    return {"score": score, "discrepancy": discrepancy, "fusion": score + discrepancy}[measure]


def imbalance(scores_audio: Tensor, scores_visual: Tensor, label: Tensor, measure: Measure = "fusion") -> float:
    """omega_va, visual over audio, of a mini-batch's scores and label `(N, C)`; omega_av is its inverse (Eq. 6).

    Decision: both sides are at least 1e-6, since the discrepancy may be negative early; with both there, omega is 1.
    """
    sides = torch.stack([side(scores, label, measure) for scores in (scores_audio, scores_visual)])
    # The one point at which the device is waited for: coefficients are plain numbers, without gradient (Eq. 7).
    audio, visual = (max(value, FLOOR) for value in sides.tolist())
    return float(visual / audio)


def coefficients(omega_va: float, gamma: float) -> tuple[float, float]:
    """(mu_a, mu_v): `1 - tanh(gamma omega)` where a modality's omega exceeds 1, however little; else 1 (Eq. 7)."""
    omega_av = 1 / omega_va
    # As printed, with its jump: just above omega = 1 mu is 1 - tanh(gamma), not 1.
    mu_a, mu_v = (1 - math.tanh(gamma * omega) if omega > 1 else 1.0 for omega in (omega_av, omega_va))
    return mu_a, mu_v


def modulate(gradient: Tensor, mu: float, noise: Noise = "added", generator: torch.Generator | None = None) -> None:
    """Scale a gradient g in place and add noise, iid over its elements (Eqs. 8 and 9; the GE part of OGM-GE).

    "added": `mu g + N(0, sd^2)`, sd of the unmodulated g plus 1e-8, as in OGM-GE's code. Decision: mu g varies by mu^2
    sd^2, which makes the (mu^2 + 1) sd^2 of Eq. 9. "literal": `g + N(0, (mu^2 + 1) sd^2)`. "none": `mu g`.
    """
    if noise == "none":
        gradient.mul_(mu)
        return
    # The deviation of a single number is NaN; 1e-8 is in OGM-GE's code, of this tensor alone and before it is scaled.
    deviation = (gradient.std() if gradient.numel() > 1 else gradient.new_zeros(())) + 1e-8
    drawn = gradient.new_empty(gradient.shape).normal_(generator=generator)
    if noise == "added":
        gradient.mul_(mu).add_(drawn.mul_(deviation))
    else:
        gradient.add_(drawn.mul_(deviation * math.sqrt(mu**2 + 1)))


def modulate_groups(
    groups: Mapping[str, Iterable[nn.Parameter]], mu: Mapping[str, float], noise: Noise, generator: torch.Generator
) -> None:
    """Modulate the gradients of each modality's parameters, in order, by its coefficient; noise also where mu is 1.

    Raises UserError when a group has no gradient at all; single parameters without one are passed over.
    """
    for modality, parameters in groups.items():
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            raise UserError(f"gradient modulation: the {modality} group has no gradient to modulate.")
        for gradient in gradients:
            modulate(gradient, mu[modality], noise, generator)


def scale_update(parameters: Sequence[nn.Parameter], before: Sequence[Tensor], mu: float) -> None:
    """Take back, in place, all but the share mu of an optimiser's step from `before`."""
    for parameter, start in zip(parameters, before, strict=True):
        # after = before + mu * step, without keeping the step itself
        parameter.data.lerp_(start, 1 - mu)


class Modulation:
    """Modulate the gradients of two groups of parameters by the imbalance of a mini-batch.

    Measures and logs in every step; modulates from `start_epoch` to `end_epoch`. With `apply: update` the gradient
    keeps its size and gets its noise, and the optimiser's step is scaled: Adam nearly cancels a slow coefficient.
    """

    def __init__(self, options: ModulationOptions) -> None:
        self.options, self.means = options, EpochMeans()
        self._kept: list[tuple[Sequence[nn.Parameter], list[Tensor], float]] = []

    def gradients(
        self,
        model: Model,
        scores: tuple[Tensor, Tensor],
        label: Tensor,
        groups: Mapping[str, Sequence[nn.Parameter]] | None,
        step: TrainingStep,
    ) -> None:
        """Measure, and modulate in place; to be called between backward and the optimiser's step.

        scores of audio and visual `(N, C)` in (0, 1), detached here; label `(N, C)`: the clean labels. groups: modality
        -> parameters; None takes the model's own. Noise is drawn from the step's generator, audio first.
        """
        options = self.options
        if not options.dgm:
            return
        omega = imbalance(scores[0].detach(), scores[1].detach(), label, options.measure)
        mu_a = mu_v = 1.0
        if options.start_epoch <= step.epoch and (options.end_epoch is None or step.epoch <= options.end_epoch):
            mu_a, mu_v = coefficients(omega, options.gamma)
            own = {name: model.group(name) for name in MODALITIES} if groups is None else groups
            self._modulate(own, {"audio": mu_a, "visual": mu_v}, step.generator)
        self.means.add(COLUMNS, torch.tensor([omega, mu_a, mu_v, float(mu_v < 1)], dtype=torch.float64))

    def _modulate(
        self, groups: Mapping[str, Sequence[nn.Parameter]], mu: Mapping[str, float], generator: torch.Generator
    ) -> None:
        scaled = mu
        if self.options.apply == "update":
            # Gradients get their noise as usual; what is kept here is the weights from which after_step takes a share
            # of the step.
            scaled = dict.fromkeys(mu, 1.0)
            self._kept = [
                (parameters, [parameter.detach().clone() for parameter in parameters], mu[modality])
                for modality, parameters in groups.items()
                if mu[modality] < 1
            ]
        modulate_groups(groups, scaled, self.options.noise, generator)

    def after_step(self) -> None:
        """Scale the optimiser's step where `apply` is "update"; to be called after that step."""
        for parameters, before, mu in self._kept:
            scale_update(parameters, before, mu)
        self._kept = []

    def state_dict(self) -> dict[str, Any]:
        """The sums of the unfinished epoch; noise needs no state, its generator belongs to the step."""
        return self.means.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.means.load_state_dict(state)


def both_scores(output: ModelOutput, method: str) -> tuple[Tensor, Tensor]:
    """The audio and visual scores `(..., C)`; raises UserError when the model has not both."""
    missing = sorted(set(MODALITIES) - set(output.scores))
    if missing:
        raise UserError(f"method {method}: the model gives no {' and '.join(missing)} scores; use fusion-net.")
    return output.scores["audio"], output.scores["visual"]


class SingleLabelModulation(Method):
    """Base of methods with an int64 label `(...)` per sample, scores `(..., C)`, whose gradients can be modulated."""

    kept = ("modulation",)
    options: ModulationOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.modulation = Modulation(self.options)

    def groups(self, model: Model) -> Mapping[str, Sequence[nn.Parameter]] | None:
        """Parameters to modulate by modality; None, by default, for the model's own groups."""
        return None

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> None:
        """Modulate by the imbalance of the softmax scores over all samples; raises UserError where there are none."""
        if self.options.dgm:
            # AVE has a label for each second: seconds count as samples, so that Eq. 6 sums over all of them.
            audio, visual = (each.detach().softmax(-1).flatten(0, -2) for each in both_scores(output, self.name))
            label = one_hot(batch.label.flatten(), output.logits.shape[-1])
            self.modulation.gradients(model, (audio, visual), label, self.groups(model), step)

    def after_step(self, model: Model, step: TrainingStep) -> None:
        self.modulation.after_step()

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        log |= self.modulation.means.close()
