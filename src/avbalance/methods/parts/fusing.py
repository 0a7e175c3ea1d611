"""The head that joins pooled features, for methods that call it on features of their own making."""

from __future__ import annotations

from torch import Tensor

from avbalance.errors import UserError
from avbalance.models.base import Model


def fused(model: Model, audio: Tensor, visual: Tensor, method: str) -> Tensor:
    """The fused logits `(B, C)` of pooled features `(B, D)`; raises UserError for a model without such a head."""
    if not hasattr(model, "fuse"):
        raise UserError(f"method {method}: the model has no head that joins two features; use fusion-net.")
    logits: Tensor = model.fuse({"audio": audio, "visual": visual})  # type: ignore[operator]
    return logits
