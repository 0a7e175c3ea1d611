"""PSP: fully supervised localisation of audio-visual events (Zhou et al. 2021), also with gradient modulation."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, mse_loss

from avbalance.declared import Weight
from avbalance.methods.base import MethodCard, TrainingStep
from avbalance.methods.parts.modulation import ModulationOptions, SingleLabelModulation
from avbalance.models.base import Batch, Model, ModelOutput


class PSPOptions(ModulationOptions):
    """Options of psp."""

    similarity_weight: Weight = 100.0
    """jasongief/PSP_CVPR_2021, fully supervised"""


def similarity_targets(label: Tensor, background: int) -> Tensor:
    """`(B, T)` float: 1 / k in each of the k seconds of an event and 0 in the background; label `(B, T)` int64."""
    event = (label != background).float()
    return event / event.sum(1, keepdim=True).clamp_min(1)


def pair_similarity_loss(audio: Tensor, visual: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of the shares of cosine similarity, `relu(cos_t) / (sum_t relu(cos_t) + 1e-8)`; a scalar.

    Features `(B, T, D)`, target `(B, T)` (Zhou et al. 2021, Eqs. 8 and 9).
    """
    similar = cosine_similarity(visual, audio, dim=-1).relu()
    # 1e-8 as in the public code: a video whose seconds all point apart has a sum of 0.
    return mse_loss(similar / (similar.sum(1, keepdim=True) + 1e-8), target)


class PSP(SingleLabelModulation):
    """Cross-entropy per second, and similar features of both modalities in the seconds of the event.

    Equation: `mean_t CE(z_t, y_t) + similarity_weight MSE(relu(cos_t) / sum_t relu(cos_t), e_t / sum_t e_t)`, e_t:
    whether second t has the event (Eqs. 8 and 9).
    """

    card = MethodCard(
        name="psp",
        label="PSP",
        reference="Zhou et al., CVPR 2021, arXiv 2104.00239, and jasongief/PSP_CVPR_2021",
        summary="A class for every second; audio and visual features are drawn together where the event is.",
        options=PSPOptions,
        models=("psp",),
        deviations=(
            "Decision: fully supervised; Fu, Gao and Xu do not say which of PSP's two settings they build upon, only "
            "this one comes near their baseline.",
            "Decision: modulation takes every second as a sample and the background as a class; a modality's score is "
            "the softmax of the classifier on its features alone; audio are its projection and memory, visual the "
            "guided attention, projection and memory; the shared PSP block and classifier are left alone.",
            "The public code keeps the best epoch on the test videos; here that is reported beside the epoch that "
            "validation selects.",
        ),
    )

    options: PSPOptions

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        loss = cross_entropy(output.logits.flatten(0, 1), batch.label.flatten())
        weight = self.options.similarity_weight
        # Not multiplied by 0: a NaN of the similarity would still reach the loss.
        if weight == 0:
            return loss
        target = similarity_targets(batch.label, output.logits.shape[-1] - 1)
        return loss + weight * pair_similarity_loss(output.features["audio"], output.features["visual"], target)


METHOD = PSP
