"""From a manifest to feature stores: each clip is opened once, a killed job goes on where it stopped.

`extract` is the step; `Extraction.run` is the loop over the clips. Longer than other files, so that the way from the
request to the finished store can be read from top to bottom.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avbalance.data.build import ensure_media
from avbalance.data.manifest import Manifest, read_manifest
from avbalance.digest import code_digest
from avbalance.errors import UserError
from avbalance.features import networks
from avbalance.features.clip import ClipJob, Feature, black_vector
from avbalance.features.pool import DEFAULT_FUNCTION, DecodePool
from avbalance.features.ready_made import RELEASED_ONLY, is_released
from avbalance.features.recipes import (
    USABLE,
    AudioRecipe,
    ClipVectorRecipe,
    Recipe,
    SegmentRecipe,
    SoundVectorRecipe,
    VisualRecipe,
    chosen_recipes,
)
from avbalance.features.store import (
    CARD,
    INDEX_COLUMNS,
    StoreWriter,
    check_disk,
    holds_extraction,
    row_bytes,
    store_name,
)
from flowkeeper.files import digest_json, exclusive

log = logging.getLogger(__name__)

SHARD = 64  # clips between two points from which a killed job can go on
PROGRESS_S = 10.0
_JOURNAL = "journal.jsonl"
LOCKS = "locks"  # folder of the lock files in the state folder


def extract(
    manifest_path: str | Path,
    recipes: Mapping[str, str],
    out_root: str | Path,
    state_dir: str | Path | None = None,
    workers: int = 1,
    timeout_s: float = 60.0,
    decoder: str = DEFAULT_FUNCTION,
    lock: AbstractContextManager[object] | None = None,
) -> dict[str, Path]:
    """Make the stores <out_root>/<modality>-<recipe>; returns modality -> folder of the store.

    recipes: modality -> recipe name, {"audio": "paper48k", "visual": "fps1-middle-256"} or one of the two.
    state_dir: keeps finished shards across kills, in a sub-folder named by all that decides the bytes; a second
    process that wants the same waits and takes over what the first one made.
    workers: number of decoder processes. timeout_s: seconds per clip. decoder: the function ("module:name")
    that they run. lock: entered before anything is written, such as the wait for another process.

    Unreadable clips cost themselves only: they stand in the index with row -1, a status and a reason. Equal
    media, recipes and libraries give equal bytes, whatever the number of workers and however often the job was
    killed. Absent media of a generated data set are generated first. Raises UserError for unknown recipes and a
    small disk.
    """
    manifest_path, out_root = Path(manifest_path), Path(out_root)
    chosen = chosen_recipes(recipes)
    targets = {modality: out_root / store_name(recipe) for modality, recipe in chosen.items()}
    earlier = [_writing_of(target / CARD) for target in targets.values()]
    with lock or nullcontext(), stores_locked(targets.values(), state_dir):
        request = prepare(manifest_path, chosen, decoder, workers)
        # A store that was there before this call is made again: the caller wants it made, or it would not call.
        made = [_writing_of(target / CARD) != before for target, before in zip(targets.values(), earlier, strict=True)]
        if all(made) and all(holds_extraction(target, request.key) for target in targets.values()):
            log.info("%s: another process has made these stores meanwhile", out_root)
            return targets
        with unfinished(request, targets, state_dir) as extraction:
            extraction.run(workers, timeout_s, decoder)
            for modality, (index, card) in extraction.seal().items():
                extraction.writers[modality].publish(targets[modality], index, card, request.key)
                clips, lost = f"{card['shape'][0]} of {card['clips']} clips", card["losses"] or "none"
                log.info("%s: %s, %s bytes, lost: %s", targets[modality], clips, f"{card['bytes']:,}", lost)
    return targets


def _writing_of(path: Path) -> tuple[int, int] | None:
    """Tells one writing of a file from the next; None when there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


