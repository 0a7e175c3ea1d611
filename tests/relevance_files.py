"""Made-up predictions of the runs of modality-relevance; those of the binary tasks give the tables that it prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.data.manifest import make_manifest, write_manifest
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile, declarations_of
from avbalance.evaluation.predictions import write_predictions
from avbalance.plan.config import load_paper

REPOSITORY = Path(__file__).parents[1]
FOLDER = REPOSITORY / "workflow" / "papers" / "modality-relevance"
SEEDS = (0, 1, 2)
# Run -> condition -> clips of class 0 named rightly and wrongly, of class 1 wrongly and rightly: counts that give the
# printed accuracies of tables 1 and 2 (published/README.md).
CONFUSIONS: dict[str, dict[str, tuple[int, int, int, int]]] = {
    "urban-rural-audio": {"both": (285, 75, 204, 163)},
    "urban-rural-visual": {"both": (279, 81, 81, 286)},
    "urban-rural-student": {
        "both": (266, 94, 112, 255), "gaussian-audio": (280, 80, 132, 235), "gaussian-video": (241, 119, 159, 208),
        "silent-audio": (260, 100, 106, 261), "black-video": (262, 98, 180, 187),
    },
    "speech-audio": {"both": (146, 141, 89, 351)},
    "speech-visual": {"both": (130, 157, 79, 361)},
    "speech-student": {
        "both": (182, 105, 127, 313), "gaussian-audio": (132, 155, 100, 340), "gaussian-video": (181, 106, 159, 281),
        "silent-audio": (170, 117, 124, 316), "black-video": (173, 114, 152, 288),
    },
}  # fmt: skip
CLASSES = ("bagpipes", "bass guitar", "laughing", "singing", "typing")
SUPPORT = (20, 10, 20, 40, 10)
# Run -> condition -> per cent of each class of CLASSES that is named rightly; what is not is named as the next class.
RECALLS: dict[str, dict[str, tuple[int, ...]]] = {
    "ks-audio": {"both": (60, 50, 5, 10, 40)},
    "ks-visual": {"both": (90, 80, 70, 60, 80)},
    "ks-fusion": {
        "both": (85, 90, 60, 55, 90), "gaussian-audio": (80, 90, 60, 50, 90), "gaussian-video": (5, 0, 10, 5, 10),
        "silent-audio": (80, 90, 55, 50, 90), "black-video": (0, 0, 100, 0, 0),
    },
}  # fmt: skip
CONTROLS = {"mean-audio": "both", "shuffled-audio": "gaussian-audio", "mean-video": "black-video",
            "shuffled-video": "gaussian-video"}  # fmt: skip


def declarations() -> dict[str, Any]:
    """What the paper declares, as the commands read it."""
    return declarations_of(load_paper(REPOSITORY, FOLDER.name) | {"confidence": {}})


def labels() -> dict[str, str]:
    """Run -> label as in paper.yaml."""
    paper = load_paper(REPOSITORY, FOLDER.name)
    return {run: declared["label"] for run, declared in paper["runs"].items()}


def logits_of(predicted: NDArray[np.int64], classes: int) -> list[list[float]]:
    return np.eye(classes)[predicted].tolist()


def rows(label: NDArray[np.int64], predicted: NDArray[np.int64], classes: int, condition: str) -> pd.DataFrame:
    """Predictions of the test part by the selected model under one condition."""
    return pd.DataFrame({
        "id": [f"clip{number:04d}" for number in range(len(label))], "label": label, "split": "test",
        "condition": condition, "checkpoint": "selected", "logits": logits_of(predicted, classes),
    })  # fmt: skip


def of_confusion(confusion: Sequence[int], condition: str) -> pd.DataFrame:
    """Rows with that confusion; the clips of class 0 come first."""
    n00, n01, n10, n11 = confusion
    label = np.repeat([0, 1], [n00 + n01, n10 + n11])
    return rows(label, np.repeat([0, 1, 0, 1], [n00, n01, n10, n11]), 2, condition)


def of_recalls(recalls: Sequence[int], condition: str) -> pd.DataFrame:
    """Rows in which that part of each class is named rightly, and the rest as the next class."""
    label, predicted = [], []
    for index, (recall, support) in enumerate(zip(recalls, SUPPORT, strict=True)):
        right = round(recall * support / 100)
        label += [index] * support
        predicted += [index] * right + [(index + 1) % len(CLASSES)] * (support - right)
    return rows(np.array(label), np.array(predicted), len(CLASSES), condition)


def made_up_paper(
    folder: Path, seeds: Sequence[int] = SEEDS, recalls: Mapping[str, Mapping[str, Sequence[int]]] = RECALLS
) -> Paper:
    """The paper with all its runs, every seed alike; the controls of the multimodal runs are other rows again."""
    made = {run: [of_confusion(own, name) for name, own in found.items()] for run, found in CONFUSIONS.items()}
    made |= {run: [of_recalls(own, name) for name, own in found.items()] for run, found in recalls.items()}
    runs = []
    for run, frames in made.items():
        by_condition = {str(frame["condition"].iloc[0]): frame for frame in frames}
        if len(by_condition) > 1:
            frames = [*frames, *(by_condition[old].assign(condition=new) for new, old in CONTROLS.items())]
        data = "ks" if run.startswith("ks") else "outdoors"
        for seed in seeds:
            path = folder / run / f"seed{seed}" / "predictions.parquet"
            path.parent.mkdir(parents=True)
            write_predictions(path, pd.concat(frames, ignore_index=True))
            labelling = "speech" if run.startswith("speech") else ""
            runs.append(RunFile(run, labels()[run], data, seed, str(path), labelling))
    datasets = {
        "audioset": DatasetInfo("audioset", "AudioSet", "outdoors", "made up", features=features("outdoors")),
        "audioset-embeddings": DatasetInfo("audioset-embeddings", "AudioSet embeddings", None, "left out"),
        "kinetics-sounds": DatasetInfo(
            "kinetics-sounds", "Kinetics-Sounds", "ks", "made up", features={}, manifest=manifest(folder)
        ),
    }
    return Paper("modality-relevance", "title", str(FOLDER / "published"), datasets, labels(), tuple(runs))


def features(data: str) -> dict[str, str]:
    """The index of a visual store, which need not exist where no report counts clips."""
    return {"visual": f"results/demo/features/{data}/visual-uniform8-small64/index.parquet"}


def manifest(folder: Path) -> str:
    """Write a manifest with the five classes; a clip of each is enough."""
    clips = [
        {"id": f"clip{number}", "audio": "a.wav", "visual": "v.mp4", "label": name, "split": "test"}
        for number, name in enumerate(CLASSES)
    ]
    card = {
        "dataset": "ks", "kind": "folder", "stands_for": None, "describe": "made up", "classes": list(CLASSES),
        "media_root": str(folder), "options": {},
    }  # fmt: skip
    path = folder / "manifest.parquet"
    write_manifest(make_manifest(clips, card, "here"), path)
    return str(path)
