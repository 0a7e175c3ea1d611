"""Made-up runs of gmm-adaptive-loss: predictions, histories, fits, gaps and fine-tuning, whose numbers are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from paper_files import REPOSITORY as REPOSITORY
from paper_files import labels_in, loaded

from avbalance.data.manifest import make_manifest, write_manifest
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.predictions import write_predictions
from flowkeeper.files import write_json

SLUG = "gmm-adaptive-loss"
CLASSES = 6
CLIPS = 240
WARM_UP, EPOCHS = 2, 4
FIRST = {"pi_B": 0.6, "mu_B": 0.1, "sigma_B": 0.1, "pi_I": 0.4, "mu_I": 0.6, "sigma_I": 0.2}
LATER = {"pi_B": 0.8, "mu_B": 0.1, "sigma_B": 0.1, "pi_I": 0.2, "mu_I": 0.4, "sigma_I": 0.2}
# Right answers of the fused, the audio and the visual head among 120 test clips, and how much more a seed adds.
RIGHT: dict[str, tuple[int, int, int]] = {
    "audio": (60, 60, 20), "visual": (48, 20, 48), "concat": (66, 54, 40), "heads": (72, 66, 48),
    "ogm-ge": (72, 60, 48), "ours": (84, 67, 60), "gap": (78, 66, 54),
    "fine-heads-high-quality": (75, 66, 48), "fine-heads-random": (73, 66, 48),
}  # fmt: skip
GAP_RUNS = ("heads", "ours")


def declarations() -> dict[str, Any]:
    return loaded(SLUG)


def made_up_paper(
    folder: Path, seeds: Sequence[int] = (0, 1, 2), right: Mapping[str, tuple[int, int, int]] = RIGHT
) -> Paper:
    """The paper with some of its runs on CREMA-D; AVE and KineticSound are left out of the tier."""
    declared, labels = loaded(SLUG), labels_in(SLUG)
    runs = []
    for run, counts in right.items():
        for seed in seeds:
            path = folder / run / f"seed{seed}" / "predictions.parquet"
            write_predictions(path, predictions([count + seed for count in counts]))
            write_history(path.with_name("history.csv"))
            if run in GAP_RUNS:
                write_gaps(path.parent, seed, shrinks=run == "ours")
            if run.startswith("fine-"):
                write_fine_tuning(path.with_name("fine_tuning.json"), seed)
            runs.append(
                {"run": run, "label": labels[run], "dataset": "made-cremad", "seed": seed, "predictions": str(path)}
            )
    manifest = folder / "manifest.parquet"
    write_manifest(planted_manifest(), manifest)
    left_out = {"data": None, "describe": "left out"}
    made = {"data": "made-cremad", "describe": "synthetic stand-in for CREMA-D", "manifest": str(manifest)}
    return Paper.from_dict(
        {
            "slug": SLUG, "title": declared["title"], "published": str(REPOSITORY / declared["folder"] / "published"),
            "datasets": {
                role: {"label": entry["label"], **(made if role == "cremad" else left_out)}
                for role, entry in declared["datasets"].items()
            },
            "labels": labels, "runs": runs,
        }
    )  # fmt: skip


def predictions(right: Sequence[int]) -> pd.DataFrame:
    """120 test clips; the first `right` of each head are named rightly; at best-test six more by the fused head."""
    label = np.arange(120) % CLASSES
    parts = []
    for checkpoint, more in (("selected", 0), ("last", -6), ("best-test", 6)):
        heads = [
            list(np.eye(CLASSES)[np.where(np.arange(120) < count, label, (label + 1) % CLASSES)])
            for count in (right[0] + more, *right[1:])
        ]
        columns = {"id": [f"test{n:03d}" for n in range(120)], "label": label.astype("int16"), "logits": heads[0]}
        columns |= {"logits_audio": heads[1], "logits_visual": heads[2]}
        parts.append(pd.DataFrame(columns).assign(split="test", condition="both", checkpoint=checkpoint))
    return pd.concat(parts, ignore_index=True)


def write_history(path: Path) -> None:
    epochs = np.arange(1, EPOCHS + 1)
    names = ["val_accuracy", "val_accuracy_audio", "val_accuracy_visual", "test_accuracy", "loss_uni", "loss_fusion"]
    adaptive = np.where(epochs > WARM_UP, 0.5 / epochs, np.nan)
    pd.DataFrame(
        {"epoch": epochs, **{name: 10.0 * epochs for name in names}, "loss_gap": adaptive, "loss_align": adaptive}
    ).to_csv(path, index=False)


def fit(epoch: int, mixture: Mapping[str, float] | None, gap_mean: float, share: float) -> dict[str, Any]:
    """A fit of which two Gaussians gain 300 by BIC."""
    return {
        "epoch": epoch, "mixture": mixture, "reason": "" if mixture else "made up", "samples": CLIPS,
        "bic_1": 100.0, "bic_2": -200.0, "gap_mean": gap_mean, "share_imbalanced": share,
    }  # fmt: skip


def scores(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Audio and visual scores (CLIPS,): the first 60 % of the clips differ by about 0.1, the others by about 0.6."""
    generator = np.random.default_rng(seed)
    g = np.where(np.arange(CLIPS) < 0.6 * CLIPS, generator.normal(0.1, 0.04, CLIPS), generator.normal(0.6, 0.08, CLIPS))
    g = g.clip(0, 0.95)
    audio_leads = generator.random(CLIPS) < 0.7
    low = 0.02 + np.zeros(CLIPS)
    return np.where(audio_leads, low + g, low), np.where(audio_leads, low, low + g)


