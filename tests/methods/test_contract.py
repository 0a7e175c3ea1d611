"""What every registered method must do, tested on each of them: learn, resume bit for bit, and be off when it is off.

There is no list of methods here: a new module of avbalance.methods is tested as soon as it exists. The settings of a
method are those of the first run that uses it, in the smoke tier or else in that of the comparison.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from contract_data import SMALL, beats_majority, easy_clips, kill_after, learnt, settings_for, stand_in

from avbalance import methods
from avbalance.plan.plan import load_plan

REPOSITORY = Path(__file__).parents[2]
CARDS = {name: methods.load(name).card for name in methods.names()}
PREDICTING = [name for name, card in CARDS.items() if card.trains and card.predicts]
FITTING = [name for name in PREDICTING if CARDS[name].fits]
WITH_EPOCHS = [name for name in PREDICTING if not CARDS[name].fits]
WITH_NO_OP = [name for name in PREDICTING if CARDS[name].no_op is not None]
WITHOUT_PREDICTIONS = [name for name, card in CARDS.items() if card.trains and not card.predicts]
COMBINING = [name for name, card in CARDS.items() if not card.trains]
TIERS = ("smoke", "comparison-smoke")
FUSIONS = {"sum", "concat", "film", "gated"}


@dataclass(frozen=True)
class Finished:
    """What a training left: test logits (N, ...) of the selected epoch, weights of that and the last one, history."""

    logits: Any
    states: dict[str, dict[str, Any]]
    history: list[dict[str, Any]]
    trainer: Any

    def equals(self, other: Finished) -> bool:
        import torch

        pairs = [
            (self.states[which][name], weights[name]) for which, weights in other.states.items() for name in weights
        ]
        return torch.equal(self.logits, other.logits) and all(torch.equal(one, two) for one, two in pairs)


@cache
def declared() -> dict[str, Any]:
    """Method -> the first row that uses it, of the run sheets of TIERS in their order."""
    plans = [load_plan(REPOSITORY, {"tier": tier}) for tier in TIERS]
    rows = [row for plan in plans for rows in plan.rows.values() for row in rows]
    return {row.method: row for row in reversed(rows)}


def task_of(name: str) -> str:
    """The task that a declared run of the method is about."""
    row = declared().get(name)
    return str(row.settings["data"].get("task", "classification")) if row else "classification"


def settings_of(name: str, **changes: Any) -> dict[str, Any]:
    """Tiny settings with the model, options and held-out share that a declared run of the method has."""
    row, task = declared().get(name), task_of(name)
    model = dict(row.settings["model"]) if row else {"name": CARDS[name].models[0]}
    options = dict(row.settings.get("method", {})) if row else {}
    holdout = row.settings["data"].get("estimation_holdout", 0.0) if row else 0.0
    parts: dict[str, Any] = {
        "data": {"estimation_holdout": holdout},
        "model": {**model, **SMALL[task]},
        "method": options,
    }
    return settings_for(task, **{**parts, **changes})


def needs_of(name: str) -> dict[str, str]:
    """Name -> file that a declared run of the method reads of other runs."""
    row = declared().get(name)
    return {need: where["file"] for need, where in row.needs.items()} if row else {}


@pytest.fixture(scope="session")
def trainer_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Return a function (method, settings, checkpoints) -> trainer at the start of a run on easy data."""
    import torch

    from avbalance.training.cell import make_trainer
    from avbalance.training.progress import Progress

    torch.set_num_threads(1)
    clips = easy_clips(tmp_path_factory.mktemp("easy"))

    def make(name: str, settings: dict[str, Any], checkpoints: Any = None) -> Any:
        of_task, progress = clips[settings["data"].get("task", "classification")], Progress("run", io.StringIO())
        trainer = make_trainer(name, settings, 0, of_task, torch.device("cpu"), None, checkpoints, progress)
        trainer.needs = {need: stand_in(need, file, trainer) for need, file in needs_of(name).items()}
        return trainer

    return make


