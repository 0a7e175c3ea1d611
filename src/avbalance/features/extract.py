"""From a manifest to feature stores: each clip is opened once, a killed job goes on where it stopped."""

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

from avbalance.data.manifest import Manifest, read_manifest
from avbalance.data.media import ensure_media
from avbalance.errors import UserError
from avbalance.features.clip import ClipJob, Feature
from avbalance.features.clip_vectors import black_vector
from avbalance.features.pool import DecodePool
from avbalance.features.recipes import (
    USABLE,
    AudioRecipe,
    ClipVectorRecipe,
    Recipe,
    SegmentRecipe,
    VisualRecipe,
    get_audio_recipe,
    get_visual_recipe,
)
from avbalance.features.released import RELEASED_ONLY, is_released
from avbalance.features.store import (
    CARD,
    INDEX_COLUMNS,
    StoreWriter,
    array_facts,
    array_is_there,
    check_disk,
    row_bytes,
    store_name,
)
from avbalance.features.weights import NETWORK_LIBRARIES, NETWORK_TIMEOUT_S, WEIGHTS, weight_digests
from avbalance.features.worker import DEFAULT_FUNCTION
from avbalance.files import digest_json, exclusive
from avbalance.plan.digest import code_digest

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
    turn: AbstractContextManager[object] | None = None,
) -> dict[str, Path]:
    """Make the stores <out_root>/<modality>-<recipe>; returns modality -> folder of the store.

    recipes: modality -> recipe name, {"audio": "paper48k", "visual": "fps1-middle-256"} or one of the two.
    state_dir: keeps finished shards across kills, in a sub-folder named by all that decides the bytes; a second
    process that wants the same waits and takes over what the first one made.
    workers: number of decoder processes. timeout_s: seconds per clip. decoder: the function ("module:name")
    that they run. turn: entered before anything is written, such as the wait for another process.

    Unreadable clips cost themselves only: they stand in the index with row -1, a status and a reason. Equal
    media, recipes and libraries give equal bytes, whatever the number of workers and however often the job was
    killed. Absent media of a generated data set are generated first. Raises UserError for unknown recipes and a
    small disk.
    """
    manifest_path, out_root = Path(manifest_path), Path(out_root)
    chosen = chosen_recipes(recipes)
    targets = {modality: out_root / store_name(recipe) for modality, recipe in chosen.items()}
    earlier = {modality: _version_of(target / CARD) for modality, target in targets.items()}
    with turn or nullcontext(), stores_locked(targets.values(), state_dir):
        extraction = prepare(manifest_path, chosen, decoder, workers)
        if all(_made_meanwhile(target, earlier[name], extraction.key) for name, target in targets.items()):
            log.info("%s: another process has made these stores meanwhile", out_root)
            return targets
        with unfinished(extraction, targets, state_dir) as task:
            task.run(workers, timeout_s, decoder)
            task.publish(task.seal())
    return targets


