"""DGL: encoders learn from unimodal losses alone, the fusion head from the fused loss alone (Wei et al. 2025)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from avbalance.declared import Declared, Weight
from avbalance.methods.base import Method, MethodCard, TrainingStep
from avbalance.methods.parts.fusing import fusion_net
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput
from avbalance.models.fusion_net import FusionNet


class DGLOptions(Declared):
    """Options of dgl."""

    alpha: Weight = 4.0
    """DGL reference code, weight of the unimodal losses; its scripts: CREMA-D 4 and 5, Kinetics-Sounds 2 and 3"""


def logits_alone(model: FusionNet, features: dict[str, Tensor], modality: str) -> Tensor:
    """The fused logits `(B, C)` of one modality's features `(B, D)` with a zero vector in the other's place.

    No gradient reaches the fusion head.
    """
    # Detached weights in the same head: gradients pass through it to the encoder and stop at its parameters.
    frozen = {name: each.detach() for name, each in model.fusion.named_parameters()}
    inputs = [each if name == modality else torch.zeros_like(each) for name, each in features.items()]
    fused: Tensor = functional_call(model.fusion, frozen, tuple(inputs))[0]
    return fused


class DGL(Method):
    """No gradient of the fused loss reaches an encoder, and none of a unimodal loss the fusion head.

    Equation: `CE(f(sg(x_a), sg(x_v)), y) + alpha (CE(f'(x_a, 0), y) + CE(f'(0, x_v), y))`; f is the fusion head, f' the
    same without gradient to its weights, sg stops the gradient.
    """

    card = MethodCard(
        name="dgl",
        label="DGL",
        reference="Wei, Luo and Luo (ICCV 2025), arXiv 2507.10213",
        summary="Encoders learn from unimodal losses alone, the fusion head from the fused loss on fixed features.",
        options=DGLOptions,
        fusions=("sum", "concat"),
        deviations=(
            "The reference code cuts gradients longer than 40, which is no part of the method, and is left out.",
            "With sum fusion the other modality's bias stays in a unimodal prediction, as it does with concat; the "
            "reference code leaves it out.",
            "Not for film and gated fusion: with a zero vector in the other's place they start without any gradient "
            "to an encoder, and the reference code then feeds a modality to itself.",
        ),
    )
    options: DGLOptions

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The fused loss plus alpha times the unimodal ones; raises UserError when the model is not a fusion-net."""
        network = fusion_net(model, self.name)
        fixed = {name: each.detach() for name, each in output.features.items()}
        fused = cross_entropy(network.fuse(fixed), batch.label)
        alone = [cross_entropy(logits_alone(network, output.features, name), batch.label) for name in MODALITIES]
        self.means.add(["loss_fused", "loss_audio", "loss_visual"], torch.stack([fused, *alone]))
        return fused + self.options.alpha * (alone[0] + alone[1])


METHOD = DGL
