"""Controls of a built set (see balancing/build.py): the pool that it was taken from, and a random set of its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from avbalance.data.sources.base import Source, card_for
from avbalance.declared import Count, Name
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest

_STEPS = "building"  # folder beside the manifest of a built set: pool.parquet and clips.parquet


class BuiltControlOptions(Source):
    """Options of kind built-control."""

    CAN_REMAKE = True

    built: Name
    """the built data set"""
    take: Literal["pool", "random"]
    """the whole pool, or as many clips of each category as the built set has"""
    seed: Count = 0
    """draws the random set and its parts"""

    def members(self) -> Sequence[str]:
        return [self.built]

    def build(self, name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
        """Take all clips of the pool, or as many of each category as the built set has; parts in its shares.

        Clips of supplements are left out: what is compared is the pool. Raises UserError where the built set was
        fetched and not built here, since its pool is then not known.
        """
        from avbalance.balancing.candidates import grouped_split
        from avbalance.balancing.recalibration import hashes
        from avbalance.data.manifest import make_manifest, read_manifest, rows_of
        from avbalance.table_files import read_parquet

        folder = out_dir.parent / self.built
        steps = folder / _STEPS
        whole = read_manifest(folder / "manifest.parquet")
        if not (steps / "clips.parquet").is_file():
            raise UserError(f"{steps}: no such folder; delete {folder} to have the set built here.")
        clips = read_parquet(steps / "clips.parquet", ("id", "topic", "group", "own"), f"the data set {self.built}")
        pool = read_manifest(steps / "pool.parquet").frame.set_index("id")
        clips = clips[clips["own"] & clips["topic"].isin(whole.classes) & clips["id"].isin(pool.index)]
        if self.take == "random":
            clips = clips.assign(turn=hashes(clips["id"].tolist(), self.seed, "random")).sort_values("turn")
            sizes = whole.frame["label"].value_counts()
            clips = clips[clips.groupby("topic").cumcount() < clips["topic"].map(sizes)].sort_index()
        shares = {part: float((whole.frame["split"] == part).mean()) for part in ("train", "val", "test")}
        topics = clips["topic"].map({label: row for row, label in enumerate(whole.classes)}).to_numpy("int64")
        parts = grouped_split(topics, clips["group"].tolist(), shares, self.seed)
        listed = pool.loc[clips["id"]].reset_index()
        listed = listed.assign(label=clips["topic"].to_numpy(), split=parts)
        return make_manifest(rows_of(listed), card_for(name, spec, whole.classes, ".."), f"data set {name}")

    def remake(self, manifest: Manifest, media: Path, workers: int) -> list[str]:
        """As that of the built data set."""
        from avbalance.data.build import remake
        from avbalance.data.manifest import read_manifest

        path = media / self.built / "manifest.parquet"
        return remake(read_manifest(path), media, workers) if path.is_file() else []


OPTIONS = BuiltControlOptions