@pytest.fixture(scope="session")
def finished(trainer_of: Callable[..., Any]) -> Callable[..., Finished]:
    """Return a function (method, settings) -> Finished; equal runs are trained once a session."""
    known: dict[str, Finished] = {}

    def run(name: str, settings: dict[str, Any]) -> Finished:
        key = f"{name} {settings}"
        if key not in known:
            known[key] = finish(trainer_of(name, settings))
        return known[key]

    return run


def finish(trainer: Any) -> Finished:
    import torch

    trainer.train()
    logits = [output.logits for _, output in trainer.outputs(trainer.parts["test"])]
    return Finished(torch.cat(logits), trainer.states, trainer.history, trainer)


def labels_of(trainer: Any) -> Any:
    return trainer.source.clips.labels[trainer.parts["test"]]


@pytest.mark.parametrize("name", sorted(CARDS))
def test_card_is_complete(name: str) -> None:
    card = CARDS[name]
    assert card.name == name
    assert card.label.strip() and card.reference.strip()
    assert card.summary.endswith(".") and len(card.summary) > 20
    for option, field in card.options.model_fields.items():
        assert len(str(field.description).split()) >= 3, option
    assert all(sentence.endswith(".") for sentence in card.deviations)
    assert set(card.fusions) <= FUSIONS
    models = REPOSITORY / "src" / "avbalance" / "models"
    assert all((models / f"{model.replace('-', '_')}.py").is_file() for model in card.models)
    assert card.models or not card.trains
    if card.no_op is not None:
        assert card.no_op.equals in PREDICTING
        assert set(card.no_op.options) <= set(card.options.model_fields)


@pytest.mark.parametrize("name", sorted(CARDS))
def test_is_used_by_a_run_of_a_tier_that_is_a_check(name: str) -> None:
    assert name in declared()


@pytest.mark.parametrize("name", PREDICTING)
def test_learns_on_easy_data(name: str, finished: Callable[..., Finished]) -> None:
    run = finished(name, settings_of(name))
    assert run.logits.shape[0] == len(run.trainer.parts["test"])
    assert run.logits.shape[-1] == len(run.trainer.source.clips.classes)
    assert learnt(run.trainer, run.logits)


@pytest.mark.parametrize("name", FITTING)
def test_a_reference_has_one_epoch_without_steps_and_is_the_same_twice(
    name: str, finished: Callable[..., Finished], trainer_of: Callable[..., Any]
) -> None:
    run, again = finished(name, settings_of(name)), finish(trainer_of(name, settings_of(name)))
    assert len(run.history) == 1 and run.history == again.history
    assert run.equals(again)


@pytest.mark.parametrize("name", WITH_EPOCHS)
def test_resumes_bit_equal_after_a_kill_inside_an_epoch(
    name: str, finished: Callable[..., Finished], trainer_of: Callable[..., Any], tmp_path: Path
) -> None:
    from avbalance.training.state import Checkpoints

    settings = settings_of(name)
    epoch, index = 1, int(np.random.default_rng([3, len(name)]).integers(1, 4))
    kill_after(trainer_of(name, settings, Checkpoints(tmp_path, "key", every_s=0.0)), epoch, index)
    again = trainer_of(name, settings, Checkpoints(tmp_path, "key", every_s=0.0))
    resumed, whole = finish(again), finished(name, settings)
    # the state is written after the hooks of a step, so that the killed step is done again
    assert "resumed at epoch 2, step " in again.progress.out.getvalue()
    assert resumed.equals(whole) and whole.equals(resumed)
    assert resumed.history == whole.history
    assert again.method.artifacts() == whole.trainer.method.artifacts()


