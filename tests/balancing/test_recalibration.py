"""Leaving out clips until the map is flat: SPEC section 8, step 7, and its tests."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from avbalance.analysis.flatness import square_divergence
from avbalance.balancing.recalibration import CAP, DOMINANCE, KEPT, NOISE, finished, recalibrate, shortage
from avbalance.data.sources.built import Rule
from avbalance.errors import UserError

FREE = {"category_floor": 0}


def skewed(count: int = 4000, audio: float = 2.95, seed: int = 0) -> pd.DataFrame:
    """A pool of which about 83 % prefer sound."""
    rng = np.random.default_rng(seed)
    discrepancy = 2 * rng.beta(audio, 1.2, count) - 1
    slack = np.abs(discrepancy) / 2
    mean = rng.uniform(slack, 1 - slack)
    return pd.DataFrame(
        {
            "id": [f"clip-{number}" for number in range(count)],
            "label": rng.integers(0, 12, count),
            "own": rng.random(count) < 0.5,
            "broken": False,
            "u_audio": np.clip(mean + discrepancy / 2, 0, 1),
            "u_visual": np.clip(mean - discrepancy / 2, 0, 1),
        }
    )


def left(clips: pd.DataFrame, least: int, **rule: object) -> set[str]:
    chosen = Rule(least=least, **{**FREE, **rule})  # type: ignore[arg-type]
    reasons, _ = recalibrate(clips, chosen, chosen.fewest(len(clips)))
    return set(clips["id"][reasons == KEPT])


def test_a_pool_skewed_to_sound_becomes_flatter_and_its_share_comes_nearer_to_one_half() -> None:
    clips = skewed()
    rule = Rule(least=1300, **FREE)
    reasons, counts = recalibrate(clips, rule, 1300)
    before, after = counts["before"], counts["after"]
    assert before["audio_share"] == pytest.approx(0.83, abs=0.02)
    assert after["j2"] < 0.02 < before["j2"] and after["j1"] < before["j1"] and after["entropy"] > before["entropy"]
    assert abs(after["audio_share"] - 0.5) < 0.1
    assert counts["kept"] == (reasons == KEPT).sum() >= 1300
    assert {name: counts[name] for name in (NOISE, CAP, DOMINANCE)} == {
        name: (reasons == name).sum() for name in (NOISE, CAP, DOMINANCE)
    }


def test_the_cap_is_the_smallest_that_leaves_enough_clips() -> None:
    clips = skewed()
    _, counts = recalibrate(clips, Rule(least=1300, **FREE), 1300)
    values = clips.loc[clips[["u_audio", "u_visual"]].max(axis=1) >= 0.1]
    cells = np.histogram2d(values["u_audio"], values["u_visual"], bins=10, range=[[0, 1], [0, 1]])[0]
    cap = counts["cell_cap"]
    assert np.minimum(cells, cap).sum() >= 1300 > np.minimum(cells, cap - 1).sum()


@pytest.mark.parametrize("seed", range(5))
def test_the_cap_never_makes_the_map_less_flat_where_no_floor_binds(seed: int) -> None:
    clips = skewed(1000, seed=seed)
    reasons, _ = recalibrate(clips, Rule(least=500, share_slack=0.5, noise=0.0, **FREE), 500)
    assert not (reasons == DOMINANCE).any()
    cells = [
        np.histogram2d(part["u_audio"], part["u_visual"], bins=10, range=[[0, 1], [0, 1]])[0]
        for part in (clips, clips[reasons == KEPT])
    ]
    assert square_divergence(cells[1]) <= square_divergence(cells[0])


def test_a_larger_set_holds_the_smaller_one() -> None:
    clips = skewed()
    sizes = [3200, 2500, 1800, 1300, 900]
    sets = [left(clips, size) for size in sizes]
    assert all(small < large for large, small in itertools.pairwise(sets))


def test_no_category_falls_below_its_floor_nor_a_smaller_one_below_what_it_has() -> None:
    clips = skewed()
    clips["label"] = np.where(np.arange(len(clips)) < 40, "rare", clips["label"].astype(str))
    rule = Rule(least=500, noise=0.0, category_floor=150)
    reasons, _ = recalibrate(clips, rule, 500)
    sizes = clips[reasons == KEPT].groupby("label").size()
    assert sizes["rare"] == 40
    assert (sizes.drop("rare") >= 150).all() and (sizes.drop("rare") == 150).any()


def test_the_category_that_leans_most_to_the_side_of_a_cell_leaves_first_and_then_what_was_collected() -> None:
    even = pd.DataFrame({"label": "even", "u_audio": [0.95, 0.05] * 20, "u_visual": [0.05, 0.95] * 20})
    lean = pd.DataFrame({"label": "lean", "u_audio": [0.95] * 20, "u_visual": [0.05] * 20})
    clips = pd.concat([even, lean], ignore_index=True).assign(broken=False, own=lambda frame: frame.index % 4 < 2)
    clips["id"] = [f"clip-{number}" for number in clips.index]
    reasons, counts = recalibrate(clips, Rule(least=50, share_slack=0.5, **FREE), 50)
    gone = clips[reasons == CAP]
    assert counts["cell_cap"] == 30 and set(gone["label"]) == {"lean"} and len(gone) == 10
    assert gone["own"].all()


def test_after_the_cap_one_clip_of_each_fullest_cell_of_the_leading_side_may_leave() -> None:
    audio = pd.DataFrame({"u_audio": np.repeat([0.95, 0.85, 0.75], 10), "u_visual": 0.05})
    visual = pd.DataFrame({"u_audio": 0.05, "u_visual": np.repeat([0.95, 0.85], 10)})
    clips = pd.concat([audio, visual], ignore_index=True).assign(broken=False, own=False, label="one")
    clips["id"] = [f"clip-{number}" for number in clips.index]
    reasons, counts = recalibrate(clips, Rule(least=48, **FREE), 48)
    assert counts["cell_cap"] == 10 and counts[CAP] == 0
    assert counts[DOMINANCE] == 2 and (clips[reasons == DOMINANCE]["u_audio"] > 0.5).all()


def test_noise_leaves_first() -> None:
    clips = skewed(1000)
    clips.loc[:4, ["u_audio", "u_visual"]] = 0.02
    clips.loc[5, "broken"] = True
    reasons, _ = recalibrate(clips, Rule(least=900, **FREE), 900)
    assert (reasons[:6] == NOISE).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"broken": True},
            r"1000 of 1000 clips are noise .* more than 10 %; look at some of them, or raise noise_share",
        ),
        ({"u_visual": 0.0}, r"no clip prefers the other modality than audio; collect clips told by pictures alone"),
        ({"u_audio": 0.0}, r"no clip prefers the other modality than visual; collect clips told by sound alone"),
        ({"u_audio": np.nan}, r"clip clip-0 has no confidences within 0 and 1; estimate them again"),
    ],
)
def test_what_cannot_be_balanced_is_told(change: dict[str, object], told: str) -> None:
    clips = skewed(1000).assign(**change)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=told):
        recalibrate(clips, Rule(noise=0.0, **FREE), 600)


def test_clips_without_a_column_are_refused() -> None:
    with pytest.raises(UserError, match="lack the column 'own'"):
        recalibrate(skewed(10).drop(columns="own"), Rule(), 5)


def test_how_many_clips_remain_at_the_least() -> None:
    assert Rule().fewest(1000) == 600
    assert Rule().fewest(100_000) == 34_000
    assert Rule(least=50).fewest(30) == 30


def test_rounds_end_when_the_set_is_flat_or_gets_hardly_flatter() -> None:
    def measured(j2: float, share: float) -> dict[str, float]:
        return {"j2": j2, "audio_share": share}

    assert finished(measured(0.3, 0.8), measured(0.05, 0.529), Rule())
    assert not finished(measured(0.3, 0.8), measured(0.05, 0.56), Rule())
    assert not finished(measured(0.3, 0.8), measured(0.06, 0.5), Rule())
    assert finished(measured(0.3, 0.8), measured(0.296, 0.7), Rule())


def test_what_to_collect_is_what_a_flat_map_has_more() -> None:
    grid = (np.arange(10) + 0.5) / 10
    audio, visual = (each.ravel() for each in np.meshgrid(grid, grid, indexing="ij"))
    assert set(shortage(audio, visual, 100).values()) == {0}
    without = ~((audio < 0.5) & (visual > 0.5))
    assert shortage(audio[without], visual[without], 100) == {
        "told by sound alone": 0,
        "told by pictures alone": 25,
        "told by both": 0,
        "told by neither": 0,
    }
