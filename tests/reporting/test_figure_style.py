"""Colours of modalities and methods: far from one another for all eyes, and the same in all papers."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from avbalance.reporting.figure_style import LOOKS, STRESS

REPOSITORY = Path(__file__).parents[2]
# Of linear RGB, severity 1.0 (Machado, Oliveira and Fernandes 2009, IEEE TVCG 15, table 1).
EYES = {
    "common": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
NEAREST = 30  # in CIELAB; OGM-GE and Greedy were once 17.7 apart for protanopes


def cielab(colour: str, eyes: str) -> NDArray[np.float64]:
    """L*, a*, b* (D65) of #rrggbb as these eyes see it."""
    values = np.array(to_rgb(colour))
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    x, y, z = TO_XYZ @ np.clip(np.asarray(EYES[eyes]) @ linear, 0, 1) / TO_XYZ.sum(axis=1)
    root = [np.cbrt(each) if each > (6 / 29) ** 3 else each / (3 * (6 / 29) ** 2) + 4 / 29 for each in (x, y, z)]
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def test_cielab_of_known_colours() -> None:
    assert cielab("#ffffff", "common") == pytest.approx([100, 0, 0], abs=0.01)
    assert cielab("#ff0000", "common") == pytest.approx([53.24, 80.09, 67.20], abs=0.01)


@pytest.mark.parametrize("eyes", EYES)
def test_no_two_colours_are_near(eyes: str) -> None:
    places = {name: cielab(look.colour, eyes) for name, look in LOOKS.items()}
    distances = {(a, b): np.linalg.norm(places[a] - places[b]) for a, b in itertools.combinations(places, 2)}
    assert min(distances.values()) >= NEAREST, min(distances, key=distances.__getitem__)


def test_every_look_has_a_marker_of_its_own() -> None:
    assert len({look.marker for look in LOOKS.values()}) == len(LOOKS)


def test_papers_name_colours_and_write_none_of_their_own() -> None:
    for path in REPOSITORY.glob("workflow/papers/*/figures.yaml"):
        written = [text for text in yaml.safe_dump(yaml.safe_load(path.read_text())).split() if text.startswith("'#")]
        assert set(written) <= {f"'{STRESS}'"}, path
