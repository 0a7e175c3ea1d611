"""Head losses: the sum of the cross-entropies of the fused, the audio and the visual head, without any balancing."""

from __future__ import annotations

from avbalance.declared import Count
from avbalance.methods.base import MethodCard
from avbalance.methods.parts.gaps import GAP_FILES, GapMethod, GapOptions


class HeadLossesOptions(GapOptions):
    """Options of head-losses."""

    warm_up_epochs: Count = GapOptions.model_fields["warm_up_epochs"].default
    """decision, as of adaptive-loss; here it only says when the gap is measured first"""


class HeadLosses(GapMethod):
    """The first stage of the adaptive loss for all epochs; the modality gap is measured, the training unaware of it.

    Equation: `mean (CE_f + CE_a + CE_v)`.
    """

    card = MethodCard(
        name="head-losses",
        label="Fusion + unimodal heads",
        reference="Liu, Yu and Liu, arXiv 2510.21797: the warm-up stage, as we read the abstract",
        summary="Late fusion under the sum of three cross-entropies: of the fused, the audio and the visual head.",
        options=HeadLossesOptions,
        artifacts=GAP_FILES,
        fusions=("sum", "concat", "film", "gated"),
        deviations=(
            "Decision: a linear head of its own gives every modality its scores, and the three losses have equal "
            "weight; the paper's equations were not available.",
        ),
    )

    def due(self, finished: int, epochs: int) -> bool:
        """After warm-up and at the end."""
        return finished in (self.options.warm_up_epochs, epochs)


METHOD = HeadLosses
