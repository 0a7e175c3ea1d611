"""Sample-level modality valuation: what contributes little to a clip's answer is trained on again (Wei et al. 2024).

N clips of the data set, B of a batch, C classes; audio comes first on an axis of length 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.declared import Declared, Share, Weight
from avbalance.methods.base import Given, Indices, Method, MethodCard, NoOp, Training, TrainingStep
from avbalance.methods.parts.fusing import both_features, fused
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput
from avbalance.streams import derive

BOTH, AUDIO, VISUAL = range(3)  # what of a clip takes part


class ValuationOptions(Declared):
    """Options of valuation."""

    level: Literal["sample", "modality"] = "sample"
    """Wei et al. 2024: each clip by its own contributions, or clips at random by mean contributions"""
    warm_up: Share = 5 / 60
    """Wei et al. 2024, reference code: the first 5 of 60 epochs have no clip again; one at least"""
    part: Share = 0.2
    """Wei et al. 2024, reference code (part_ratio), level modality: share of clips that the means are of"""
    strength: Weight = 1.0
    """Wei et al. 2024, reference code (alpha), level modality: factor on the share of clips that come again"""


def contributions(both: Tensor, audio: Tensor, visual: Tensor, label: Tensor) -> Tensor:
    """Shapley values `(B, 2)` of a worth of 2 where both, 1 where one modality is right alone, else 0; -1/2 to 3/2.

    both, audio, visual: logits `(B, C)` of both modalities, and of one with a zero vector in the other's place.
    """
    pair, heard, seen = ((logits.argmax(1) == label).float() for logits in (both, audio, visual))
    return torch.stack([2 * pair + heard - seen, 2 * pair + seen - heard], 1) / 2


def copies(values: Tensor) -> Tensor:
    """How often each modality of a clip is trained on again, alone: `max(0, 2 - 2 phi)` of contributions `(B, 2)`.

    1, 2 and 3 times for 1/2, 0 and -1/2, as in the reference code; never where it contributes 1 or more.
    """
    return (2 - 2 * values).clamp_min(0).long()


def again(audio: float, visual: float, strength: float) -> tuple[float, float]:
    """Shares of clips to train on again by (audio, visual) alone: `2/3 strength |phi_a - phi_v|` for the lesser one."""
    share = 2 / 3 * strength * abs(audio - visual)
    return (share, 0.0) if audio < visual else (0.0, share)


def kinds(extra: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """What takes part when a clip is met first, again, ...: BOTH once, the others as in extra (N, 2); shuffled rows."""
    place = np.arange(1 + extra.sum(1).max())
    audio, visual = extra.T[..., None]
    ordered = np.where(place == 0, BOTH, np.where(place <= audio, AUDIO, VISUAL))
    keys = generator.random(ordered.shape) + (place > audio + visual)
    return np.take_along_axis(ordered, keys.argsort(1), 1)


class Valuation(Method):
    """Before every epoch after a warm-up, clips are added of which a modality alone takes part.

    Sample level: the less a modality contributes to a clip, the more often the clip is added with it alone. Modality
    level: clips at random are, with the modality that contributes less in the mean. Batches mix them with the others.

    Equation: `CE(f(m_a h_a, m_v h_v), y)`, m is (1, 1) once, (1, 0) `max(0, 2 - 2 phi_a)` and (0, 1) `max(0, 2 - 2
    phi_v)` times; `phi_a = (v(a) + v(a, v) - v(v)) / 2`, `v(S) = |S|` if the class is right by S, else 0.
    """

    card = MethodCard(
        name="valuation",
        label="Modality valuation",
        reference="Wei et al., CVPR 2024, arXiv 2309.06255",
        summary="Clips come again with the modality alone that contributed little to the answer.",
        options=ValuationOptions,
        fusions=("concat", "sum", "film", "gated"),
        no_op=NoOp({"warm_up": 1.0}, {}, "baseline"),
        deviations=(
            "Clips are valued with test-time transforms; the reference code values them with those of training.",
            "An epoch has more steps than one of Baseline, up to five times as many at the sample level.",
        ),
    )
    kept = ("means", "extra", "kinds", "met")
    options: ValuationOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.extra: Tensor | None = None  # (N, 2): how often clips come again in the epoch; None in the warm-up
        self.kinds = self.met = torch.zeros(0, dtype=torch.int64)  # (N, most), and (N,): how often met so far

    def epoch_start(self, trainer: Training, epoch: int) -> None:
        """After the warm-up, value the training clips, and lay down how often each comes and with what."""
        train, generator = trainer.parts["train"], np.random.default_rng(derive(trainer.seed, self.name, epoch))
        if epoch < max(1, round(self.options.warm_up * trainer.epochs)) or not len(train):
            return
        values = torch.zeros(len(trainer.source.clips.ids), 2)
        with torch.no_grad():
            for batch, output in trainer.outputs(train):
                values[batch.index.cpu()] = self._valued(trainer.model, output, batch.label).cpu()
        extra = torch.zeros_like(values, dtype=torch.int64)
        if self.options.level == "sample":
            extra[train] = copies(values[train])
        else:
            asked = generator.choice(train, max(1, int(self.options.part * len(train))))
            audio, visual = values[asked].double().mean(0).tolist()
            for place, share in enumerate(again(audio, visual, self.options.strength)):
                drawn = generator.choice(train, int(share * len(train)))
                extra[:, place] = torch.from_numpy(np.bincount(drawn, minlength=len(values)))
        self.extra, self.kinds = extra, torch.from_numpy(kinds(extra.numpy(), generator))
        self.met = torch.zeros(len(values), dtype=torch.int64)

    def _valued(self, model: Model, output: ModelOutput, label: Tensor) -> Tensor:
        audio, visual = both_features(output, self.name)
        alone = [fused(model, *pair, self.name) for pair in ((audio, 0 * visual), (0 * audio, visual))]
        return contributions(output.logits, alone[0], alone[1], label)

    def clip_groups(self, indices: Indices) -> Mapping[str, Indices]:
        """The clips, each as often as it comes."""
        return {"": indices if self.extra is None else np.repeat(indices, 1 + self.extra.sum(1).numpy()[indices])}

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The cross-entropy of what takes part; raises UserError for another network."""
        if self.extra is None:
            return cross_entropy(output.logits, batch.label)
        rows = batch.index.cpu()
        earlier = (rows[:, None] == rows).tril(-1).sum(1)  # in this batch
        kind = self.kinds[rows, self.met[rows] + earlier].to(batch.label.device)
        self.met += torch.bincount(rows, minlength=len(self.met))
        audio, visual = both_features(output, self.name)
        heard, seen = ((kind != out)[:, None].to(audio.dtype) for out in (VISUAL, AUDIO))
        return cross_entropy(fused(model, audio * heard, visual * seen, self.name), batch.label)

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        """Log how often a training clip came again with each modality alone; nothing in the warm-up."""
        means = [] if self.extra is None else self.extra[trainer.parts["train"]].double().mean(0).tolist()
        log |= dict(zip((f"again_{name}" for name in MODALITIES), means, strict=False))


METHOD = Valuation
