"""Runs whose visual recipe is null: clips, networks and records of sound alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from tiny_vectors import CLASSES, MODELS, vector_job, vector_manifest, vector_settings, write_vectors

from avbalance.data.manifest import make_manifest, write_manifest
from avbalance.errors import UserError
from avbalance.features.recipes import get_audio_recipe
from avbalance.models.base import Batch, build
from avbalance.training.cell import CellOptions, make_trainer, train_cell
from avbalance.training.data import load_clips
from flowkeeper.files import read_json

RECIPE = get_audio_recipe("seconds10-vggish-pca")
SIZES = {"train": 60, "val": 18, "test": 60}
NETWORK = {**MODELS["audio-teacher"], "bins": 128, "frames": 10}
DATA = {"audio_recipe": RECIPE.name, "visual_recipe": None, "conditions": ["both"], "sensitivity": []}


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Manifest and audio store of clips without pictures; sound tells the class."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("heard")
    both = vector_manifest(SIZES)
    rows = both.frame.drop(columns="visual").to_dict("records")
    manifest = make_manifest(rows, {**both.card, "modalities": ["audio"]}, "heard")
    write_manifest(manifest, folder / "manifest.parquet")
    generator = np.random.default_rng(8)
    sounds = generator.normal(size=(len(CLASSES), *RECIPE.shape))
    values = sounds[manifest.label_index()] + generator.normal(size=(len(rows), *RECIPE.shape))
    return folder / "manifest.parquet", write_vectors(folder / "audio", RECIPE, values, list(manifest.frame["id"]))


def settings_of(network: dict[str, Any], **data: Any) -> dict[str, Any]:
    return vector_settings("audio-teacher", data={**DATA, **data}, model=network)


def options(heard: tuple[Path, Path], folder: Path, *jobs: dict[str, Any], visual: Path | None = None) -> CellOptions:
    return CellOptions([*jobs], "x", *heard, visual, folder / "out", folder / "cache", "cpu")


def test_a_cell_learns_from_sound_alone(heard: tuple[Path, Path], tmp_path: Path) -> None:
    jobs = [
        vector_job("teacher", "unimodal", settings_of(NETWORK)),
        vector_job("speech", "unimodal", settings_of(NETWORK, labelling="speech")),
        vector_job("reference", "logistic-regression", settings_of({"name": "pooled-linear", "modalities": ["audio"]})),
    ]
    jobs[2]["settings"]["model"] = {"name": "pooled-linear", "modalities": ["audio"]}
    train_cell(options(heard, tmp_path, *jobs))
    right = {}
    for run in ("teacher", "speech", "reference"):
        folder = tmp_path / "out" / "paper" / "tiny" / run / "seed0"
        found = pq.read_table(folder / "predictions.parquet").to_pandas()
        found = found[(found["split"] == "test") & (found["checkpoint"] == "selected")]
        assert set(found["condition"]) == {"both"} and found["logits_visual"].isna().all()
        right[run] = (np.stack(found["logits"]).argmax(1) == found["label"]).mean()
        assert set(read_json(folder / "record.json")["paths"]) == {"manifest", "audio"}
    assert right["teacher"] > 0.9 and right["reference"] > 0.9  # a third by chance
    assert right["speech"] < 0.75  # sound tells the class alone: half by chance


def test_the_network_reads_seconds_as_frames_and_values_as_bins() -> None:
    model = build(NETWORK, 3, torch.Generator().manual_seed(0))
    seconds, label = torch.randn(2, 10, 128), torch.zeros(2, dtype=torch.long)
    as_map = seconds.permute(0, 2, 1).unsqueeze(1)
    outputs = [model(Batch(audio, None, label, label)).logits for audio in (seconds, as_map)]
    assert torch.equal(*outputs)
    with pytest.raises(UserError, match=r"shape \(1, 10, 128\), the model takes \(1, 128, 10\)"):
        model(Batch(seconds.mT, None, label, label))


def test_what_needs_pictures_is_refused_by_name(heard: tuple[Path, Path], tmp_path: Path) -> None:
    clips = load_clips(*heard)
    assert clips.modalities == ("audio",) and len(clips.ids) == sum(SIZES.values()) and not clips.losses
    for name in ("visual-teacher", "kd-student"):
        with pytest.raises(UserError, match=rf"model {name} reads visual, .*data.visual_recipe is null"):
            settings = vector_settings(name, data=DATA)
            make_trainer("unimodal" if "teacher" in name else "baseline", settings, 0, clips, torch.device("cpu"))
    black = vector_job("teacher", "unimodal", settings_of(NETWORK, conditions=["both", "black-video"]))
    with pytest.raises(UserError, match="condition black-video"):
        train_cell(options(heard, tmp_path, black))


def test_settings_and_stores_must_agree_that_there_are_none(heard: tuple[Path, Path], tmp_path: Path) -> None:
    seen = vector_job("teacher", "unimodal", settings_of(NETWORK, visual_recipe="uniform8-small16"))
    with pytest.raises(UserError, match="no visual store, and run teacher is declared with uniform8-small16"):
        train_cell(options(heard, tmp_path, seen))
    alone = vector_job("teacher", "unimodal", settings_of(NETWORK))
    with pytest.raises(UserError, match=r"vggish-pca, and run teacher is declared with none; give it no visual store"):
        train_cell(options(heard, tmp_path, alone, visual=heard[1]))
    assert not (tmp_path / "out").exists()


def test_clips_without_sound_are_lost_and_counted(heard: tuple[Path, Path], tmp_path: Path) -> None:
    index = pd.read_parquet(heard[1] / "index.parquet")
    whole = load_clips(*heard)
    index.loc[3, ["row", "status"]] = -1, "corrupt"
    folder = tmp_path / "audio"
    folder.mkdir()
    for name in ("features.npy", "card.json", "array.json"):
        (folder / name).symlink_to(heard[1] / name)
    index.to_parquet(folder / "index.parquet")
    cut = load_clips(heard[0], folder)
    assert cut.losses == {"audio corrupt": 1} and len(cut.ids) == len(whole.ids) - 1
