"""Video labels that an earlier run has refined, one set per modality: reading labels.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from avbalance.analysis.parsing_losses import Pair
from avbalance.errors import UserError

if TYPE_CHECKING:
    import torch

MODALITIES = ("audio", "visual")


def removed_labels(record: Mapping[str, Any], ids: Sequence[str], classes: int) -> Pair:
    """Return boolean `(N, C)` on the CPU: labels that clip n, of `ids`, does not keep in audio and in visual.

    record: `{"removed": {clip id: {"audio": [class indices], "visual": [...]}}}`; a clip that is not listed keeps all.
    Raises UserError when it speaks of clips or classes that the data set does not have.
    """
    import torch

    rows = {str(name): row for row, name in enumerate(ids)}
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
    return Pair(gone["audio"], gone["visual"])


def refined(label: torch.Tensor, gone: Pair, index: torch.Tensor) -> Pair:
    """Return both modalities' labels of a batch: label `(B, C)` less what `gone (N, C)` says of the clips `index`."""
    audio, visual = (label * ~lost.to(label.device)[index] for lost in gone)
    return Pair(audio, visual)


def needed_labels(needs: Mapping[str, Any], method: str) -> Mapping[str, Any]:
    """Return the content of the needed file `labels`; raises UserError when the run has none."""
    if "labels" not in needs:
        raise UserError(
            f"method {method} with labels: refined reads labels.json of another run; add it to the run's needs as "
            "labels, or set labels: plain."
        )
    record: Mapping[str, Any] = needs["labels"]
    return record
