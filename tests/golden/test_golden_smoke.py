"""Numbers of the smoke tier, compared with those that are committed beside this file.

What decides by drawing alone must be equal: clips, planted values, the keys, published numbers and sizes of tables.
What passes a codec or an FFT must be equal to 1e-3. What was trained differs between processors: the loss of the first
epoch by up to 2 %, accuracies by up to 15 points (7 of 48 clips; a model that was hardly trained flips many at once).

When a change of the generator, of the features or of a paper's tables is meant, renew the fixtures and read the diff:

    python -m pytest tests/golden --golden-update
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from workspace import Workspace

from flowkeeper.files import digest_json

FOLDER = Path(__file__).parent
REPOSITORY = FOLDER.parents[1]
SLUG, DATA = "balanced-audiovisual", "synthetic-balanced-smoke"
PAPER = f"results/smoke/papers/{SLUG}"
IN_FULL = ("table1", "table2")  # of the others a digest of the keys and published numbers
MEASURED = ("ours_mean", "ours_sd", "seeds", "n", "data")
MOST_BYTES = 16_000  # per file


@pytest.fixture(scope="module")
def updating(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--golden-update"))


def golden_json(name: str, found: dict[str, Any], updating: bool) -> dict[str, Any]:
    """The committed values `name`, made of `found` first when fixtures are renewed."""
    path = FOLDER / f"{name}.json"
    if updating:
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    committed: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return committed


def golden_csv(name: str, found: list[dict[str, str]], updating: bool) -> list[dict[str, str]]:
    """The same for a list of records."""
    path = FOLDER / f"{name}.csv"
    if updating:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
        path.write_text(text.getvalue(), encoding="utf-8")
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_clips_and_planted_values(smoke: Workspace, updating: bool) -> None:
    frame = pd.read_parquet(smoke.root / f"data/{DATA}/manifest.parquet")
    found = [
        {"id": row.id, "label": row.label, "audio": f"{row.planted_audio:.5f}", "visual": f"{row.planted_visual:.5f}"}
        for row in frame.itertuples()
    ]
    assert found == golden_csv("planted", found, updating)


def test_features(smoke: Workspace, updating: bool) -> None:
    found: dict[str, Any] = {}
    for folder in sorted((smoke.root / f"results/smoke/features/{DATA}").iterdir()):
        array = np.load(folder / "features.npy").astype(np.float64)
        per_clip = array.reshape(len(array), -1)
        # Constant factors per position make these sensitive to a shuffle of clips and of values.
        weights = np.linspace(0.5, 1.5, len(array)), np.linspace(0.5, 1.5, per_clip.shape[1])
        found[folder.name] = {
            "shape": list(array.shape),
            "statistics": {
                "mean": array.mean(),
                "sd": array.std(),
                "lowest": array.min(),
                "highest": array.max(),
                "over clips": weights[0] @ per_clip.mean(axis=1) / len(array),
                "inside clips": per_clip.mean(axis=0) @ weights[1] / per_clip.shape[1],
            },
        }
    committed = golden_json("features", found, updating)
    assert found.keys() == committed.keys()
    for name, values in found.items():
        assert values["shape"] == committed[name]["shape"]
        assert values["statistics"] == pytest.approx(committed[name]["statistics"], rel=1e-3, abs=1e-3)


def keys_of(frame: pd.DataFrame) -> list[str]:
    """Row and column keys of a table, and the published number; the rest is measured."""
    return [name for name in frame.columns if name not in MEASURED]


def test_keys_and_published_numbers_of_tables(smoke: Workspace, updating: bool) -> None:
    tables = {path.stem: pd.read_csv(path, dtype=str).fillna("") for path in (smoke.root / PAPER).glob("table*.csv")}
    rows = []
    for name in IN_FULL:
        frame = tables[name]
        exact = frame["subset"] == "overall"  # the size of an estimated subset depends on a training
        for (_, record), whole in zip(frame.iterrows(), exact, strict=True):
            size = record["n"] if whole else "estimated"
            rows.append({"table": name, **{key: record[key] for key in keys_of(frame)}, "n": size})
    assert rows == golden_csv("tables", rows, updating)
    digests = {
        name: {"rows": len(frame), "digest": digest_json([keys_of(frame), *frame[keys_of(frame)].values.tolist()])}
        for name, frame in tables.items()
        if name not in IN_FULL
    }
    assert digests == golden_json("supplements", digests, updating)


def test_sizes_of_planted_subsets(smoke: Workspace, updating: bool) -> None:
    frame = pd.read_parquet(smoke.root / PAPER / "measurements.parquet")
    planted = frame[frame["protocol"] == "planted"]
    assert (planted.groupby("subset")["n"].nunique() == 1).all(), "every run is measured on the same clips"
    found = {str(name): int(part["n"].iloc[0]) for name, part in planted.groupby("subset")}
    assert found == golden_json("subsets", found, updating)


def test_trainings(smoke: Workspace, updating: bool) -> None:
    found: dict[str, dict[str, float]] = {}
    for path in sorted((smoke.root / f"results/smoke/runs/{SLUG}/{DATA}").glob("*/seed0/history.csv")):
        found[path.parts[-3]] = {"first_loss": float(pd.read_csv(path)["train_loss"].iloc[0])}
    frame = pd.read_parquet(smoke.root / PAPER / "measurements.parquet")
    chosen = (frame["subset"] == "overall") & (frame["split"] == "test") & (frame["checkpoint"] == "selected")
    for row in frame[chosen].itertuples():
        found.setdefault(str(row.run), {})["accuracy"] = float(row.value)
    rounded = {name: {key: round(value, 4) for key, value in values.items()} for name, values in found.items()}
    committed = golden_json("trainings", rounded, updating)
    assert found.keys() == committed.keys()
    for name, values in found.items():
        assert values.keys() == committed[name].keys()
        if "first_loss" in values:
            assert values["first_loss"] == pytest.approx(committed[name]["first_loss"], rel=0.02), name
        if "accuracy" in values:
            assert values["accuracy"] == pytest.approx(committed[name]["accuracy"], abs=15.0), name


def test_fixtures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir() if path.suffix in (".csv", ".json")}
    assert sizes and max(sizes.values()) < MOST_BYTES, sizes
