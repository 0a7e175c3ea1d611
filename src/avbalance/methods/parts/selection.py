"""Small-loss selection per class and modality, as methods against noisy labels use it on video labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from avbalance.analysis.parsing_losses import Pair
from avbalance.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def needed_ratios(needs: Mapping[str, Any], method: str, classes: int, device: torch.device) -> Pair:
    """Return the shares of noisy positives `(C,)` of both modalities from the needed file `ratios`.

    Content: `{"audio": [C], "visual": [C]}`. Raises UserError when the run has none, or for another number of classes.
    """
    import torch

    if "ratios" not in needs:
        raise UserError(f"method {method} reads noise_ratios.json of another run; add it to the run's needs as ratios.")
    audio, visual = (
        torch.tensor(needs["ratios"][name], dtype=torch.float64, device=device) for name in ("audio", "visual")
    )
    if audio.shape != (classes,) or visual.shape != (classes,):
        raise UserError(
            f"the needed file ratios has {len(audio)} audio and {len(visual)} visual ratios, the data set {classes} "
            "classes; let the run sheet take it from a run on the same data set."
        )
    return Pair(audio, visual)


def largest_losses(loss: Tensor, label: Tensor, ratio: Tensor) -> Tensor:
    """Boolean `(B, C)`: of the k positives of each class, the `floor(ratio k)` with the largest losses.

    loss and label `(B, C)`, ratio `(C,)`. Equal losses are ranked by their place in the batch, the first as smallest.
    """
    positive = label > 0.5
    kept = positive.sum(0) - (ratio.double() * positive.sum(0)).floor().long()
    order = loss.detach().masked_fill(~positive, float("inf")).argsort(dim=0, stable=True)
    return positive & (order.argsort(dim=0) >= kept)


def mean_kept(values: Tensor, dropped: Tensor) -> Tensor:
    """Mean of the entries `(B, C)` that are not dropped, a scalar; 0 without any."""
    kept = ~dropped
    return (values * kept).sum() / kept.sum().clamp_min(1)