@contextmanager
def stores_locked(folders: Iterable[Path], state_dir: str | Path | None) -> Iterator[None]:
    """Let no other process that shares `state_dir` write these stores; without a `state_dir` nothing is locked."""
    with ExitStack() as held:
        # All processes lock in one order, so that no two can wait for each other.
        for folder in sorted({folder.resolve() for folder in folders}):
            if state_dir is not None:
                lock = Path(state_dir) / LOCKS / f"store-{digest_json(str(folder))[:32]}.lock"
                held.enter_context(exclusive(lock, f"makes the features in {folder}"))
        yield


# What is asked for


@dataclass(frozen=True)
class FeatureRequest:
    """What is to be decoded and stored; `key` is the digest of all that decides the bytes.

    facts: what the cards of all stores say; black: what a clip of black frames is, for the card of a store of clip
    vectors, else None.
    """

    manifest: Manifest
    jobs: list[ClipJob]
    recipes: dict[str, Recipe]
    facts: dict[str, Any]
    black: list[float] | None
    key: str


def prepare(manifest_path: Path, recipes: dict[str, Recipe], decoder: str, workers: int) -> FeatureRequest:
    """Read the manifest and see to generated media; raises UserError as `extract` does, and for absent weights."""
    ensure_media(manifest_path, workers)
    manifest = read_manifest(manifest_path)
    jobs = clip_jobs(manifest, manifest_path, recipes)
    encoders = encoders_to_run(jobs, recipes)
    facts = {
        "dataset": manifest.card["dataset"],
        "manifest_digest": manifest_digest(manifest.frame),
        "libraries": _library_versions(recipes, encoders),
        **({"weights": networks.weight_digests(encoders)} if encoders else {}),
    }
    # Made before any clip is decoded: weights that do not fit their network end the extraction, not every clip.
    visual, black = recipes.get("visual"), None
    if isinstance(visual, ClipVectorRecipe) and any(job.visual is not None for job in jobs):
        black = black_vector(visual)
    # Shards of other files, recipes, libraries or code never mix.
    identity = {
        "code": code_digest(__name__),
        "facts": facts,
        "files": [[job.audio and str(job.audio), job.visual and str(job.visual)] for job in jobs],
        "recipes": {modality: recipe.as_dict() for modality, recipe in recipes.items()},
        "decoder": decoder,
    }
    return FeatureRequest(manifest, jobs, recipes, facts, black, digest_json(identity))


def clip_jobs(manifest: Manifest, manifest_path: Path, modalities: Sequence[str] | Mapping[str, Any]) -> list[ClipJob]:
    """Files to open, row by row; a clip that the manifest already knows to be lost has none."""
    root = manifest.media_root(manifest_path)
    jobs = []
    for status, *paths in manifest.frame[["status", "audio", "visual"]].itertuples(index=False):
        files = [
            root / path if status in USABLE and path and modality in modalities else None
            for modality, path in zip(("audio", "visual"), paths, strict=True)
        ]
        jobs.append(ClipJob(*files))
    return jobs


def encoders_to_run(jobs: Sequence[ClipJob], recipes: Mapping[str, Recipe]) -> list[str]:
    """Encoders with pretrained networks that some clip needs: those of recipes that are to be made from media.

    Raises UserError for media where the recipe can only be read from released features.
    """
    encoders = []
    for modality, recipe in sorted(recipes.items()):
        paths = (getattr(job, modality) for job in jobs)
        medium = next((path for path in paths if path is not None and not is_released(path)), None)
        if medium is None or not isinstance(recipe, SegmentRecipe | ClipVectorRecipe | SoundVectorRecipe):
            continue
        if recipe.encoder == RELEASED_ONLY:
            raise UserError(f"{medium}: {recipe.name} is read from released features alone; use seconds10-vggish.")
        if recipe.encoder in networks.ENCODERS:
            encoders.append(recipe.encoder)
    return encoders


