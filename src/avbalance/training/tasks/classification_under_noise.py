"""Classification whose test part is also predicted from disturbed clips: noise in one modality, or one missing.

The noise is Gaussian and is added to what a network reads (a spectrogram, pixels, vectors), with a signal-to-noise
ratio in dB: the power of the signal is the variance of all its values over the test part. A modality that is missing is
replaced by its mean over the test clips, which tells nothing of a single one. The draws are the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avbalance.methods.base import Indices
from avbalance.training.tasks.base import Outputs
from avbalance.training.tasks.classification import Classification, ClassificationSettings

if TYPE_CHECKING:
    from avbalance.training.loop import Trainer

SNR_DB = (6, 0, -6)


class UnderNoiseSettings(ClassificationSettings):
    """Data settings of classification under noise."""

    disturbed: bool = False
    """also test the selected model with noise in each modality, and without it: noise-audio+6, without-audio, ..."""


class ClassificationUnderNoise(Classification):
    """One label per clip; the test part may also be predicted from disturbed clips."""

    Settings = UnderNoiseSettings
    name = "classification-under-noise"
    data: UnderNoiseSettings

    def conditions(self, trainer: Trainer, split: str, checkpoint: str) -> Iterable[tuple[str, Outputs]]:
        yield from super().conditions(trainer, split, checkpoint)
        if self.data.disturbed and (split, checkpoint) == ("test", "selected"):
            yield from disturbed(trainer, trainer.parts[split])


def disturbed(trainer: Trainer, indices: Indices) -> Iterator[tuple[str, Outputs]]:
    """Condition -> outputs for the clips at `indices`; a network of one modality is not asked without it."""
    several = len(trainer.model.modalities) > 1
    for modality in trainer.model.modalities:
        power = _Power.of(trainer, indices, modality)
        for level in SNR_DB:
            yield f"noise-{modality}{level:+d}", _outputs(trainer, indices, modality, power.noise(level))
        if several:
            yield f"without-{modality}", _outputs(trainer, indices, modality, power.missing)


@dataclass(frozen=True)
class _Power:
    """What is known of one modality's values: their mean over clips (1, ...), and the deviation of all of them."""

    mean: Tensor
    deviation: float

    @classmethod
    def of(cls, trainer: Trainer, indices: Indices, modality: str) -> _Power:
        total, squares = torch.zeros((), dtype=torch.float64), 0.0
        for batch in trainer.source.evaluation(indices):
            values = batch.modality(modality).double().cpu()
            total, squares = total + values.sum(0, keepdim=True), squares + float(values.square().sum())
        mean = total / len(indices)
        variance = squares / (len(indices) * mean.numel()) - float(mean.mean()) ** 2
        return cls(mean, max(variance, 0.0) ** 0.5)

    def noise(self, level: int) -> Callable[[Tensor], Tensor]:
        """Adds noise to batch after batch: a signal-to-noise ratio of `level` dB."""
        generator = torch.Generator().manual_seed(level + 100)
        scale = self.deviation * 10 ** (-level / 20)
        return lambda values: values + scale * torch.randn(values.shape, generator=generator).to(values)

    def missing(self, values: Tensor) -> Tensor:
        return self.mean.to(values).expand_as(values)


@torch.no_grad()
def _outputs(trainer: Trainer, indices: Indices, modality: str, change: Callable[[Tensor], Tensor]) -> Outputs:
    trainer.model.eval()
    for batch in trainer.source.evaluation(indices):
        changed = replace(batch, **{modality: change(batch.modality(modality))})
        yield changed, trainer.model(changed)


TASK = ClassificationUnderNoise
