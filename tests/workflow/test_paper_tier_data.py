"""The paper tier's data: lists become manifests without clips, features are read as they were published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published_lists import (
    AVE_RECORDS,
    audioset_lists,
    ave_features,
    ave_lists,
    ave_lists_of_30,
    balanced_annotation,
    link_real_lists,
    llp_features,
    real,
    vggsound_list,
)

from avbalance.data.build import build_dataset
from avbalance.data.manifest import read_manifest
from avbalance.data.sources.ave import CLASSES as AVE_CLASSES
from avbalance.errors import UserError
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


def test_a_run_on_one_modality_alone_ends_before_any_training(workplace: Path, snakemake: Any) -> None:
    """All folders are there, so that the preflight is content; of all videos the sound is, and no picture."""
    downloads = workplace / "downloads"
    lists = downloads / "llp" / "lists"
    (lists / OLD).parent.mkdir(parents=True)
    for name in ("AVVP_eval_audio.csv", "AVVP_eval_visual.csv", OLD):
        shutil.copyfile(real("llp") / name, lists / name)
    for name in ("AVVP_train.csv", "AVVP_val_pd.csv", "AVVP_test_pd.csv"):
        (lists / name).write_text("".join((real("llp") / name).read_text().splitlines(keepends=True)[:4]))
    llp_features(downloads, "-_aaaaaaaaa")
    for line in (lists / "AVVP_train.csv").read_text().splitlines()[1:]:
        (downloads / "llp" / "feats" / "vggish" / f"{line[:11]}.npy").symlink_to(downloads / "vggish.npy")
    own = {"papers": {PARSING: {"datasets": {"cremad": None, "ave": None}}}, "datasets": OWN_LLP}
    (workplace / "own.yaml").write_text(json.dumps(own))
    done = snakemake("--configfile", "own.yaml", "--config", "tier=paper")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    logs = "".join(path.read_text() for path in workplace.rglob("*.log") if path.is_file())
    assert "downloads/llp/feats: holds none of the 9 clips (no feature file res152/" in done.stderr + done.stdout + logs
    assert not list((workplace / "results").rglob("record.json"))
    assert not (workplace / "data" / "llp" / "manifest.parquet").exists()


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


def test_records_of_ave_are_rows_of_its_two_files(workplace: Path, tmp_path: Path) -> None:
    ave_lists(workplace / "downloads")
    made = ave_features(workplace / "downloads")
    plan = plan_of(PARSING)
    path = tmp_path / plan.manifest("ave")
    build_dataset("ave", plan.datasets["ave"], path)
    stores = extract(path, {key: value[0] for key, value in plan.recipes["ave"].items()}, tmp_path / "features")
    clips = load_clips(path, stores["audio"], stores["visual"])
    assert clips.classes == [*AVE_CLASSES[:-1], "Background"] and len(clips.ids) == AVE_RECORDS
    for position, name in enumerate(clips.ids):
        record = int(name[:4])
        for modality in ("audio", "visual"):
            stored = open_store(stores[modality]).array[getattr(clips, f"{modality}_rows")[position]]
            np.testing.assert_allclose(stored, made[modality][record], rtol=1e-3, atol=1e-4)
        assert clips.truth["events_visual"][position].sum(1).nonzero()[0].tolist() == [record]


def test_without_pictures_there_is_no_crema_d(workplace: Path, tmp_path: Path) -> None:
    link_real_lists(workplace / "downloads", "cremad")
    clip = (real("cremad") / "train.csv").read_text().split(",")[0]
    sound = workplace / "downloads" / "cremad" / "media" / "AudioWAV"
    sound.mkdir(parents=True)
    (sound / f"{clip}.wav").write_bytes(b"x")
    plan = plan_of(PARSING)
    with pytest.raises(UserError, match=r"holds none of the 7442 clips \(no file Image-01-FPS/"):
        build_dataset("cremad", plan.datasets["cremad"], tmp_path / plan.manifest("cremad"))
