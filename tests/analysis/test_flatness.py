"""Flatness of the confidence map by hand-worked numbers."""

from __future__ import annotations

import numpy as np
import pytest

from avbalance.analysis.flatness import (
    discrepancy_divergence,
    flatness_measures,
    grid_counts,
    normalised_entropy,
    square_divergence,
)


def test_equal_counts_are_flat() -> None:
    assert square_divergence(np.full((10, 10), 7)) == pytest.approx(0.0, abs=1e-12)
    assert normalised_entropy(np.full((10, 10), 7)) == pytest.approx(1.0)


def test_everything_in_one_of_a_hundred_bins() -> None:
    # m = 0.505 in the full bin, 0.005 in the other 99:
    # (log2(1 / 0.505) + 0.01 log2(0.01 / 0.505) + 0.99 log2(2)) / 2 = 0.9603
    counts = np.zeros((10, 10))
    counts[3, 4] = 50
    by_hand = (np.log2(1 / 0.505) + 0.01 * np.log2(0.01 / 0.505) + 0.99) / 2
    assert square_divergence(counts) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.960, abs=1e-3)
    assert normalised_entropy(counts) == 0.0


def test_grid_has_audio_in_rows() -> None:
    counts = grid_counts(np.array([0.95, 1.0]), np.array([0.05, 0.0]))
    assert counts[9, 0] == 2


def test_a_flat_square_has_a_triangular_discrepancy() -> None:
    places = (np.arange(400) + 0.5) / 400
    audio, visual = (grid.ravel() for grid in np.meshgrid(places, places, indexing="ij"))
    # Small rest: samples on the diagonal and on bin edges fall to one side.
    assert discrepancy_divergence(audio - visual) < 1e-4
    assert discrepancy_divergence(np.linspace(-1, 1, 4000)) > 0.05


def test_swapping_the_modalities_mirrors_the_share() -> None:
    generator = np.random.default_rng(0)
    audio, visual = generator.beta(4, 1, 500), generator.beta(1, 4, 500)
    first, second = flatness_measures(audio, visual), flatness_measures(visual, audio)
    assert first["audio_share"] == pytest.approx(1 - (second["audio_share"] or 0))
    assert first["j2"] == pytest.approx(second["j2"])
