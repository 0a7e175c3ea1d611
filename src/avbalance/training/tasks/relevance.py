"""Classification of clips whose finished models are also tested with one modality withheld (modality-relevance)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avbalance.analysis.conditions import (
    CONDITIONS,
    LEVELS,
    SILENCES,
    StandIns,
    Variant,
    fusion_stand_ins,
    mean_clip,
    shuffled_partners,
    silent_audio,
    variant,
)
from avbalance.analysis.relevance import BALANCED, INTACT, per_class_accuracy
from avbalance.errors import UserError
from avbalance.features.recipes import get_audio_recipe
from avbalance.models.relevance import CutModel
from avbalance.training.data import Clips, Scale
from avbalance.training.partition import Indices
from avbalance.training.streams import torch_stream
from avbalance.training.tasks.base import Evaluation, Outputs
from avbalance.training.tasks.classification import Classification

if TYPE_CHECKING:
    from avbalance.training.loop import Trainer

_TESTED = ("test", "selected")  # part and state of the model that are tested under all conditions


class Relevance(Classification):
    """Labels (N,) int64 of clips with a spectrogram and one visual vector, or of sound alone, which may be per second.

    Nothing is drawn when they are read.

    Settings: data.conditions, names of analysis/conditions.py (null: all); data.missing_level and data.silence, where a
    stand-in enters and what silence is; data.sensitivity, further conditions such as "silent-audio@fusion" or
    "silent-audio@zero_waveform", which differ from them in what stands after the @.
    """

    name = "relevance"
    metrics = ("accuracy", BALANCED)
    settings = ("conditions", "missing_level", "silence", "sensitivity")

    def __init__(self, data: Mapping[str, Any]) -> None:
        level, silence = _chosen(data, "missing_level", LEVELS), _chosen(data, "silence", SILENCES)
        names = [*(data.get("conditions") or CONDITIONS), *(data.get("sensitivity") or ())]
        if INTACT not in names or len(set(names)) < len(names):
            raise UserError(
                f"settings data.conditions and data.sensitivity are {', '.join(names)}; list {INTACT} and every other "
                "condition once."
            )
        self.variants = tuple(variant(name, level, silence) for name in names)
        if any(each.silence == "zero_waveform" for each in self.variants):
            _check_decibels(str(data["audio_recipe"]))

    def check(self, clips: Clips, parts: Mapping[str, Indices]) -> None:
        whole = clips.window is None and (clips.spectrograms or "visual" not in clips.modalities)
        if not whole or clips.visual.ndim != 2:
            raise UserError(
                "task relevance needs a whole spectrogram and one visual vector per clip; set data.audio_recipe to "
                "decibel64-10s and data.visual_recipe to uniform8-imagenetr50, or others of their kinds."
            )
        for split in ("train", "val", "test"):
            counts = np.bincount(clips.labels[parts[split]], minlength=len(clips.classes))
            if not counts.all():
                raise UserError(
                    f"the {split} part has {len(parts[split])} clips and none of class "
                    f"{clips.classes[int(counts.argmin())]}; give the data set more clips of it, or take the class out."
                )
        black = [each.name for each in self.variants if each.condition.stand_in == "black"]
        if black and clips.black is None:
            raise UserError(
                f"condition {black[0]}: the card of the visual features does not say what becomes of black frames; "
                "delete their folder to have them made again, or leave the condition out of data.conditions."
            )

    def evaluate(self, clips: Clips, indices: Indices, outputs: Outputs) -> Evaluation:
        predicted: list[Tensor] = []

        def watched() -> Outputs:
            for batch, output in outputs:
                predicted.append(output.logits.argmax(1))
                yield batch, output

        found = super().evaluate(clips, indices, watched())
        recalls = per_class_accuracy(clips.labels[indices], torch.cat(predicted).cpu().numpy(), len(clips.classes))
        return replace(found, metrics={**found.metrics, BALANCED: float(np.nanmean(recalls))})

    def weights(self, labels: Indices, metric: str) -> NDArray[np.float64]:
        if metric != BALANCED:
            return super().weights(labels, metric)
        found, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
        weights: NDArray[np.float64] = 100.0 * len(labels) / (len(found) * counts[place])
        return weights

    def conditions(self, trainer: Trainer, split: str, checkpoint: str) -> Iterable[tuple[str, Outputs]]:
        """All conditions on the test part of the selected model, if it has several modalities; else "both" alone.

        Raises UserError for a model that cannot be cut at its fusion.
        """
        indices, model = trainer.parts[split], trainer.model
        if len(model.modalities) == 1 or (split, checkpoint) != _TESTED:
            yield INTACT, trainer.outputs(indices)
            return
        if not isinstance(model, CutModel):
            raise UserError(f"task relevance: {type(model).__name__} has no input to replace; use kd-student or such.")
        for each in self.variants:
            yield each.name, Withholding(trainer, model, each).outputs(indices)


def _chosen(data: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    """The value of a `data` setting, by default the first one allowed; raises UserError for another."""
    value = data.get(name, allowed[0])
    if value not in allowed:
        raise UserError(f"setting data.{name} is {value!r}; it must be {' or '.join(allowed)}.")
    return str(value)


def _check_decibels(recipe: str) -> None:
    """Raise UserError unless the audio recipe is in decibels: of another kind the silent waveform is not known."""
    if getattr(get_audio_recipe(recipe), "kind", None) != "decibel-mel":
        raise UserError(
            f"silence zero_waveform is the sound of 0 in decibels, and data.audio_recipe {recipe} is not in decibels; "
            "use zero_tensor or a recipe such as decibel64-10s."
        )


@dataclass(frozen=True)
class Withholding:
    """A trainer's model, in eval mode and as it is, under one condition."""

    trainer: Trainer
    model: CutModel
    variant: Variant

    @torch.no_grad()
    def outputs(self, indices: Indices) -> Outputs:
        """Batches of the clips at `indices`, as they are, and what the model makes of them under the condition.

        What is drawn depends on the run's seed and the condition, and neither on level nor on batch size.
        """
        self.model.eval()
        condition, level = self.variant.condition, self.variant.level
        generator = torch_stream("cpu", self.trainer.seed, "condition", condition.name)
        others: Iterable[Tensor | None] = repeat(None)
        if condition.stand_in == "shuffled":
            others = self._tensors(indices[shuffled_partners(len(indices), generator).numpy()])
        stand_ins = self._stand_ins()
        for batch, exchanged in zip(self.trainer.source.evaluation(indices), others, strict=False):
            yield batch, self.model.withheld(batch, condition, level, stand_ins, generator, exchanged)

    def _stand_ins(self) -> StandIns:
        """The constant stand-ins on the trainer's device; the mean of the training clips only if it is asked for."""
        source, parts = self.trainer.source, self.trainer.parts
        shape = tuple(source.batch_of(parts["train"][:1]).modality("audio").shape[1:])
        scale = source.scale or Scale(0.0, 1.0)
        silent = silent_audio(shape, self.variant.silence, scale.mean, scale.deviation)
        black = None if source.clips.black is None else torch.from_numpy(source.clips.black).to(source.device)
        mean = {}
        if self.variant.condition.stand_in == "mean":
            mean = {str(self.variant.condition.modality): mean_clip(self._tensors(parts["train"]))}
        inputs = StandIns(silent.to(source.device), black, mean)
        if self.variant.level == "input":
            return inputs
        return fusion_stand_ins(inputs, self.variant.silence, self.model.encode, mean)

    @torch.no_grad()
    def _tensors(self, indices: Indices) -> Iterator[Tensor]:
        """Batches of what the condition withholds, of the clips at `indices` and at its level."""
        modality = str(self.variant.condition.modality)
        for batch in replace(self.trainer.source, modalities=(modality,)).evaluation(indices):
            tensor = batch.modality(modality)
            yield self.model.encode(modality, tensor) if self.variant.level == "fusion" else tensor


TASK = Relevance
