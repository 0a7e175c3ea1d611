"""What methods of two networks that see the same batch share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from avbalance.analysis.parsing_losses import WARMUPS, Pair, warmed
from avbalance.errors import UserError
from avbalance.methods.base import Step, Trainer
from avbalance.methods.parts.parsing import WatchedMethod
from avbalance.methods.parts.selection import RecentVideos, largest_losses, needed_ratios

if TYPE_CHECKING:
    from torch import Tensor

    from avbalance.models.base import ModelOutput
    from avbalance.models.parsing import ParsingOutput

OPTIONS: dict[str, tuple[Any, str]] = {
    "warmup": ("step", "decision: as JoMoLD's ratios, none in the first epoch, full from then on; or linear"),
}
DEVIATIONS = (
    "Approximate re-implementation: the application to HAN whose numbers are published has no public code.",
    "Decision: per class and modality, the share of labels left out is JoMoLD's noise ratio of the class.",
    "Decision: the largest losses are looked for among the last whole batches that fit into 128 videos, the batch of "
    "JoMoLD; at that size this is the batch alone.",
    "Decision: left out means that the entry has no loss, as in the original; JoMoLD makes it a negative.",
    "Decision: the label of the whole video is never left out.",
)


class TwinMethod(WatchedMethod):
    """Base of methods against noisy labels that train two networks; logs the losses of the first.

    Cards list OPTIONS among their options.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.require("warmup", self.options["warmup"] in WARMUPS, " or ".join(WARMUPS))
        self._ratio: Pair | None = None
        self._recent = RecentVideos()

    def prepare(self, trainer: Trainer) -> None:
        """Take up the noise ratios; raises UserError without them."""
        self._ratio = needed_ratios(trainer.needs, self.name, len(trainer.source.clips.classes), trainer.device)

    def ratio(self, step: Step) -> Pair:
        """The shares `(C,)` of noisy positives in force."""
        assert self._ratio is not None
        audio, visual = (
            warmed(each, step.epoch, step.index, step.batches, self.options["warmup"]) for each in self._ratio
        )
        return Pair(audio, visual)

    def hardest(self, losses: Sequence[Pair], label: Tensor, step: Step) -> list[Pair]:
        """Per pair of losses: boolean `(B, C)` of the batch's labels that are among the shares with the largest ones.

        Losses and label `(B, C)`; the shares are taken of RATIO_VIDEOS videos. To be called once a step.
        """
        ratio = self.ratio(step)
        labels, *recent = self._recent.joined(label, *(each for pair in losses for each in pair))
        found = [
            largest_losses(loss, labels, share)[-len(label) :]
            for loss, share in zip(recent, [*ratio] * len(losses), strict=True)
        ]
        return [Pair(audio, visual) for audio, visual in zip(found[::2], found[1::2], strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the unfinished epoch and the recent losses."""
        return {**super().state_dict(), "recent": self._recent.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the sums of the unfinished epoch and the recent losses."""
        super().load_state_dict(state)
        self._recent.load_state_dict(state["recent"])


def both_outputs(output: ModelOutput, method: str) -> tuple[ParsingOutput, ParsingOutput]:
    """Return the outputs of two networks that see the same batch; raises UserError when the model is not a pair."""
    from avbalance.models.twin_han import TwinOutput

    if not isinstance(output, TwinOutput) or output.peer is None:
        raise UserError(f"method {method} trains two networks against each other; use the model twin-han.")
    return output, output.peer
