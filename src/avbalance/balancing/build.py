"""The builder: from a pool of clips to the manifest of a set in which both modalities matter equally.

Xia et al. 2023, section 4, in the order of the paper: categories, types, supplement, parts, confidences, recalibration.
Every step counts what it takes away, and every clip that is left out has its reason. What is written, beside the
manifest: building/steps.csv, left_out.csv and clips.parquet (all clips of the pool with types and confidences),
summary.json (maps before and after, what to collect).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from avbalance.analysis.flatness import flatness_measures
from avbalance.balancing.candidates import capped, clip_types, grouped_split, overlapping, supplement
from avbalance.balancing.estimation import Estimators, cross_fitted
from avbalance.balancing.recalibration import KEPT, finished, recalibrate, shortage
from avbalance.balancing.scorers import labels_of, scores_of, stored_clips
from avbalance.data import MODALITIES
from avbalance.data.categories import Categories, read_categories
from avbalance.data.manifest import make_manifest, read_manifest, rows_of, write_manifest
from avbalance.data.sources.base import card_for
from avbalance.data.sources.built import BuiltOptions
from avbalance.digest import code_digest
from avbalance.errors import UserError
from avbalance.table_files import write_csv, write_parquet
from avbalance.training.cell import prepare_torch
from avbalance.training.data import Clips
from flowkeeper.files import write_json

logger = logging.getLogger(__name__)

STEPS = "building"
OVERLAP, LOST, TOPIC, TYPE, TYPE_CAP, SPARE = "overlap", "lost", "topic", "type", "type-cap", "not-needed"
SOURCE, NAMED = "source", "named"  # columns: the data set that a clip was taken from, and its id there
COLUMNS = ["id", SOURCE, "own", "group", "topic", "type", "step", "part"]
ESTIMATES = ["first_u_audio", "first_u_visual", "u_audio", "u_visual"]  # columns: of the first round, of the last one


@dataclass
class _Pool:
    """All clips of the pool and its supplements: a row each, with the `step` at which it was left out."""

    frame: pd.DataFrame

    @property
    def inside(self) -> NDArray[np.bool_]:
        kept: NDArray[np.bool_] = (self.frame["step"] == KEPT).to_numpy()
        return kept

    def leave_out(self, rows: NDArray[Any], step: str) -> None:
        """Leave out those of some clips, a mask (N,) or row numbers, that are still inside."""
        marked = np.zeros(len(self.frame), dtype=bool)
        marked[rows] = True
        self.frame.loc[self.inside & marked, "step"] = step


@dataclass(frozen=True)
class _Table:
    """Categories, and the labels of both scorers that they join."""

    categories: Categories
    labels: Mapping[str, list[str]]

    @property
    def names(self) -> list[str]:
        return self.categories.names

    @property
    def topics(self) -> dict[str, str]:
        """Label of a clip -> its category: by the category's own name, or by that of one of its labels."""
        topics: dict[str, str] = {}
        for modality in MODALITIES:
            for label, column in zip(*np.nonzero(self.categories.members[modality]), strict=True):
                topics[self.labels[modality][label]] = self.names[column]
        return {**topics, **{name: name for name in self.names}}


def build_balanced(name: str, spec: Mapping[str, Any], out: Path, device: str = "auto", threads: int = 1) -> None:
    """Write the manifest `out` of the data set `name` that is built as `spec` says (see data/sources/built.py).

    A killed build goes on with the next fold of its estimators. Raises UserError for whatever the steps refuse.
    """
    options = BuiltOptions.of(spec)
    on = prepare_torch(device, threads)
    folder, data = out.parent / STEPS, out.parent.parent
    pool, classes = _pool(options, data)
    table = _categories(options, data)
    _topics(pool, table, options)
    joined = folder / "pool.parquet"
    _write_joined(pool, card_for(name, spec, classes, "../.."), joined)
    clips = stored_clips(joined, options.recipes.model_dump(), folder / "features" / name, threads)
    place = pool.frame["id"].map({clip: row for row, clip in enumerate(clips.ids)}).to_numpy()
    pool.leave_out(np.isnan(place), LOST)
    if table is not None:
        _types(pool, table, clips, place, options, joined, folder / "features")
    categories = table.names if table is not None else sorted(set(pool.frame["topic"]))
    _candidates(pool, categories, options)
    rounds = _recalibrated(pool, clips, place, options, on, folder)
    _parts(pool, options)
    _write(name, spec, pool, categories, rounds, joined, out)


