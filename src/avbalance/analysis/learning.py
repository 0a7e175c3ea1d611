"""Whether a training has learned and converged, from its history and its answers on the validation part.

Both verdicts are judged by what every method has in common, whatever it minimises: the loss of its prediction (the
cross-entropy of the label, or of the labels, without further terms) and the validation metric that selects the epoch.
Guessing is an answer that looks at nothing: base rates for the loss, the most frequent label or no event for the
metric.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError

MARGIN_ERRORS = 3.0  # standard errors above guessing: by luck 1 run in 700, and the selected epoch is the best of many
LATE_RISE = 1.0  # points: what most published gains exceed, so that a smaller rise cannot make or undo one
RISE_CLIPS = 4  # of validation: a net gain of k clips has a standard error of sqrt(k) at least, so fewer are within two
RISE_ERRORS = 2.0  # standard errors: a rise within them is the usual to and fro between epochs
LATE_FALL = 0.03  # of the loss of guessing: a network that still learns loses more than that in a quarter of its epochs
LOSS = "train_prediction_loss"  # column of history.csv
QUANTITIES = ("late_rise", "final_loss", "guess_loss", "margin", "margin_error", "selected_share")
VERDICTS = ("learned", "converged")

Values = NDArray[np.float64]


def guessing_loss(targets: NDArray[Any]) -> float:
    """Cross-entropy, in nats, of always answering with the base rates of the training labels.

    `targets`: class indices of any shape, or (N, C) floats of 0 and 1, several labels. Raises UserError without any.
    """
    if targets.size == 0:
        raise UserError("no label to guess from: the training part is empty.")
    if np.issubdtype(targets.dtype, np.integer):
        counts = np.bincount(targets.ravel())
        return _entropy(counts[counts > 0] / targets.size)
    rates = targets.mean(axis=0, dtype=np.float64)
    return float(np.mean([_entropy(np.array([rate, 1 - rate])) for rate in rates]))


def _entropy(shares: Values) -> float:
    inside = shares[shares > 0]
    return float(-(inside * np.log(inside)).sum()) + 0.0  # no minus zero


def margin(own: Values, guess: Values) -> tuple[float, float]:
    """Mean lead of a run's values (N,) per clip over those of guessing, and its standard error, paired by clip."""
    lead = np.asarray(own, np.float64) - guess
    return float(lead.mean()), float(lead.std(ddof=1) / math.sqrt(len(lead))) if len(lead) > 1 else math.inf


def late_change(values: Sequence[float]) -> tuple[float, float]:
    """Mean over the second half of the last quarter of the epochs less that over its first half; its standard error.

    What lies before does not count: a drop of the learning rate may have lifted the curve there. The error is that of
    two means of independent epochs; 0 where a half is one epoch. Raises UserError for fewer than two epochs.
    """
    if len(values) < 2:
        raise UserError("a history of one epoch shows no change; train for two at least.")
    # The last quarter in two halves; of fewer than 16 epochs each half is a single one.
    half = max(1, len(values) // 8)
    last, before = np.array(values[-half:]), np.array(values[-2 * half : -half])
    error = math.sqrt((last.var(ddof=1) + before.var(ddof=1)) / half) if half > 1 else 0.0
    return float(last.mean() - before.mean()), error


def column(history: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """One column of a history; raises UserError when an epoch lacks it or has no number there."""
    values = [float(row.get(name, math.nan)) for row in history]
    for epoch, value in enumerate(values, start=1):
        if not math.isfinite(value):
            raise UserError(f"history, epoch {epoch}: {name} is missing or not a number; train the run again.")
    return values


def judged(
    history: Sequence[Mapping[str, Any]],
    metric: str,
    selected_epoch: int,
    epochs: int,
    own: Values,
    guess: Values,
    guess_loss: float,
) -> dict[str, Any]:
    """The block "learning" of a run's record.

    history: a row per epoch; selected_epoch: from 1; epochs: as the schedule has them; own, guess (N,): the metric, in
    percent, of every validation clip, by the selected model and by guessing; guess_loss: see `guessing_loss`. Raises
    UserError for a history that cannot be judged.
    """
    lead, error = margin(own, guess)
    losses, values = column(history, LOSS), column(history, f"val_{metric}")
    learned = lead > MARGIN_ERRORS * error
    # Of few validation clips one more right answer is already a point: a rise must be of several clips.
    least = max(LATE_RISE, 100 * RISE_CLIPS / len(own))
    plateau = _plateau(values, losses, guess_loss, least, stopped=len(history) < epochs)
    verdicts = {"learned": learned, "converged": plateau.pop("converged")}
    grounds = f"{lead:.1f} points above guessing, standard error {error:.1f}", plateau.pop("reason")
    reasons = [
        f"{'' if true else 'not '}{name}: {why}" for (name, true), why in zip(verdicts.items(), grounds, strict=True)
    ]
    return {
        "metric": metric,
        "validation_clips": len(own),
        "value": float(np.mean(own)),
        "chance": float(np.mean(guess)),
        "margin": lead,
        "margin_error": error,
        "final_loss": losses[-1],
        "guess_loss": guess_loss,
        "selected_epoch": selected_epoch,
        "selected_share": selected_epoch / epochs,
        **plateau,
        **verdicts,
        "reason": "; ".join(reasons),
    }


def _plateau(
    values: Sequence[float], losses: Sequence[float], guess_loss: float, least: float, stopped: bool
) -> dict[str, Any]:
    """Whether validation metric and training loss have come to rest, `converged`, with the numbers and the `reason`.

    least: points that the metric must rise by to count as rising; stopped: the training ended before its last epoch.
    """
    if len(values) < 2:
        return {"converged": False, "reason": "a single epoch shows no plateau"}
    rise, error = late_change(values)
    # As a share of what guessing loses: losses of 6 and of 309 classes then compare.
    fall = -late_change(losses)[0] / guess_loss if guess_loss > 0 else 0.0
    quarter = 2 * max(1, len(values) // 8)
    reason = (
        f"validation rose by {rise:.1f} points (standard error {error:.1f}) and the training loss fell by "
        f"{100 * fall:.1f} % of that of guessing within the last {quarter} epochs"
    )
    rested = (rise < least or rise <= RISE_ERRORS * error) and fall <= LATE_FALL
    return {
        "late_rise": rise,
        "late_rise_error": error,
        "late_fall": fall,
        "converged": stopped or rested,
        "reason": "stopped early: without a gain within its patience, or with a training loss at rest"
        if stopped
        else reason,
    }


def exempt(reason: str, **known: Any) -> dict[str, Any]:
    """The block of a run that is not judged, with what else is known of it."""
    return {**known, **dict.fromkeys(VERDICTS), "reason": reason}


def joined(parts: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """The block of a run that joins others and trains nothing: name -> their blocks, None where one has none.

    It has learned, or converged, when all parts have; unknown (None) when one is unknown and none has not.
    """
    blocks = {name: block or {} for name, block in parts.items()}
    verdicts: dict[str, Any] = {}
    for verdict in VERDICTS:
        of_parts = [block.get(verdict) for block in blocks.values()]
        verdicts[verdict] = False if False in of_parts else None if None in of_parts else True
    clips = [block["validation_clips"] for block in blocks.values() if "validation_clips" in block]
    reasons = [f"{name}: {block.get('reason', 'unknown')}" for name, block in blocks.items()]
    return {**({"validation_clips": min(clips)} if clips else {}), **verdicts, "reason": "; ".join(reasons)}
