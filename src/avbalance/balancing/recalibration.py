"""Which clips of a pool to leave out so that its map of both confidences becomes flat.

Xia et al. 2023, section 4, remove noise and part of the dominated side, guided by the estimated discrepancy, and give
no algorithm; this one is ours. The published map (figure 1c) is flat over the square, so the aim is J2, the divergence
of the map from the uniform square (see analysis/flatness.py), and not a uniform discrepancy.

Pure functions of arrays: nothing here reads a file or trains.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.flatness import GRID, flatness_measures, grid_cells
from avbalance.data.sources.built import Rule
from avbalance.errors import UserError

KEPT, NOISE, CAP, DOMINANCE = "", "noise", "cap", "dominance"
REASONS = (NOISE, CAP, DOMINANCE)
COLUMNS = ("id", "label", "own", "broken", "u_audio", "u_visual")
REGIONS = {  # of the map, by whether a confidence reaches one half: (audio, visual)
    (True, False): "told by sound alone",
    (False, True): "told by pictures alone",
    (True, True): "told by both",
    (False, False): "told by neither",
}

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def recalibrate(clips: pd.DataFrame, rule: Rule, fewest: int) -> tuple[NDArray[np.str_], dict[str, Any]]:
    """Why each clip is left out, one of REASONS, or KEPT (N,), and the counts of all stages.

    clips: a row per clip with COLUMNS: its label; whether it was collected for this set (`own`) rather than taken from
    another one, whether it is silent, black or the copy of another clip (`broken`), both confidences in [0, 1]. fewest:
    N_min, see `Rule.fewest`. Raises UserError when there is too much noise to be noise, or one modality leads in every
    clip: removing can balance neither.
    """
    lacking = [name for name in COLUMNS if name not in clips]
    if lacking:
        raise UserError(f"recalibration: the clips lack the column {lacking[0]!r}; give {', '.join(COLUMNS)}.")
    values = clips[["u_audio", "u_visual"]].to_numpy(np.float64)
    bad = ~((values >= 0) & (values <= 1)).all(axis=1)
    if bad.any():
        name = clips["id"].iloc[int(np.flatnonzero(bad)[0])]
        raise UserError(f"recalibration: clip {name} has no confidences within 0 and 1; estimate them again.")
    reasons = np.full(len(clips), KEPT, dtype=f"<U{max(map(len, REASONS))}")
    noise = clips["broken"].to_numpy(bool) | (values.max(axis=1) < rule.noise)
    if noise.sum() > rule.noise_share * len(clips):
        raise UserError(
            f"recalibration: {int(noise.sum())} of {len(clips)} clips are noise (broken, or below {rule.noise:g} in "
            f"both confidences), more than {100 * rule.noise_share:g} %; look at some of them, or raise noise_share."
        )
    reasons[noise] = NOISE
    order = _Order(clips, values, rule)
    before = flatness_measures(*values.T)
    kappa = order.cap(reasons, fewest)
    order.dominance(reasons, fewest, kappa)
    kept = reasons == KEPT
    counts = {name: int((reasons == name).sum()) for name in REASONS}
    sizes = {"pool": len(clips), **counts, "kept": int(kept.sum()), "fewest": fewest, "cell_cap": kappa}
    return reasons, {**sizes, "before": before, "after": flatness_measures(*values[kept].T)}


class _Order:
    """The order in which clips leave their cell of the map, and what the floors of categories allow."""

    def __init__(self, clips: pd.DataFrame, values: NDArray[np.float64], rule: Rule) -> None:
        rows, columns = grid_cells(*values.T)
        self.rule = rule
        self.cell = rows * GRID + columns
        self.side = np.sign(rows - columns)  # of the cell: 1 audio, -1 visual, 0 on the diagonal
        self.lead = np.sign(values[:, 0] - values[:, 1]).astype(np.int64)
        self.label = pd.factorize(clips["label"])[0]
        self.own = clips["own"].to_numpy(bool)
        order = np.argsort(hashes(clips["id"].tolist(), rule.seed, "recalibration"), kind="stable")
        self.rank = np.argsort(order, kind="stable")
        self.level = np.zeros(len(clips), dtype=np.int64)  # the cap above which a clip stays; largest, first to leave
        if not (self.lead > 0).any() or not (self.lead < 0).any():
            side = "audio" if (self.lead > 0).any() else "visual"
            other = REGIONS[side != "audio", side == "audio"]
            raise UserError(f"recalibration: no clip prefers the other modality than {side}; collect clips {other}.")

    def cap(self, reasons: NDArray[np.str_], fewest: int) -> int:
        """Mark what exceeds the cap of its cell; returns the cap, the smallest that leaves `fewest` clips.

        Within a cell first leaves the category that deviates most from one half towards the side of the cell, then what
        was collected for this set, then by a hash of the id.
        """
        inside = np.flatnonzero(reasons == KEPT)
        sizes = np.bincount(self.cell[inside], minlength=GRID * GRID)
        kappa = _smallest_cap(sizes, fewest)
        ordered = inside[
            np.lexsort((
                self.rank[inside],
                ~self.own[inside],
                -self._deviation(inside),
                self.cell[inside],
            ))
        ]  # fmt: skip
        starts = np.cumsum(sizes) - sizes
        # Counted down within each cell: the first to leave has the cell's size, the last one 1.
        self.level[ordered] = (sizes + starts)[self.cell[ordered]] - np.arange(len(ordered))
        excess = inside[self.level[inside] > kappa]
        excess = excess[np.lexsort((self.rank[excess], -self.level[excess]))]
        reasons[excess[self._allowed(excess, inside)]] = CAP
        return kappa

    def dominance(self, reasons: NDArray[np.str_], fewest: int, kappa: int) -> None:
        """While one modality leads in too many clips, take one clip from a fullest cell of its side, each cell once.

        Each cell once, and the clip that a lower cap takes: a smaller N_min then removes all that a larger one does.
        """
        inside = np.flatnonzero(reasons == KEPT)
        spare = len(inside) - fewest
        audio, visual = (int((self.lead[inside] == sign).sum()) for sign in (1, -1))
        sign = 1 if audio > visual else -1
        most, other = max(audio, visual), min(audio, visual)
        candidates = inside[(self.side[inside] == sign) & (self.level[inside] == kappa)]
        candidates = candidates[np.argsort(self.rank[candidates])]
        candidates = candidates[self._allowed(candidates, inside)]
        removed = 0
        while removed < min(spare, len(candidates)) and (most - removed) / (most - removed + other) > (
            0.5 + self.rule.share_slack
        ):
            removed += 1
        reasons[candidates[:removed]] = DOMINANCE

    def _deviation(self, inside: Ints) -> NDArray[np.float64]:
        """How far the audio share of a clip's category lies from one half towards the side of the clip's cell."""
        labels = self.label[inside]
        audio, visual = (np.bincount(labels[self.lead[inside] == sign], minlength=labels.max() + 1) for sign in (1, -1))
        sided = np.maximum(audio + visual, 1)
        share = np.where(audio + visual > 0, audio / sided, 0.5)
        return self.side[inside] * (share[labels] - 0.5)

    def _allowed(self, leaving: Ints, inside: Ints) -> Bools:
        """Which of the clips that are to leave, in this order, may: no category falls below its floor."""
        sizes = np.bincount(self.label[inside])
        room = sizes - np.minimum(sizes, self.rule.category_floor)
        labels = pd.Series(self.label[leaving])
        place = labels.groupby(labels).cumcount().to_numpy()
        allowed: Bools = place < room[labels.to_numpy(np.int64)]
        return allowed


def _smallest_cap(sizes: Ints, fewest: int) -> int:
    """The smallest number of clips per cell with at least `fewest` in all; the largest cell where there are fewer."""
    low, high = 0, int(sizes.max())
    while low < high:
        middle = (low + high) // 2
        # Bisection: what stays grows with the cap.
        low, high = (low, middle) if np.minimum(sizes, middle).sum() >= fewest else (middle + 1, high)
    return low


def hashes(ids: Sequence[str], seed: int, purpose: str) -> NDArray[np.uint64]:
    """A number for each id that depends on id, seed and purpose alone: an order without meaning, on every machine."""
    digests = (hashlib.blake2b(f"{purpose}/{seed}/{each}".encode(), digest_size=8).digest() for each in ids)
    # The byte order is fixed, so that every machine draws the same order.
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def finished(before: dict[str, Any], after: dict[str, Any], rule: Rule) -> bool:
    """Whether another round is of no use: the set, measured anew, is flat, or hardly flatter than before the round."""
    share = after["audio_share"]
    flat = after["j2"] <= rule.flat_enough and share is not None and abs(share - 0.5) <= rule.share_enough
    return bool(flat or before["j2"] - after["j2"] < rule.gain)


def shortage(u_audio: NDArray[np.floating[Any]], u_visual: NDArray[np.floating[Any]], size: int) -> dict[str, int]:
    """Region of the map -> clips to collect there: what its cells lack of a flat map of `size` clips in all."""
    rows, columns = grid_cells(u_audio, u_visual)
    counts = np.bincount(rows * GRID + columns, minlength=GRID * GRID).reshape(GRID, GRID)
    lack = np.maximum(size / GRID**2 - counts, 0)
    high = np.arange(GRID) >= GRID // 2
    masks = {name: (high == audio)[:, None] & (high == visual) for (audio, visual), name in REGIONS.items()}
    return {name: round(float(lack[mask].sum())) for name, mask in masks.items()}
