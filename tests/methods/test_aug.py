"""AUG: residual labels and the choice of the weaker modality by hand; when it gets a classifier."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from one_step import clips, network

from avbalance.errors import UserError
from avbalance.methods.aug import AUG, boosted_loss, weaker
from avbalance.methods.base import TrainingStep

STEP = TrainingStep(0, 0, 3, torch.Generator())


def test_the_loss_of_two_classifiers_by_hand() -> None:
    # first (ln 3, 0): p_y = 3/4; newest (0, ln 3): p_y = 1/4; their sum is even, p_y = 1/2; lambda = 1/2:
    # ln 2 + ln(4/3) + (1 - 3/8) ln 4
    first, newest = torch.tensor([[math.log(3), 0.0]]), torch.tensor([[0.0, math.log(3)]])
    label = torch.tensor([0])
    expected = math.log(2) + math.log(4 / 3) + 0.625 * math.log(4)
    assert boosted_loss([first, newest], label, 0.5).item() == pytest.approx(expected)
    assert boosted_loss([first], label, 0.5).item() == pytest.approx(math.log(4 / 3))
    # of three, the sum of the first two is what is known: (ln 3, ln 3), p_y = 1/2; all three: (ln 3 + 1, ln 3)
    third = torch.tensor([[1.0, 0.0]])
    sure = math.log(1 + math.exp(-1))
    found = boosted_loss([first, newest, third], label, 0.5).item()
    assert found == pytest.approx(sure + math.log(2) + 0.75 * sure)


def test_what_is_known_is_no_way_for_the_gradient_by_hand() -> None:
    # as above, slopes in the first logit: of the sum p - 1 = -1/2, of the first 3/4 - 1, of the newest 5/8 (1/4 - 1)
    first = torch.tensor([[math.log(3), 0.0]], requires_grad=True)
    newest = torch.tensor([[0.0, math.log(3)]], requires_grad=True)
    boosted_loss([first, newest], torch.tensor([0]), 0.5).backward()
    assert first.grad is not None and first.grad.tolist() == [pytest.approx([-3 / 4, 3 / 4])]
    assert newest.grad is not None and newest.grad.tolist() == [pytest.approx([-31 / 32, 31 / 32])]


def test_the_weaker_modality_by_hand() -> None:
    assert weaker(10.2, 10.0, 0.01) == "visual"  # a ratio of 1.02
    assert weaker(9.8, 10.0, 0.01) == "audio"
    assert weaker(10.05, 10.0, 0.01) is None and weaker(9.95, 10.0, 0.01) is None


@pytest.mark.parametrize(("most", "expected"), [(9, [1, 2, 2, 2, 3, 3, 3, 3, 4]), (2, [1] + 8 * [2])])
def test_after_the_first_epoch_and_every_few_the_weaker_one_gets_a_classifier(most: int, expected: list[int]) -> None:
    method, model = AUG({"looks": 2}), network("boosted-net", hidden=4, most=most)
    trainer, used = SimpleNamespace(model=model, epochs=8), []
    for epoch in range(9):  # looks before the epochs 1, 4 and 8
        method.epoch_start(trainer, epoch)
        used.append(model.used["visual"])
        method.sure = {"audio": torch.tensor(5.0), "visual": torch.tensor(4.0)}
    assert used == expected and model.used["audio"] == 1


def test_confidences_are_summed_over_the_turns_of_an_epoch() -> None:
    method, model = AUG(), network("boosted-net", hidden=4)
    expected = {}
    for turn, name in zip(method.turns(model, clips(), STEP), ("audio", "visual"), strict=True):
        output = model(turn)
        expected[name] = 2 * output.logits.softmax(1).gather(1, turn.label[:, None]).sum().item()
        for _ in range(2):
            method.loss(model, output, turn, STEP)
    assert {name: value.item() for name, value in method.sure.items()} == pytest.approx(expected)


def test_classifiers_in_use_make_the_prediction_learn_and_come_back_with_the_weights() -> None:
    method, model, batch = AUG(), network("boosted-net", hidden=4, share_audio=0.25), clips()
    model.used["visual"] = 2
    output = model(batch)
    first, second = model.classifiers("visual", output.features["visual"])
    assert torch.allclose(output.scores["visual"], first + second)
    assert torch.allclose(output.logits, 0.25 * output.scores["audio"] + 0.75 * output.scores["visual"])
    assert torch.equal(model.fuse(output.features), output.logits)
    turn = method.turns(model, batch, STEP)[1]
    method.loss(model, model(turn), turn, STEP).backward()
    learning = [layer.weight.grad is not None for layer in model.hidden["visual"]]
    assert learning == [True, True] + [False] * 10
    again = network("boosted-net", hidden=4, share_audio=0.25)
    again.load_state_dict(model.state_dict())
    assert again.used == {"audio": 1, "visual": 2}


def test_another_network_is_refused() -> None:
    with pytest.raises(UserError, match="the model cannot have further classifiers; use boosted-net"):
        AUG().prepare(SimpleNamespace(model=network()))  # type: ignore[arg-type]
