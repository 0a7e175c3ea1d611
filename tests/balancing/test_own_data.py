"""`avbalance balance`: a folder of one's own, which clips to keep, to leave out and to collect."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from avbalance.cli import main
from avbalance.data.build import build_dataset
from avbalance.data.manifest import read_manifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety videos of three classes, of which most are told by their sound."""
    root = tmp_path_factory.mktemp("own")
    options = {
        "seed": 5,
        "classes": 3,
        "clips": {"train": 60, "test": 30},
        "discrepancy_beta": [3.0, 1.2],
        "snr_audio_db": [-25.0, 3.0],
        "snr_visual_db": [-10.0, 14.0],
    }
    spec = {"kind": "synthetic", "stands_for": None, "describe": "generated", "options": options}
    build_dataset("made", spec, root / "made" / "manifest.parquet")
    frame = read_manifest(root / "made" / "manifest.parquet").frame
    table = pd.DataFrame({"id": frame["id"], "label": frame["label"], "split": frame["split"], "video": frame["audio"]})
    table.to_csv(root / "made" / "media" / "manifest.csv", index=False)
    return root / "made" / "media"


def test_a_folder_is_cut_into_clips_to_keep_and_to_leave_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--epochs", "3", "--folds", "2", "--least", "30", "--device", "cpu"]
    recipes = ["--audio-recipe", "logmel32x64-4s", "--visual-recipe", "fps1-middle-32-4s"]
    assert main(["balance", str(folder), *small, *recipes]) == 0
    out = tmp_path / "results" / "balance" / "media"
    keep, leave = pd.read_csv(out / "keep.csv"), pd.read_csv(out / "leave_out.csv")
    listed = pd.read_csv(folder / "manifest.csv")
    assert set(keep["id"]) | set(leave["id"]) == set(listed["id"]) and not set(keep["id"]) & set(leave["id"])
    assert len(keep) >= 30 and keep[["u_audio", "u_visual"]].notna().all(axis=None)
    assert leave["reason"].str.match(r"(noise|cap|dominance)-\d").all()
    assert keep.merge(listed, on=["id", "label", "split"]).shape[0] == len(keep)
    collect = pd.read_csv(out / "collect.csv")
    assert len(collect) == 4 and collect["more"].is_monotonic_decreasing and "told by both" in set(collect["clips"])
    assert (out / "maps.png").read_bytes().startswith(b"\x89PNG")
    told = capsys.readouterr().out
    assert f"keep {len(keep)} of 90 clips" in told and "prefer sound:" in told and "to be collected:" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--epochs", "2"], "--epochs is 2; give 3 at least"),
        (["--visual-recipe", "uniform8-small64"], "keeps no pictures"),
    ],
)
def test_wrong_wishes_are_told(
    folder: Path, tmp_path: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["balance", str(folder), "--out", str(tmp_path / "out"), *arguments]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_without_a_list_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["balance", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "manifest.csv: no such file; list your clips in it" in capsys.readouterr().err
