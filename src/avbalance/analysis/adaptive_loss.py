"""The adaptive loss of three objectives, its two stages, and the samples worth fine-tuning on.

Liu, Yu and Liu, "Quantifying Multimodal Imbalance", arXiv 2510.21797. The abstracts state the objectives: (1) a small
modality gap overall, (2) imbalanced samples moving towards the balanced ones, (3) a larger gap penalty for imbalanced
samples and, since the second version, a larger fusion loss for balanced ones. Every formula here is our formulation; no
equation of the paper was available. B samples, C classes. Importing this module imports neither NumPy nor torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from avbalance.analysis.gap_mixture import GAPS, Mixture, log_odds
from avbalance.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    IntArray = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]

ALIGNMENTS = ("w2", "kl", "nll")
SEPARATIONS = ("posterior", "threshold", "gap", "constant")
FINE_TUNING_SETS = ("high-quality", "full", "random", "complement")
HARD_THRESHOLD = 0.5
CONSTANT = 0.5
LEAST_MASS = 1.0  # imbalanced samples of a batch, in sum of w, below which nothing is aligned
VARIANCE_FLOOR = 1e-8


@dataclass(frozen=True)
class AdaptiveSettings:
    """Settings of the adaptive stage; all defaults are our formulation.

    alpha: how much more an imbalanced sample's gap counts (0: plain mean gap). beta: how much more a balanced sample's
    fusion loss counts (0: the paper's first version). lambda_gap, lambda_align: weights of the two added terms. gap:
    what the mixture was fitted on, "abs" or "signed". align: distance of the batch's imbalanced group from the balanced
    component, "w2", "kl" or "nll". separation: where w comes from, "posterior" or a control: "threshold" (g > 0.5),
    "gap" (w = g), "constant" (w = 0.5). posterior_monotone: as in `modality_gap.posterior`. gap_detach_strong: no
    gradient of the gap reaches the branch with the larger score. Raises UserError for a value that does not exist.
    """

    alpha: float = 1.0
    beta: float = 1.0
    lambda_gap: float = 1.0
    lambda_align: float = 1.0
    gap: str = "abs"
    align: str = "w2"
    separation: str = "posterior"
    posterior_monotone: bool = False
    gap_detach_strong: bool = False

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "lambda_gap", "lambda_align"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"adaptive loss: {name} is {getattr(self, name)!r}; it must be at least 0.")
        for name, allowed in (("gap", GAPS), ("align", ALIGNMENTS), ("separation", SEPARATIONS)):
            if getattr(self, name) not in allowed:
                raise UserError(
                    f"adaptive loss: {name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}."
                )


class AdaptiveTerms(NamedTuple):
    """The unweighted parts of the objective, scalars: both branches, fusion, gap, alignment."""

    uni: Tensor
    fusion: Tensor
    gap: Tensor
    align: Tensor

    def total(self, settings: AdaptiveSettings) -> Tensor:
        """Return `L_uni + L_fus + lambda_gap L_gap + lambda_align L_align`; a term of weight 0 is left out."""
        total = self.uni + self.fusion
        for weight, term in ((settings.lambda_gap, self.gap), (settings.lambda_align, self.align)):
            if weight:
                total = total + weight * term
        return total


def in_warm_up(epoch: int, warm_up_epochs: int) -> bool:
    """Whether a 0-based epoch belongs to the first stage."""
    return epoch < warm_up_epochs


def fit_due(finished_epoch: int, warm_up_epochs: int) -> bool:
    """Whether the mixture is fitted after a 0-based epoch, -1 standing for the untrained network.

    Our formulation: first after the last epoch of warm-up, then after every adaptive one; constant in between.
    """
    return finished_epoch >= warm_up_epochs - 1


def true_class_score(logits: Tensor, label: Tensor) -> Tensor:
    """Return the softmax score of the true class: `(B, C)`, `(B,)` to `(B,)`."""
    return logits.softmax(1).gather(1, label[:, None])[:, 0]


def signed_gap(audio: Tensor, visual: Tensor, label: Tensor, detach_strong: bool = False) -> Tensor:
    """Return d = s_a - s_v `(B,)`, with gradient, from each branch's own logits `(B, C)`.

    With `detach_strong` the larger score passes no gradient. Its absolute value has derivative 0 at 0.
    """
    s_a, s_v = true_class_score(audio, label), true_class_score(visual, label)
    if detach_strong:
        audio_leads, visual_leads = s_a > s_v, s_v > s_a
        s_a, s_v = s_a.detach().where(audio_leads, s_a), s_v.detach().where(visual_leads, s_v)
    return s_a - s_v


def imbalance(signed: Tensor, mixture: Mixture | None, settings: AdaptiveSettings) -> Tensor:
    """Return w `(B,)`, detached: P(I | g) of the current gaps under the epoch's mixture; 0 without a mixture.

    The controls of `settings.separation` need no mixture, yet are 0 without one too, so that they differ from the
    method in w alone.
    """
    import torch

    d = signed.detach().double()
    if mixture is None:
        return torch.zeros_like(signed.detach())
    g = d.abs()
    if settings.separation == "posterior":
        value = g if settings.gap == "abs" else d
        if settings.posterior_monotone:
            value = value.clamp(*sorted((mixture.mu_B, mixture.mu_I)))
        w = log_odds(value, mixture).sigmoid()
    elif settings.separation == "threshold":
        w = (g > HARD_THRESHOLD).double()
    else:
        w = g if settings.separation == "gap" else torch.full_like(g, CONSTANT)
    return w.to(signed.dtype)


def alignment(value: Tensor, w: Tensor, mixture: Mixture, form: str = "w2") -> Tensor:
    """Return how far the batch's imbalanced group is from the balanced component, a scalar; 0 where `sum w < 1`.

    value `(B,)`: gaps, with gradient; w `(B,)` without. With `m = sum w g / sum w` and
    `s = sqrt(sum w (g - m)^2 / sum w + 1e-8)`: "w2", the squared 2-Wasserstein distance of two Gaussians,
    `(m - mu_B)^2 + (s - sigma_B)^2`; "kl", `KL(N(m, s^2) || N(mu_B, sigma_B^2))`, which explodes for a narrow balanced
    component; "nll", `mean w (g - mu_B)^2 / (2 sigma_B^2)`.
    """
    mass = w.sum()
    known = mass.clamp_min(LEAST_MASS)  # keeps the unused branch of `where` finite
    m = (w * value).sum() / known
    s = ((w * (value - m).square()).sum() / known + VARIANCE_FLOOR).sqrt()
    mu, sigma = mixture.mu_B, mixture.sigma_B
    if form == "w2":
        distance = (m - mu).square() + (s - sigma).square()
    elif form == "kl":
        distance = (sigma / s).log() + (s.square() + (m - mu).square()) / (2 * sigma**2) - 0.5
    else:
        distance = (w * (value - mu).square()).mean() / (2 * sigma**2)
    return distance.where(mass >= LEAST_MASS, 0)


class WarmUpTerms(NamedTuple):
    """The parts of the first stage's loss, scalars: `mean (CE_a + CE_v)` and `mean CE_f`."""

    uni: Tensor
    fusion: Tensor

    def total(self) -> Tensor:
        """Return `L_warm = mean_i (CE_f + CE_a + CE_v)`."""
        return self.uni + self.fusion


def warm_up_terms(fused: Tensor, audio: Tensor, visual: Tensor, label: Tensor) -> WarmUpTerms:
    """Return the parts of the first stage's loss, of three heads' logits `(B, C)` and label `(B,)`."""
    ce_f, ce_a, ce_v = _cross_entropies(fused, audio, visual, label)
    return WarmUpTerms((ce_a + ce_v).mean(), ce_f.mean())


def adaptive_terms(
    fused: Tensor,
    audio: Tensor,
    visual: Tensor,
    label: Tensor,
    mixture: Mixture | None,
    settings: AdaptiveSettings | None = None,
) -> AdaptiveTerms:
    """Return the parts of the second stage's loss, of three heads' logits `(B, C)` and label `(B,)`.

    `L_uni = mean (CE_a + CE_v)`, `L_fus = mean (1 + beta (1 - w)) CE_f`, `L_gap = mean (1 + alpha w) |d|`, and L_align
    as in `alignment`. Gradients flow through the gaps of L_gap and L_align, not through w. Without a mixture w is 0 and
    L_align is 0. With beta and both lambdas 0 the total is the warm-up loss to the bit.
    """
    settings = AdaptiveSettings() if settings is None else settings
    ce_f, ce_a, ce_v = _cross_entropies(fused, audio, visual, label)
    d = signed_gap(audio, visual, label, settings.gap_detach_strong)
    g = d.abs()
    w = imbalance(d, mixture, settings)
    align = g.new_zeros(())
    if mixture is not None:
        align = alignment(g if settings.gap == "abs" else d, w, mixture, settings.align)
    return AdaptiveTerms(
        uni=(ce_a + ce_v).mean(),
        fusion=((1 + settings.beta * (1 - w)) * ce_f).mean(),
        gap=((1 + settings.alpha * w) * g).mean(),
        align=align,
    )


def _cross_entropies(fused: Tensor, audio: Tensor, visual: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    from torch.nn.functional import cross_entropy

    return (
        cross_entropy(fused, label, reduction="none"),
        cross_entropy(audio, label, reduction="none"),
        cross_entropy(visual, label, reduction="none"),
    )


def high_quality(
    values: NDArray[np.floating[Any]], mixture: Mixture | None, threshold: float = 0.5, monotone: bool = False
) -> BoolArray:
    """Return which samples (N,) to fine-tune on: those with P(B | g) >= threshold; all without a mixture.

    values: gaps (N,) of the kind that the mixture was fitted on. The abstracts speak of high-quality, mixture-filtered
    balanced samples; the threshold is our formulation. Raises UserError for a threshold outside (0, 1].
    """
    from avbalance.analysis.modality_gap import posterior

    if not 0 < threshold <= 1:
        raise UserError(f"fine-tuning: threshold is {threshold!r}; it must be above 0 and at most 1.")
    kept: BoolArray = 1 - posterior(values, mixture, monotone) >= threshold
    return kept


def fine_tuning_set(name: str, kept: BoolArray, label: IntArray, generator: np.random.Generator) -> IntArray:
    """Return the positions, ascending, of one of FINE_TUNING_SETS: the high-quality samples or a control.

    kept, label (N,). "random" has as many samples of every class as "high-quality", drawn from all without
    replacement. A set may be empty, as the
    complement is without a mixture. Raises UserError for another name.
    """
    import numpy as np

    if name not in FINE_TUNING_SETS:
        raise UserError(f"unknown fine-tuning set {name!r}; use one of {', '.join(FINE_TUNING_SETS)}.")
    if name == "random":
        drawn = [
            generator.choice(np.flatnonzero(label == known), int((kept & (label == known)).sum()), replace=False)
            for known in np.unique(label)
        ]
        chosen = np.sort(np.concatenate(drawn)) if drawn else np.empty(0, np.int64)
    else:
        masks = {"high-quality": kept, "full": np.ones_like(kept), "complement": ~kept}
        chosen = np.flatnonzero(masks[name])
    return chosen.astype(np.int64)


def retention(kept: BoolArray, label: IntArray, classes: int) -> NDArray[np.float64]:
    """Return the share of every class's samples that is kept, (classes,); NaN for a class without samples."""
    import numpy as np

    total = np.bincount(label, minlength=classes)
    shares = np.full(classes, np.nan)
    np.divide(np.bincount(label, weights=kept, minlength=classes), total, out=shares, where=total > 0)
    return shares
