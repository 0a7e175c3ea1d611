"""What must stand under every table: the data it was made from, clips lost, shares, epochs averaged, cuts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from avbalance.data.manifest import read_card
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.rows import ESTIMATED
from avbalance.table_files import read_parquet, write_csv
from flowkeeper.files import read_json

ABSENT = "not made in this tier"
OK = "ok"
SPLITS = ("train", "val", "test")
CLIP_VECTORS = "visual-uniform8-"  # stores of one vector per clip of 8 frames are named after the network that made it
CROSS_FITTED_NOTE = (
    "On cross-fitted subsets the unimodal models were trained on one half of the training set and the multimodal"
    " models on all of it: a lead of the latter is in part that of more data."
)

ANNOTATED_NOTE = (
    "Annotated subsets: people heard what the label names and did not see it, or the reverse. Clips in which they found"
    " it in neither modality, or which nobody annotated, are in no subset; the table of definitions counts them."
)


def data_line(paper: Paper, roles: Iterable[str], generators: bool = False) -> str:
    """One sentence naming the data behind each data set, those of further generator seeds if asked for."""
    further = {role: info.generators if generators else () for role, info in paper.datasets.items()}
    return f"Data: {'; '.join(data_of(paper.dataset(role), further[role]) for role in roles)}."


def data_of(info: DatasetInfo, further: Iterable[str] = ()) -> str:
    """What a data set is, with its name on disk and those of further ones like it."""
    made = f"{info.describe} ({', '.join([str(info.data), *further])})" if info.data else ABSENT
    return f"{info.label}: {made}"


def backend_line(info: DatasetInfo) -> str | None:
    """Which frozen network made the one visual vector of each clip; None where the features are of another kind."""
    folder = Path(info.features.get("visual", "")).parent.name
    if not folder.startswith(CLIP_VECTORS):
        return None
    recipe = folder.removeprefix("visual-")
    return f"Visual backend of {info.label}: {recipe.removeprefix('uniform8-')} (recipe {recipe}), frozen."


def lost_clips(info: DatasetInfo) -> pd.DataFrame:
    """id, split, modality, status, reason of every clip that was not used, in the order of the ids.

    A clip is lost when the manifest says so or when the feature store of either modality has no row for it. Silent
    and black clips have rows: they are used, and counted as flagged.
    """
    columns = ("id", "split", "status", "reason")
    if info.manifest is None:
        return pd.DataFrame(columns=["id", "split", "modality", "status", "reason"])
    manifest = read_parquet(info.manifest, columns, "manifest")[list(columns)]
    parts = [manifest[manifest["status"] != OK].assign(modality="manifest")]
    for modality, path in sorted(info.features.items()):
        index = read_parquet(path, ("id", "row", "status", "reason"), "features")
        index = index.loc[(index["row"] < 0) & ~index["id"].isin(parts[0]["id"]), ["id", "status", "reason"]]
        parts.append(index.merge(manifest[["id", "split"]], on="id").assign(modality=modality))
    lost = pd.concat(parts, ignore_index=True).sort_values(["id", "modality"], ignore_index=True)
    return lost[["id", "split", "modality", "status", "reason"]]


def write_lost_clips(paper: Paper, path: str | Path) -> None:
    """Write dataset, id, split, modality, status, reason of every clip of a paper that was not used."""
    lost = [lost_clips(info).assign(dataset=info.data) for info in paper.all_datasets()]
    write_csv(path, pd.concat(lost)[["dataset", "id", "split", "modality", "status", "reason"]])


def flagged_line(info: DatasetInfo) -> str | None:
    """Clips that are used although one modality carries nothing: silent or black; None when there are none."""
    parts = []
    for modality, path in sorted(info.features.items()):
        index = read_parquet(path, ("row", "status"), "features")
        flagged = index.loc[(index["row"] >= 0) & (index["status"] != OK), "status"]
        parts += [f"{modality} {status} {count}" for status, count in sorted(flagged.value_counts().items())]
    return f"Used although flagged, {info.label}: {', '.join(parts)}." if parts else None


def clip_line(info: DatasetInfo) -> str | None:
    """Clips used per split and lost per status; None when the manifest is not at hand."""
    if info.manifest is None:
        return None
    manifest = read_parquet(info.manifest, ("id", "split"), "manifest")
    lost = lost_clips(info)
    kept = manifest[~manifest["id"].isin(lost["id"])]
    sizes = {split: int((kept["split"] == split).sum()) for split in SPLITS}
    carved = " (a part of it validates)" if sizes["val"] == 0 else ""
    used = ", ".join(f"{split} {size}{carved if split == 'train' else ''}" for split, size in sizes.items() if size)
    counts = lost.groupby(["modality", "status"]).size().reset_index(name="clips")
    detail = ", ".join(f"{row.modality} {row.status} {row.clips}" for row in counts.itertuples())
    losses = f"{lost['id'].nunique()} lost ({detail})" if detail else "none lost"
    return f"Clips of {info.label}: {len(kept)} of {len(manifest)} used ({used}), {losses}."


def odd_line(info: DatasetInfo) -> str | None:
    """What was odd about a user's own folder when its table was read; None where nothing was."""
    odd = read_card(info.manifest).get("odd", []) if info.manifest else []
    return f"Found in the folder of {info.label}: {'; '.join(odd)}." if odd else None


def preference_line(info: DatasetInfo) -> str | None:
    """Audio-preferred share of train and test, ties, and the epochs averaged; None without confidences."""
    if info.confidence is None or ESTIMATED in info.withheld:
        return None
    stopping: dict[str, Any] = read_json(Path(info.confidence) / "stopping.json")
    shares, epochs = stopping["shares"], stopping["epochs"]
    told = {split: counts["audio_share"] for split, counts in shares.items()}
    parts = ", ".join(
        f"{split} {'undefined' if told[split] is None else f'{told[split]:.3f}'} ({shares[split]['ties']} ties)"
        for split in ("train", "test")
        if split in shares
    )
    averaged = ", ".join(f"{name} {epochs[name]['estimation_epochs']}" for name in ("audio", "visual"))
    return f"Audio-preferred share of {info.label}: {parts}; epochs averaged: {averaged}."


def withheld_line(info: DatasetInfo) -> str | None:
    """Why nothing is stated of some subsets; None where all that were made are."""
    return " ".join(dict.fromkeys(info.withheld.values())) or None


def cut_lines(paper: Paper, item: str) -> list[str]:
    """The tier's cuts that touch one table, figure or claim page, with their reasons."""
    touching = [cut for cut in paper.cuts if item in cut.get("tables", ("*",)) or "*" in cut.get("tables", ("*",))]
    return [f"Cut in this tier: {cut['what']}; reason: {cut['reason']}." for cut in touching]


def notes(paper: Paper, roles: Iterable[str], item: str, generators: bool = False) -> list[str]:
    """All lines that stand under a table, in order; also on data of further generator seeds if asked for."""
    infos = [paper.dataset(role) for role in roles]
    made = [each for info in infos if info.data for each in (info, *(info.generators.values() if generators else ()))]
    told = (backend_line, clip_line, odd_line, flagged_line, preference_line, withheld_line)
    lines = [line(info) for line in told for info in made]
    return [*filter(None, lines), *cut_lines(paper, item)]
