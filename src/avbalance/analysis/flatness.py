"""How flat the joint distribution of two unimodal confidences is over the unit square.

Xia et al. 2023, section 4 and figure 1(c), call a data set balanced when its discrepancies are "uniformly
distributed"; the published map is flat over the square, so that the reference is the uniform square, and
the discrepancy of a uniform square is triangular, not uniform.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

FloatArray = NDArray[np.floating[Any]]
Cells = NDArray[np.int64]
GRID = 10  # cells a side: with 100 x 100, as in the picture, most cells of a small set would be empty
DISCREPANCY_BINS = 20


def jensen_shannon(p: FloatArray, q: FloatArray) -> Any:
    """Jensen-Shannon divergence of distributions (..., K), in bits, (...): 0 when equal, at most 1."""
    first, second = (np.asarray(each, dtype=np.float64) / np.sum(each, axis=-1, keepdims=True) for each in (p, q))
    middle = (first + second) / 2
    return (rel_entr(first, middle) + rel_entr(second, middle)).sum(axis=-1) / (2 * np.log(2))


def grid_cells(u_audio: FloatArray, u_visual: FloatArray, grid: int = GRID) -> tuple[Cells, Cells]:
    """Row (audio) and column (visual) of samples (N,), (N,) on the square; u = 1 falls in the last cell."""
    rows, columns = (
        # float64 first, so that equal confidences fall into equal cells, in whatever type they were stored.
        np.minimum(np.floor(grid * np.asarray(values, dtype=np.float64)), grid - 1).astype(np.int64)
        for values in (u_audio, u_visual)
    )
    return rows, columns


def grid_counts(u_audio: FloatArray, u_visual: FloatArray, grid: int = GRID) -> Cells:
    """Counts (grid, grid) on the square, rows audio, columns visual."""
    rows, columns = grid_cells(u_audio, u_visual, grid)
    return np.bincount(rows * grid + columns, minlength=grid * grid).reshape(grid, grid)


def square_divergence(counts: NDArray[Any]) -> float:
    """J2: divergence in bits of a (grid, grid) count table from the uniform square; 0 is flat."""
    flat = np.asarray(counts, dtype=np.float64).ravel()
    return float(jensen_shannon(flat, np.ones_like(flat)))


def discrepancy_divergence(discrepancy: FloatArray, bins: int = DISCREPANCY_BINS) -> float:
    """J1: divergence in bits of discrepancies (N,), binned over [-1, 1], from a flat square's triangle."""
    values = np.asarray(discrepancy, dtype=np.float64)
    counts = np.histogram(values, bins=bins, range=(-1.0, 1.0))[0]
    edges = np.linspace(-1.0, 1.0, bins + 1)
    # The difference of two uniform numbers has a triangle's density; these are its shares up to each edge.
    cumulative = np.where(edges < 0, (1 + edges) ** 2 / 2, 1 - (1 - edges) ** 2 / 2)
    return float(jensen_shannon(counts.astype(np.float64), np.diff(cumulative)))


def normalised_entropy(counts: NDArray[Any]) -> float:
    """Entropy of a count table divided by that of the uniform one: 1 is flat, 0 is all in one cell."""
    p = np.asarray(counts, dtype=np.float64).ravel() / np.sum(counts)
    held = p[p > 0]
    return float(-(held * np.log2(held)).sum() / np.log2(p.size))


def audio_share(discrepancy: FloatArray) -> float | None:
    """Share of audio-preferred among the samples that prefer a modality; None when all are ties."""
    audio, visual = int((discrepancy > 0).sum()), int((discrepancy < 0).sum())
    return audio / (audio + visual) if audio + visual else None


def flatness_measures(u_audio: FloatArray, u_visual: FloatArray) -> dict[str, float | None]:
    """J2, J1, audio share, normalised entropy and share of empty cells of N samples (N,), (N,)."""
    counts = grid_counts(u_audio, u_visual)
    discrepancy = np.asarray(u_audio, dtype=np.float64) - np.asarray(u_visual, dtype=np.float64)
    return {
        "j2": square_divergence(counts),
        "j1": discrepancy_divergence(discrepancy),
        "audio_share": audio_share(discrepancy),
        "entropy": normalised_entropy(counts),
        "empty_cells": float((counts == 0).mean()),
    }