def _version_of(path: Path) -> tuple[int, int] | None:
    """Tells one writing of a file from the next; None when there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _made_meanwhile(target: Path, earlier: tuple[int, int] | None, key: str) -> bool:
    """Whether a store was finished, by the very same extraction, after this process had asked for it.

    A store that was there before is made again: who asks for it knows why.
    """
    if _version_of(target / CARD) in (None, earlier) or not array_is_there(target):
        return False
    facts = array_facts(target)
    return facts is not None and facts["extraction"] == key


@contextmanager
def stores_locked(folders: Iterable[Path], state_dir: str | Path | None) -> Iterator[None]:
    """Let no other process that shares `state_dir` write these stores; without a `state_dir` nothing is locked."""
    with ExitStack() as held:
        for folder in sorted({folder.resolve() for folder in folders}):  # all in one order: nobody waits in a circle
            if state_dir is not None:
                lock = Path(state_dir) / LOCKS / f"store-{digest_json(str(folder))[:32]}.lock"
                held.enter_context(exclusive(lock, f"makes the features in {folder}"))
        yield


@dataclass(frozen=True)
class Extraction:
    """What is to be decoded and stored; `key` is the digest of all that decides the bytes.

    facts: what the cards of all stores say; further: modality -> what the card of its store says besides.
    """

    manifest: Manifest
    jobs: list[ClipJob]
    recipes: dict[str, Recipe]
    facts: dict[str, Any]
    further: dict[str, dict[str, Any]]
    key: str


def prepare(manifest_path: Path, recipes: dict[str, Recipe], decoder: str, workers: int) -> Extraction:
    """Read the manifest and see to generated media; raises UserError as `extract` does, and for absent weights."""
    ensure_media(manifest_path, workers)
    manifest = read_manifest(manifest_path)
    jobs = clip_jobs(manifest, manifest_path, recipes)
    networks = encoders_to_run(jobs, recipes)
    facts = {
        "dataset": manifest.card["dataset"],
        "manifest_digest": manifest_digest(manifest.frame),
        "libraries": library_versions(recipes, networks),
        **({"weights": weight_digests(networks)} if networks else {}),
    }
    return Extraction(manifest, jobs, recipes, facts, _black(jobs, recipes), _state_key(facts, jobs, recipes, decoder))


def _black(jobs: Sequence[ClipJob], recipes: Mapping[str, Recipe]) -> dict[str, dict[str, Any]]:
    """What the card of a store of clip vectors says of black frames; nothing when no clip is to be encoded.

    Made before any clip is decoded: weights that do not fit their network end the extraction, not every clip.
    """
    recipe = recipes.get("visual")
    if not isinstance(recipe, ClipVectorRecipe) or all(job.visual is None for job in jobs):
        return {}
    return {"visual": {"black": black_vector(recipe)}}


def chosen_recipes(recipes: Mapping[str, str]) -> dict[str, Recipe]:
    """Modality -> recipe of that name; raises UserError for unknown ones."""
    if not recipes or set(recipes) - {"audio", "visual"}:
        raise UserError(f"recipes {dict(recipes)!r}: name a recipe for audio, for visual, or for both.")
    chosen: dict[str, Recipe] = {}
    if "audio" in recipes:
        chosen["audio"] = get_audio_recipe(recipes["audio"])
    if "visual" in recipes:
        chosen["visual"] = get_visual_recipe(recipes["visual"])
    return chosen


def clip_jobs(manifest: Manifest, manifest_path: Path, modalities: Sequence[str] | Mapping[str, Any]) -> list[ClipJob]:
    """Files to open, row by row; a clip that the manifest already knows to be lost has none."""
    root = manifest.media_root(manifest_path)
    jobs = []
    for status, *paths in manifest.frame[["status", "audio", "visual"]].itertuples(index=False):
        readable = status in USABLE
        files = [
            root / path if readable and path and modality in modalities else None
            for modality, path in zip(("audio", "visual"), paths, strict=True)
        ]
        jobs.append(ClipJob(*files))
    return jobs


def encoders_to_run(jobs: Iterable[ClipJob], recipes: Mapping[str, Recipe]) -> list[str]:
    """Names of the pretrained networks that some clip needs: those of recipes that are to be made from media.

    Raises UserError for media where the recipe can only be read from released features.
    """
    jobs = list(jobs)
    found = []
    for modality, recipe in sorted(recipes.items()):
        if isinstance(recipe, SegmentRecipe | ClipVectorRecipe) and recipe.encoder in (*WEIGHTS, RELEASED_ONLY):
            paths = (getattr(job, modality) for job in jobs)
            medium = next((path for path in paths if path is not None and not is_released(path)), None)
            if medium is not None and recipe.encoder == RELEASED_ONLY:
                raise UserError(f"{medium}: {recipe.name} is read from released features alone; use seconds10-vggish.")
            found += [] if medium is None else [recipe.encoder]
    return found


def manifest_digest(frame: pd.DataFrame) -> str:
    """Digest of the id, sha256 and status columns of a manifest."""
    columns = frame[["id", "sha256", "status"]].astype(object)
    return digest_json(columns.where(columns.notna(), None).to_numpy().tolist())


def library_versions(chosen: Mapping[str, Recipe], networks: Sequence[str] = ()) -> dict[str, str]:
    """Versions of what the stored values depend on; networks: names of the pretrained networks that are run."""
    names = ["av", "numpy", "pillow"]
    audio = chosen.get("audio")
    if isinstance(audio, AudioRecipe) and audio.kind == "kaldi-fbank":
        names += ["torch", "torchaudio"]
    if networks:
        names += NETWORK_LIBRARIES
    return {name: version(name) for name in names}


def _state_key(facts: dict[str, Any], jobs: Sequence[ClipJob], chosen: Mapping[str, Recipe], decoder: str) -> str:
    """Digest of all that decides the bytes: shards of other files, recipes, libraries or code never mix."""
    files = [[job.audio and str(job.audio), job.visual and str(job.visual)] for job in jobs]
    recipes = {modality: recipe.as_dict() for modality, recipe in chosen.items()}
    return digest_json(
        {"code": code_digest(__name__), "facts": facts, "files": files, "recipes": recipes, "decoder": decoder}
    )


@contextmanager
def unfinished(
    extraction: Extraction, targets: dict[str, Path], state_dir: str | Path | None
) -> Iterator[ExtractionTask]:
    """The task of an extraction that may have been begun; what it did is kept if it fails and `state_dir` is given."""
    if state_dir is None:
        parent = next(iter(targets.values())).parent
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".extract-", dir=parent) as temporary:
            yield ExtractionTask(extraction, targets, Path(temporary), durable=False)
        return
    name = extraction.key[:32]
    lock = Path(state_dir) / LOCKS / f"state-{name}.lock"
    with exclusive(lock, f"extracts the same features of {extraction.facts['dataset']}"):
        folder = Path(state_dir) / name
        folder.mkdir(parents=True, exist_ok=True)
        yield ExtractionTask(extraction, targets, folder, durable=True)
        shutil.rmtree(folder)


@dataclass
class ExtractionTask:
    """One extraction: unfinished stores in `state`, and the journal of the shards that are safe there.

    targets: modality -> folder of the finished store.
    """

    extraction: Extraction
    targets: dict[str, Path]
    state: Path
    durable: bool

    def __post_init__(self) -> None:
        self.jobs, self.recipes = self.extraction.jobs, self.extraction.recipes
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
        """Take over the shards that a killed job left; a half-written last line counts for nothing.

        Every line bears the digest of all that decides the bytes: a journal of something else is not gone on with.
        """
        journal = self.state / _JOURNAL
        kept = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
        kept = [line for line in kept if line.endswith(b"\n")]
        lines = [json.loads(line) for line in kept]
        shards = [line["shard"] for line in lines if line.get("key") == self.extraction.key]
        rows = {modality: _usable_rows(shards, modality) for modality in self.recipes}
        whole = all(writer.holds(rows[modality]) for modality, writer in self.writers.items())
        if len(shards) < len(lines) or not whole:
            # Not of this extraction, or killed while the finished stores were being moved away.
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
        needed, elsewhere = 0, Counter[Path]()
        for modality, recipe in self.recipes.items():
            size = clips * row_bytes(recipe)
            needed += size - self.writers[modality].rows * row_bytes(recipe)
            name, dataset = store_name(recipe), self.extraction.facts["dataset"]
            log.info("%s: %s of %d clips takes up to %s bytes", dataset, name, clips, f"{size:,}")
            parent = self.targets[modality].parent
            parent.mkdir(parents=True, exist_ok=True)
            if parent.stat().st_dev != self.state.stat().st_dev:
                elsewhere[parent] += size
        check_disk(self.state, needed, "the extraction")
        for parent, size in elsewhere.items():
            check_disk(parent, size, "the feature store")
        if self.position:
            log.info("going on after %d clips that are already done", self.position)

    def run(self, workers: int, timeout_s: float, decoder: str) -> None:
        """Decode the clips that are left, shard by shard."""
        self.announce()
        left = self.jobs[self.position :]
        if not left:
            return
        audio, visual = self.recipes.get("audio"), self.recipes.get("visual")
        assert not isinstance(audio, VisualRecipe | ClipVectorRecipe)
        assert not isinstance(visual, AudioRecipe)
        if "weights" in self.extraction.facts:
            timeout_s = max(timeout_s, NETWORK_TIMEOUT_S)
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
        row = self.extraction.manifest.frame.iloc[position]
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
                    line = {"key": self.extraction.key, "shard": shard}
                    journal.write(json.dumps(line).encode() + b"\n")
                    journal.flush()
                    os.fsync(journal.fileno())
            except OSError as error:
                raise UserError(f"{self.state}: cannot be written ({error.strerror}); free the disk.") from error
        for modality, entries in shard.items():
            self.lines[modality] += entries

    def seal(self) -> dict[str, tuple[pd.DataFrame, dict[str, Any]]]:
        """Complete all stores, where they are; returns modality -> (index, card)."""
        indices = {modality: _index(lines) for modality, lines in self.lines.items()}
        facts, further = self.extraction.facts, self.extraction.further
        return {
            modality: (indices[modality], writer.seal(indices[modality], {**facts, **further.get(modality, {})}))
            for modality, writer in self.writers.items()
        }

    def publish(self, sealed: dict[str, tuple[pd.DataFrame, dict[str, Any]]]) -> None:
        """Move sealed stores into place."""
        for modality, (index, card) in sealed.items():
            target = self.targets[modality]
            self.writers[modality].publish(target, index, card, self.extraction.key)
            clips, lost = f"{card['shape'][0]} of {card['clips']} clips", card["losses"] or "none"
            log.info("%s: %s, %s bytes, lost: %s", target, clips, f"{card['bytes']:,}", lost)


def _usable_rows(shards: list[dict[str, list[dict[str, Any]]]], modality: str) -> int:
    return sum(entry["row"] >= 0 for shard in shards for entry in shard[modality])


def _index(lines: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(lines, columns=list(INDEX_COLUMNS))
    whole = {name: np.int64 for name in ("row", "n_frames", "width", "height")}
    return frame.astype({**whole, "duration": np.float64, "id": str, "status": str, "reason": str})
