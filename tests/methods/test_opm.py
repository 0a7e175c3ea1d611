"""OPM: probabilities and dropped features by hand; how much is dropped, and when nothing is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from one_step import CLASSES, gradients, network

from avbalance.errors import UserError
from avbalance.methods.base import TrainingStep
from avbalance.methods.baseline import Baseline
from avbalance.methods.opm import OPM, drop_probabilities, dropped
from avbalance.models.base import Batch, Model, ModelOutput


@pytest.mark.parametrize(
    ("audio", "visual", "base", "growth", "expected"),
    [
        (2.0, 4.0, 0.4, 0.5, (0.0, 0.5523188)),  # rho_v = 2: 0.4 (1 + 0.5 tanh 1) = 0.4 * 1.3807971
        (3.0, 2.0, 0.4, 0.0, (0.4, 0.0)),  # rho_a = 1.5, but the chance does not grow
        (3.0, 2.0, 0.5, 1.0, (0.7310586, 0.0)),  # 0.5 (1 + tanh 0.5) = 0.5 * 1.4621172
        (3.0, 3.0, 0.5, 0.5, (0.0, 0.0)),  # nobody leads
        (0.0, 1.0, 0.9, 0.5, (0.0, 1.0)),  # 0.9 * 1.5 is more than 1
    ],
)
def test_probabilities_by_hand(audio: float, visual: float, base: float, growth: float, expected: Any) -> None:
    found = drop_probabilities(torch.tensor([audio, visual]), base, growth)
    assert found.tolist() == pytest.approx(expected)


def test_dropped_features_by_hand() -> None:
    """3 dimensions with q = 0.4 and 1 with q = 0: theta = (3 * 0.4 + 0) / 4 = 0.3; all is divided by 0.7."""
    audio, visual = torch.full((2, 3), 0.7), torch.full((2, 1), 1.4)
    kept = torch.tensor([[True, False], [True, True]])
    out_audio, out_visual = dropped((audio, visual), kept, torch.tensor([0.4, 0.0]))
    torch.testing.assert_close(out_audio, torch.tensor([[1.0] * 3, [0.0] * 3]))
    torch.testing.assert_close(out_visual, torch.tensor([[2.0], [2.0]]))


class Recorded(Model):
    """Features of ones; remembers what its head was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[dict[str, torch.Tensor]] = []

    def fuse(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        self.given.append(features)
        return features["audio"]


def steps(method: OPM, count: int, clips: int = 64) -> list[dict[str, torch.Tensor]]:
    """What the head is given in `count` steps in which audio is certain and visual has no idea: rho_a = 3."""
    model = Recorded()
    label = torch.zeros(clips, dtype=torch.int64)
    certain = torch.tensor([[1000.0, 0.0, 0.0]]).repeat(clips, 1)
    features = {name: torch.ones(clips, CLASSES) for name in ("audio", "visual")}
    output = ModelOutput(certain, {"audio": certain, "visual": torch.zeros_like(certain)}, features)
    batch = Batch(None, None, label, label)
    for index in range(count):
        method.loss(model, output, batch, TrainingStep(0, index, count, torch.Generator().manual_seed(index)))
    return model.given


def test_only_the_leader_is_dropped_as_often_as_said() -> None:
    """rho_a = 3, q_a = 0.4 (1 + 0.5 tanh 2) = 0.5928055, theta = 0.2964028, and 1 / (1 - theta) = 1.4212676."""
    method = OPM({"base": 0.4, "executed": 0.5})
    given = steps(method, 200)
    untouched = [bool((each["audio"] == 1).all() and (each["visual"] == 1).all()) for each in given]
    assert sum(untouched) == pytest.approx(100, abs=30)  # 4 standard deviations of 7.1
    modulated = [each for each, same in zip(given, untouched, strict=True) if not same]
    visual, audio = (torch.cat([each[name] for each in modulated]) for name in ("visual", "audio"))
    torch.testing.assert_close(visual, torch.full_like(visual, 1.4212676))
    assert set(audio.unique().tolist()) <= {0.0, visual[0, 0].item()}
    assert (audio == 0).all(1).double().mean() == pytest.approx(0.5928055, abs=0.03)  # of about 6400 clips
    assert torch.equal((audio == 0).all(1), (audio == 0).any(1))  # whole features, not entries
    logged = method.means.close()
    assert logged["dropped_audio"] == pytest.approx(0.5928055 * (200 - sum(untouched)) / 200, abs=0.02)
    assert logged["dropped_visual"] == 0


@pytest.mark.parametrize("options", [{"executed": 0.0}, {"executed": 1.0, "start_epoch": 1}, {"base": 0.0}])
def test_what_drops_nothing_changes_no_gradient(options: Any) -> None:
    plain, off = gradients(Baseline(), network()), gradients(OPM(options), network())
    assert all(torch.equal(off[name], gradient) for name, gradient in plain.items())


def test_an_encoder_whose_features_are_all_dropped_learns_nothing() -> None:
    method = OPM({"base": 1.0, "executed": 1.0})  # who leads, loses every clip
    found = gradients(method, network())
    share = method.means.close()
    assert sorted(share.values()) == [0.0, 1.0]
    for name, gradient in found.items():
        if name.startswith("encoders.") and name.endswith("conv1.weight"):
            assert bool(gradient.any()) == (share[f"dropped_{name.split('.')[1]}"] == 0), name


def test_a_model_of_one_modality_is_an_error() -> None:
    with pytest.raises(UserError, match="method opm: the model gives no visual scores"):
        gradients(OPM(), network("unimodal-net", modality="audio"))
