"""CVCMS: exchange the pictures of videos within a batch and contrast audio with visual across videos."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from avbalance.declared import Above0, Count, Declared, Weight
from avbalance.errors import UserError
from avbalance.methods.base import MethodCard, Training, TrainingStep
from avbalance.methods.parts.parsing import (
    VISUAL_SMOOTHING,
    Pair,
    WatchedMethod,
    parsing_output,
    parsing_terms,
    refined,
    removed_labels,
    smoothed,
)
from avbalance.models.base import Batch, Model, ModelOutput
from avbalance.models.parsing import ParsingOutput


class CVCMSOptions(Declared):
    """Options of cvcms."""

    labels: Literal["plain", "refined"] = "refined"
    """refined by exchanging tracks (MA), read from another run; or plain"""
    contrastive_weight: Weight = 0.85
    """GenjiB/CM-Co-Occurrence-AVVP (public code)"""
    contrastive_from: Count = 2
    """GenjiB/CM-Co-Occurrence-AVVP (public code): from the third epoch on; 0-based, included"""
    temperature: Above0 = 1.0
    """GenjiB/CM-Co-Occurrence-AVVP (public code)"""
    smoothed_epochs: Count = 2
    """GenjiB/CM-Co-Occurrence-AVVP (public code): epochs whose visual labels are smoothed by 0.9"""


def partners(videos: int, generator: torch.Generator) -> Tensor:
    """Draw for each of `videos` another one, uniformly, on the generator's device; a single one gets itself."""
    here = torch.arange(videos, device=generator.device)
    # A step of 1 to videos - 1 around the circle: never the clip itself, and every other one is as likely.
    away = torch.randint(1, max(videos, 2), (videos,), generator=generator, device=generator.device)
    return (here + away) % videos


def first_half(output: ParsingOutput) -> ParsingOutput:
    """The output on the unmixed videos; parts that no loss of these videos reads are left out."""
    names = ("frame_prob", "P", "p_a", "p_v", "e_a", "e_v", "f_a", "f_v")
    half = len(output.P) // 2
    return ParsingOutput(**{name: getattr(output, name)[:half] for name in names})


def cross_video_contrastive(
    f_a: Tensor, f_v: Tensor, frame_att: Tensor, label: Pair, temperature: float = 1.0
) -> Tensor:
    """CVCMS's contrastive loss between audio and visual of all videos of a batch, to a scalar.

    Features `(B, T, D)`, attention logits `(B, T, 2, C)`, refined labels `(B, C)`. A video's vector is the mean of its
    segments, weighted by a softmax of the logits summed over its labels; i and j match when they share a label.
    """
    vectors = []
    for index, (feature, known) in enumerate(zip((f_a, f_v), label, strict=True)):
        # Only the logits of classes that the video has: the others' attention says nothing of what is looked for.
        weight = (frame_att[:, :, index] * known[:, None]).sum(-1, keepdim=True).softmax(1)
        vectors.append(normalize((weight * feature).sum(1), dim=-1))
    shared = ((label.audio @ label.visual.T) > 0).to(f_a.dtype)
    # A video whose labels were all removed matches none, not even itself, and adds nothing.
    wanted = shared / shared.sum(1, keepdim=True).clamp_min(1)
    similarity = vectors[0] @ vectors[1].T / temperature
    return -(wanted * similarity.log_softmax(-1)).sum(-1).mean()


class CVCMS(WatchedMethod):
    """Train on a batch and its double with exchanged pictures; only the contrast between videos sees the double.

    Equation: `BCE(P, Y) + BCE(p_a, Y_a) + BCE(p_v, Y_v) - contrastive_weight mean_i sum_j t_ij log softmax_j(a_i v_j /
    temperature)`, where t_ij is spread evenly over the videos j that share a label with i.
    """

    card = MethodCard(
        name="cvcms",
        label="CVCMS",
        reference="Lin et al., NeurIPS 2021, Exploring Cross-Video and Cross-Modality Signals",
        summary="Audio and visual of different videos are drawn together where the two share a label.",
        options=CVCMSOptions,
        models=("cvcms",),
        deviations=(
            "The public code selects the epoch on the test videos; here it is selected on validation.",
            "The public code mixes videos from a random stream of the process, here from the stream of the step.",
        ),
    )
    options: CVCMSOptions
    gone: Pair | None = None  # labels to remove, (N, C)

    def prepare(self, trainer: Training) -> None:
        """Read the refined labels; raises UserError where they are asked for and missing."""
        if self.options.labels == "refined":
            self.gone = removed_labels(self, trainer)

    def batch(self, model: Model, batch: Batch, step: TrainingStep) -> Batch:
        """The batch followed by its audio with the pictures of other videos, whose label and index it bears."""
        audio, visual = batch.modality("audio"), batch.modality("visual")
        other = partners(len(audio), step.generator)
        return Batch(
            audio=torch.cat([audio, audio]),
            visual=torch.cat([visual, visual[other]]),
            label=torch.cat([batch.label, batch.label[other]]),
            index=torch.cat([batch.index, batch.index[other]]),
        )

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The cross-entropies of the unmixed half and, in its time, the contrast over both halves."""
        options, parsed, half = self.options, parsing_output(self, output), len(batch.label) // 2
        known = Pair(batch.label, batch.label) if self.gone is None else refined(batch.label, self.gone, batch.index)
        audio, visual = (each[:half] for each in known)
        smoothing = VISUAL_SMOOTHING if step.epoch < options.smoothed_epochs else 1.0
        own = first_half(parsed)
        anywhere = torch.maximum(audio, visual)
        target = Pair(audio, smoothed(visual, smoothing))
        self.watch(own, batch.label[:half], target)
        loss = parsing_terms(own.P, own.p_a, own.p_v, anywhere, target).total()
        if step.epoch < options.contrastive_from:
            return loss
        if parsed.frame_att is None:
            raise UserError("method cvcms: the model has no attention over time to contrast videos by; use cvcms.")
        both = Pair(torch.cat([audio, audio]), known.visual)
        contrast = cross_video_contrastive(parsed.f_a, parsed.f_v, parsed.frame_att, both, options.temperature)
        return loss + options.contrastive_weight * contrast


METHOD = CVCMS
