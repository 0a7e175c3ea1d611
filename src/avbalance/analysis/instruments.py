"""Instruments that say how much each modality matters, as one value per test clip, so that each has an interval.

Every instrument is a mean over clips: `mean_of` gives it an interval over seeds and clips (analysis/statistics.py).
Whether an instrument tells the truth is tried where the truth is known: docs/reference/instruments.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from avbalance.analysis.statistics import DRAWS, LEVEL, EffectEstimate, clip_weights, estimate

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
BINS = 15  # of calibration, as in Guo et al. 2017
_TEMPERATURES = (0.05, 20.0)  # between which one is looked for; beyond, predictions are certain or even anyway


@dataclass(frozen=True)
class Interval:
    """A number with its interval at `LEVEL`, and the smallest true effect that would have been seen (see POWER)."""

    value: float
    low: float
    high: float
    detectable: float

    @property
    def decided(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def mean_of(values: Floats, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Mean of per-clip values (S, N) of S trainings, with its interval; of one training, over clips alone."""
    clips = values.shape[1]
    weights = clip_weights(clips, draws, np.random.default_rng(seed))
    effects = weights @ values.T / clips
    return interval_of(estimate(effects, clips, trained=values.shape[0] > 1))


def interval_of(effect: EffectEstimate) -> Interval:
    """The interval of an estimate."""
    half = effect.half_width(1 - LEVEL)
    return Interval(effect.effect, effect.effect - half, effect.effect + half, effect.detectable(1 - LEVEL))


def correct(logits: Floats, labels: Labels) -> Floats:
    """100 for a clip that is told right, else 0: logits (..., N, C) and labels (N,) to (..., N)."""
    return 100.0 * (logits.argmax(-1) == labels)


def shapley(both: Floats, audio: Floats, visual: Floats, neither: Floats) -> dict[str, Floats]:
    """Each modality's exact Shapley value, by clip, of what the four coalitions of the two are worth there.

    A modality's value is the mean of what it adds to nothing and what it adds to the other (Shapley 1953; for
    modalities Hu et al. 2022, SHAPE). The two add up to `both - neither`.
    """
    return {
        "audio": ((audio - neither) + (both - visual)) / 2,
        "visual": ((visual - neither) + (both - audio)) / 2,
    }


def temperature(logits: Floats, labels: Labels) -> float:
    """The temperature that makes predictions of validation clips most likely (Guo et al. 2017, arXiv 1706.04599)."""
    from scipy.optimize import minimize_scalar

    def loss(power: float) -> float:
        # By its logarithm: halving and doubling the temperature are steps of equal size.
        return -float(information(logits / np.exp(power), labels).mean())

    low, high = np.log(_TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def information(logits: Floats, labels: Labels) -> Floats:
    """Log probability, in nats, of the true class: logits (..., N, C) to (..., N)."""
    told = np.broadcast_to(labels[:, None], (*logits.shape[:-1], 1))
    return np.take_along_axis(log_softmax(logits, axis=-1), told, axis=-1)[..., 0]


def decomposed(both: Floats, audio: Floats, visual: Floats, prior: Floats) -> dict[str, Floats]:
    """What the modalities tell of the class together and apart, in nats by clip, from log probabilities of the truth.

    i = log p(y | x) - log p(y) is the pointwise information of each model's input. redundant: i(audio) + i(visual) -
    i(both) of a clip where all four numbers have one sign, else 0 (common change in surprisal, Ince 2017, arXiv
    1602.05063: the smaller of the two would call two different bits redundant); unique: the rest of each; synergistic:
    what `both` has beyond these three. The means over clips add up to the information of `both`. A model that has not
    learnt what its input holds makes its parts too small: these are lower bounds.
    """
    first, second, joint = audio - prior, visual - prior, both - prior
    common = first + second - joint
    signs = np.sign([first, second, joint, common])
    # Where signs differ, one modality informs and the other misinforms: what they "share" has no meaning there.
    redundant = np.where((signs == signs[0]).all(axis=0), common, 0.0)
    return {
        "redundant": redundant,
        "unique_audio": first - redundant,
        "unique_visual": second - redundant,
        "synergistic": joint - first - second + redundant,
    }


def calibration_gaps(logits: Floats, labels: Labels, bins: int = BINS) -> Floats:
    """Values (N,), in percent, with the expected calibration error of predictions (N, C) as its mean (Guo et al. 2017).

    15 bins of equal width. A clip's value is 100 times (right - confidence), with the sign of the mean of its bin; an
    interval of the mean takes these signs as given. A perfectly calibrated model has an error above 0 by chance.
    """
    chances = np.exp(log_softmax(logits, axis=-1))
    confidence, right = chances.max(-1), chances.argmax(-1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    signs = np.sign(np.bincount(place, right - confidence, bins))
    return 100.0 * signs[place] * (right - confidence)


def disagreement(audio: Floats, visual: Floats) -> Floats:
    """Jensen-Shannon divergence, 0 to 1, between the predictions (N, C) of the two modalities, by clip."""
    first, second = (np.exp(log_softmax(logits, axis=-1)) for logits in (audio, visual))
    middle = (first + second) / 2

    def entropy(chances: Floats) -> Floats:
        value: Floats = -(chances * np.log2(np.maximum(chances, 1e-12))).sum(-1)
        return value

    # Rounding can leave a hair below 0 for equal predictions.
    return np.clip(entropy(middle) - (entropy(first) + entropy(second)) / 2, 0.0, 1.0)


def mislabelled(audio: Floats, visual: Floats, labels: Labels) -> Floats:
    """How sure both modalities are, each by itself, of one and the same class that is not the label: 0 to 1, by clip.

    The smaller of both probabilities of the class that they name; 0 where they differ or name the label (after
    confident learning, Northcutt et al. 2021, arXiv 1911.00068, with two views in place of one).
    """
    first, second = (np.exp(log_softmax(logits, axis=-1)) for logits in (audio, visual))
    named, other = first.argmax(-1), second.argmax(-1)
    sure = np.minimum(first.max(-1), second.max(-1))
    return np.where((named == other) & (named != labels), sure, 0.0)
