"""MA, stage two: labels that a modality does not deserve, found by exchanging tracks (Wu and Yang 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from avbalance.analysis.parsing_losses import Pair, class_error, exchange_partners, removable_labels
from avbalance.methods.base import Method, MethodCard, Trainer
from avbalance.methods.parts.estimation import load_estimator, video_probabilities
from avbalance.methods.parts.labels import MODALITIES
from avbalance.training.streams import torch_stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MALabels(Method):
    """Look over the training set, each video with a track of another one; write labels.json."""

    card = MethodCard(
        name="ma-labels",
        label="MA (labels)",
        reference="Wu and Yang, CVPR 2021, and Yu-Wu/Modaily-Aware-Audio-Visual-Video-Parsing",
        summary="A label leaves a modality that does not show it beside another video's track.",
        models=("han",),
        deviations=(
            "The reference code draws the other videos with seed 2; here they are drawn from the run's seed, on a "
            "stream of their own.",
            "A video that shares a label with every other one keeps its labels; labels.json counts such videos.",
            "A class without errors has the threshold 0 and loses no label; the reference code divides by 0 there.",
        ),
        predicts=False,
    )

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.record: dict[str, Any] | None = None

    def prepare(self, trainer: Trainer) -> None:
        """Estimate with the weights of the need "model", in evaluation mode."""
        load_estimator(self, trainer)
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
        """Return labels.json: clip id -> modality -> class indices removed; counts and errors per class."""
        return {} if self.record is None else {"labels.json": self.record}


def _by_clip(ids: NDArray[np.str_], gone: Pair) -> dict[str, dict[str, list[int]]]:
    """Clip id -> modality -> indices of the classes it loses, for the clips that lose any."""
    rows = (gone.audio | gone.visual).any(1).nonzero()[:, 0].tolist()
    return {
        str(ids[row]): {name: each[row].nonzero()[:, 0].tolist() for name, each in zip(MODALITIES, gone, strict=True)}
        for row in rows
    }


METHOD = MALabels
