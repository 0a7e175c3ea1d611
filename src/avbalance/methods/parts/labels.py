"""Video labels that an earlier run has refined, one set per modality: reading labels.json."""

from __future__ import annotations

import torch
from torch import Tensor

from avbalance.errors import UserError
from avbalance.methods.base import Method, Training
from avbalance.methods.parts.parsing import Pair
from avbalance.models.base import MODALITIES


def removed_labels(method: Method, trainer: Training) -> Pair:
    """Boolean `(N, C)`: labels that clip n does not keep in audio and in visual, by the needed file labels.

    Its content: `{"removed": {clip id: {"audio": [class indices], "visual": [...]}}}`; a clip that is not listed keeps
    all. Raises UserError when the run needs no such file, or it speaks of clips or classes that the data set has not.
    """
    record = method.needed(trainer, "labels", "labels.json (none with labels: plain)")
    rows = {str(name): row for row, name in enumerate(trainer.source.clips.ids)}
    classes = len(trainer.source.clips.classes)
    gone = {modality: torch.zeros(len(rows), classes, dtype=torch.bool) for modality in MODALITIES}
    for name, lost in record["removed"].items():
        for modality in MODALITIES:
            indices = lost.get(modality, [])
            if name not in rows or not all(0 <= index < classes for index in indices):
                raise UserError(
                    f"the needed file labels speaks of clip {name} and classes {indices}, which this data set does not "
                    "have; let the run sheet take it from a run on the same data set."
                )
            gone[modality][rows[name], indices] = True
    return Pair(*(gone[modality].to(trainer.device) for modality in MODALITIES))


def refined(label: Tensor, gone: Pair, index: Tensor) -> Pair:
    """Both modalities' labels of a batch: label `(B, C)` less what `gone (N, C)` says of the clips `index`."""
    audio, visual = (label * ~lost[index] for lost in gone)
    return Pair(audio, visual)
