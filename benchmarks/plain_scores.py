"""The ten parsing scores of one video as public evaluations are structured: NumPy rows, class after class.

YapengTian/AVVP-ECCV20: an event is a vector of its seconds, and counts of all classes are added up before each class is
asked whether it occurs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]  # (C, 10), 0 or 1
Counted = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]  # TP, FP, FN by class


def events_of(row: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Each run of active seconds as a vector of its own."""
    events: list[NDArray[np.float64]] = []
    for second in range(len(row)):
        if row[second] == 1:
            if second == 0 or row[second - 1] != 1:
                events.append(np.zeros(len(row)))
            events[-1][second] = 1
    return events


def matched(event: NDArray[np.float64], others: list[NDArray[np.float64]]) -> bool:
    """Whether one of the others shares at least half of the union."""
    return any(np.sum(event * other) >= 0.5 * np.sum(event + other - event * other) for other in others)


def event_counts(predicted: Matrix, true: Matrix) -> Counted:
    hit, false, missed = np.zeros(len(true)), np.zeros(len(true)), np.zeros(len(true))
    for c in range(len(true)):
        guesses = events_of(predicted[c]) if np.sum(predicted[c]) != 0 else []
        facts = events_of(true[c]) if np.sum(true[c]) != 0 else []
        for guess in guesses:
            if matched(guess, facts):
                hit[c] += 1
            else:
                false[c] += 1
        for fact in facts:
            if not matched(fact, guesses):
                missed[c] += 1
    return hit, false, missed


def segment_counts(predicted: Matrix, true: Matrix) -> Counted:
    return (
        np.sum(predicted * true, axis=1),
        np.sum(predicted * (1 - true), axis=1),
        np.sum((1 - predicted) * true, axis=1),
    )


def mean_f(hit: NDArray[np.float64], false: NDArray[np.float64], missed: NDArray[np.float64]) -> float:
    """Mean F of the classes that occur; 1 where none does."""
    values = []
    for c in range(len(hit)):
        if (hit + false)[c] != 0 or (hit + missed)[c] != 0:
            values.append(2 * hit[c] / (2 * hit[c] + (missed + false)[c]))
    return float(sum(values) / len(values)) if values else 1.0


def scores(predicted: tuple[Matrix, Matrix], true: tuple[Matrix, Matrix]) -> list[float]:
    """The ten scores from audio and visual matrices."""
    found = []
    for count in (segment_counts, event_counts):
        audio, visual = (count(*pair) for pair in zip(predicted, true, strict=True))
        both = count(predicted[0] * predicted[1], true[0] * true[1])
        a, v, av = mean_f(*audio), mean_f(*visual), mean_f(*both)
        event = mean_f(audio[0] + visual[0], audio[1] + visual[1], audio[2] + visual[2])
        found += [a, v, av, (a + v + av) / 3, event]
    return found
