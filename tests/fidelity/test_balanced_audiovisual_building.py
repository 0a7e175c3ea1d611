"""What the builder of balanced sets must keep to, item by item (Xia et al. 2023, section 4; decisions of the SPEC)."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from avbalance.analysis.flatness import GRID, grid_counts
from avbalance.balancing import build
from avbalance.balancing.recalibration import KEPT, NOISE, finished, recalibrate
from avbalance.data.sources.built import BuiltOptions, PartShares, Rule

VIDEOS, CLIPS = 60, 3


def candidates(seed: int = 0) -> pd.DataFrame:
    """4,000 clips whose discrepancy is uniform: flat in one dimension, but not over the square."""
    rng = np.random.default_rng(seed)
    difference = rng.uniform(-1, 1, 4000)
    slack = np.abs(difference) / 2
    mean = slack + (1 - 2 * slack) * rng.beta(2, 2, 4000)
    return pd.DataFrame(
        {
            "id": [f"clip-{number}" for number in range(4000)],
            "label": rng.choice(4, 4000, p=[0.7, 0.1, 0.1, 0.1]),
            "own": True,
            "broken": False,
            "u_audio": np.clip(mean + difference / 2, 0, 1),
            "u_visual": np.clip(mean - difference / 2, 0, 1),
        }
    )


def test_item_26_cells_of_the_square_are_capped_not_bins_of_the_discrepancy() -> None:
    clips, rule = candidates(), Rule(least=2000, category_floor=0)
    reasons, counts = recalibrate(clips, rule, 2000)
    kept = clips[reasons == KEPT]
    sizes = grid_counts(kept["u_audio"].to_numpy(), kept["u_visual"].to_numpy())
    assert sizes.max() <= counts["cell_cap"] and (reasons != NOISE).sum() >= 2000
    assert counts["after"]["j2"] < counts["before"]["j2"] - 0.02
    # A flat square has a triangular discrepancy: what was uniform in it is so no more.
    bins = np.histogram(kept["u_audio"] - kept["u_visual"], GRID, (-1, 1))[0]
    assert bins[GRID // 2] > 1.3 * bins[[0, -1]].max()


def test_item_26_rounds_end_by_the_divergence_over_the_square() -> None:
    rule = Rule()
    square, line = {"audio_share": 0.5, "j2": 0.01, "j1": 0.9}, {"audio_share": 0.5, "j2": 0.4, "j1": 0.0}
    before = {"audio_share": 0.9, "j2": 0.6, "j1": 0.9}
    assert finished(before, square, rule) and not finished(before, line, rule)


def test_item_27_all_clips_of_a_video_are_in_one_part() -> None:
    frame = pd.DataFrame(
        {
            "id": [f"{video}-{clip}" for video in range(VIDEOS) for clip in range(CLIPS)],
            "group": np.repeat([f"video-{video}" for video in range(VIDEOS)], CLIPS),
            "topic": np.repeat(np.arange(VIDEOS) % 2, CLIPS),
            "step": KEPT,
            "part": "",
        }
    )
    pool = build._Pool(frame)
    build._parts(pool, BuiltOptions.model_construct(shares=PartShares(train=0.5, val=0.2, test=0.3), seed=0))
    assert (pool.frame.groupby("group")["part"].nunique() == 1).all()
    assert Counter(pool.frame["part"]) == {"train": 90, "val": 36, "test": 54}


def test_item_27_no_category_falls_below_its_floor() -> None:
    clips = candidates()
    reasons, _ = recalibrate(clips, Rule(least=1000, category_floor=300), 1000)
    kept, before = (np.bincount(clips["label"][rows]) for rows in (reasons == KEPT, reasons != NOISE))
    assert (kept >= np.minimum(before, 300)).all() and kept.sum() < len(clips)


@pytest.mark.parametrize("seed", [0, 1])
def test_item_27_the_same_clips_stay_on_every_machine_and_in_every_order(seed: int) -> None:
    clips, rule = candidates(), Rule(least=2000, category_floor=100, seed=seed)
    kept = [
        set(each["id"][recalibrate(each, rule, 2000)[0] == KEPT])
        for each in (clips, clips.sample(frac=1, random_state=1).reset_index(drop=True))
    ]
    assert kept[0] == kept[1]
