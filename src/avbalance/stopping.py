"""Early stop on validation accuracy: one rule for the training loop and for the estimate of confidence."""

from __future__ import annotations

from collections.abc import Sequence

from avbalance.declared import Count, Declared, Size, Weight

ROUNDING = 1e-9  # 60.3 - 60.2 is a little less than 0.1 in floating point and must count as a gain of 0.1


class StopRule(Declared):
    """When the unimodal runs by which discrepancies are estimated count as stopped."""

    min_delta: Weight
    """percentage points of validation accuracy that count as a gain"""
    patience: Size
    """epochs without one"""
    floor: Count
    """the least number of epochs averaged"""


def early_stop(accuracies: Sequence[float], min_delta: float, patience: int) -> tuple[int, int | None]:
    """Last epoch with a gain, and the epoch at which `patience` epochs had passed without one (None: never).

    `accuracies` (E,) in percent; epochs count from 1. A gain beats every earlier epoch by at least `min_delta`
    percentage points. Xia et al. 2023, section 3.1 names an early stop and gives no rule; this one is ours.
    """
    best, gained = float("-inf"), 0
    for epoch, accuracy in enumerate(accuracies, start=1):
        if accuracy - best >= min_delta - ROUNDING:
            gained = epoch
        best = max(best, accuracy)
        if epoch - gained >= patience:
            return gained, epoch
    return gained, None
