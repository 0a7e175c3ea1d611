"""MA's label estimation: against plain loops, with partners from the run's seed, fit to be read by han."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_parsing import CLASSES, make_clips, parsing_trainer

from avbalance.errors import UserError
from avbalance.methods.ma_labels import exchange_partners, relative_error
from avbalance.streams import torch_stream

MODEL = {"dropout": 0.5}
VIDEOS = 140


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_partners_share_no_label_and_are_uniform() -> None:
    label = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 0, 1]]).repeat(600, 1)
    partner = exchange_partners(label, generator())
    assert not bool((label * label[partner]).sum(1).any())
    # video kind 0 may meet kinds 1, 2 and 4 alike
    kinds = partner[0::5] % 5
    shares = [float((kinds == kind).double().mean()) for kind in (1, 2, 4)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.08)
    lonely = torch.tensor([[1.0, 0], [1, 0], [0, 1], [1, 1]])  # the last shares a label with all
    partner = exchange_partners(lonely, generator())
    assert partner[:2].tolist() == [2, 2] and int(partner[2]) in (0, 1) and int(partner[3]) == -1


def test_relative_error_by_hand() -> None:
    # class 0: one of four wrong (.5 is not above .5), class 1: two wrong, class 2: none; over the greatest: .5, 1, 0
    probability = torch.tensor([[0.6, 0.6, 0.1], [0.5, 0.6, 0.1], [0.7, 0.1, 0.1], [0.2, 0.2, 0.1]])
    label = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]])
    assert relative_error(probability, label).tolist() == pytest.approx([0.5, 1.0, 0.0])
    assert relative_error(label, label).tolist() == [0.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def clips() -> Any:
    torch.set_num_threads(1)
    return make_clips(train=VIDEOS)


@pytest.fixture(scope="module")
def base(clips: Any) -> dict[str, torch.Tensor]:
    """Weights of a base model with MA's contrastive loss."""
    trainer = parsing_trainer("han", {"contrastive_weight": 1.0}, clips=clips, epochs=2, learning_rate=1e-2)
    trainer.train()
    return trainer.states["last"]


def estimate(clips: Any, base: Any, seed: int = 0, model: dict[str, Any] = MODEL) -> tuple[Any, dict[str, Any]]:
    trainer = parsing_trainer("ma-labels", clips=clips, needs={"model": base}, model=model, seed=seed)
    trainer.method.prepare(trainer)
    return trainer, trainer.method.artifacts()["labels.json"]


class Tracks:
    def __init__(self, clips: Any, audio: int, visual: int) -> None:
        self.tracks = {"audio": clips.audio[audio][None], "visual": clips.visual[visual][None]}

    def modality(self, name: str) -> torch.Tensor:
        return torch.as_tensor(self.tracks[name], dtype=torch.float32)


def by_loops(clips: Any, model: Any, partner: list[int]) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Removed labels by clip id, and errors per class, one video at a time."""
    model.eval()

    def parse(audio: int, visual: int) -> tuple[list[float], list[float]]:
        with torch.no_grad():
            output = model(Tracks(clips, audio, visual))
        return output.p_a[0].tolist(), output.p_v[0].tolist()

    label = clips.label_matrix
    own = [parse(video, video) for video in range(VIDEOS)]
    errors = {
        name: [np.mean([(own[v][m][c] > 0.5) != label[v, c] for v in range(VIDEOS)]) for c in range(CLASSES)]
        for m, name in enumerate(("audio", "visual"))
    }
    k_a, k_v = ([error / max(values) for error in values] for values in (errors["audio"], errors["visual"]))
    removed: dict[str, Any] = {}
    for video, other in enumerate(partner):
        if other < 0:
            continue
        (a_own, v_other), (a_other, v_own) = parse(video, other), parse(other, video)
        known = np.flatnonzero(label[video])
        audio = [int(c) for c in known if k_a[c] and a_own[c] / k_a[c] < 0.5 and v_other[c] / k_a[c] < 0.5]
        visual = [int(c) for c in known if k_v[c] and v_own[c] / k_v[c] < 0.5 and a_other[c] / k_v[c] < 0.5]
        if audio or visual:
            removed[str(clips.ids[video])] = {"audio": audio, "visual": visual}
    return removed, errors


def partners(clips: Any, seed: int) -> list[int]:
    """The draw, by the same function on the same stream."""
    label = torch.as_tensor(clips.label_matrix[:VIDEOS], dtype=torch.float32)
    found: list[int] = exchange_partners(label, torch_stream("cpu", seed, "ma-labels", "partners")).tolist()
    return found


def test_removed_labels_against_plain_loops(clips: Any, base: Any) -> None:
    trainer, found = estimate(clips, base, seed=3)
    partner = partners(clips, 3)
    removed, errors = by_loops(clips, trainer.model, partner)
    assert removed and found["removed"] == removed
    for name in ("audio", "visual"):
        assert found["errors"][name] == pytest.approx(errors[name])
        counts = np.bincount([c for lost in removed.values() for c in lost[name]], minlength=CLASSES)
        assert found["counts"][name] == counts.tolist() and counts.sum() > 0
    assert found["positives"] == clips.label_matrix[:VIDEOS].sum(0).tolist()
    assert (found["videos"], found["classes"]) == (VIDEOS, clips.classes)


def test_a_video_without_partner_keeps_its_labels_and_is_counted(clips: Any, base: Any) -> None:
    _, found = estimate(clips, base)
    assert partners(clips, 0)[0] == -1  # it has all labels
    assert found["without_partner"] == partners(clips, 0).count(-1) >= 1
    assert clips.ids[0] not in found["removed"]


def test_partners_follow_the_run_s_seed(clips: Any, base: Any) -> None:
    state = torch.get_rng_state()
    first, again, other = (estimate(clips, base, seed)[1] for seed in (0, 0, 1))
    assert first == again != other
    assert first["errors"] == other["errors"]  # they are of the videos as they are
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_that_are_missing_or_of_another_network_are_an_error(clips: Any, base: Any) -> None:
    trainer = parsing_trainer("ma-labels", clips=clips)
    assert trainer.method.artifacts() == {}
    with pytest.raises(UserError, match=r"method ma-labels reads model\.safetensors"):
        trainer.method.prepare(trainer)
    with pytest.raises(UserError, match="give both runs the same model settings"):
        estimate(clips, base, model={"msdu": True})
