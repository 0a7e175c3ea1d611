"""MA, stage two: labels that a modality does not deserve, found by exchanging tracks (Wu and Yang 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avbalance.methods.base import MethodCard, Training
from avbalance.methods.parts.estimation import Estimation, video_probabilities
from avbalance.methods.parts.parsing import Pair
from avbalance.models.base import MODALITIES
from avbalance.streams import torch_stream

PARTNER_BLOCK = 1024  # videos compared with all others at once: 40 MB for the 10,000 of LLP


def exchange_partners(label: Tensor, generator: torch.Generator) -> Tensor:
    """Draw for each video one with no label in common, uniformly: label `(N, C)` to indices `(N,)` on the CPU.

    -1 for a video that shares a label with every other.
    """
    known = label.to("cpu", torch.float32)
    drawn = []
    for start in range(0, len(known), PARTNER_BLOCK):
        # The product counts common labels; 0 means that j shows nothing of what i is labelled with.
        disjoint = (known[start : start + PARTNER_BLOCK] @ known.T == 0).float()
        alone = ~disjoint.any(1)
        # multinomial refuses a row of zeros: a video without a partner draws any one, and is marked below.
        chosen = torch.multinomial(disjoint.masked_fill(alone[:, None], 1), 1, generator=generator)[:, 0]
        drawn.append(chosen.masked_fill(alone, -1))
    return torch.cat(drawn)


def class_error(probability: Tensor, label: Tensor) -> Tensor:
    """Share of videos whose `p > 0.5` differs from the label: `(N, C)` twice to `(C,)` float64."""
    return ((probability > 0.5) != (label > 0.5)).to(torch.float64).mean(0)


def relative_error(probability: Tensor, label: Tensor) -> Tensor:
    """MA's per-class error over its greatest: `(N, C)` twice to `(C,)` in [0, 1], 0 everywhere without errors."""
    error = class_error(probability, label)
    # The smallest normal number: without any error all ratios are 0, not NaN.
    return error / error.max().clamp_min(torch.finfo(torch.float64).tiny)


def removable_labels(label: Tensor, own: Pair, with_other_visual: Pair, with_other_audio: Pair) -> Pair:
    """MA's label estimation: boolean `(N, C)` of labels to remove from each modality, from stored predictions.

    Pairs of p_a and p_v `(N, C)` of `(a_i, v_i)`, `(a_i, v_j)`, `(a_j, v_i)`; video j shares no label with i. With k
    the relative error of a modality on `own`, a label leaves visual when p_v and p_a of `(a_j, v_i)` both lie below
    `0.5 k_v`, audio when both of `(a_i, v_j)` lie below `0.5 k_a`. A class without errors loses no label.
    """

    def absent(pair: Pair, relative: Tensor) -> Tensor:
        highest = pair.audio.maximum(pair.visual)
        # p / k < 0.5 as the public code has it, multiplied out: a class without errors has k = 0.
        return (label > 0.5) & (highest < 0.5 * relative)

    relative_audio, relative_visual = (relative_error(probability, label) for probability in own)
    return Pair(absent(with_other_visual, relative_audio), absent(with_other_audio, relative_visual))


class MALabels(Estimation):
    """Look over the training set, each video with a track of another one; write labels.json.

    Equation: a label leaves visual where `max(p_a, p_v)` of `(a_j, v_i)` is below `0.5 k_v`, and audio where that of
    `(a_i, v_j)` is below `0.5 k_a`; k is a class's error over the greatest of all classes.
    """

    card = MethodCard(
        name="ma-labels",
        label="MA (labels)",
        reference="Wu and Yang, CVPR 2021, and Yu-Wu/Modaily-Aware-Audio-Visual-Video-Parsing",
        summary="A label leaves a modality that does not show it beside another video's track.",
        artifacts=("labels.json",),
        models=("han",),
        deviations=(
            "The reference code draws the other videos with seed 2; here they are drawn from the run's seed, on a "
            "stream of their own.",
            "A video that shares a label with every other one keeps its labels; labels.json counts such videos.",
            "A class without errors has the threshold 0 and loses no label; the reference code divides by 0 there.",
        ),
        predicts=False,
    )

    def prepare(self, trainer: Training) -> None:
        """Estimate with the weights of the need "model", in evaluation mode."""
        self.load(trainer)
        indices = trainer.parts["train"]
        own, label = video_probabilities(trainer, indices)
        partner = exchange_partners(label, torch_stream("cpu", trainer.seed, self.name, "partners"))
        alone = partner < 0
        other = indices[partner.clamp_min(0).numpy()]
        with_other_visual, _ = video_probabilities(trainer, indices, other)
        with_other_audio, _ = video_probabilities(trainer, other, indices)
        gone = removable_labels(label, own, with_other_visual, with_other_audio)
        gone = Pair(*(each & ~alone[:, None] for each in gone))
        self.record = {
            "classes": list(trainer.source.clips.classes),
            "removed": _by_clip(trainer.source.clips.ids[indices], gone),
            "counts": {name: each.sum(0).tolist() for name, each in zip(MODALITIES, gone, strict=True)},
            "errors": {name: class_error(each, label).tolist() for name, each in zip(MODALITIES, own, strict=True)},
            "positives": (label > 0.5).sum(0).tolist(),
            "videos": len(label),
            "without_partner": int(alone.sum()),
        }

    def artifacts(self) -> dict[str, Any]:
        """labels.json: clip id -> modality -> class indices removed; counts and errors per class."""
        return {} if self.record is None else {"labels.json": self.record}


def _by_clip(ids: NDArray[np.str_], gone: Pair) -> dict[str, dict[str, list[int]]]:
    """Clip id -> modality -> indices of the classes it loses, for the clips that lose any."""
    rows = (gone.audio | gone.visual).any(1).nonzero()[:, 0].tolist()
    return {
        str(ids[row]): {name: each[row].nonzero()[:, 0].tolist() for name, each in zip(MODALITIES, gone, strict=True)}
        for row in rows
    }


METHOD = MALabels
