"""Dynamic gradient modulation of classifiers with a label per clip (Fu, Gao and Xu)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from avbalance.declared import Count
from avbalance.methods.base import MethodCard, NoOp
from avbalance.methods.ogm_ge import modulated
from avbalance.methods.parts.modulation import OFF, ModulationOptions, SingleLabelModulation
from avbalance.models.base import MODALITIES, Model


class DGMOptions(ModulationOptions):
    """Options of dgm."""

    dgm: bool = True
    """Fu, Gao and Xu, section III; false leaves late fusion as it is"""
    end_epoch: Count | None = 50
    """OGM-GE reference code, whose window the baseline has; 0-based, included"""


class DGM(SingleLabelModulation):
    """Late fusion under one cross-entropy; convolution gradients are modulated by the measured imbalance.

    With the measure "score" this is OGM-GE but for two details: at omega = 1 neither is damped, and the sums of Eq. 6
    are taken in float64, so that coefficients agree to about 7 digits. Noise and scaling are the same.

    Equation: `g <- mu g + N(0, sd(g)^2)` with `mu = 1 - tanh(gamma omega)` for the modality whose omega exceeds 1, and
    1 for the other; `omega_va = (S_v + D_v) / (S_a + D_a)`, `omega_av = 1 / omega_va` (Eqs. 6 to 9).
    """

    card = MethodCard(
        name="dgm",
        label="DGM",
        reference="Fu, Gao and Xu, Multimodal Imbalance-Aware Gradient Modulation, arXiv 2307.02041",
        summary="The leading encoder's gradients are damped by its lead in scores and in how well they tell classes.",
        options=DGMOptions,
        fusions=("sum", "concat", "film", "gated"),
        no_op=NoOp(OFF, {}, "baseline", "modulated by 1, without noise"),
        deviations=(
            "Decision: a modality's scores are the softmax of its own logits, as OGM-GE takes them from the fusion "
            "head; Fu, Gao and Xu define scores for several labels only.",
            "Decision: only convolution kernels are modulated, as in the OGM-GE reference code, so that the measure is "
            "all that differs from that baseline.",
        ),
    )

    def groups(self, model: Model) -> Mapping[str, Sequence[nn.Parameter]]:
        """The convolution kernels of both encoders."""
        return {name: modulated(model.group(name)) for name in MODALITIES}


METHOD = DGM
