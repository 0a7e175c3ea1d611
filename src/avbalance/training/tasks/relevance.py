"""Classification of clips whose finished models are also tested with one modality withheld (modality-relevance)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import model_validator
from torch import Tensor

from avbalance.analysis.conditions import (
    CONDITIONS,
    StandIns,
    Variant,
    fusion_stand_ins,
    mean_clip,
    replaced,
    shuffled_partners,
    silent_audio,
    variant,
)
from avbalance.analysis.relevance import BALANCED, INTACT, per_class_accuracy
from avbalance.declared import refusal
from avbalance.errors import UserError
from avbalance.features.recipes import get_audio_recipe
from avbalance.methods.base import Indices
from avbalance.models.base import Batch, ModelOutput
from avbalance.models.relevance import CutModel
from avbalance.streams import torch_stream
from avbalance.training.data import AudioScale, Clips
from avbalance.training.data_settings import DataSettings
from avbalance.training.tasks.base import Evaluation, Outputs
from avbalance.training.tasks.classification import OneLabel

if TYPE_CHECKING:
    from avbalance.training.loop import Trainer

_TESTED = ("test", "selected")  # part and state of the model that are tested under all conditions


class RelevanceSettings(DataSettings):
    """Data settings of relevance."""

    conditions: list[str] | None = None
    """how a modality is withheld, by names of analysis/conditions.py; null: all of them"""
    missing_level: Literal["input", "fusion"] = "input"
    """where a stand-in enters: in place of what the network reads, or of what its sub-network makes of it"""
    silence: Literal["zero_tensor", "zero_waveform"] = "zero_tensor"
    """what silence is"""
    sensitivity: list[str] | None = None
    """further conditions that differ in what follows an @: silent-audio@fusion, silent-audio@input+zero_waveform"""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """All conditions that are tested; raises UserError for one that does not exist."""
        names = [*(self.conditions or CONDITIONS), *(self.sensitivity or ())]
        return tuple(variant(name, self.missing_level, self.silence) for name in names)

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        try:
            variants = self.variants
        except UserError as error:
            raise refusal(str(error).rstrip(".")) from error
        names = [each.name for each in variants]
        if INTACT not in names or len(set(names)) < len(names):
            raise refusal(
                f"conditions and sensitivity are {', '.join(names)}; list {INTACT} and every other condition once"
            )
        recipe = get_audio_recipe(self.audio_recipe) if self.audio_recipe else None
        in_decibels = recipe is None or getattr(recipe, "kind", None) == "decibel-mel"
        if not in_decibels and any(each.silence == "zero_waveform" for each in variants):
            raise refusal(
                f"silence zero_waveform is the sound of 0 in decibels, and audio_recipe {self.audio_recipe} is not in "
                "decibels; use zero_tensor or a recipe such as decibel64-10s"
            )
        return self


class Relevance(OneLabel):
    """Labels (N,) int64 of clips with a spectrogram and one visual vector, or of sound alone, also per second."""

    Settings = RelevanceSettings
    name = "relevance"
    metrics = ("accuracy", BALANCED)
    data: RelevanceSettings

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
        black = [each.name for each in self.data.variants if each.condition.stand_in == "black"]
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

        plain = super().evaluate(clips, indices, watched())
        recalls = per_class_accuracy(clips.labels[indices], torch.cat(predicted).cpu().numpy(), len(clips.classes))
        return replace(plain, metrics={**plain.metrics, BALANCED: float(np.nanmean(recalls))})

    def weights(self, labels: Indices, metric: str) -> NDArray[np.float64]:
        if metric != BALANCED:
            return super().weights(labels, metric)
        # Each class weighs the same in all: the mean of these values is the mean of the classes' recalls.
        classes, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
        return 100.0 * len(labels) / (len(classes) * counts[place])

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
        for each in self.data.variants:
            yield each.name, Withholding(trainer, model, each).outputs(indices)


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
        condition = self.variant.condition
        generator = torch_stream("cpu", self.trainer.seed, "condition", condition.name)
        others: Iterable[Tensor | None] = repeat(None)
        if condition.stand_in == "shuffled":
            others = self._tensors(indices[shuffled_partners(len(indices), generator).numpy()])
        stand_ins = self._stand_ins()
        # Not strict: `repeat(None)` never ends.
        for batch, exchanged in zip(self.trainer.source.evaluation(indices), others, strict=False):
            yield batch, self._output(batch, stand_ins, generator, exchanged)

    def _output(
        self, batch: Batch, stand_ins: StandIns, generator: torch.Generator, exchanged: Tensor | None
    ) -> ModelOutput:
        """What the model makes of a batch; stand-ins and `exchanged` are of the variant's level.

        At the input the sub-network runs on the stand-in, at the fusion the stand-in takes the place of what it makes.
        """
        model, condition = self.model, self.variant.condition
        if self.variant.level == "fusion":
            return model.output(replaced(model.features(batch), condition, stand_ins, generator, exchanged))
        inputs = {name: batch.modality(name) for name in model.modalities}
        inputs = replaced(inputs, condition, stand_ins, generator, exchanged)
        return model.output({name: model.encode(name, tensor) for name, tensor in inputs.items()})

    def _stand_ins(self) -> StandIns:
        """The constant stand-ins on the trainer's device; the mean of the training clips only if it is asked for."""
        source, parts = self.trainer.source, self.trainer.parts
        shape = tuple(source.batch_of(parts["train"][:1]).modality("audio").shape[1:])
        scale = source.scale or AudioScale(0.0, 1.0)
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
