"""CVCMS: exchange the pictures of videos within a batch and contrast audio with visual across videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from avbalance.analysis.parsing_losses import (
    VISUAL_SMOOTHING,
    Pair,
    cross_video_contrastive,
    parsing_terms,
    smoothed,
)
from avbalance.errors import UserError
from avbalance.methods.base import MethodCard, Step, Trainer
from avbalance.methods.parts.labels import needed_labels, refined, removed_labels
from avbalance.methods.parts.parsing import WatchedMethod, parsing_output

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from avbalance.models.base import Batch, Model, ModelOutput
    from avbalance.models.parsing import ParsingOutput

CODE = "GenjiB/CM-Co-Occurrence-AVVP (public code)"


def partners(videos: int, generator: torch.Generator) -> Tensor:
    """Draw for each of `videos` another one, uniformly, on the generator's device; a single one gets itself."""
    import torch

    here = torch.arange(videos, device=generator.device)
    away = torch.randint(1, max(videos, 2), (videos,), generator=generator, device=generator.device)
    return (here + away) % videos


def first_half(output: ParsingOutput) -> ParsingOutput:
    """The output on the unmixed videos; parts that no loss of these videos reads are left out."""
    from avbalance.models.parsing import ParsingOutput

    names = ("frame_prob", "P", "p_a", "p_v", "e_a", "e_v", "f_a", "f_v")
    half = len(output.P) // 2
    return ParsingOutput(**{name: getattr(output, name)[:half] for name in names})


class CVCMS(WatchedMethod):
    """Train on a batch and its double with exchanged pictures; only the contrast between videos sees the double."""

    card = MethodCard(
        name="cvcms",
        label="CVCMS",
        reference="Lin et al., NeurIPS 2021, Exploring Cross-Video and Cross-Modality Signals",
        summary="Audio and visual of different videos are drawn together where the two share a label.",
        options={
            "labels": ("refined", "refined by exchanging tracks (MA), read from another run; or plain"),
            "contrastive_weight": (0.85, CODE),
            "contrastive_from": (2, f"{CODE}: from the third epoch on; 0-based, included"),
            "temperature": (1.0, CODE),
            "smoothed_epochs": (2, f"{CODE}: epochs whose visual labels are smoothed by 0.9"),
        },
        models=("cvcms",),
        deviations=(
            "The public code selects the epoch on the test videos; here it is selected on validation.",
            "The public code mixes videos from a random stream of the process, here from the stream of the step.",
        ),
    )

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.require("labels", self.options["labels"] in ("plain", "refined"), "plain or refined")
        self.require("contrastive_weight", self.options["contrastive_weight"] >= 0, "at least 0")
        self.require("temperature", self.options["temperature"] > 0, "above 0")
        self._gone: Pair | None = None

    def prepare(self, trainer: Trainer) -> None:
        """Read the refined labels; raises UserError where they are asked for and missing."""
        if self.options["labels"] == "refined":
            clips = trainer.source.clips
            gone = removed_labels(needed_labels(trainer.needs, self.name), list(clips.ids), len(clips.classes))
            self._gone = Pair(*(each.to(trainer.device) for each in gone))

    def batch(self, model: Model, batch: Batch, step: Step) -> Batch:
        """Return the batch followed by its audio with the pictures of other videos, whose label and index it bears."""
        import torch

        from avbalance.models.base import Batch

        audio, visual = batch.modality("audio"), batch.modality("visual")
        other = partners(len(audio), step.generator)
        return Batch(
            audio=torch.cat([audio, audio]),
            visual=torch.cat([visual, visual[other]]),
            label=torch.cat([batch.label, batch.label[other]]),
            index=torch.cat([batch.index, batch.index[other]]),
        )

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: Step) -> Tensor:
        """Return the cross-entropies of the unmixed half and, in its time, the contrast over both halves."""
        import torch

        parsed, half = parsing_output(self, output), len(batch.label) // 2
        known = self._labels(batch)
        audio, visual = (each[:half] for each in known)
        smoothing = VISUAL_SMOOTHING if step.epoch < self.options["smoothed_epochs"] else 1.0
        own = first_half(parsed)
        anywhere = torch.maximum(audio, visual)
        target = Pair(audio, smoothed(visual, smoothing))
        self._watch(own, batch.label[:half], target)
        loss = parsing_terms(own.P, own.p_a, own.p_v, anywhere, target).total()
        if step.epoch < self.options["contrastive_from"]:
            return loss
        if parsed.frame_att is None:
            raise UserError("method cvcms: the model has no attention over time to contrast videos by; use cvcms.")
        both = Pair(torch.cat([audio, audio]), known.visual)
        contrast = cross_video_contrastive(parsed.f_a, parsed.f_v, parsed.frame_att, both, self.options["temperature"])
        return loss + self.options["contrastive_weight"] * contrast

    def _labels(self, batch: Batch) -> Pair:
        """Labels of both modalities of the videos that each row's index names."""
        if self._gone is None:
            return Pair(batch.label, batch.label)
        return refined(batch.label, self._gone, batch.index)


METHOD = CVCMS
