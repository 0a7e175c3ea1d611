"""What many tests share: one run of the smoke tier, and a fabricated paper with data sets, predictions and subsets."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avbalance.analysis.confidence import estimate_confidence
from avbalance.analysis.subsets import build_subsets
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.predictions import write_predictions
from avbalance.plan.config import load_paper
from avbalance.stopping import StopRule

sys.path.insert(0, str(Path(__file__).parent))

from workspace import Done, Workspace, shared_smoke

RULE = StopRule(min_delta=0.1, patience=10, floor=5)
REPOSITORY = Path(__file__).parents[1]
LABELS = {
    "audio": "Audio unimodal",
    "visual": "Visual unimodal",
    "baseline": "Baseline",
    "ogm-ge": "OGM-GE",
    "gradient-blending": "Grad-Blending",
    "gradient-blending-bn": "Grad-Blending (re-estimated BN)",
    "gradient-blending-offline": "Grad-Blending (offline)",
    "greedy": "Greedy",
    "branch-losses": "MMTM without re-balancing",
    **{f"reference-{part}": f"Reference: logistic regression, {part}" for part in ("audio", "visual", "both")},
    "late-ensemble": "Late ensemble",
    "audio-half-a": "Audio unimodal (half A)",
    "audio-half-b": "Audio unimodal (half B)",
    "visual-half-a": "Visual unimodal (half A)",
    "visual-half-b": "Visual unimodal (half B)",
    "late-ensemble-half-a": "Late ensemble (half A)",
    "late-ensemble-half-b": "Late ensemble (half B)",
}
CLASSES = 4
SIZES = {"train": 160, "val": 40, "test": 120}
BIASES = {"synthetic-kinetics-sounds": 0.25, "synthetic-vggsound": 0.3, "synthetic-balanced": 0.0}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden-update", action="store_true", help="write the fixtures of tests/golden anew instead of comparing"
    )


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay in one test process, which makes the fixtures of the file once; long files come first."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(REPOSITORY / "tests"))))
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[bool, bool]:
    return item.get_closest_marker("slow") is None, "smoke_run" not in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, Done]]:
    """The workspace in which the smoke tier was run, once for all test processes, and what make and snakemake said."""
    base = tmp_path_factory.getbasetemp()
    return shared_smoke(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture(scope="session")
def smoke(smoke_run: tuple[Workspace, dict[str, Done]]) -> Workspace:
    """That workspace, to be read only."""
    workspace, said = smoke_run
    assert said["first"].status == 0, said["first"].output[-3000:]
    return workspace


@pytest.fixture
def workspace(smoke: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it, to be changed at will."""
    return smoke.copy(tmp_path / "workspace")


def fabricate_media(folder: Path, data: str, bias: float, generator: np.random.Generator) -> pd.DataFrame:
    """Write a manifest with planted informativeness and two feature indices; return the manifest's rows."""
    rows = []
    for split, size in SIZES.items():
        audio = np.clip(generator.uniform(0, 1, size) + bias, 0, 1)
        visual = np.clip(generator.uniform(0, 1, size) - bias, 0, 1)
        for number in range(size):
            rows.append(
                {"id": f"{split}-{number:04d}", "split": split, "label": f"class{number % CLASSES}",
                 "status": "ok", "reason": "", "planted_audio": audio[number],
                 "planted_visual": visual[number]}
            )  # fmt: skip
    frame = pd.DataFrame(rows)
    lost = frame.iloc[[0]].assign(id="train-lost", status="missing", reason="no such file")
    (folder / data).mkdir(parents=True)
    pd.concat([frame, lost]).to_parquet(folder / data / "manifest.parquet")
    for modality in ("audio", "visual"):
        index = pd.concat([frame, lost])[["id", "status", "reason"]].reset_index(drop=True)
        index["row"] = [*range(len(frame)), -1]
        index.to_parquet(folder / data / f"{modality}.parquet")
    return frame