def manifest_digest(frame: pd.DataFrame) -> str:
    """Digest of the id, sha256 and status columns of a manifest."""
    columns = frame[["id", "sha256", "status"]].astype(object)
    return digest_json(columns.where(columns.notna(), None).to_numpy().tolist())


def _library_versions(recipes: Mapping[str, Recipe], encoders: Sequence[str]) -> dict[str, str]:
    """Versions of what the stored values depend on."""
    names = ["av", "numpy", "pillow"]
    audio = recipes.get("audio")
    if isinstance(audio, AudioRecipe) and audio.kind == "kaldi-fbank":
        names += ["torch", "torchaudio"]
    if encoders:
        names += networks.LIBRARIES
    return {name: version(name) for name in names}


# The work


@contextmanager
def unfinished(request: FeatureRequest, targets: dict[str, Path], state_dir: str | Path | None) -> Iterator[Extraction]:
    """An extraction that may have been begun; what it did is kept if it fails and `state_dir` is given."""
    if state_dir is None:
        parent = next(iter(targets.values())).parent
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".extract-", dir=parent) as temporary:
            yield Extraction(request, targets, Path(temporary), durable=False)
        return
    name = request.key[:32]
    lock = Path(state_dir) / LOCKS / f"state-{name}.lock"
    with exclusive(lock, f"extracts the same features of {request.facts['dataset']}"):
        folder = Path(state_dir) / name
        folder.mkdir(parents=True, exist_ok=True)
        yield Extraction(request, targets, folder, durable=True)
        shutil.rmtree(folder)


