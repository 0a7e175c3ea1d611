"""Controls that must flip or fall to chance, on small models that are really trained on generated clips.

Exchanging the modalities of every clip must reverse the preference. Labels without meaning must leave nothing to learn;
they are permuted for training and validation, since a choice of epoch by true labels is a way to learn them (it lifts
these models by about two standard errors).
"""

from __future__ import annotations

import copy
import dataclasses
import io
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avbalance.data.build import build_dataset
from avbalance.features.extract import extract
from avbalance.plan.config import load_dataset
from avbalance.plan.plan import Plan, load_plan

REPOSITORY = Path(__file__).parents[2]
RUNS = ("baseline", "audio", "visual")
CLASSES, TEST_CLIPS = 4, 160
CHANCE = 100.0 / CLASSES
STANDARD_ERROR = 100.0 * math.sqrt((1 / CLASSES) * (1 - 1 / CLASSES) / TEST_CLIPS)  # percentage points: 3.4
# Nearly all clips are told better by sound, and both modalities are easy enough to be learned in ten epochs.
LAW: dict[str, Any] = {
    "classes": CLASSES,
    "clips": {"train": 256, "val": 48, "test": TEST_CLIPS},  # multiples of CLASSES squared, see without_meaning
    "discrepancy_beta": [5.0, 1.0],
    "snr_audio_db": [-25.0, 3.0],
    "snr_visual_db": [-7.0, 17.0],
}
PERMUTATIONS = 2
PROTOCOL = {"epochs": 10, "batch_size": 32, "decay_every": 7, "record_confidence": True}


@cache
def plan() -> Plan:
    return load_plan(REPOSITORY, {"tier": "demo"})


@pytest.fixture(scope="module")
def clips_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Any]:
    """Return a function (flip) -> clips of the law, with the modalities as they are or exchanged."""
    from avbalance.training.data import load_clips

    @cache
    def make(flip: bool) -> Any:
        spec = copy.deepcopy(load_dataset(REPOSITORY, plan().config, "synthetic-flat"))
        spec["options"] |= {**LAW, "flip": flip}
        folder = tmp_path_factory.mktemp("flipped" if flip else "straight")
        build_dataset(folder.name, spec, folder / "manifest.parquet")
        stores = extract(folder / "manifest.parquet", row("baseline")["recipes"], folder / "features")
        return load_clips(folder / "manifest.parquet", stores["audio"], stores["visual"])

    return make


def row(run: str) -> dict[str, Any]:
    """Method, settings and recipes of a run of the demo tier, with a shorter protocol."""
    rows = plan().rows["balanced-audiovisual"]
    declared = next(each for each in rows if each.run == run and each.role == "balanced")
    settings = copy.deepcopy(declared.settings)
    settings["protocol"] |= PROTOCOL
    recipes = {name: settings["data"][f"{name}_recipe"] for name in ("audio", "visual")}
    return {"method": declared.method, "settings": settings, "recipes": recipes}


def train(run: str, clips: Any) -> Any:
    """A trained model of a run, at its selected epoch."""
    import torch

    from avbalance.training.cell import make_trainer
    from avbalance.training.progress import Progress

    torch.set_num_threads(1)
    chosen = row(run)
    device, quiet = torch.device("cpu"), Progress(run, io.StringIO())
    trainer = make_trainer(chosen["method"], chosen["settings"], 0, clips, device, progress=quiet)
    trainer.train()
    return trainer


@pytest.fixture(scope="module")
def trained(clips_of: Callable[[bool], Any]) -> Callable[[str, bool], Any]:
    """Return a function (run, flip) -> trainer after training on true labels; each is trained once."""
    return cache(lambda run, flip: train(run, clips_of(flip)))


def audio_preferred_share(audio: Any, visual: Any) -> float:
    """Share of test clips with u_a > u_v among those without a tie, by the models' own confidence."""
    from avbalance.analysis.confidence import mean_confidence

    rows = [np.stack(trainer.course.confidence["test"]) for trainer in (audio, visual)]
    discrepancy = np.subtract(*(mean_confidence(each, len(each)) for each in rows))
    return float((discrepancy > 0).sum() / (discrepancy != 0).sum())


@pytest.mark.slow
def test_exchanged_modalities_reverse_the_preference(trained: Callable[[str, bool], Any]) -> None:
    straight, flipped = (
        audio_preferred_share(trained("audio", flip), trained("visual", flip)) for flip in (False, True)
    )
    # Half a share is no preference; 3.5 standard errors of a share of 160 clips are 0.14.
    assert straight > 0.5 + 0.14
    assert flipped < 0.5 - 0.14


def without_meaning(clips: Any, number: int) -> Any:
    """The same clips with other labels for training and validation: in each class all labels equally often."""
    labels, generator = clips.labels.copy(), np.random.default_rng([2023, number])
    for split in ("train", "val"):
        for cls in range(CLASSES):
            own = np.flatnonzero((clips.split == split) & (clips.labels == cls))
            labels[own] = generator.permutation(np.arange(len(own)) % CLASSES)
    return dataclasses.replace(clips, labels=labels)


def test_permuted_labels_are_as_frequent_as_the_true_ones(clips_of: Callable[[bool], Any]) -> None:
    true, permuted = clips_of(False), without_meaning(clips_of(False), 0)
    used, test = true.split != "test", true.split == "test"
    assert np.bincount(permuted.labels[used]).tolist() == np.bincount(true.labels[used]).tolist()
    assert np.mean(permuted.labels[used] == true.labels[used]) == 1 / CLASSES
    assert np.array_equal(permuted.labels[test], true.labels[test])


@pytest.mark.parametrize("run", RUNS)
def test_permuted_labels_leave_chance(
    clips_of: Callable[[bool], Any], trained: Callable[[str, bool], Any], run: str
) -> None:
    accuracy = trained(run, False).evaluate("test").accuracy["logits"]
    assert accuracy > CHANCE + 5 * STANDARD_ERROR, "with true labels it learns"
    # Clips of one class are predicted alike, so that one such model strays from chance by about twice the standard
    # error of independent clips; the mean of several does not.
    found: dict[str, list[float]] = {"selected": [], "last": []}
    for number in range(PERMUTATIONS):
        trainer = train(run, without_meaning(clips_of(False), number))
        found["selected"].append(trainer.evaluate("test").accuracy["logits"])
        trainer.model.load_state_dict(trainer.states["last"])
        found["last"].append(trainer.evaluate("test").accuracy["logits"])
    for checkpoint, accuracies in found.items():
        assert abs(np.mean(accuracies) - CHANCE) < 3.5 * STANDARD_ERROR, (checkpoint, accuracies)
