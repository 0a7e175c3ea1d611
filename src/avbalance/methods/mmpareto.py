"""MMPareto: the fused and the unimodal gradient of an encoder, joined so that neither is worked against.

Wei and Hu, ICML 2024, arXiv 2405.17730.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from avbalance.declared import Above0, Declared
from avbalance.methods.base import Given, MethodCard, TrainingStep
from avbalance.methods.parts.gaps import ThreeHeadMethod, cross_entropies
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput

FLOOR = 1e-12  # of a norm and of a squared distance, by which is divided


class MMParetoOptions(Declared):
    """Options of mmpareto."""

    gamma: Above0 = 1.5
    """MMPareto reference code; the factor on an encoder's joined gradient"""


def fused_share(fused: Sequence[Tensor], unimodal: Sequence[Tensor]) -> Tensor:
    """lambda, the share of the fused gradient, a scalar; both are lists of an encoder's gradients, tensor by tensor.

    1/2 where the two have an acute angle; else `<g_m - g_f, g_m> / ||g_f - g_m||^2`, which makes `lambda g_f + (1 -
    lambda) g_m` as short as can be.
    """
    g_f, g_m = (torch.cat([each.reshape(-1) for each in gradients]) for gradients in (fused, unimodal))
    inner, distance = g_f.dot(g_m), (g_f - g_m).square().sum()
    # The minimum-norm point of the segment between both gradients; where they agree already, halves keep their sum.
    shortest = (g_m.square().sum() - inner) / distance.clamp_min(FLOOR)
    return shortest.where(inner <= 0, 0.5)


def joined(fused: Tensor, unimodal: Tensor, share: Tensor, gamma: float) -> Tensor:
    """The gradient of one tensor: `h = 2 lambda g_f + 2 (1 - lambda) g_m`, as long as g_f + g_m at least, times gamma.

    The length is restored tensor by tensor, so that noise, and with it generalisation, is not lost.
    """
    h = 2 * share * fused + 2 * (1 - share) * unimodal
    stretch = (fused + unimodal).norm() / h.norm().clamp_min(FLOOR)
    return gamma * stretch.clamp_min(1) * h


class MMPareto(ThreeHeadMethod):
    """Three heads and losses; an encoder follows a direction that neither of its two losses opposes.

    Equation: `g <- gamma max(1, ||g_f + g_m|| / ||h||) h` for the encoder of modality m, with `h = 2 lambda g_f + 2 (1
    - lambda) g_m`, g_f and g_m the gradients of `CE_f` and `CE_m`, and lambda of `fused_share`; heads: the plain sum.
    """

    card = MethodCard(
        name="mmpareto",
        label="MMPareto",
        reference="Wei and Hu (ICML 2024), arXiv 2405.17730",
        summary="Fused and unimodal gradients of an encoder are joined so that neither is worked against.",
        options=MMParetoOptions,
        fusions=("sum", "concat", "film", "gated"),
        deviations=(
            "Backward passes every encoder twice, once for each of its gradients: a step costs about 1.7 times that of "
            "Baseline, in processor time.",
        ),
    )
    options: MMParetoOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self._unimodal: tuple[Tensor | None, ...] = ()  # of all parameters, in the step under way

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The sum of the three losses; only the fused one is left to backward, the gradients of the others are kept."""
        uni, fusion = (each.mean() for each in cross_entropies(*self.heads(model, output), batch.label))
        # retain_graph: backward of the fused loss walks the same encoders a second time.
        with torch.autocast(batch.label.device.type, enabled=False):  # as in the loop, backward has none
            parameters = list(model.parameters())
            self._unimodal = torch.autograd.grad(uni, parameters, retain_graph=True, allow_unused=True)
        return fusion + uni.detach()

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> None:
        """Join the two gradients of each encoder, and add those of everything else."""
        # Popped as encoders are joined: what is left, heads above all, gets the plain sum of both gradients.
        unimodal = dict(zip(model.parameters(), self._unimodal, strict=True))
        self._unimodal = ()
        shares = []
        for modality in MODALITIES:
            both = [(each, each.grad, unimodal.pop(each)) for each in model.group(modality)]
            known = [(each, g_f, g_m) for each, g_f, g_m in both if g_f is not None and g_m is not None]
            _, fused, alone = zip(*known, strict=True)
            shares.append(fused_share(fused, alone))
            for parameter, g_f, g_m in known:
                parameter.grad = joined(g_f, g_m, shares[-1], self.options.gamma)
        for parameter, gradient in unimodal.items():
            if gradient is not None:
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        self.means.add([f"fused_share_{modality}" for modality in MODALITIES], torch.stack(shares))


METHOD = MMPareto
