"""The plans follow the declared joint law, clip by clip from their own seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from avbalance.data.scenes import (
    Event,
    JointLaw,
    Scene,
    draw_informativeness,
    plan_dataset,
    plan_single_event,
    snr_from_informativeness,
)

BALANCED = JointLaw(1.0, 1.0, (-25.0, 3.0), (-10.0, 14.0))
SKEWED = JointLaw(2.4, 1.2, (-30.0, -2.0), (-10.0, 14.0))


def _draws(law: JointLaw, count: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.array([draw_informativeness(law, rng) for _ in range(count)])


@pytest.mark.parametrize("law", [BALANCED, SKEWED, replace(SKEWED, alpha=3.0)])
def test_discrepancy_follows_the_beta_law_and_the_mean_is_uniform_given_it(law: JointLaw) -> None:
    audio, visual = _draws(law).T
    assert min(audio.min(), visual.min()) >= 0.0 and max(audio.max(), visual.max()) <= 1.0
    discrepancy = audio - visual
    assert stats.kstest((discrepancy + 1) / 2, stats.beta(law.alpha, law.beta).cdf).pvalue > 0.01
    # feasible means run from |d|/2 to 1 - |d|/2: their place in that range must be uniform and unrelated to d
    place = ((audio + visual) / 2 - abs(discrepancy) / 2) / (1 - abs(discrepancy))
    assert stats.kstest(place, stats.uniform.cdf).pvalue > 0.01
    assert abs(stats.spearmanr(place, discrepancy).statistic) < 0.05


def test_share_of_visual_preferred_clips() -> None:
    # P(2 Beta(a, b) - 1 < 0) = I_{1/2}(a, b), the regularised incomplete beta function: 1/2 for a = b;
    # I_{1/2}(2, 1) = (1/2)^2 = 1/4. Standard error at 4000 draws: sqrt(.25 * .75 / 4000) = .007.
    for law, share in ((BALANCED, 0.5), (replace(BALANCED, alpha=2.0), 0.25)):
        audio, visual = _draws(law).T
        assert abs(np.mean(audio < visual) - share) < 4 * 0.008


def test_snr_is_linear_in_the_informativeness() -> None:
    # -10 + .25 * (14 - -10) = -4
    assert snr_from_informativeness(0.25, (-10.0, 14.0)) == -4.0
    scene = plan_single_event(3, 5, 0, 4.0, SKEWED)
    assert scene.snr_audio_db == pytest.approx(-30.0 + 28.0 * scene.planted_audio)
    assert scene.snr_visual_db == pytest.approx(-10.0 + 24.0 * scene.planted_visual)


def test_flip_exchanges_the_modalities_and_leaves_the_rest() -> None:
    for index in range(50):
        plain = plan_single_event(3, index, 1, 4.0, SKEWED)
        flipped = plan_single_event(3, index, 1, 4.0, replace(SKEWED, flip=True))
        assert (flipped.planted_audio, flipped.planted_visual) == (plain.planted_visual, plain.planted_audio)
        assert flipped.events == plain.events and flipped.seed == plain.seed


def test_a_clip_depends_on_its_seed_and_number_alone() -> None:
    few = plan_dataset(3, {"train": 5, "val": 2, "test": 4}, 3, 4.0, SKEWED)
    many = plan_dataset(3, {"train": 9, "val": 0, "test": 6}, 3, 4.0, SKEWED)
    by_id = {clip.id: clip for clip in many}
    assert all(by_id[clip.id] == clip for clip in few if clip.split != "val")
    assert few != plan_dataset(4, {"train": 5, "val": 2, "test": 4}, 3, 4.0, SKEWED)
    assert len({clip.scene.planted_audio for clip in few}) == len(few)


def test_splits_have_their_sizes_and_balanced_classes() -> None:
    clips = plan_dataset(0, {"train": 25, "val": 12, "test": 6}, 6, 4.0, BALANCED)
    counts = {split: np.bincount([c.cls for c in clips if c.split == split]) for split in ("train", "val", "test")}
    # 25 = 4 * 6 + 1: the first class has one more
    assert counts["train"].tolist() == [5, 4, 4, 4, 4, 4]
    assert counts["val"].tolist() == [2] * 6 and counts["test"].tolist() == [1] * 6


def test_sound_lasts_about_half_of_the_clip_inside_it_and_the_object_is_always_seen() -> None:
    for index in range(100):
        scene = plan_single_event(1, index, 2, 4.0, BALANCED)
        sound, sight = scene.events
        assert sound.gain_visual == 0 and sight.gain_audio == 0
        assert sound.start >= 0 and sound.end <= 4.0 and 1.6 <= sound.end - sound.start <= 2.4
        assert (sight.start, sight.end) == (0.0, 4.0)
        assert scene.labels() == (2,)


def test_labels_leave_distractors_out() -> None:
    events = (Event(4, 0, 3), Event(1, 2, 5, gain_audio=0.0), Event(7, 0, 10, distractor=True))
    assert Scene(events, 10.0, 0.0, 0.0, 1.0, 1.0, (0, 0)).labels() == (1, 4)