def _pool(options: BuiltOptions, data: Path) -> tuple[_Pool, list[str]]:
    """All clips of the pool and its supplements, with paths from the folder of the data sets, and their classes.

    A group of one name in two data sets is taken to be one video: its clips stay together.
    """
    rows: list[dict[str, Any]] = []
    classes: list[str] = []
    for dataset in (options.pool, *options.supplements):
        manifest = read_manifest(data / dataset / "manifest.parquet")
        classes += [each for each in manifest.classes if each not in classes]
        own = dataset == options.pool
        for row in rows_of(manifest.frame):
            root = os.path.join(dataset, manifest.card["media_root"])
            files = {
                side: os.path.normpath(os.path.join(root, row[side])) if row[side] else None for side in MODALITIES
            }
            clip = row["id"] if own else f"{dataset}.{row['id']}"  # generated sets number their clips alike
            listed = {**row, **files, "id": clip, "split": "train"}
            rows.append({**listed, "group": row[options.together], SOURCE: dataset, NAMED: row["id"], "own": own})
    pool = _Pool(pd.DataFrame(rows).assign(step=KEPT, part="", type="", topic=""))
    pool.leave_out(overlapping(pool.frame[NAMED].tolist()), OVERLAP)
    return pool, classes


def _categories(options: BuiltOptions, data: Path) -> _Table | None:
    """The categories that the scorers have in common; None without scorers, where labels are the categories."""
    if options.scorers is None:
        return None
    labels = {modality: labels_of(getattr(options.scorers, modality), data) for modality in MODALITIES}
    if options.categories:
        return _Table(read_categories(options.categories, labels), labels)
    if labels["audio"] != labels["visual"]:
        raise UserError("option categories: the scorers have different labels; give a table that joins them.")
    same = {modality: np.eye(len(labels["audio"])) for modality in MODALITIES}
    return _Table(Categories(labels["audio"], same), labels)


def _topics(pool: _Pool, table: _Table | None, options: BuiltOptions) -> None:
    """Give every clip its category; clips that belong to none are left out before anything is read of them."""
    topics = pool.frame["label"] if table is None else pool.frame["label"].map(table.topics)
    pool.frame["topic"] = topics.fillna("")
    pool.leave_out(topics.isna().to_numpy(), TOPIC)
    if not pool.inside.any():
        reason = pool.frame["step"].iloc[0]
        raise UserError(f"{options.pool}: no clip can be used; the first is left out for {reason}.")


def _write_joined(pool: _Pool, card: dict[str, Any], joined: Path) -> None:
    """Write the manifest of the clips that are still inside."""
    frame = pool.frame[pool.inside].drop(columns=[SOURCE, NAMED, "own", "step", "part", "type", "topic"])
    write_manifest(make_manifest(rows_of(frame), card, f"data set {card['dataset']}"), joined)


def _types(
    pool: _Pool,
    table: _Table,
    clips: Clips,
    place: NDArray[np.float64],
    options: BuiltOptions,
    joined: Path,
    folder: Path,
) -> None:
    """Give every clip its type: which of the scorers are right about it."""
    recipes = options.recipes.model_dump()
    scores = {
        modality: scores_of(modality, getattr(options.scorers, modality), joined, clips, recipes, folder)
        for modality in MODALITIES
    }
    integrated = table.categories.integrated(scores)
    inside = np.flatnonzero(pool.inside)
    rows = place[inside].astype(int)
    position = {name: row for row, name in enumerate(table.names)}
    numbers = pool.frame["topic"].iloc[inside].map(position).to_numpy(np.int64)
    pool.frame.loc[inside, "type"] = clip_types(
        {modality: values[rows] for modality, values in integrated.items()}, numbers
    )


def _candidates(pool: _Pool, categories: list[str], options: BuiltOptions) -> None:
    """Cap the types of the pool and fill up from the supplements; without types all clips stay."""
    if options.scorers is None:
        return
    frame, seed = pool.frame, options.seed
    number = frame["topic"].map({name: row for row, name in enumerate(categories)}).fillna(-1).to_numpy(np.int64)
    types, ids, own = frame["type"].to_numpy(str), frame["id"].to_numpy(str), frame["own"].to_numpy(bool)
    pool.leave_out(types == "neither", TYPE)
    rows = np.flatnonzero(pool.inside & own)
    pool.leave_out(rows[~capped(types[rows], number[rows], ids[rows].tolist(), seed)], TYPE_CAP)
    have, more = (np.flatnonzero(pool.inside & side) for side in (own, ~own))
    if more.size:
        added = supplement(
            types[have], number[have], types[more], number[more], ids[more].tolist(), options.target, seed
        )
        pool.leave_out(more[~added], SPARE)


