"""UMT: uni-modal teacher, whose features each encoder of the joint network is to keep (Du et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from avbalance.declared import Declared, Weight
from avbalance.errors import UserError
from avbalance.methods.base import Given, Method, MethodCard, NoOp, Training, TrainingStep
from avbalance.methods.parts.teachers import teacher_of
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput
from avbalance.models.unimodal_net import UnimodalNet


class UMTOptions(Declared):
    """Options of umt."""

    weight: Weight = 10.0
    """BalanceBenchmark; Du et al. 2023 choose it for each data set"""


def feature_distances(features: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Mean squared differences, over clips and dimensions, `(2,)` of audio and visual features `(B, D)`.

    No gradient flows into the targets.
    """
    return torch.stack([mse_loss(features[name].float(), targets[name].detach().float()) for name in MODALITIES])


class UMT(Method):
    """Joint training in which each encoder stays near one that was trained alone and is frozen.

    Equation: `CE(z, y) + weight sum_m mean (h_m - t_m)^2`, t_m the features of the encoder of modality m that a
    unimodal run has trained, for the same augmented clips, in evaluation mode.
    """

    card = MethodCard(
        name="umt",
        label="UMT",
        reference="Du et al., ICML 2023, arXiv 2305.01233",
        summary="Features are drawn to those of encoders that were trained on one modality alone.",
        options=UMTOptions,
        fusions=("concat", "sum", "film", "gated"),
        no_op=NoOp({"weight": 0.0}, {}, "baseline"),
        deviations=("A step costs a forward pass of both teachers more; their trainings come on top.",),
    )
    options: UMTOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.teachers: dict[str, Model] = {}

    def prepare(self, trainer: Training) -> None:
        """Load both teachers; raises UserError when one is missing or does not fit the network or its clips."""
        if set(trainer.model.modalities) != set(MODALITIES):
            raise UserError(f"method {self.name}: the model reads one modality alone; use fusion-net.")
        self.teachers = {name: teacher_of(self, trainer, name, (UnimodalNet,)) for name in MODALITIES}
        for name, network in self.teachers.items():
            theirs, ours = (each.encoders[name].dimension for each in (network, trainer.model))
            # Before training: mse_loss would broadcast or fail in the first step, without a word on which run to
            # change.
            if theirs != ours:
                raise UserError(
                    f"method {self.name}: teacher_{name} makes {theirs} values where this network makes {ours}; give "
                    "both runs the same encoder."
                )

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The cross-entropy of the prediction plus the weighted distances, whose means go into the history."""
        with torch.no_grad():
            targets = {name: network(batch).features[name] for name, network in self.teachers.items()}
        distances = feature_distances(output.features, targets)
        self.means.add([f"distance_{name}" for name in MODALITIES], distances)
        return cross_entropy(output.logits, batch.label) + self.options.weight * distances.sum()


METHOD = UMT