class Extraction:
    """Unfinished stores in the folder `state`, and the journal of the shards that are safe there.

    targets: modality -> folder of the finished store. durable: whether what is done is to outlive a kill.
    """

    def __init__(self, request: FeatureRequest, targets: dict[str, Path], state: Path, durable: bool) -> None:
        self.request, self.targets, self.state, self.durable = request, targets, state, durable
        self.writers = {modality: StoreWriter(state / modality, recipe) for modality, recipe in request.recipes.items()}
        self.lines: dict[str, list[dict[str, Any]]] = self._resumed()  # of the index, by modality

    @property
    def position(self) -> int:
        """Number of clips that are dealt with."""
        return len(next(iter(self.lines.values())))

    def _resumed(self) -> dict[str, list[dict[str, Any]]]:
        """Take over the shards that a killed job left; a half-written last line counts for nothing."""
        journal = self.state / _JOURNAL
        kept = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
        kept = [line for line in kept if line.endswith(b"\n")]
        shards = [json.loads(line) for line in kept]
        lines = {modality: [line for shard in shards for line in shard[modality]] for modality in self.writers}
        rows = {modality: sum(line["row"] >= 0 for line in of_one) for modality, of_one in lines.items()}
        # A list, not a generator: every writer must be rewound, also after the first that could not.
        if not all([writer.rewind(rows[modality]) for modality, writer in self.writers.items()]):
            # Killed while the finished stores were being moved away.
            kept, lines = [], {modality: [] for modality in self.writers}
            for writer in self.writers.values():
                writer.rewind(0)
        if journal.exists():
            os.truncate(journal, sum(map(len, kept)))
        return lines

    def run(self, workers: int, timeout_s: float, decoder: str) -> None:
        """Decode the clips that are left, shard by shard."""
        self._announce()
        jobs, recipes, first = self.request.jobs, self.request.recipes, self.position
        if first == len(jobs):
            return
        audio, visual = recipes.get("audio"), recipes.get("visual")
        assert not isinstance(audio, VisualRecipe | ClipVectorRecipe)
        assert not isinstance(visual, AudioRecipe | SoundVectorRecipe)
        if "weights" in self.request.facts:
            # Networks take far longer than decoding, for which the usual limit is meant.
            timeout_s = max(timeout_s, networks.TIMEOUT_S)
        started = spoken = time.monotonic()
        shard: dict[str, list[dict[str, Any]]] = {modality: [] for modality in recipes}
        with DecodePool(audio, visual, min(workers, len(jobs) - first), timeout_s, decoder) as pool:
            for position, pair in enumerate(pool.run(jobs[first:], ahead=SHARD), start=first):
                for modality, feature in zip(("audio", "visual"), pair, strict=True):
                    if modality in recipes:
                        shard[modality].append(self._store(position, modality, feature))
                if (position + 1) % SHARD == 0 or position + 1 == len(jobs):
                    self._commit(shard)
                    shard = {modality: [] for modality in recipes}
                if time.monotonic() - spoken > PROGRESS_S:
                    spoken = time.monotonic()
                    pace = (position + 1 - first) / (spoken - started)
                    log.info("%d of %d clips, %.1f per second", position + 1, len(jobs), pace)

    def _announce(self) -> None:
        """Log the size to come and check that the disks can hold it."""
        clips, needed, elsewhere = len(self.request.jobs), 0, Counter[Path]()
        for modality, recipe in self.request.recipes.items():
            size = clips * row_bytes(recipe)
            needed += size - self.writers[modality].rows * row_bytes(recipe)
            dataset = self.request.facts["dataset"]
            log.info("%s: %s of %d clips takes up to %s bytes", dataset, store_name(recipe), clips, f"{size:,}")
            parent = self.targets[modality].parent
            parent.mkdir(parents=True, exist_ok=True)
            # On one disk an array is moved by renaming and needs its room once.
            if parent.stat().st_dev != self.state.stat().st_dev:
                elsewhere[parent] += size
        check_disk(self.state, needed, "the extraction")
        for parent, size in elsewhere.items():
            check_disk(parent, size, "the feature store")
        if self.position:
            log.info("going on after %d clips that are already done", self.position)

    def _store(self, position: int, modality: str, feature: Feature | None) -> dict[str, Any]:
        """Append a usable array to its store; returns the clip's line of the index."""
        row = self.request.manifest.frame.iloc[position]
        if feature is None and row["status"] in USABLE:
            feature = Feature(None, "missing", f"the manifest names no {modality} file")
        elif feature is None:
            feature = Feature(None, str(row["status"]), str(row["reason"]))
        stored = -1 if feature.array is None else self.writers[modality].append(feature.array)
        facts = {name: getattr(feature, name) for name in INDEX_COLUMNS if hasattr(feature, name)}
        return {"id": str(row["id"]), "row": stored, **facts}

    def _commit(self, shard: dict[str, list[dict[str, Any]]]) -> None:
        """Make one shard safe: the arrays first, then the journal's line that vouches for them."""
        if self.durable:
            try:
                for writer in self.writers.values():
                    # Before the journal: a line of it says that these rows are on the disk, also after a power cut.
                    writer.sync()
                with (self.state / _JOURNAL).open("ab") as journal:
                    journal.write(json.dumps(shard).encode() + b"\n")
                    journal.flush()
                    os.fsync(journal.fileno())
            except OSError as error:
                raise UserError(f"{self.state}: cannot be written ({error.strerror}); free the disk.") from error
        for modality, lines in shard.items():
            self.lines[modality] += lines

    def seal(self) -> dict[str, tuple[pd.DataFrame, dict[str, Any]]]:
        """Complete all stores, where they are; returns modality -> (index, card)."""
        sealed = {}
        for modality, lines in self.lines.items():
            numbers = dict.fromkeys(("row", "n_frames", "width", "height"), np.int64)
            texts = dict.fromkeys(("id", "status", "reason"), str)
            index = pd.DataFrame(lines, columns=list(INDEX_COLUMNS)).astype(
                {**numbers, **texts, "duration": np.float64}
            )
            black = {"black": self.request.black} if modality == "visual" and self.request.black else {}
            sealed[modality] = index, self.writers[modality].seal(index, {**self.request.facts, **black})
        return sealed
