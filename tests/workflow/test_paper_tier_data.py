"""The paper tier's data: lists become manifests without clips, features are read as they were published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published_lists import (
    audioset_lists,
    ave_lists_of_30,
    balanced_annotation,
    link_real_lists,
    llp_features,
    real,
    vggsound_list,
)

from avbalance.data.build import build_dataset
from avbalance.data.manifest import read_manifest
from avbalance.features.extract import extract
from avbalance.features.store import open_store
from avbalance.plan.plan import Plan, load_plan
from avbalance.training.data import load_clips

REPOSITORY = Path(__file__).parents[2]
BALANCED, PARSING = "balanced-audiovisual", "avvp-gradient-modulation"
RELEVANCE, GAP = "modality-relevance", "gmm-adaptive-loss"
OLD = "jomold_version/AVVP_eval_audio.csv"
OWN_LLP = {"llp": {"options": {"audio_old": OLD}}}


def plan_of(slug: str, datasets: Mapping[str, Any] | None = None) -> Plan:
    return load_plan(REPOSITORY, {"tier": "paper", "papers": {slug: {}}, "datasets": datasets or {}})


def link_kinetics(downloads: Path) -> None:
    link_real_lists(downloads, "kinetics-sounds")


def link_cremad(downloads: Path) -> None:
    link_real_lists(downloads, "cremad")


@pytest.mark.parametrize(
    ("slug", "dataset", "lists", "classes", "splits"),
    [
        (BALANCED, "kinetics-sounds", link_kinetics, 31, {"train": 14_799, "val": 1_320, "test": 2_597}),
        (BALANCED, "vggsound", vggsound_list, 309, {"train": 3_692, "test": 308}),
        (BALANCED, "balanced", balanced_annotation, 30, {"train": 720, "val": 90, "test": 90}),
        # 40 urban clips and 30 rural ones, none with both labels: 30 of each
        (RELEVANCE, "audioset", audioset_lists, 2, {"train": 42, "val": 12, "test": 6}),
        (RELEVANCE, "kinetics-sounds-26", link_kinetics, 26, {"train": 12_526, "val": 1_109, "test": 2_180}),
        (GAP, "ave-clips", ave_lists_of_30, 28, {"train": 20, "val": 4, "test": 5}),
        (GAP, "cremad", link_cremad, 6, {"train": 6_698, "test": 744}),
    ],
)
def test_lists_become_a_manifest_even_without_clips(
    workplace: Path, slug: str, dataset: str, lists: Any, classes: int, splits: dict[str, int]
) -> None:
    lists(workplace / "downloads")
    plan = plan_of(slug, {dataset: {"options": {"allow_missing": True}}})
    assert dataset not in [sentence.split(": ")[0] for sentence in plan.preflight()]
    build_dataset(dataset, plan.datasets[dataset], workplace / plan.manifest(dataset))
    manifest = read_manifest(plan.manifest(dataset))
    assert len(manifest.classes) == classes
    assert manifest.frame["split"].value_counts().to_dict() == splits
    assert set(manifest.frame["status"]) == {"missing"}
    assert list(manifest.labellings) == (["speech"] if dataset == "audioset" else [])


def test_one_real_video_with_features_is_read_and_all_others_are_missing(workplace: Path, tmp_path: Path) -> None:
    link_real_lists(workplace / "downloads", "llp")
    name = (real("llp") / "AVVP_train.csv").read_text().splitlines()[1].split("\t")[0]
    made = llp_features(workplace / "downloads", name[:11])
    plan = plan_of(PARSING, OWN_LLP)
    path = tmp_path / plan.manifest("llp")
    build_dataset("llp", plan.datasets["llp"], path)
    manifest = read_manifest(path)
    frame = manifest.frame.set_index("id")
    assert frame["split"].value_counts().to_dict() == {"train": 10_000, "test": 1_200, "val": 649}
    assert (frame["status"] == "ok").sum() == 1 and frame.loc[name, "status"] == "ok"
    lost = frame[frame["status"] == "missing"]
    assert len(lost) == 11_848 and lost["reason"].str.startswith("no feature file vggish/").all()
    stores = extract(path, {key: value[0] for key, value in plan.recipes["llp"].items()}, tmp_path / "features")
    frames, moves = made["res152"].reshape(10, 8, 2048).mean(1), made["r2plus1d_18"]
    expected = {"audio": made["vggish"], "visual": np.concatenate([frames, moves], axis=1)}
    for modality, folder in stores.items():
        store = open_store(folder)
        assert store.array.shape == (1, *expected[modality].shape)
        np.testing.assert_allclose(store.array[0], expected[modality], rtol=2e-3, atol=1e-3)
    clips = load_clips(path, stores["audio"], stores["visual"])
    assert clips.ids.tolist() == [name] and sum(clips.losses.values()) == 11_848
    assert len(clips.classes) == 25 and set(clips.truth) == {"events_audio", "events_visual", "events_audio_repaired"}