def fabricate_logits(chance: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Logits (N, C) whose largest entry is the label with probability `chance` (N,)."""
    logits = generator.normal(0, 0.1, (len(labels), CLASSES))
    right = generator.uniform(size=len(labels)) < chance
    shown = np.where(right, labels, (labels + 1) % CLASSES)
    logits[np.arange(len(labels)), shown] += 3.0
    return logits


def fabricate_run(folder: Path, frame: pd.DataFrame, run: str, seed: int, generator: np.random.Generator) -> Path:
    """Write predictions.parquet and, for unimodal runs, confidence.npz of one run; return the predictions' path."""
    audio, visual = frame["planted_audio"].to_numpy(), frame["planted_visual"].to_numpy()
    chance = audio if run.startswith("audio") else visual if run.startswith("visual") else (audio + visual) / 2 + 0.2
    labels = np.arange(len(frame)) % CLASSES
    labels = np.array([int(name.removeprefix("class")) for name in frame["label"]]) if len(frame) else labels
    kept = (frame["split"] != "train").to_numpy()
    logits = fabricate_logits(0.15 + 0.8 * np.clip(chance, 0, 1), labels, generator)
    table = frame.loc[kept, ["id", "split"]].assign(
        label=labels[kept].astype("int16"), condition="both", checkpoint="selected", logits=list(logits[kept])
    )
    path = folder / run / f"seed{seed}" / "predictions.parquet"
    write_predictions(path, table)
    if run.split("-")[0] in ("audio", "visual"):
        arrays: dict[str, Any] = {"val_accuracy": np.linspace(30, 60, 6)}
        for split in SIZES:
            chosen = (frame["split"] == split).to_numpy()
            noise = generator.normal(0, 0.05, (6, chosen.sum()))
            arrays[f"ids_{split}"] = frame.loc[chosen, "id"].to_numpy().astype(str)
            arrays[f"labels_{split}"] = labels[chosen]
            arrays[f"confidence_{split}"] = np.clip(chance[chosen] + noise, 0, 1).astype(np.float32)
        np.savez(path.with_name("confidence.npz"), **arrays)
    return path


def fabricate_dataset(
    folder: Path, data: str, bias: float, runs: dict[str, tuple[int, ...]], seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Everything of one data set; returns its entry in the paper's description and its runs."""
    generator = np.random.default_rng([seed, 7])
    frame = fabricate_media(folder, data, bias, generator)
    records = []
    for run, seeds in runs.items():
        for number in seeds:
            path = fabricate_run(folder / data / "runs", frame, run, number, generator)
            records.append(
                {"run": run, "label": LABELS[run], "dataset": data, "seed": number, "predictions": str(path)}
            )

    def pair(suffix: str, number: int) -> tuple[Path, Path]:
        names = (f"audio{suffix}", f"visual{suffix}")
        first, second = (folder / data / "runs" / name / f"seed{number}" / "confidence.npz" for name in names)
        return first, second

    estimate_confidence(*pair("", 0), folder / data / "manifest.parquet", folder / data / "confidence", RULE)
    pairs = {"estimated": pair("", 0)} | {f"seed-matched-{number}": pair("", number) for number in runs["audio"]}
    if "audio-half-a" in runs:
        pairs |= {"cross-fitted-a": pair("-half-a", 0), "cross-fitted-b": pair("-half-b", 0)}
    build_subsets(pairs, folder / data / "manifest.parquet", folder / data / "subsets.parquet", RULE)
    base = folder / data
    info = {
        "data": data,
        "manifest": str(base / "manifest.parquet"),
        "features": {name: str(base / f"{name}.parquet") for name in ("audio", "visual")},
        "confidence": str(base / "confidence"),
        "subsets": str(base / "subsets.parquet"),
    }
    return info, records


@pytest.fixture(scope="session")
def balanced_declarations() -> dict[str, Any]:
    """The declarations of the first paper as they stand in the repository, with few bootstrap draws."""
    merged = load_paper(REPOSITORY, "balanced-audiovisual")
    for name in ("tables", "figures"):  # the fabricated paper has further generators, and no set that was built
        merged[name] = [entry for entry in merged[name] if entry.get("requires") in (None, "generators")]
    return merged | {"confidence": {}, "statistics": {"draws": 200, "seed": 0}}


@pytest.fixture(scope="session")
def fabricated_paper(tmp_path_factory: pytest.TempPathFactory) -> Paper:
    """A paper with three fabricated data sets, two seeds per model, half models, and one run that was never made."""
    folder = tmp_path_factory.mktemp("fabricated")
    full = {name: (0, 1) for name in ("audio", "visual", "baseline", "ogm-ge", "gradient-blending", "greedy")}
    full["late-ensemble"] = (0, 1)
    halves = {name: (0,) for name in LABELS if "-half-" in name}
    roles = {"kinetics-sounds": "Kinetics-Sounds", "vggsound": "VGG-Sound", "balanced": "Balanced"}
    datasets: dict[str, Any] = {}
    runs: list[dict[str, Any]] = []
    for number, (role, label) in enumerate(roles.items()):
        data = f"synthetic-{role}"
        info, records = fabricate_dataset(folder, data, BIASES[data], {**full, **halves}, number)
        datasets[role] = {"label": label, "describe": f"synthetic stand-in for {label}", **info}
        runs += records
    other, records = fabricate_dataset(
        folder, "synthetic-kinetics-sounds-g1", 0.0, {"audio": (0,), "visual": (0,), "baseline": (0,)}, 9
    )
    files = {name: other[name] for name in ("subsets", "manifest", "features")}
    datasets |= {role: {"label": role.title(), "data": None, "describe": "left out"} for role in ("pool", "random")}
    datasets["kinetics-sounds"]["generators"] = {"synthetic-kinetics-sounds-g1": files}
    record = {
        "slug": "balanced-audiovisual",
        "title": "Balanced Audiovisual Dataset for Imbalance Analysis",
        "published": str(REPOSITORY / "workflow" / "papers" / "balanced-audiovisual" / "published"),
        "datasets": datasets,
        "labels": LABELS,
        "runs": runs + records,
        "cuts": [
            {"what": "6 epochs", "reason": "a fixture"},
            {"what": "no film", "reason": "budget", "tables": ["table2"]},
        ],
    }
    return Paper.from_dict(record)


@pytest.fixture(scope="session")
def measurements(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """measurements.parquet of the fabricated paper."""
    from avbalance.evaluation.measure import measure

    path = tmp_path_factory.mktemp("measured") / "measurements.parquet"
    measure(fabricated_paper, balanced_declarations["measures"], path)
    return path


@pytest.fixture
def unimodal_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a confidence.npz from {split: (ids, confidence (E, N))}; splits left out are empty."""

    def write(name: str, accuracy: list[float], **splits: tuple[list[str], list[list[float]]]) -> Path:
        arrays: dict[str, Any] = {"val_accuracy": np.array(accuracy)}
        for split in ("train", "val", "test"):
            ids, confidence = splits.get(split, ([], [[]] * len(accuracy)))
            arrays[f"ids_{split}"] = np.array(ids, dtype=str)
            arrays[f"labels_{split}"] = np.zeros(len(ids), dtype=np.int64)
            arrays[f"confidence_{split}"] = np.array(confidence, dtype=np.float32).reshape(len(accuracy), len(ids))
        path = tmp_path / f"{name}.npz"
        np.savez(path, **arrays)
        return path

    return write
