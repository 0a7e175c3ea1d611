"""What methods share that ask the fusion head for more than the logits of a batch's clips."""

from __future__ import annotations

from avbalance.errors import UserError
from avbalance.models.base import Model
from avbalance.models.fusion_net import FusionNet


def fusion_net(model: Model, method: str) -> FusionNet:
    """The model, which must be a fusion-net; raises UserError for another one."""
    if not isinstance(model, FusionNet):
        raise UserError(f"method {method}: the model has no fusion head over two features; use fusion-net.")
    return model
