"""What a model answers when one modality is noisy, or missing, at test time.

- noisy-audio: Gaussian noise is added to what the network reads of the sound, with the standard deviation that it has
  over the training part (a signal-to-noise ratio of 0 dB). noisy-visual likewise. Of other ratios: noisy-audio+6, ...
- without-audio: the mean of all training clips stands in for the sound of every clip. Silence and black frames are
  unlike anything in training, so that they would measure surprise rather than absence. without-visual likewise.

A model of one modality answers as ever when the other is touched. Its late ensemble is thus tested too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from avbalance.analysis.conditions import gaussian
from avbalance.models.base import MODALITIES, Batch, ModelOutput
from avbalance.streams import torch_stream

if TYPE_CHECKING:
    from avbalance.training.loop import Trainer

NOISY, WITHOUT = "noisy", "without"
Outputs = Iterable[tuple[Batch, ModelOutput]]


class Usual(NamedTuple):
    """What a modality is over the training part: the mean clip, and the standard deviation of all its cells."""

    mean: Tensor
    deviation: float


def degraded_outputs(trainer: Trainer, split: str, levels: Sequence[int] = (0,)) -> Iterator[tuple[str, Outputs]]:
    """Condition -> batches of a part, as they are, and what the trainer's model makes of them when degraded.

    levels: signal-to-noise ratios of the noise, in dB.
    """
    for modality in MODALITIES:
        usual = _usual(trainer, modality) if modality in trainer.model.modalities else None
        for level in levels:
            yield noisy(modality, level), _outputs(trainer, split, modality, level, usual)
        yield f"{WITHOUT}-{modality}", _outputs(trainer, split, modality, None, usual)


def noisy(modality: str, level: int) -> str:
    """Name of the condition of noise in one modality, at a signal-to-noise ratio in dB."""
    return f"{NOISY}-{modality}" + (f"{level:+d}" if level else "")


@torch.no_grad()
def _usual(trainer: Trainer, modality: str) -> Usual:
    """Summed in float64, batch by batch, with test-time transforms."""
    clips, total, squares = 0, torch.zeros(()), 0.0
    for batch in replace(trainer.source, modalities=(modality,)).evaluation(trainer.parts["train"]):
        own = batch.modality(modality).double()
        total = total.to(own.device) + own.sum(0)
        squares += float(own.square().sum())
        clips += len(own)
    mean = total / clips
    # One deviation for all cells: noise of equal strength everywhere, as a noisy channel has it.
    variance = squares / (clips * mean.numel()) - float(mean.mean()) ** 2
    return Usual(mean.float(), max(variance, 0.0) ** 0.5)


@torch.no_grad()
def _outputs(trainer: Trainer, split: str, modality: str, level: int | None, usual: Usual | None) -> Outputs:
    """Of one condition; level None: missing. What is drawn does not depend on the size of a batch."""
    trainer.model.eval()
    generator = torch_stream("cpu", trainer.seed, "condition", noisy(modality, level or 0))
    for batch in trainer.source.evaluation(trainer.parts[split]):
        read = batch
        if usual is not None:
            own = batch.modality(modality)
            missing = usual.mean.expand_as(own)
            # 20, not 10: the ratio in dB is of powers, and amplitudes are scaled here.
            scale = None if level is None else usual.deviation * 10 ** (-level / 20)
            degraded = missing if scale is None else own + scale * gaussian(own, generator)
            read = replace(batch, **{modality: degraded.contiguous()})
        yield batch, trainer.model(read)
