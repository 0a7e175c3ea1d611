"""Dynamic gradient modulation (Fu, Gao and Xu, section III): measure the imbalance, damp the leading modality.

Pure functions. Importing this module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from avbalance.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

MEASURES = ("score", "discrepancy", "fusion")
NOISES = ("added", "literal", "none")
FLOOR = 1e-6


def score_and_discrepancy(scores: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two parts of Eq. 6 of one modality, summed over a batch: S and D, detached float64 scalars.

    scores `(N, C)` in (0, 1), label `(N, C)` clean and binary. `S = sum_n sum_{c positive} s`, a sum over positive
    classes, not a mean; `D = sum_n (mean_{c positive} s - mean_{c negative} s)`. Samples without a positive or without
    a negative class count in neither.
    """
    known, positive = scores.detach().double(), label.detach().double()
    negative = 1 - positive
    positives, negatives = positive.sum(1), negative.sum(1)
    usable = (positives > 0) & (negatives > 0)
    # Masked, not indexed: indexing by a mask waits for the device.
    of_positive, of_negative = (known * positive).sum(1), (known * negative).sum(1)
    discrepancy = of_positive / positives.clamp_min(1) - of_negative / negatives.clamp_min(1)
    return of_positive.where(usable, 0).sum(), discrepancy.where(usable, 0).sum()


def side(scores: Tensor, label: Tensor, measure: str = "fusion") -> Tensor:
    """Return one modality's side of the ratio, a scalar: S ("score"), D ("discrepancy") or S + D ("fusion", Eq. 6).

    Shapes as in `score_and_discrepancy`. Raises UserError for another measure.
    """
    if measure not in MEASURES:
        raise UserError(f"unknown measure {measure!r}; use one of {', '.join(MEASURES)}.")
    score, discrepancy = score_and_discrepancy(scores, label)
    return {"score": score, "discrepancy": discrepancy, "fusion": score + discrepancy}[measure]


def measured(scores: Tensor, label: Tensor, measure: str = "fusion") -> float:
    """Return `side` as a number."""
    return float(side(scores, label, measure))


def imbalance(scores_audio: Tensor, scores_visual: Tensor, label: Tensor, measure: str = "fusion") -> float:
    """Return omega_va, visual over audio, of a mini-batch; omega_av is its inverse (Eq. 6).

    Scores and label `(N, C)`. Divided once per mini-batch, as Eq. 6 has it; the text speaks of each video. Decision:
    both sides are at least 1e-6, since the discrepancy may be negative early in training; with both there, omega is 1
    and nothing is modulated. Waits for the device once.
    """
    import torch

    sides = torch.stack([side(scores, label, measure) for scores in (scores_audio, scores_visual)])
    audio, visual = (max(value, FLOOR) for value in sides.tolist())
    return float(visual / audio)


def coefficients(omega_va: float, gamma: float) -> tuple[float, float]:
    """Return (mu_a, mu_v), of which at most one is below 1 (Eq. 7).

    A modality whose omega exceeds 1 gets `1 - tanh(gamma omega)`, any other 1: just above 1 the coefficient jumps to
    `1 - tanh(gamma)`, as published.
    """
    omega_av = 1 / omega_va
    mu_a, mu_v = (1 - math.tanh(gamma * omega) if omega > 1 else 1.0 for omega in (omega_av, omega_va))
    return mu_a, mu_v


def modulate(gradient: Tensor, mu: float, noise: str = "added", generator: torch.Generator | None = None) -> None:
    """Scale a gradient g in place and add noise, iid over its elements (Eqs. 8 and 9).

    With `sd` the unbiased standard deviation of the elements of the unmodulated g, plus 1e-8:
    "added": `mu g + N(0, sd^2)`. Decision: mu g already varies by mu^2 sd^2, which with this noise makes the
    (mu^2 + 1) sd^2 of Eq. 9. "literal": `g + N(0, (mu^2 + 1) sd^2)`, Eq. 9 read word by word. "none": `mu g`.

    The generator must be on the gradient's device. Raises UserError for another noise, or for noise without generator.
    """
    if noise not in NOISES:
        raise UserError(f"unknown noise {noise!r}; use one of {', '.join(NOISES)}.")
    if noise == "none":
        gradient.mul_(mu)
        return
    if generator is None:
        raise UserError(f"gradient noise {noise!r} needs a generator; give one, or use noise 'none'.")
    deviation = (gradient.std() if gradient.numel() > 1 else gradient.new_zeros(())) + 1e-8
    drawn = gradient.new_empty(gradient.shape).normal_(generator=generator)
    if noise == "added":
        gradient.mul_(mu).add_(drawn.mul_(deviation))
    else:
        gradient.add_(drawn.mul_(deviation * math.sqrt(mu**2 + 1)))


def modulate_groups(
    groups: Mapping[str, Iterable[nn.Parameter]],
    mu: Mapping[str, float],
    noise: str = "added",
    generator: torch.Generator | None = None,
) -> None:
    """Modulate the gradients of each modality's parameters, in order, by its coefficient; noise also where mu is 1.

    Parameters without gradient are passed over. Raises UserError when a group has no gradient at all.
    """
    for modality, parameters in groups.items():
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            raise UserError(f"dynamic gradient modulation: the {modality} group has no gradient to modulate.")
        for gradient in gradients:
            modulate(gradient, mu[modality], noise, generator)


def scale_update(parameters: Sequence[nn.Parameter], before: Sequence[Tensor], mu: float) -> None:
    """Take back, in place, all but the share mu of an optimiser's step from `before`; nothing happens when mu is 1.

    An option of ours beside the scaling of gradients: Adam divides by the running size of the gradient and so nearly
    cancels a slowly varying coefficient.
    """
    if mu == 1:
        return
    for parameter, start in zip(parameters, before, strict=True):
        parameter.data.lerp_(start, 1 - mu)
