"""PMR: prototypical modal rebalance, which draws the slower modality to its classes' prototypes (Fan et al. 2023)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from avbalance.declared import Count, Declared, Share, Weight
from avbalance.methods.base import Given, Indices, Method, MethodCard, NoOp, Training, TrainingStep
from avbalance.methods.ogm_ge import confidence_sum
from avbalance.methods.parts.fusing import both_features
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput
from avbalance.streams import derive

Scale = Literal["full", "gap"]


class PMROptions(Declared):
    """Options of pmr."""

    alpha: Weight = 1.0
    """Fan et al. 2023, reference code: its default; 0.6 in BalanceBenchmark"""
    scale: Scale = "full"
    """Fan et al. 2023, reference code: the slower modality gets all of alpha; gap: its share clip(lead - 1, 0, 1)"""
    momentum: Share = 0.5
    """BalanceBenchmark: share of the earlier prototypes in the new ones; 0.2 in the reference code"""
    share: Share = 0.1
    """Fan et al. 2023, reference code: share of the training clips whose features make the prototypes"""
    end_epoch: Count | None = None
    """decision: to the end, as in BalanceBenchmark; 100 of 150 epochs in the reference code; 0-based, included"""


def clips_of_each_class(labels: Indices, share: float, generator: np.random.Generator) -> Indices:
    """Positions, ascending, of a share of each class's clips, rounded up, drawn at random; labels `(N,)`."""
    # A stable sort of a permutation: inside each class the order stays random, so that its first clips are a draw.
    shuffled = generator.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]  # class by class
    _, first, count = np.unique(labels[order], return_index=True, return_counts=True)
    place = np.arange(len(labels)) - np.repeat(first, count)
    return np.sort(order[place < np.repeat(np.ceil(share * count), count)])


def class_means(features: Tensor, label: Tensor, classes: int) -> Tensor:
    """The mean feature of each class `(C, D)` of features `(N, D)`; NaN for a class without a clip."""
    members = one_hot(label, classes).T.to(features.dtype)
    return members @ features / members.sum(1, keepdim=True)


def prototype_logits(features: Tensor, prototypes: Tensor) -> Tensor:
    """`-||h_i - c_k||` `(B, C)` of features `(B, D)` and prototypes `(C, D)`; -inf for a class without a prototype."""
    # By differences, not by |a|^2 + |b|^2 - 2ab, which loses digits where a feature lies close to its prototype.
    distance = torch.cdist(features, prototypes.nan_to_num(), compute_mode="donot_use_mm_for_euclid_dist")
    return (-distance).masked_fill(prototypes.isnan().any(1), -torch.inf)


def shares(confidences: Tensor, scale: Scale) -> Tensor:
    """What of alpha each modality's prototype loss gets `(2,)`, by the batch sums of confidence `(2,)`.

    With `rho_m = s_other / s_m`, the lead of the other one: 1 where rho_m > 1 ("full"), or `clip(rho_m - 1, 0, 1)`
    ("gap"); so that only the slower modality has any.
    """
    # The smallest normal number: a modality without any confidence is led by far, not by NaN.
    lead = confidences.flip(0) / confidences.clamp_min(torch.finfo(confidences.dtype).tiny)
    return (lead > 1).to(lead.dtype) if scale == "full" else (lead - 1).clamp(0, 1)


class PMR(Method):
    """Beside the fused cross-entropy, the slower modality is classified by its distance from the classes' prototypes.

    Prototypes are mean features of a share of the training clips, in evaluation mode, renewed before every epoch.

    Equation: `CE(z, y) + alpha sum_m w_m CE(-||h_m - c_m||, y)` with `w_m = 1` where `s_other / s_m > 1`, else 0;
    `s_m = sum over the batch of softmax(-||h_m - c_m||)[y]`; `c_m <- (1 - momentum) mean h_m + momentum c_m` per class.
    """

    card = MethodCard(
        name="pmr",
        label="PMR",
        reference="Fan et al., CVPR 2023, arXiv 2211.07089",
        summary="The modality whose features are farther from their classes' prototypes is drawn to them.",
        options=PMROptions,
        fusions=("concat", "sum", "film", "gated"),
        no_op=NoOp({"alpha": 0.0}, {}, "baseline"),
        deviations=(
            "The paper's entropy regularisation of the leading modality in the first epochs is left out, as in the "
            "reference code and in BalanceBenchmark: neither has it, nor says its weight and its epochs.",
            "Prototypes come from the same share of each class, one clip at least; the reference code takes the first "
            "batches of a shuffled set, where a class without a clip has no prototype.",
        ),
    )
    kept = ("means", "prototypes")
    options: PMROptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.prototypes: Tensor | None = None  # (2, C, D), audio and visual

    def epoch_start(self, trainer: Training, epoch: int) -> None:
        """Renew the prototypes; raises UserError for a model without the features of both modalities."""
        train = trainer.parts["train"]
        if self._over(epoch) or not len(train):
            return
        labels = trainer.source.targets[torch.as_tensor(train)].cpu().numpy()
        generator = np.random.default_rng(derive(trainer.seed, self.name, "clips", epoch))
        chosen = train[clips_of_each_class(labels, self.options.share, generator)]
        pairs = [(self._features(output), batch.label) for batch, output in trainer.outputs(chosen)]
        features, label = torch.cat([pair[0] for pair in pairs], 1), torch.cat([pair[1] for pair in pairs])
        classes = len(trainer.source.clips.classes)
        with torch.no_grad():
            both = torch.stack([class_means(each, label, classes) for each in features])
            if self.prototypes is not None:
                # From the second renewal on; the first prototypes are plain means, as nothing came before them.
                both = both.lerp(self.prototypes.to(both.device), self.options.momentum)
            self.prototypes = both

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The cross-entropy of the prediction plus the slower modality's prototype loss."""
        loss = cross_entropy(output.logits, batch.label)
        if self._over(step.epoch):
            return loss
        assert self.prototypes is not None
        pairs = zip(self._features(output), self.prototypes.to(loss.device), strict=True)
        logits = [prototype_logits(features, prototypes) for features, prototypes in pairs]
        weight = shares(torch.stack([confidence_sum(each, batch.label) for each in logits]), self.options.scale)
        self.means.add([f"prototype_share_{name}" for name in MODALITIES], weight)
        losses = torch.stack([cross_entropy(each, batch.label) for each in logits])
        return loss + (self.options.alpha * weight * losses).sum()

    def _over(self, epoch: int) -> bool:
        return self.options.end_epoch is not None and epoch > self.options.end_epoch

    def _features(self, output: ModelOutput) -> Tensor:
        """`(2, B, D)`, audio and visual."""
        return torch.stack([each.float() for each in both_features(output, self.name)])


METHOD = PMR
