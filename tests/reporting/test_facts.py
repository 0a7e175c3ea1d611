"""Lines under the tables: losses by modality and status, shares, cuts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from avbalance.data.manifest import make_manifest, write_manifest
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting.facts import clip_line, lost_clips, notes, odd_line, preference_line, write_lost_clips
from flowkeeper.files import write_json


def test_a_clip_lost_in_both_modalities_counts_once_as_a_clip(tmp_path: Path) -> None:
    manifest = {"id": ["a", "b", "c", "d"], "split": ["train", "train", "val", "test"], "reason": ""}
    pd.DataFrame({**manifest, "status": ["ok", "ok", "missing", "ok"]}).to_parquet(tmp_path / "manifest.parquet")
    for modality, status in {"audio": ["short", "ok"], "visual": ["corrupt", "corrupt"]}.items():
        index = pd.DataFrame({"id": ["a", "b", "c", "d"], "status": [*status, "missing", "ok"], "reason": "why"})
        index["row"] = [-1 if name in ("short", "corrupt", "missing") else 0 for name in index["status"]]
        index.to_parquet(tmp_path / f"{modality}.parquet")
    info = DatasetInfo(
        "role", "D", "d", "", manifest=str(tmp_path / "manifest.parquet"),
        features={name: str(tmp_path / f"{name}.parquet") for name in ("audio", "visual")},
    )  # fmt: skip
    lost = lost_clips(info)
    assert lost[["id", "modality", "status"]].to_numpy().tolist() == [
        ["a", "audio", "short"], ["a", "visual", "corrupt"],
        ["b", "visual", "corrupt"], ["c", "manifest", "missing"],
    ]  # fmt: skip
    assert clip_line(info) == (
        "Clips of D: 1 of 4 used (test 1), 3 lost (audio short 1, manifest missing 1, visual corrupt 2)."
    )


def test_what_was_odd_about_an_own_folder_is_told_again(tmp_path: Path) -> None:
    card = {"dataset": "d", "kind": "folder", "stands_for": None, "describe": "d", "classes": ["x", "y"],
            "media_root": ".", "options": {}}  # fmt: skip
    rows = [{"id": label, "audio": "a", "visual": "a", "label": label, "split": "train"} for label in "xy"]
    info = DatasetInfo("role", "D", "d", "", manifest=str(tmp_path / "manifest.parquet"))
    write_manifest(make_manifest(rows, card, "d"), tmp_path / "manifest.parquet")
    assert odd_line(info) is None
    write_manifest(make_manifest(rows, {**card, "odd": ["one", "two"]}, "d"), tmp_path / "manifest.parquet")
    assert odd_line(info) == "Found in the folder of D: one; two."


def test_shares_and_epochs(tmp_path: Path) -> None:
    counts = {"n": 4, "audio": 3, "visual": 1, "ties": 0, "audio_share": 0.75}
    tied = {"n": 2, "audio": 0, "visual": 0, "ties": 2, "audio_share": None}
    epochs = {name: {"estimation_epochs": number} for name, number in (("audio", 7), ("visual", 12))}
    write_json(tmp_path / "stopping.json", {"shares": {"train": counts, "test": tied}, "epochs": epochs})
    info = DatasetInfo("role", "D", "d", "", confidence=str(tmp_path))
    assert preference_line(info) == (
        "Audio-preferred share of D: train 0.750 (0 ties), test undefined (2 ties);"
        " epochs averaged: audio 7, visual 12."
    )


def test_losses_of_further_generator_seeds_are_told(fabricated_paper: Paper, tmp_path: Path) -> None:
    used = "320 of 321 used (train 160, val 40, test 120), 1 lost (manifest missing 1)."
    line = f"Clips of synthetic-kinetics-sounds-g1: {used}"
    assert line in notes(fabricated_paper, ["kinetics-sounds"], "tableS3", generators=True)
    assert line not in notes(fabricated_paper, ["kinetics-sounds"], "table1")
    write_lost_clips(fabricated_paper, tmp_path / "lost.csv")
    assert "synthetic-kinetics-sounds-g1" in pd.read_csv(tmp_path / "lost.csv")["dataset"].to_list()
