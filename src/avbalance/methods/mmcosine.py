"""MMCosine: multi-modal cosine loss (Xu et al. 2023)."""

from __future__ import annotations

from avbalance.declared import Above0, Declared
from avbalance.errors import UserError
from avbalance.methods.base import Method, MethodCard, Training
from avbalance.models.cosine_net import CosineNet


class MMCosineOptions(Declared):
    """Options of mmcosine."""

    scale: Above0 = 15.0
    """BalanceBenchmark; cosines are multiplied by it, or the softmax could not come near 0 and 1"""


class MMCosine(Method):
    """Cross-entropy of cosines, so that no modality leads by the size of its features or of its weights.

    The network has the cosines in training and in evaluation.

    Equation: `CE(z, y)`, `z_k = scale sum_m <W_mk / ||W_mk||, h_m / ||h_m||>`.
    """

    card = MethodCard(
        name="mmcosine",
        label="MMCosine",
        reference="Xu et al., ICASSP 2023, arXiv 2303.05338",
        summary="Logits are sums of both modalities' scaled cosines between features and weights.",
        options=MMCosineOptions,
        models=("cosine-net",),
    )
    options: MMCosineOptions

    def prepare(self, trainer: Training) -> None:
        """Give the network its scale; raises UserError for a network without cosines."""
        if not isinstance(trainer.model, CosineNet):
            raise UserError(f"method {self.name}: the model's logits are no cosines; use cosine-net.")
        trainer.model.fusion.scale.fill_(self.options.scale)


METHOD = MMCosine
