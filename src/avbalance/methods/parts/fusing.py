"""Pooled features of both modalities, and the head that joins them, for methods that call it on features they made."""

from __future__ import annotations

from torch import Tensor

from avbalance.errors import UserError
from avbalance.models.base import MODALITIES, Model, ModelOutput
from avbalance.models.fusion_net import FusionNet

NO_FUSION = "the model has no fusion head over two features"


def fusion_net(model: Model, method: str) -> FusionNet:
    """The model, which must be a fusion-net; raises UserError for another one."""
    if not isinstance(model, FusionNet):
        raise UserError(f"method {method}: {NO_FUSION}; use fusion-net.")
    return model


def both_features(output: ModelOutput, method: str) -> tuple[Tensor, Tensor]:
    """The audio and visual features `(B, D)`; raises UserError when the model has not both."""
    missing = sorted(set(MODALITIES) - set(output.features))
    if missing:
        raise UserError(f"method {method}: the model has no {' and '.join(missing)} features; use fusion-net.")
    return output.features["audio"], output.features["visual"]


def fused(model: Model, audio: Tensor, visual: Tensor, method: str) -> Tensor:
    """The fused logits `(B, C)` of pooled features `(B, D)`; raises UserError for a model without such a head."""
    if not hasattr(model, "fuse"):
        raise UserError(f"method {method}: {NO_FUSION}; use fusion-net.")
    logits: Tensor = model.fuse({"audio": audio, "visual": visual})  # type: ignore[operator]
    return logits
