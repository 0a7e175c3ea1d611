"""Mean true-class confidence of unimodal models, where to stop averaging, and the map of both modalities.

Xia et al. 2023 ("Balanced Audiovisual Dataset for Imbalance Analysis"), section 2.1: the confidence of a
sample in a modality is the probability that the unimodal model gives to the true class, averaged over its
training epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.flatness import audio_share, flatness_measures, grid_counts
from avbalance.errors import UserError
from avbalance.stopping import StopRule, early_stop
from avbalance.table_files import write_csv, write_parquet
from flowkeeper.files import atomic_path, write_json

SPLITS = ("train", "val", "test")
BINS = 100
PLANTED = ("planted_audio", "planted_visual")

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Stopping:
    """Where a unimodal run is cut; counts of epochs, 1-based.

    best_epoch: the last with a real gain on validation; stop_epoch: where patience ran out, or the last;
    estimation_epochs = max(best_epoch, floor): those that the mean confidence runs over.
    """

    best_epoch: int
    stop_epoch: int
    estimation_epochs: int
    epochs_run: int


@dataclass(frozen=True)
class UnimodalRun:
    """What one unimodal run recorded.

    ids, labels (N,) and confidence (E, N) per split; val_accuracy (E,) in percent.
    """

    path: Path
    ids: dict[str, NDArray[np.str_]]
    labels: dict[str, NDArray[np.integer[Any]]]
    confidence: dict[str, FloatArray]
    val_accuracy: FloatArray


def mean_confidence(confidence: FloatArray, epochs: int) -> NDArray[np.float32]:
    """Average true-class probability (N,) float32 over the first `epochs` epochs of confidence (E, N) in [0, 1].

    Xia et al. 2023, section 2.1, the equation for u. Raises UserError when `epochs` is not in 1..E.
    """
    if confidence.ndim != 2 or not 1 <= epochs <= confidence.shape[0]:
        raise UserError(f"cannot average {epochs} epochs of a confidence array of shape {confidence.shape}.")
    # In float64, then rounded once: ties between modalities must not come from the order of a sum.
    average: NDArray[np.float64] = confidence[:epochs].mean(axis=0, dtype=np.float64)
    return average.astype(np.float32)


def stopping_epoch(val_accuracy: Sequence[float] | FloatArray, rule: StopRule) -> Stopping:
    """Early-stop rule of the estimators, from validation accuracy (E,) in percent (see avbalance/stopping.py).

    The epochs averaged are max(best epoch, rule.floor), at most those that were run. Xia et al. 2023, section 3.1 names
    an early stop and gives no rule; this one is ours.
    """
    accuracy = np.asarray(val_accuracy, dtype=np.float64)
    if accuracy.size == 0 or not np.isfinite(accuracy).all():
        raise UserError("validation accuracies are missing or not finite; the unimodal run has to be made again.")
    best_epoch, stopped = early_stop(accuracy.tolist(), rule.min_delta, rule.patience)
    stop_epoch = stopped or accuracy.size
    return Stopping(best_epoch, stop_epoch, min(max(best_epoch, rule.floor), accuracy.size), accuracy.size)


def histogram(u_audio: FloatArray, u_visual: FloatArray, bins: int = BINS) -> NDArray[np.int64]:
    """Joint counts of two confidences on a square grid: (bins, bins), rows audio, columns visual, sum N.

    u = 1 falls in the last bin. Xia et al. 2023, section 2.1 (bins of 0.01). Raises UserError outside [0, 1].
    """
    for values in (u_audio, u_visual):
        if not ((values >= 0) & (values <= 1)).all():
            raise UserError("confidences must lie in [0, 1]; the unimodal run that wrote them has to be made again.")
    return grid_counts(u_audio, u_visual, bins)


def read_unimodal(path: str | Path) -> UnimodalRun:
    """Read the confidence.npz of a unimodal run; raises UserError when it is absent or not whole."""
    file = Path(path)
    try:
        with np.load(file, allow_pickle=False) as archive:
            ids = {split: archive[f"ids_{split}"].astype(str) for split in SPLITS}
            labels = {split: archive[f"labels_{split}"] for split in SPLITS}
            confidence = {split: archive[f"confidence_{split}"] for split in SPLITS}
            accuracy = archive["val_accuracy"].astype(np.float64)
    except (FileNotFoundError, KeyError, ValueError, EOFError, OSError) as error:
        raise UserError(f"{file}: not a readable confidence file ({error}); make the run again.") from error
    run = UnimodalRun(file, ids, labels, confidence, accuracy)
    _check_shapes(run)
    return run


def _check_shapes(run: UnimodalRun) -> None:
    for split in SPLITS:
        size, shape = run.ids[split].size, run.confidence[split].shape
        if shape != (run.val_accuracy.size, size) or run.labels[split].shape != (size,):
            raise UserError(f"{run.path}: {split} has {size} ids but confidences of shape {shape}; make the run again.")
        if np.unique(run.ids[split]).size != size:
            raise UserError(f"{run.path}: {split} names a clip twice; fix the manifest and make the run again.")
        values = run.confidence[split]
        if values.size and not ((values >= 0) & (values <= 1)).all():
            raise UserError(f"{run.path}: {split} has confidences outside [0, 1] or NaN; make the run again.")


def join_modalities(audio: UnimodalRun, visual: UnimodalRun, split: str, epochs: tuple[int, int]) -> pd.DataFrame:
    """One row per clip: id, label, u_audio, u_visual (float32), discrepancy = u_audio - u_visual (float64).

    Joined by clip id; `epochs`: averaged for (audio, visual). Raises UserError when the runs differ in clips or labels.
    """
    frames = [
        pd.DataFrame({"id": run.ids[split], "label": run.labels[split], "u": mean_confidence(run.confidence[split], n)})
        for run, n in zip((audio, visual), epochs, strict=True)
    ]
    joined = frames[0].merge(frames[1], on="id", how="outer", suffixes=("_audio", "_visual"), validate="one_to_one")
    lacking = joined[joined["u_audio"].isna() | joined["u_visual"].isna()]
    if not lacking.empty:
        raise UserError(
            f"{audio.path} and {visual.path}: {len(lacking)} {split} clips are in one run only, the first is"
            f" {lacking['id'].iloc[0]}; train both modalities on the same clips."
        )
    differing = joined[joined["label_audio"] != joined["label_visual"]]
    if not differing.empty:
        raise UserError(
            f"{audio.path} and {visual.path}: clip {differing['id'].iloc[0]} has two labels; make both again."
        )
    joined = joined.sort_values("id", ignore_index=True)
    joined = joined.assign(
        label=joined["label_audio"].astype("int16"),
        discrepancy=joined["u_audio"].astype("float64") - joined["u_visual"].astype("float64"),
    )
    return joined[["id", "label", "u_audio", "u_visual", "discrepancy"]]


def preference_counts(discrepancy: FloatArray) -> dict[str, Any]:
    """Counts of audio-preferred, visual-preferred and tied samples (N,), and the audio share without ties."""
    audio, visual = int((discrepancy > 0).sum()), int((discrepancy < 0).sum())
    counts = {"n": len(discrepancy), "audio": audio, "visual": visual, "ties": len(discrepancy) - audio - visual}
    return {**counts, "audio_share": audio_share(discrepancy)}


def estimate_confidence(
    audio_npz: str | Path, visual_npz: str | Path, manifest_path: str | Path, out_dir: str | Path, rule: StopRule
) -> None:
    """Write confidence.parquet, histogram.npz, sensitivity.csv, flatness.csv and stopping.json of one data set.

    audio_npz, visual_npz: of the two unimodal runs; manifest_path: from which planted informativeness is copied where
    it has any; rule: when the runs count as stopped. Xia et al. 2023, section 2.1 and figure 1.
    """
    audio, visual = read_unimodal(audio_npz), read_unimodal(visual_npz)
    stops = (stopping_epoch(audio.val_accuracy, rule), stopping_epoch(visual.val_accuracy, rule))
    epochs = (stops[0].estimation_epochs, stops[1].estimation_epochs)
    frames = {split: join_modalities(audio, visual, split, epochs) for split in SPLITS}
    table = pd.concat([frame.assign(split=split) for split, frame in frames.items()], ignore_index=True)
    table = table[["id", "split", "label", "u_audio", "u_visual", "discrepancy"]]
    planted = truth_columns(manifest_path, PLANTED)
    if planted is not None:
        table = table.merge(planted, on="id", how="left", validate="one_to_one")
    out = Path(out_dir)
    write_parquet(out / "confidence.parquet", table)
    counts = {
        name: histogram(frame["u_audio"].to_numpy(), frame["u_visual"].to_numpy()) for name, frame in frames.items()
    }
    with atomic_path(out / "histogram.npz") as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **counts)
    write_csv(out / "sensitivity.csv", sensitivity(audio, visual, stops))
    write_csv(out / "flatness.csv", flatness(table))
    write_json(out / "stopping.json", _summary(frames, stops))


def truth_columns(manifest_path: str | Path, names: Sequence[str]) -> pd.DataFrame | None:
    """id and the columns `names` of a manifest, such as PLANTED; None when it lacks them or they hold nothing."""
    try:
        frame = pd.read_parquet(manifest_path)
    except (FileNotFoundError, OSError, ValueError) as error:
        raise UserError(f"{manifest_path}: not a readable manifest ({error}); build the data set first.") from error
    if not set(names) <= set(frame.columns) or frame[list(names)].isna().all(axis=None):
        return None
    return frame[["id", *names]].astype({"id": str})


def sensitivity(audio: UnimodalRun, visual: UnimodalRun, stops: tuple[Stopping, Stopping]) -> pd.DataFrame:
    """Preference shares when averaging stops at half the best epoch, the chosen epoch, or the stop epoch.

    Columns: rule (half | chosen | stop), split, epochs_audio, epochs_visual and those of `preference_counts`.
    """
    rules = {
        # The share of audio-preferred clips depends on where averaging stops: shown for earlier and later stops too.
        "half": [max(1, stop.best_epoch // 2) for stop in stops],
        "chosen": [stop.estimation_epochs for stop in stops],
        "stop": [stop.stop_epoch for stop in stops],
    }
    rows = []
    for rule, (epochs_audio, epochs_visual) in rules.items():
        for split in SPLITS:
            frame = join_modalities(audio, visual, split, (epochs_audio, epochs_visual))
            counts = preference_counts(frame["discrepancy"].to_numpy())
            epochs = {"epochs_audio": epochs_audio, "epochs_visual": epochs_visual}
            rows.append({"rule": rule, "split": split, **epochs, **counts})
    return pd.DataFrame(rows)


def flatness(table: pd.DataFrame) -> pd.DataFrame:
    """How flat the map of each split is, by the estimate and, where it is planted, by truth.

    table: id, split, u_audio, u_visual and perhaps PLANTED. Columns: definition, split, n, flatness_measures.
    """
    definitions = {"estimated": ["u_audio", "u_visual"], "planted": list(PLANTED)}
    return pd.DataFrame([
        {"definition": name, "split": split, "n": len(part), **flatness_measures(*part[columns].to_numpy(np.float64).T)}
        for name, columns in definitions.items()
        if set(columns) <= set(table)
        for split, part in table.groupby("split", sort=False)
    ])  # fmt: skip


def _summary(frames: dict[str, pd.DataFrame], stops: tuple[Stopping, Stopping]) -> dict[str, Any]:
    modalities = dict(zip(("audio", "visual"), stops, strict=True))
    return {
        "epochs": {name: vars(stop) for name, stop in modalities.items()},
        "shares": {split: preference_counts(frame["discrepancy"].to_numpy()) for split, frame in frames.items()},
        "flatness": {
            split: flatness_measures(frame["u_audio"].to_numpy(), frame["u_visual"].to_numpy())
            for split, frame in frames.items()
            if len(frame)
        },
    }
