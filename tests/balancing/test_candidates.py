"""Types of clips, caps, supplements and parts: SPEC section 8, steps 2 to 5."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from avbalance.balancing.candidates import capped, clip_types, grouped_split, overlapping, supplement
from avbalance.errors import UserError

SHARES = {"train": 0.81, "val": 0.08, "test": 0.11}


def test_a_type_says_which_network_is_right() -> None:
    right, wrong, silent = [0.7, 0.2], [0.2, 0.7], [0.0, 0.0]
    scores = {
        "audio": np.array([right, right, wrong, wrong, silent]),
        "visual": np.array([right, wrong, right, wrong, right]),
    }
    types = clip_types(scores, np.zeros(5, dtype=np.int64))
    assert types.tolist() == ["both", "audio", "visual", "neither", "visual"]


def test_no_type_has_more_than_twice_the_rarest_and_fifty() -> None:
    types = np.array(["both"] * 300 + ["audio"] * 200 + ["visual"] * 20 + ["neither"] * 30)
    topics = np.zeros(len(types), dtype=np.int64)
    stays = capped(types, topics, [f"clip-{number}" for number in range(len(types))], seed=0)
    assert {str(name): int(stays[types == name].sum()) for name in np.unique(types)} == {
        "both": 90,
        "audio": 90,
        "visual": 20,
        "neither": 0,
    }


def test_each_category_has_its_own_cap() -> None:
    types = np.array(["both", "audio", "visual"] * 100 + ["both"] * 100)
    topics = np.array([0] * 300 + [1] * 100)
    stays = capped(types, topics, [f"clip-{number}" for number in range(400)], seed=0)
    assert stays[:300].all() and stays[300:].sum() == 50


def test_a_supplement_fills_the_shortest_type_first_up_to_the_target() -> None:
    types = np.array(["both"] * 10 + ["audio"] * 30)
    topics = np.zeros(40, dtype=np.int64)
    further = np.array(["visual"] * 12 + ["both"] * 50 + ["audio"] * 50 + ["neither"] * 5)
    numbers = np.zeros(len(further), dtype=np.int64)
    ids = [f"clip-{number}" for number in range(len(further))]
    added = supplement(types, topics, further, numbers, ids, target=60, seed=0)
    found = {str(name): int(added[further == name].sum()) for name in np.unique(further)}
    assert found == {"visual": 12, "both": 8, "audio": 0, "neither": 0}  # 12, 18 and 30 in all
    assert not supplement(types, topics, further, numbers, ids, target=40, seed=0).any()


def test_a_category_that_the_pool_lacks_comes_from_the_supplement_alone() -> None:
    added = supplement(
        np.array(["both"]), np.array([0]), np.array(["audio"] * 4), np.array([1] * 4), list("abcd"), 3, 0
    )
    assert added.sum() == 3


def test_clips_of_one_video_stay_together_in_parts_of_the_given_shares() -> None:
    rng = np.random.default_rng(0)
    groups = [f"video-{number}" for number in rng.integers(0, 900, 3000)]
    topics = np.array([int(name.removeprefix("video-")) % 3 for name in groups])
    parts = grouped_split(topics, groups, SHARES, seed=0)
    frame = pd.DataFrame({"part": parts, "group": groups, "topic": topics})
    assert (frame.groupby("group")["part"].nunique() == 1).all()
    shares = frame.groupby("topic")["part"].value_counts(normalize=True).unstack()
    assert (shares - pd.Series(SHARES)).abs().max().max() < 0.01
    assert (parts == grouped_split(topics, groups, SHARES, seed=0)).all()
    assert (parts != grouped_split(topics, groups, SHARES, seed=1)).any()


def test_shares_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(UserError, match="must sum to one"):
        grouped_split(np.zeros(2, dtype=np.int64), ["a", "b"], {"train": 0.8, "test": 0.1}, seed=0)


def test_clips_that_overlap_an_earlier_one_of_their_video_are_marked() -> None:
    ids = [
        "abcdefghijk_10",
        "abcdefghijk_000015_000025",
        "abcdefghijk_20",
        "lmnopqrstuv_10",
        "train-00001",
        "train-00001",
    ]
    assert overlapping(ids).tolist() == [False, True, False, False, False, False]