@pytest.mark.parametrize("name", WITH_NO_OP)
def test_at_its_no_op_setting_it_equals_the_run_its_card_names(name: str, finished: Callable[..., Finished]) -> None:
    no_op = CARDS[name].no_op
    assert no_op is not None
    whole = {"estimation_holdout": 0.0}  # both runs train on the same clips
    reference_settings = settings_of(no_op.equals, data=whole)
    if task_of(name) != task_of(no_op.equals):  # the other method then trains the network of this one
        reference_settings = settings_of(name, data=whole, method={})
    reference = finished(no_op.equals, reference_settings)
    model = {**reference_settings["model"], **no_op.model}
    itself = no_op.equals == name  # other options then stay as declared
    options = {**(reference_settings["method"] if itself else {}), **no_op.options}
    off = finished(name, settings_of(name, data=whole, model=model, method=options))
    assert off.equals(reference)
    assert [row["val_loss"] for row in off.history] == [row["val_loss"] for row in reference.history]
    # and the equality says something: with its declared options, or one of these, the method does make a difference
    singles = [{**reference_settings["method"], option: value} for option, value in no_op.options.items()]
    others = [settings_of(name, method=single) for single in singles] if itself else [settings_of(name)]
    assert not all(finished(name, other).equals(reference) for other in others)


@pytest.mark.parametrize("name", WITHOUT_PREDICTIONS)
def test_a_run_for_its_artifacts_makes_them_again(name: str, trainer_of: Callable[..., Any]) -> None:
    found = []
    for _ in range(2):
        trainer = trainer_of(name, settings_of(name))
        trainer.method.prepare(trainer)
        found.append(trainer.method.artifacts())
    assert found[0] and found[0] == found[1] == json.loads(json.dumps(found[0]))


@pytest.mark.parametrize("name", WITHOUT_PREDICTIONS)
def test_a_run_for_its_artifacts_that_trains_resumes_and_leaves_its_model_alone(
    name: str, trainer_of: Callable[..., Any], tmp_path: Path
) -> None:
    import torch

    from avbalance.training.state import Checkpoints

    if "model" in needs_of(name):
        pytest.skip("looks at another run's model and trains none")
    settings = settings_of(name)
    whole = trainer_of(name, settings)
    before = {key: value.clone() for key, value in whole.model.state_dict().items()}
    whole.method.prepare(whole)
    assert all(torch.equal(value, before[key]) for key, value in whole.model.state_dict().items())
    artifacts = whole.method.artifacts()
    assert artifacts
    kill_after(trainer_of(name, settings, Checkpoints(tmp_path, "key", every_s=0.0)), epoch=1, index=2)
    again = trainer_of(name, settings, Checkpoints(tmp_path, "key", every_s=0.0))
    again.method.prepare(again)
    assert "resumed at epoch 2, step 3" in again.progress.out.getvalue()
    assert again.method.artifacts() == artifacts


@pytest.mark.parametrize("name", COMBINING)
def test_a_combination_beats_the_majority_class_on_easy_data(name: str, finished: Callable[..., Finished]) -> None:
    rows = {row.run: row for rows in load_plan(REPOSITORY, {"tier": "smoke"}).rows.values() for row in rows}
    predictions, labels = {}, np.array([])
    for part, run in declared()[name].combine.items():
        row = rows[run]
        member = finished(
            row.method, settings_of(row.method, model={**row.settings["model"], **SMALL[task_of(row.method)]})
        )
        labels = labels_of(member.trainer)
        ids = member.trainer.source.clips.ids[member.trainer.parts["test"]]
        frame = pd.DataFrame({"id": ids, "label": labels, "split": "test", "condition": "both"})
        predictions[part] = frame.assign(checkpoint="selected", logits=list(member.logits.numpy()))
    combined = methods.load(name)().combine(predictions)  # type: ignore[attr-defined]
    assert combined["id"].tolist() == predictions[part]["id"].tolist()
    assert beats_majority(np.stack(combined["logits"]).argmax(1), labels)


@pytest.mark.parametrize("name", PREDICTING)
def test_every_method_trains_in_bf16(name: str, trainer_of: Callable[..., Any]) -> None:
    done = finish(trainer_of(name, settings_of(name, protocol={"epochs": 1, "precision": "bf16"})))
    assert np.isfinite(done.history[-1]["train_loss"])
    assert done.logits.isfinite().all()
    assert all(value.dtype.itemsize != 2 for value in done.states["last"].values())
