"""OPM: on-the-fly prediction modulation, which drops features of the leading modality (Wei et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.declared import Count, Declared, Share, Weight
from avbalance.methods.base import Method, MethodCard, NoOp, TrainingStep
from avbalance.methods.ogm_ge import confidence_sum
from avbalance.methods.parts.fusing import both_features, fused
from avbalance.methods.parts.modulation import both_scores
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput


class OPMOptions(Declared):
    """Options of opm."""

    base: Share = 0.5
    """Wei et al. 2024, reference code, q_base: the chance to be dropped of a modality that hardly leads"""
    growth: Weight = 0.5
    """Wei et al. 2024, reference code, lambda: by how much of itself that chance grows with the lead at the most"""
    executed: Share = 0.7
    """Wei et al. 2024, reference code, p_exe: the share of steps in which anything is dropped"""
    start_epoch: Count = 0
    """BalanceBenchmark, 0-based, included; the reference code waits for 6 epochs of 100"""


def drop_probabilities(confidences: Tensor, base: float, growth: float) -> Tensor:
    """q `(2,)` of the batch sums of confidence `(2,)`: `base (1 + growth tanh(rho_m - 1))` where rho_m > 1, else 0.

    `rho_m = s_m / s_other`; clipped to [0, 1]. At most one modality leads, so that one of the two is always 0.
    """
    # The smallest normal number: a modality without confidence is led without end, and tanh bounds what follows.
    rho = confidences / confidences.flip(0).clamp_min(torch.finfo(confidences.dtype).tiny)
    return (base * (1 + growth * (rho - 1).tanh())).clamp(0, 1).where(rho > 1, 0)


def dropped(features: tuple[Tensor, Tensor], kept: Tensor, probabilities: Tensor) -> list[Tensor]:
    """Features `(B, D)` of two modalities with whole clips set to 0, all divided by `1 - theta`.

    kept `(2, B)`: True where a clip keeps the modality. theta is the mean of the `probabilities` `(2,)` weighted by the
    number of dimensions, so that what is expected of the whole vector keeps its size.
    """
    dimensions = [feature.shape[1] for feature in features]
    weighted = sum(size * q for size, q in zip(dimensions, probabilities, strict=True))
    scale = 1 / (1 - weighted / sum(dimensions))
    return [feature * (mask * scale)[:, None].to(feature.dtype) for feature, mask in zip(features, kept, strict=True)]


class OPM(Method):
    """Drop, for clips drawn anew in a step, the feature of the modality that leads, the likelier the more it leads.

    Nothing is dropped in evaluation. With two modalities never more than one has a chance to be dropped, so that no
    clip loses both.

    Equation: `CE(f(M_a h_a / (1 - theta), M_v h_v / (1 - theta)), y)`, `M_m ~ Bernoulli(1 - q_m)` per clip, `q_m =
    base (1 + growth tanh(rho_m - 1))` where `rho_m = s_m / s_other > 1`, else 0; `s_m = sum over the batch of
    softmax(z_m)[y]`; theta is the mean of q. A step is modulated with the probability `executed`.
    """

    card = MethodCard(
        name="opm",
        label="OPM",
        reference="Wei et al., IEEE TPAMI 2024, arXiv 2410.11582",
        summary="Features of the leading modality are dropped at random, the likelier the more it leads.",
        options=OPMOptions,
        fusions=("concat", "sum", "film", "gated"),
        no_op=NoOp({"executed": 0.0}, {}, "baseline"),
        deviations=(
            "For film and gated fusion a modality's scores come from a zero vector in the other's place; the "
            "reference code's slices of the head do not fit.",
        ),
    )
    options: OPMOptions

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The cross-entropy of the modulated prediction; raises UserError for another network."""
        if step.epoch < self.options.start_epoch:
            return cross_entropy(output.logits, batch.label)
        confidences = torch.stack([confidence_sum(scores, batch.label) for scores in both_scores(output, self.name)])
        # Drawn in every step, also where nothing is dropped: the stream does not depend on who leads.
        drawn = torch.rand(2, len(batch.label), generator=step.generator, device=batch.label.device)
        executed = torch.rand((), generator=step.generator, device=batch.label.device) < self.options.executed
        q = drop_probabilities(confidences.float(), self.options.base, self.options.growth) * executed
        kept = drawn >= q[:, None]
        self.means.add([f"dropped_{name}" for name in MODALITIES], 1 - kept.float().mean(1))
        audio, visual = dropped(both_features(output, self.name), kept, q)
        return cross_entropy(fused(model, audio, visual, self.name), batch.label)


METHOD = OPM
