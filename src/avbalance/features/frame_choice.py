"""Which frames of a video a recipe keeps: by their numbers, or by their times where they come at no constant rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.features.recipes import SegmentRecipe, VisualRecipe

EXACT = 0.05  # s
CLOSE = 0.09  # s


def keeps_the_rate(time: float, number: int, fps: float) -> bool:
    """True when frame `number` (from 0) comes, to 0.05 s, at the time (s) that a constant rate gives it.

    No file is exact: containers round times to ms or less, state a mean rate, and FFmpeg guesses some stamps of MPEG
    programme streams one frame too late.
    """
    return abs(time - number / fps) < EXACT


def beginning(start: float) -> float:
    """Time (s) that counts as the beginning of pictures whose first frame comes at `start`: that, if it is close to 0.

    Many encoders put the first frame one or two behind the sound, which nobody sees: sound up to 0.09 s too early
    is acceptable in broadcasts (ITU-R BT.1359).
    """
    return start if abs(start) <= CLOSE else 0.0


def moment(position: int, recipe: VisualRecipe | SegmentRecipe) -> float:
    """Time (s) of which kept frame `position` is the picture: that of the frame shown then."""
    return ((0.5 if recipe.rule == "middle" else 0.0) + position) / recipe.rate


def pick_index(position: int, fps: float, recipe: VisualRecipe | SegmentRecipe) -> int:
    """Number of the video frame that becomes kept frame `position`, at a constant rate.

    Middle rule: round((0.5 + i) * fps / rate), halves up, as in the extraction scripts of Xia et al. 2023 at
    rate 1; first rule: round(i * fps / rate), as in OGM-GE.
    """
    offset = 0.5 if recipe.rule == "middle" else 0.0
    return math.floor((offset + position) * fps / recipe.rate + 0.5)


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


def spread_frames(times: Sequence[float], fps: float, wanted: int) -> list[int]:
    """Numbers of the frames nearest to `wanted` moments at even distances, from the first frame to the last.

    times: of all frames (s), ascending. At a constant rate these are `distinct_frames`.
    """
    # By number where the rate is constant: moments that fall between two frames would depend on how a container rounds.
    if all(keeps_the_rate(time - times[0], number, fps) for number, time in enumerate(times)):
        return distinct_frames(len(times), wanted)
    if len(times) <= wanted:
        return list(range(len(times)))
    distance = np.abs(np.asarray(times)[:, None] - np.linspace(times[0], times[-1], wanted))
    return sorted(set(distance.argmin(axis=0).tolist()))
