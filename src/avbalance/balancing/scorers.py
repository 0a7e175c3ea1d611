"""What says which category a clip shows or sounds like: a file of scores, or a linear model of another data set."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax

from avbalance.data.categories import Floats
from avbalance.data.manifest import read_manifest
from avbalance.data.sources.built import KINETICS, Scorer
from avbalance.data.sources.kinetics import kinetics_labels
from avbalance.declared import nearest
from avbalance.errors import UserError
from avbalance.features.extract import extract, prepare
from avbalance.features.pool import DEFAULT_FUNCTION
from avbalance.features.recipes import chosen_recipes
from avbalance.features.store import holds_extraction, store_name
from avbalance.methods.logistic_regression import fitted
from avbalance.models.pooled_linear import pool_audio, pool_visual
from avbalance.table_files import refuse_rows
from avbalance.training.data import Clips, load_clips

COLUMNS = ("id", "label", "probability")  # of a file of scores: a row per clip and label
SLACK = 1e-3  # by which probabilities may miss a sum of one: files hold a few digits
_CHUNK = 256  # clips pooled at once


def labels_of(scorer: Scorer, data: Path) -> list[str]:
    """Labels (L) that a scorer tells apart, without asking it; data: the folder of the data sets.

    A scorer is one of

    - {file, labels}: a file of scores as `read_scores` takes it;
    - {recipe, labels}: the scores, before the softmax, that the network of a feature recipe gives each clip, such as
      uniform8-k400r50 (Kinetics-400) for pictures and clip10-vggsoundr18 (VGG-Sound) for sound;
    - {dataset}, or {dataset, recipe}: a logistic regression on pooled features, fitted to the training part of a data
      set, the penalty chosen on its validation part; the features are the builder's, or of another recipe. Xia et al.
      2023 judge sound by VGGish, trained on VGG-Sound.

    labels: a file as `read_labels` takes it, or KINETICS.
    """
    if scorer.labels is not None:
        return read_labels(scorer.labels)
    return read_manifest(data / str(scorer.dataset) / "manifest.parquet").classes


def scores_of(
    modality: str, scorer: Scorer, joined: Path, clips: Clips, recipes: Mapping[str, str], work: Path
) -> Floats:
    """Probabilities (N, L) that a scorer gives its labels for all clips, those of the manifest `joined`.

    recipes: of the builder's features. A clip that another recipe loses has the probability 0
    for each label. work: folder for features. Raises UserError for what is not there, or of another shape.
    """
    data = joined.parents[2]
    labels, own = labels_of(scorer, data), {**recipes, modality: scorer.recipe or recipes[modality]}
    if scorer.file is not None:
        return read_scores(scorer.file, clips.ids.tolist(), labels)
    if scorer.dataset is None:
        scored = stored_clips(joined, own, work / own[modality])
        return _aligned(softmax(_network_scores(modality, scored, labels), axis=1), scored, clips)
    manifest = data / scorer.dataset / "manifest.parquet"
    scored = stored_clips(joined, own, work / own[modality]) if scorer.recipe else clips
    known = stored_clips(manifest, own, work / "-".join([scorer.dataset, *([scorer.recipe] if scorer.recipe else [])]))
    return _aligned(_linear(modality, known, scored), scored, clips)


def _network_scores(modality: str, scored: Clips, labels: list[str]) -> Floats:
    vectors = scored.audio[scored.audio_rows] if modality == "audio" else scored.visual[scored.visual_rows]
    if vectors.ndim != 2 or vectors.shape[1] != len(labels):
        shape = " x ".join(map(str, vectors.shape[1:]))
        raise UserError(
            f"scorers.{modality}: the recipe gives a clip {shape} values, and there are {len(labels)} labels; name the "
            "labels of that network."
        )
    return np.asarray(vectors, dtype=np.float64)


def _aligned(values: Floats, scored: Clips, clips: Clips) -> Floats:
    """Values (M, L) of the clips `scored` in the order of `clips`, (N, L); 0 for those that were not scored."""
    place = {clip: row for row, clip in enumerate(scored.ids.tolist())}
    rows = np.array([place.get(clip, -1) for clip in clips.ids.tolist()])
    aligned = np.zeros((len(rows), values.shape[1]))
    # Zeros elsewhere: a network that did not see a clip names no category for it, see candidates.clip_types.
    aligned[rows >= 0] = values[rows[rows >= 0]]
    return aligned


def read_labels(path: str | Path) -> list[str]:
    """One label per line, in the order of the outputs; raises UserError when there are none or one repeats.

    KINETICS needs no file: torchvision knows the 400 classes, in the order that networks of Kinetics-400 share. Of a
    .csv file the labels are its first column, sorted, as VGG-Sound's network has those of stat.csv (hche11/VGGSound).
    """
    if path == KINETICS:
        return kinetics_labels()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as a list of labels ({error}); write one label in a line.") from error
    labels = [line.strip() for line in lines if line.strip()]
    if Path(path).suffix == ".csv":
        labels = sorted(cells[0] for cells in csv.reader(labels))
    if not labels or len(set(labels)) != len(labels):
        raise UserError(f"{path}: holds no labels, or one of them twice; write each label once, in a line of its own.")
    return labels


def stored_clips(manifest: Path, recipes: Mapping[str, str], out: Path, workers: int = 1) -> Clips:
    """The clips of a manifest with features in the folder `out`, which are extracted unless they lie there already."""
    chosen = chosen_recipes(recipes)
    stores = {modality: out / store_name(recipe) for modality, recipe in chosen.items()}
    key = prepare(manifest, chosen, DEFAULT_FUNCTION, workers).key
    if not all(holds_extraction(folder, key) for folder in stores.values()):
        extract(manifest, recipes, out, out / "unfinished", workers)
    return load_clips(manifest, stores["audio"], stores["visual"])


def _linear(modality: str, known: Clips, clips: Clips) -> Floats:
    """Probabilities (N, C) of the classes of `known` for `clips`, by a logistic regression fitted to `known`."""
    values = pooled(modality, known)
    train = known.split == "train"
    mean, deviation = values[train].mean(axis=0), values[train].std(axis=0)
    # A value that never changes stays 0 instead of 0 / 0.
    deviation[deviation == 0] = 1.0
    parts = {"train": train, "val": known.split == "val"}
    features = {part: (values[rows] - mean) / deviation for part, rows in parts.items()}
    labels = {part: known.labels[rows] for part, rows in parts.items()}
    _, weight, bias = fitted(features, labels, len(known.classes))
    logits = (pooled(modality, clips) - mean) / deviation @ weight.T + bias
    return np.asarray(softmax(logits, axis=1), dtype=np.float64)


def pooled(modality: str, clips: Clips) -> Floats:
    """Features (N, D) of all clips, pooled as the reference runs do (see models/pooled_linear.py)."""
    pieces = []
    for start in range(0, len(clips.ids), _CHUNK):
        rows = slice(start, start + _CHUNK)
        if modality == "audio":
            tensor = torch.from_numpy(clips.audio[clips.audio_rows[rows]]).float()
            pieces.append(pool_audio(tensor[:, None] if clips.spectrograms else tensor))
        else:
            tensor = torch.from_numpy(clips.visual[clips.visual_rows[rows]]).float()
            if clips.framed:  # frames that a clip lacks are black: the mean is over those it has
                share = clips.counts[rows].float() / tensor.shape[1]
                tensor = tensor.permute(0, 4, 1, 2, 3) / share[:, None, None, None, None]
            pieces.append(pool_visual(tensor))
    values: Floats = torch.cat(pieces).double().numpy()
    return values


# Files of scores


def read_scores(path: str | Path, ids: Sequence[str], labels: Sequence[str]) -> Floats:
    """Probabilities (N, L) of the labels for the clips `ids`; 0 for labels that a file of the most probable ones omits.

    Rows of other clips are passed over. Raises UserError, naming file, row (counted from 1) and fix, for a file that
    cannot be read, an unknown label, a clip and label that stand twice, a probability that is none, a clip without
    scores, and probabilities whose sum is above one, or, of all labels, not one.
    """
    path = Path(path)
    frame = _read(path)
    place = {label: position for position, label in enumerate(labels)}
    columns = frame["label"].map(place)
    refuse_rows(
        path,
        columns.isna(),
        lambda row: f"the network has no label {frame['label'][row]!r}{nearest(str(frame['label'][row]), labels)}",
    )
    values = pd.to_numeric(frame["probability"], errors="coerce")
    refuse_rows(
        path,
        ~values.between(0, 1),
        lambda row: f"probability {str(frame['probability'][row])!r} is none; write softmax values within 0 and 1",
    )
    refuse_rows(
        path,
        frame.duplicated(["id", "label"]),
        lambda row: f"clip {frame['id'][row]} has the label {frame['label'][row]!r} a second time; remove one row",
    )
    rows = frame["id"].map({clip: position for position, clip in enumerate(ids)})
    wanted = rows.notna().to_numpy()
    scores = np.zeros((len(ids), len(labels)))
    scores[rows[wanted].astype(int), columns[wanted].astype(int)] = values[wanted]
    counts = np.bincount(rows[wanted].astype(int), minlength=len(ids))
    if (counts == 0).any():
        lost = np.flatnonzero(counts == 0)
        raise UserError(
            f"{path}: has no score for {len(lost)} of {len(ids)} clips, the first is {ids[lost[0]]}; score them, or "
            "leave them out of the pool."
        )
    sums = scores.sum(axis=1)
    wrong = np.flatnonzero((sums > 1 + SLACK) | ((counts == len(labels)) & (sums < 1 - SLACK)))
    if wrong.size:
        raise UserError(
            f"{path}: the probabilities of clip {ids[wrong[0]]} sum to {sums[wrong[0]]:.4f}, not to one; write what "
            "comes after the softmax over all labels."
        )
    return scores


def _read(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, dtype={"id": str, "label": str}) if path.suffix == ".csv" else pd.read_parquet(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file of scores; let the network score the clips, or fix the path.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as a table ({error}); write it as csv or Parquet.") from error
    lacking = [name for name in COLUMNS if name not in frame]
    if lacking:
        raise UserError(f"{path}: has no column {lacking[0]!r}; scores have {', '.join(COLUMNS)}.")
    return frame.reset_index(drop=True)
