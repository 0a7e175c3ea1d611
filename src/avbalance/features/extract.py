"""From a manifest to feature stores: each clip is opened once, a killed job goes on where it stopped."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avbalance.data.manifest import Manifest, read_manifest
from avbalance.errors import UserError
from avbalance.features.clip import ClipJob, Feature
from avbalance.features.pool import DecodePool
from avbalance.features.recipes import USABLE, AudioRecipe, VisualRecipe, get_audio_recipe, get_visual_recipe
from avbalance.features.store import (
    INDEX_COLUMNS,
    Recipe,
    StoreWriter,
    check_disk,
    row_bytes,
    store_name,
)
from avbalance.features.worker import DEFAULT_FUNCTION
from avbalance.files import digest_json
from avbalance.plan.digest import code_digest

log = logging.getLogger(__name__)

SHARD = 64  # clips between two points from which a killed job can go on
PROGRESS_S = 10.0
_JOURNAL = "journal.jsonl"


def extract(
    manifest_path: str | Path,
    recipes: Mapping[str, str],
    out_root: str | Path,
    state_dir: str | Path | None = None,
    workers: int = 1,
    timeout_s: float = 60.0,
    decoder: str = DEFAULT_FUNCTION,
) -> dict[str, Path]:
    """Make the stores <out_root>/<modality>-<recipe>; returns modality -> folder of the store.

    recipes: modality -> recipe name, {"audio": "paper48k", "visual": "fps1-middle-256"} or one of the two.
    state_dir: keeps finished shards across kills, in a sub-folder named by all that decides the bytes.
    workers: number of decoder processes. timeout_s: seconds per clip. decoder: the function ("module:name")
    that they run.

    Unreadable clips cost themselves only: they stand in the index with row -1, a status and a reason. Equal
    media, recipes and libraries give equal bytes, whatever the number of workers and however often the job was
    killed. Raises UserError for unknown recipes, absent media of a generated data set, and a small disk.
    """
    manifest_path, out_root = Path(manifest_path), Path(out_root)
    chosen = _chosen(recipes)
    manifest = read_manifest(manifest_path)
    jobs = clip_jobs(manifest, manifest_path, chosen)
    facts = {
        "dataset": manifest.card["dataset"],
        "manifest_digest": manifest_digest(manifest.frame),
        "libraries": library_versions(chosen),
    }
    key = _state_key(facts, jobs, chosen, decoder)
    with _state_folder(state_dir, out_root, key) as state:
        task = _Task(manifest, jobs, chosen, state, out_root, facts, durable=state_dir is not None)
        task.announce()
        task.run(workers, timeout_s, decoder)
        return task.finish()


def _chosen(recipes: Mapping[str, str]) -> dict[str, Recipe]:
    if not recipes or set(recipes) - {"audio", "visual"}:
        raise UserError(f"recipes {dict(recipes)!r}: name a recipe for audio, for visual, or for both.")
    chosen: dict[str, Recipe] = {}
    if "audio" in recipes:
        chosen["audio"] = get_audio_recipe(recipes["audio"])
    if "visual" in recipes:
        chosen["visual"] = get_visual_recipe(recipes["visual"])
    return chosen


def clip_jobs(manifest: Manifest, manifest_path: Path, modalities: Sequence[str] | Mapping[str, Any]) -> list[ClipJob]:
    """Files to open, row by row; a clip that the manifest already knows to be lost has none.

    Raises UserError when a generated data set lacks a file: it can be generated again, so none may be lost
    silently.
    """
    root = manifest.media_root(manifest_path)
    jobs = []
    for clip, status, *paths in manifest.frame[["id", "status", "audio", "visual"]].itertuples(index=False):
        readable = status in USABLE
        files = [
            root / path if readable and path and modality in modalities else None
            for modality, path in zip(("audio", "visual"), paths, strict=True)
        ]
        absent = [file for file in files if file is not None and not file.exists()]
        if absent and manifest.card["kind"] == "synthetic":
            raise UserError(
                f"{absent[0]}: the file of clip {clip} is gone; delete {manifest_path} to have it generated again."
            )
        jobs.append(ClipJob(*files))
    return jobs


def manifest_digest(frame: pd.DataFrame) -> str:
    """Digest of the id, sha256 and status columns of a manifest."""
    columns = frame[["id", "sha256", "status"]].astype(object)
    return digest_json(columns.where(columns.notna(), None).to_numpy().tolist())


def library_versions(chosen: Mapping[str, Recipe]) -> dict[str, str]:
    """Versions of what the stored values depend on."""
    names = ["av", "numpy", "pillow"]
    audio = chosen.get("audio")
    if isinstance(audio, AudioRecipe) and audio.kind == "kaldi-fbank":
        names += ["torch", "torchaudio"]
    return {name: version(name) for name in names}


def _state_key(facts: dict[str, Any], jobs: Sequence[ClipJob], chosen: Mapping[str, Recipe], decoder: str) -> str:
    """Digest of all that decides the bytes: shards of other files, recipes, libraries or code never mix."""
    files = [[job.audio and str(job.audio), job.visual and str(job.visual)] for job in jobs]
    recipes = {modality: recipe.as_dict() for modality, recipe in chosen.items()}
    return digest_json(
        {"code": code_digest(__name__), "facts": facts, "files": files, "recipes": recipes, "decoder": decoder}
    )


@contextmanager
def _state_folder(state_dir: str | Path | None, out_root: Path, key: str) -> Iterator[Path]:
    """A folder for unfinished stores, locked; kept when the job fails if `state_dir` is given."""
    if state_dir is None:
        out_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".extract-", dir=out_root) as temporary:
            yield Path(temporary)
        return
    folder = Path(state_dir) / key[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{folder}: another extraction of the same features is at work; wait for it.") from error
        yield folder
        shutil.rmtree(folder)


@dataclass
class _Task:
    """One extraction: unfinished stores in `state`, and the journal of the shards that are safe there."""

    manifest: Manifest
    jobs: list[ClipJob]
    recipes: dict[str, Recipe]
    state: Path
    out_root: Path
    facts: dict[str, Any]
    durable: bool

    def __post_init__(self) -> None:
        self.lines: dict[str, list[dict[str, Any]]] = {modality: [] for modality in self.recipes}
        self.writers = {
            modality: StoreWriter(self.state / modality, recipe) for modality, recipe in self.recipes.items()
        }
        self._replay()

    @property
    def position(self) -> int:
        """Number of clips that are dealt with."""
        return len(next(iter(self.lines.values())))

    def _replay(self) -> None:
        """Take over the shards that a killed job left; a half-written last line counts for nothing."""
        journal = self.state / _JOURNAL
        kept = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
        kept = [line for line in kept if line.endswith(b"\n")]
        shards = [json.loads(line) for line in kept]
        rows = {modality: _usable_rows(shards, modality) for modality in self.recipes}
        if not all(writer.holds(rows[modality]) for modality, writer in self.writers.items()):
            # Killed while the finished stores were being moved away: what is left cannot be completed.
            kept, shards, rows = [], [], dict.fromkeys(self.recipes, 0)
        if journal.exists():
            with journal.open("r+b") as handle:
                handle.truncate(sum(len(line) for line in kept))
        for modality, writer in self.writers.items():
            self.lines[modality] = [entry for shard in shards for entry in shard[modality]]
            writer.rewind(rows[modality])

    def announce(self) -> None:
        """Log the size to come and check that the disks can hold it."""
        clips = len(self.jobs)
        needed = 0
        for modality, recipe in self.recipes.items():
            size = clips * row_bytes(recipe)
            needed += size - self.writers[modality].rows * row_bytes(recipe)
            log.info(
                "%s: %s of %d clips takes up to %s bytes",
                self.facts["dataset"],
                store_name(recipe),
                clips,
                f"{size:,}",
            )
        check_disk(self.state, needed, "the extraction")
        self.out_root.mkdir(parents=True, exist_ok=True)
        if self.out_root.stat().st_dev != self.state.stat().st_dev:
            check_disk(
                self.out_root,
                clips * sum(row_bytes(recipe) for recipe in self.recipes.values()),
                "the feature store",
            )
        if self.position:
            log.info("going on after %d clips that are already done", self.position)

    def run(self, workers: int, timeout_s: float, decoder: str) -> None:
        """Decode the clips that are left, shard by shard."""
        left = self.jobs[self.position :]
        if not left:
            return
        audio, visual = self.recipes.get("audio"), self.recipes.get("visual")
        assert audio is None or isinstance(audio, AudioRecipe)
        assert visual is None or isinstance(visual, VisualRecipe)
        started = spoken = time.monotonic()
        first = self.position
        shard: dict[str, list[dict[str, Any]]] = {modality: [] for modality in self.recipes}
        with DecodePool(audio, visual, min(workers, len(left)), timeout_s, decoder) as pool:
            for position, pair in enumerate(pool.run(left, ahead=SHARD), start=first):
                for modality, feature in zip(("audio", "visual"), pair, strict=True):
                    if modality in self.recipes:
                        shard[modality].append(self._keep(position, modality, feature))
                if (position + 1) % SHARD == 0 or position + 1 == len(self.jobs):
                    self._commit(shard)
                    shard = {modality: [] for modality in self.recipes}
                if time.monotonic() - spoken > PROGRESS_S:
                    spoken = time.monotonic()
                    pace = (position + 1 - first) / (spoken - started)
                    log.info("%d of %d clips, %.1f per second", position + 1, len(self.jobs), pace)

    def _keep(self, position: int, modality: str, feature: Feature | None) -> dict[str, Any]:
        """Append a usable array to its store; returns the clip's line of the index."""
        row = self.manifest.frame.iloc[position]
        if feature is None:
            known = str(row["status"])
            feature = (
                Feature(None, "missing", f"the manifest names no {modality} file")
                if known in USABLE
                else Feature(None, known, str(row["reason"]))
            )
        stored = -1 if feature.array is None else self.writers[modality].append(feature.array)
        facts = {name: getattr(feature, name) for name in INDEX_COLUMNS if hasattr(feature, name)}
        return {"id": str(row["id"]), "row": stored, **facts}

    def _commit(self, shard: dict[str, list[dict[str, Any]]]) -> None:
        """Make one shard safe: the arrays first, then the journal's line that vouches for them."""
        if self.durable:
            try:
                for writer in self.writers.values():
                    writer.sync()
                with (self.state / _JOURNAL).open("ab") as journal:
                    journal.write(json.dumps(shard).encode() + b"\n")
                    journal.flush()
                    os.fsync(journal.fileno())
            except OSError as error:
                raise UserError(f"{self.state}: cannot be written ({error.strerror}); free the disk.") from error
        for modality, entries in shard.items():
            self.lines[modality] += entries

    def finish(self) -> dict[str, Path]:
        """Complete all stores, then move them into place."""
        indices = {modality: _index(lines) for modality, lines in self.lines.items()}
        cards = {modality: writer.seal(indices[modality], self.facts) for modality, writer in self.writers.items()}
        folders = {}
        for modality, card in cards.items():
            target = self.out_root / store_name(self.recipes[modality])
            self.writers[modality].publish(target, indices[modality], card)
            clips, lost = f"{card['shape'][0]} of {card['clips']} clips", card["losses"] or "none"
            log.info("%s: %s, %s bytes, lost: %s", target, clips, f"{card['bytes']:,}", lost)
            folders[modality] = target
        return folders


def _usable_rows(shards: list[dict[str, list[dict[str, Any]]]], modality: str) -> int:
    return sum(entry["row"] >= 0 for shard in shards for entry in shard[modality])


def _index(lines: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(lines, columns=list(INDEX_COLUMNS))
    whole = {name: np.int64 for name in ("row", "n_frames", "width", "height")}
    return frame.astype({**whole, "duration": np.float64, "id": str, "status": str, "reason": str})