def write_gaps(folder: Path, seed: int, shrinks: bool) -> None:
    """Fits after epochs 2 to 4: the mean gap ends at 0.3, or at 0.15 - seed / 100 where it `shrinks`."""
    fits = [fit(2, FIRST, 0.31, 0.4)]
    if shrinks:
        fits += [fit(3, None, 0.2, 0.0), fit(4, LATER, 0.15 - seed / 100, 0.2 - seed / 100)]
    else:
        fits += [fit(4, FIRST, 0.30, 0.4)]
    write_json(folder / "mixtures.json", {"warm_up_epochs": WARM_UP, "gap": "abs", "fits": fits})
    audio, visual = scores(seed)
    ends = [(audio, visual), (audio / 2, visual / 2) if shrinks else (audio, visual)]
    record = {
        "epochs": [WARM_UP, EPOCHS], "ids": clip_ids(), "labels": (np.arange(CLIPS) % CLASSES).tolist(),
        "audio": [end[0].tolist() for end in ends], "visual": [end[1].tolist() for end in ends],
    }  # fmt: skip
    write_json(folder / "gaps.json", record)


def write_fine_tuning(path: Path, seed: int) -> None:
    """120 + seed of 240 clips, of which the first class loses all and the last keeps all; one class has no clip."""
    retention = {"class0": 0.0, "class1": 0.5, "class5": 1.0, "never": None}
    record = {"subset": "high-quality", "threshold": 0.5, "kept": 120 + seed, "high_quality": 120 + seed,
              "retention": retention, **fit(0, FIRST, 0.3, 0.4)}  # fmt: skip
    write_json(path, record)


def clip_ids() -> list[str]:
    return [f"train{number:03d}" for number in range(CLIPS)]


def planted_manifest() -> Any:
    """Training clips, backwards; 40 % are planted imbalanced, those whose gap is large."""
    planted = [(0.9, 0.2) if number >= 0.6 * CLIPS else (0.5, 0.4) for number in range(CLIPS)]
    rows = [
        {"id": name, "audio": "a", "visual": "v", "label": f"class{number % CLASSES}", "split": "train",
         "planted_audio": planted[number][0], "planted_visual": planted[number][1],
         "snr_audio_db": 0.0, "snr_visual_db": 0.0}
        for number, name in enumerate(clip_ids())
    ]  # fmt: skip
    card = {"dataset": "made-cremad", "kind": "synthetic", "stands_for": "CREMA-D", "describe": "made up",
            "classes": [f"class{number}" for number in range(CLASSES)], "media_root": ".", "options": {}}  # fmt: skip
    return make_manifest(rows[::-1], card, "made up")