def _recalibrated(
    pool: _Pool, clips: Clips, place: NDArray[np.float64], options: BuiltOptions, device: torch.device, folder: Path
) -> list[dict[str, Any]]:
    """Estimate, leave out and estimate again until the set is flat or no longer gets flatter; what each round found."""
    rule = options.recalibration
    given = options.estimators
    estimators = Estimators(given.runs(), given.rule, given.folds, options.seed)
    code = code_digest("avbalance.balancing.estimation", "avbalance.methods.unimodal", "avbalance.models.unimodal_net")
    frame = pool.frame
    fewest = rule.fewest(int(pool.inside.sum()))
    broken = _broken(clips)
    ordered = frame.set_index("id").loc[clips.ids.tolist()]
    names = sorted(set(frame["topic"][pool.inside]))
    topics = ordered["topic"].map({name: number for number, name in enumerate(names)}).fillna(0)
    clips = replace(clips, classes=names, labels=topics.to_numpy(np.int64, copy=True))
    groups = ordered["group"].tolist()
    rounds: list[dict[str, Any]] = []
    for number in range(1, rule.rounds + 2):
        rows = np.flatnonzero(pool.inside)
        chosen = place[rows].astype(int)
        inside = np.isin(np.arange(len(clips.ids)), chosen)
        values = cross_fitted(clips, groups, inside, estimators, device, folder / "folds", code)[chosen]
        for column, modality in enumerate(MODALITIES):
            frame.loc[rows, f"u_{modality}"] = values[:, column]
            if number == 1:
                # Kept beside the later ones, for the map of the pool before anything was left out.
                frame.loc[rows, f"first_u_{modality}"] = values[:, column]
        measured = flatness_measures(*values.T)
        logger.info("round %d: %d clips, J2 %.3f", number - 1, len(rows), measured["j2"])
        rounds.append({"clips": len(rows), "estimated": measured})
        # One estimate more than rounds: the last set is measured too, and then left as it is.
        if number > rule.rounds or len(rows) <= fewest:
            break
        if number > 1 and finished(rounds[-2]["estimated"], measured, rule):
            break
        listed = frame.loc[rows, ["id", "topic", "own", "u_audio", "u_visual"]].rename(columns={"topic": "label"})
        reasons, counts = recalibrate(listed.assign(broken=broken[chosen]), rule, fewest)
        rounds[-1] |= {"removed": counts}
        for reason in np.unique(reasons[reasons != KEPT]):
            pool.leave_out(rows[reasons == reason], f"{reason}-{number}")
    return rounds


def _parts(pool: _Pool, options: BuiltOptions) -> None:
    """Cut what is left into parts. Decision: at the end, since clips that leave later would change the shares."""
    rows = pool.inside
    frame = pool.frame[rows]
    topics = pd.factorize(frame["topic"])[0]
    pool.frame.loc[rows, "part"] = grouped_split(
        topics, frame["group"].tolist(), options.shares.model_dump(), options.seed
    )


def _broken(clips: Clips) -> NDArray[np.bool_]:
    """Clips (N,) without sound or pictures to speak of, one value throughout, or the copy of an earlier clip."""
    seen: set[bytes] = set()
    marked = np.zeros(len(clips.ids), dtype=bool)
    for row, (audio, visual) in enumerate(zip(clips.audio_rows, clips.visual_rows, strict=True)):
        sound, pictures = np.asarray(clips.audio[audio]), np.asarray(clips.visual[visual])
        # Of features, not of files: the same video uploaded twice has other bytes and the same features.
        digest = hashlib.blake2b(sound.tobytes() + pictures.tobytes(), digest_size=16).digest()
        marked[row] = digest in seen or bool(sound.min() == sound.max()) or bool(pictures.min() == pictures.max())
        seen.add(digest)
    return marked


def _write(
    name: str,
    spec: Mapping[str, Any],
    pool: _Pool,
    categories: list[str],
    rounds: list[dict[str, Any]],
    joined: Path,
    out: Path,
) -> None:
    """Write counts, reasons and maps, and the manifest last: it stands for a finished build."""
    frame, folder = pool.frame, out.parent / STEPS
    steps = frame.groupby(["step", SOURCE], sort=False).size().reset_index(name="clips")
    write_csv(folder / "steps.csv", steps.assign(step=steps["step"].replace(KEPT, "kept")))
    write_csv(folder / "left_out.csv", frame.loc[~pool.inside, ["id", SOURCE, "topic", "type", "step"]])
    write_parquet(folder / "clips.parquet", frame[[*COLUMNS, *ESTIMATES]])
    kept = frame[pool.inside]
    values = kept[["u_audio", "u_visual"]].to_numpy(np.float64)
    write_json(folder / "summary.json", {"rounds": rounds, "collect": shortage(values[:, 0], values[:, 1], len(kept))})
    listed = read_manifest(joined).frame.set_index("id").loc[kept["id"]].reset_index()
    listed = listed.assign(label=kept["topic"].to_numpy(), split=kept["part"].to_numpy())
    card = card_for(name, spec, [each for each in categories if each in set(kept["topic"])], "..")
    write_manifest(make_manifest(rows_of(listed), card, f"data set {name}"), out)
