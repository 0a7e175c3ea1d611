"""Co-teaching+ on two HANs: each network leaves out the labels that its peer finds hardest, where the two disagree."""

from __future__ import annotations

from torch import Tensor

from avbalance.methods.base import MethodCard, TrainingStep
from avbalance.methods.parts.parsing import Pair, binary_cross_entropy, elementwise_cross_entropy, targets
from avbalance.methods.parts.selection import mean_kept
from avbalance.methods.parts.twins import DEVIATIONS, TwinMethod, TwinOptions, both_outputs
from avbalance.models.base import Batch, Model, ModelOutput
from avbalance.models.parsing import ParsingOutput


def losses(output: ParsingOutput, label: Tensor) -> Pair:
    """Cross-entropies `(B, C)` of p_a and p_v with HAN's targets."""
    return Pair(*map(elementwise_cross_entropy, (output.p_a, output.p_v), targets(label)))


def left_out(hardest: Pair, peer: Pair, own: Pair) -> Pair:
    """Boolean `(B, C)`: labels that the peer finds hardest and on which the two are on different sides of 0.5.

    hardest: boolean, of the peer's losses; peer and own: probabilities `(B, C)` of both modalities.
    """
    both = zip(hardest, peer, own, strict=True)
    return Pair(*(hard & ((theirs >= 0.5) != (mine >= 0.5)) for hard, theirs, mine in both))


def loss_without(output: ParsingOutput, label: Tensor, gone: Pair) -> Tensor:
    """HAN's objective, the terms of p_a and p_v over the entries that are not `gone`."""
    audio, visual = (mean_kept(loss, lost) for loss, lost in zip(losses(output, label), gone, strict=True))
    return binary_cross_entropy(output.P, label) + audio + visual


class CoTeaching(TwinMethod):
    """Two networks, one sum of two losses; no gradient passes between them.

    Equation: `BCE(P, Y)` plus the mean cross-entropies of p_a and p_v over the entries that are kept; of a class with k
    positives and noise ratio r, the `floor(r k)` hardest of the peer leave where `p >= 0.5` of the two differ.
    """

    card = MethodCard(
        name="co-teaching",
        label="Co-teaching+",
        reference="Yu et al., ICML 2019, arXiv 1901.04215; on HAN: Cheng et al., ECCV 2022, arXiv 2204.11573, table 1",
        summary="Two HANs; each leaves out labels that its peer finds hardest and on which the two disagree.",
        options=TwinOptions,
        models=("twin-han",),
        deviations=(
            *DEVIATIONS,
            "Decision: of the labels that the peer finds hardest, those on which both say the same are kept; the "
            "original draws its samples from those in dispute.",
        ),
    )

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The sum of both networks' objectives, each less what its peer leaves out."""
        pair = both_outputs(output, self.name)
        self.watch(pair[0], batch.label, targets(batch.label))
        loss = pair[0].P.new_zeros(())
        hardest = self.hardest([losses(each, batch.label) for each in pair], batch.label, step)
        # Reversed pairs: each network leaves out what its peer, not it itself, finds hardest.
        for own, peer, hard in zip(pair, pair[::-1], hardest[::-1], strict=True):
            gone = left_out(hard, Pair(peer.p_a, peer.p_v), Pair(own.p_a, own.p_v))
            loss = loss + loss_without(own, batch.label, gone)
        return loss


METHOD = CoTeaching
