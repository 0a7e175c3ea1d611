"""The single clips that are worth a look: where the modalities disagree most, and where the label may be wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.instruments import disagreement, mislabelled
from avbalance.diagnosis.answers import Answers, Floats

LISTED = 24  # clips in each list


def striking_clips(audio: Answers, visual: Answers, classes: NDArray[np.str_]) -> dict[str, list[dict[str, Any]]]:
    """Lists `disagree` and `mislabelled`, the most striking clip first.

    Of each clip: id, label, value, and the class that either lone model names, with its probability in percent.
    """
    heard, seen, labels = mean_logits(audio), mean_logits(visual), audio.labels
    values = {"disagree": disagreement(heard, seen), "mislabelled": mislabelled(heard, seen, labels)}
    return {
        name: [
            {
                "id": str(audio.ids[place]),
                "label": str(classes[labels[place]]),
                "value": float(value[place]),
                "audio": _named(heard[place], classes),
                "visual": _named(seen[place], classes),
            }
            for place in np.argsort(-value, kind="stable")[:LISTED]
            if value[place] > 0
        ]
        for name, value in values.items()
    }


def mean_logits(run: Answers) -> Floats:
    """Log of the mean over trainings of the predicted probabilities, (N, C)."""
    return log_mean(run.both)


def log_mean(logits: Floats) -> Floats:
    """Log of the mean over the first axis of the probabilities that logits (S, N, C) stand for."""
    chances = np.exp(logits - logits.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    return np.log(np.maximum(chances.mean(0), 1e-12))


def _named(logits: Floats, classes: NDArray[np.str_]) -> dict[str, Any]:
    """The likeliest class and its probability, from log probabilities (C,)."""
    most = int(logits.argmax())
    return {"class": str(classes[most]), "percent": float(100 * np.exp(logits[most]))}
