"""Frames at even distances over a whole clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError


def uniform_frames(available: int, wanted: int = 8) -> NDArray[np.intp]:
    """Which of F frames are kept, `(wanted,)`: `round(k (F - 1) / (wanted - 1))`; the last is repeated if F is less.

    The paper modality-relevance states 8 frames by uniform temporal sampling, no more. Halves, which occur for no k
    when `wanted` is 8, would be rounded to even. Raises UserError without a frame.
    """
    if available < 1:
        raise UserError("the clip has no frame to choose from; leave it out.")
    if available < wanted:
        return np.minimum(np.arange(wanted), available - 1)
    return np.round(np.linspace(0, available - 1, wanted)).astype(np.intp)


def distinct_frames(available: int, wanted: int) -> list[int]:
    """The numbers of `uniform_frames` without repetition; none without a frame."""
    return sorted(set(uniform_frames(available, wanted).tolist())) if available else []
