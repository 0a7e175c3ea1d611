"""Co-teaching+ on two HANs: each network leaves out the labels that its peer finds hardest, where the two disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avbalance.analysis.parsing_losses import Pair, binary_cross_entropy, elementwise_cross_entropy, targets
from avbalance.methods.base import MethodCard, Step
from avbalance.methods.parts import twins
from avbalance.methods.parts.selection import largest_losses, mean_kept
from avbalance.methods.parts.twins import TwinMethod, both_outputs

if TYPE_CHECKING:
    from torch import Tensor

    from avbalance.models.base import Batch, Model, ModelOutput
    from avbalance.models.parsing import ParsingOutput


def probabilities(output: ParsingOutput) -> Pair:
    """p_a and p_v `(B, C)`."""
    return Pair(output.p_a, output.p_v)


def disagreement(first: Tensor, second: Tensor) -> Tensor:
    """Boolean, same shape: one probability is at least 0.5 and the other is not."""
    return (first >= 0.5) != (second >= 0.5)


def left_out(peer: Pair, own: Pair, label: Tensor, ratio: Pair) -> Pair:
    """Boolean `(B, C)`: positives among the `floor(ratio k)` largest losses of the peer on which the two disagree.

    peer and own: probabilities `(B, C)` of both modalities; losses are those with HAN's targets.
    """
    audio, visual = (
        largest_losses(elementwise_cross_entropy(theirs, target), label, share) & disagreement(theirs, mine)
        for theirs, mine, target, share in zip(peer, own, targets(label), ratio, strict=True)
    )
    return Pair(audio, visual)


def loss_without(output: ParsingOutput, label: Tensor, gone: Pair) -> Tensor:
    """HAN's objective, the terms of p_a and p_v over the entries that are not `gone`."""
    audio, visual = (
        mean_kept(elementwise_cross_entropy(probability, target), lost)
        for probability, target, lost in zip(probabilities(output), targets(label), gone, strict=True)
    )
    return binary_cross_entropy(output.P, label) + audio + visual


class CoTeaching(TwinMethod):
    """Two networks, one sum of two losses; no gradient passes between them."""

    card = MethodCard(
        name="co-teaching",
        label="Co-teaching+",
        reference="Yu et al., ICML 2019, arXiv 1901.04215; on HAN: Cheng et al., ECCV 2022, arXiv 2204.11573, table 1",
        summary="Two HANs; each leaves out labels that its peer finds hardest and on which the two disagree.",
        options=twins.OPTIONS,
        models=("twin-han",),
        deviations=(
            *twins.DEVIATIONS,
            "Decision: of the labels that the peer finds hardest, those on which both say the same are kept; the "
            "original draws its samples from those in dispute.",
        ),
    )

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: Step) -> Tensor:
        """Return the sum of both networks' objectives, each less what its peer leaves out."""
        pair, ratio = both_outputs(output, self.name), self.ratio(step)
        self._watch(pair[0], batch.label, targets(batch.label))
        loss = pair[0].P.new_zeros(())
        for own, peer in (pair, pair[::-1]):
            gone = left_out(probabilities(peer), probabilities(own), batch.label, ratio)
            loss = loss + loss_without(own, batch.label, gone)
        return loss


METHOD = CoTeaching
