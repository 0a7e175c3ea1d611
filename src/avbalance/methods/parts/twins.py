"""What methods of two networks that see the same batch share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from avbalance.declared import Declared
from avbalance.errors import UserError
from avbalance.methods.base import Given, Training, TrainingStep
from avbalance.methods.parts.parsing import Pair, WatchedMethod
from avbalance.methods.parts.selection import RecentVideos, Warmup, largest_losses, needed_ratios, warmed
from avbalance.models.base import ModelOutput
from avbalance.models.parsing import ParsingOutput
from avbalance.models.twin_han import TwinOutput

DEVIATIONS = (
    "Approximate re-implementation: the application to HAN whose numbers are published has no public code.",
    "Decision: per class and modality, the share of labels left out is JoMoLD's noise ratio of the class.",
    "Decision: the largest losses are looked for among the last whole batches that fit into 128 videos, the batch of "
    "JoMoLD; at that size this is the batch alone.",
    "Decision: left out means that the entry has no loss, as in the original; JoMoLD makes it a negative.",
    "Decision: the label of the whole video is never left out.",
)


class TwinOptions(Declared):
    """Options of methods that train two networks."""

    warmup: Warmup = "step"
    """decision: as JoMoLD's ratios, none in the first epoch, full from then on; or linear"""


class TwinMethod(WatchedMethod):
    """Base of methods against noisy labels that train two networks; logs the losses of the first."""

    kept = ("means", "recent")
    options: TwinOptions
    ratio: Pair

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.recent = RecentVideos()

    def prepare(self, trainer: Training) -> None:
        """Take up the noise ratios; raises UserError without them."""
        self.ratio = needed_ratios(self, trainer)

    def hardest(self, losses: Sequence[Pair], label: Tensor, step: TrainingStep) -> list[Pair]:
        """Per pair of losses: boolean `(B, C)` of the batch's labels that are among the shares with the largest ones.

        Losses and label `(B, C)`; the shares are taken of RATIO_VIDEOS videos. To be called once a step.
        """
        shares = [warmed(each, step, self.options.warmup) for each in self.ratio] * len(losses)
        labels, *recent = self.recent.joined(label, *(each for pair in losses for each in pair))
        hard = [largest_losses(loss, labels, share)[-len(label) :] for loss, share in zip(recent, shares, strict=True)]
        return [Pair(audio, visual) for audio, visual in zip(hard[::2], hard[1::2], strict=True)]


def both_outputs(output: ModelOutput, method: str) -> tuple[ParsingOutput, ParsingOutput]:
    """The outputs of two networks that see the same batch; raises UserError when the model is not a pair."""
    if not isinstance(output, TwinOutput) or output.peer is None:
        raise UserError(f"method {method} trains two networks against each other; use the model twin-han.")
    return output, output.peer
