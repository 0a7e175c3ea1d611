"""Parsing from the video's probability alone: the loss by hand, what is logged, learning, resuming."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_parsing import CLASSES, hand_batch, make_clips, parsing_trainer
from torch.nn.functional import binary_cross_entropy

from avbalance.errors import UserError
from avbalance.methods.base import TrainingStep
from avbalance.methods.weak_parsing import WeakParsing
from avbalance.models.base import build

SMALL: dict[str, dict[str, Any]] = {
    "talnet": {"width": 8},
    "stpn": {"width": 16},
    "cmcs": {"width": 16},
    "ave-net": {"width": 16, "hidden": 8},
    "avsdn": {"width": 16, "hidden": 8},
}
SEEN = {"talnet": {"audio"}, "stpn": {"visual"}, "cmcs": {"visual"}}
STEP = TrainingStep(0, 0, 1, torch.Generator())


@pytest.fixture(scope="module")
def clips() -> Any:
    return make_clips()


def network(name: str) -> Any:
    return build({"name": name, **SMALL[name]}, CLASSES, torch.Generator().manual_seed(0))


def test_its_card_names_all_its_models() -> None:
    assert set(WeakParsing.card.models) == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_loss_is_that_of_the_video_and_the_model_s_regulariser(name: str) -> None:
    model, batch = network(name).eval(), hand_batch()
    output = model(batch)
    found = WeakParsing().loss(model, output, batch, STEP)
    expected = binary_cross_entropy(output.P, batch.label)
    if name in ("stpn", "cmcs"):
        assert float(output.auxiliary.detach()) > 0
        expected = expected + output.auxiliary
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", SMALL)
def test_it_learns_and_logs_what_the_model_sees(name: str, clips: Any) -> None:
    trainer = parsing_trainer("weak-parsing", clips=clips, model={"name": name, **SMALL[name]}, epochs=6)
    trainer.train()
    losses = [row["train_loss"] for row in trainer.history]
    assert losses[-1] < 0.9 * losses[0]
    logged = {key.split("_")[1] for key in trainer.history[0] if key.startswith("loss_")}
    assert logged == SEEN.get(name, {"audio", "visual"})
    for modality in logged:
        row = trainer.history[0]
        assert row[f"loss_{modality}"] == row[f"loss_{modality}_target"] > 0


def test_a_model_that_parses_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="parses no videos; use talnet or"):
        WeakParsing().loss(None, object(), hand_batch(), STEP)  # type: ignore[arg-type]
