"""The clips of one data set as arrays: feature stores joined by clip id, cut into parts, served in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avbalance.data.manifest import EVENTS, LABELLING, TIMELINE, Manifest, read_manifest
from avbalance.errors import UserError
from avbalance.features.store import FeatureStore, open_store
from avbalance.methods.base import Indices
from avbalance.models.base import MODALITIES, Batch
from avbalance.training.data_settings import DataSettings
from avbalance.training.partition import partition
from avbalance.training.transforms import FrameOptions, audio_window, choose_frames, evaluation_frames, training_frames
from flowkeeper.files import digest_json

_SCALED_AT_ONCE = 256  # clips
_Raw = tuple[Indices, torch.Generator | None, Tensor | None, Tensor | None]  # clips, draws, sound and pictures
IN_MEMORY_BYTES = 1 << 28  # stores up to this size are read once; larger ones stay memory-mapped


@dataclass(frozen=True)
class Clips:
    """Usable clips of one data set, in manifest order: all `modalities` that are read decodable.

    `audio` (N', F, T) float16 spectrograms and `visual` (N', frames, S, S, 3) uint8, or (N', D) float16, one vector per
    clip; or both vectors per second, (N', T, ...), not `spectrograms`; unread pictures are one vector of no values.
    `audio_rows`, `visual_rows` (N,) lead into them. `counts` (N,) frames per clip, `sizes` (N, 2) original width and
    height, `losses` clips lost by status, `black` (D,) what black frames become. `labelling`: that of `labels` and
    `classes`, None for the first. `label_matrix` (N, C) bool: all labels. `truth`: manifest column -> (N, C, T) bool,
    active classes per second.
    """

    ids: NDArray[np.str_]
    labels: Indices
    split: NDArray[np.str_]
    classes: list[str]
    audio: NDArray[np.float16]
    audio_rows: Indices
    window: int | None
    visual: NDArray[Any]
    visual_rows: Indices
    counts: Tensor
    sizes: Tensor
    losses: dict[str, int]
    digest: str
    label_matrix: NDArray[np.bool_]
    truth: dict[str, NDArray[np.bool_]]
    spectrograms: bool = True
    black: NDArray[np.float32] | None = None
    labellings: dict[str, tuple[list[str], Indices]] = field(default_factory=dict)
    labelling: str | None = None
    modalities: tuple[str, ...] = MODALITIES

    @property
    def framed(self) -> bool:
        """Whether the visual store holds frames; vectors need no transform."""
        return bool(self.visual.dtype == np.uint8)

    def labelled(self, labelling: str | None) -> Clips:
        """The same clips under a further labelling; raises UserError when the data set has none of that name."""
        if labelling is None:
            return self
        if labelling not in self.labellings:
            known = ", ".join(self.labellings) or "no further labellings"
            raise UserError(f"setting data.labelling is {labelling!r}; the data set has {known}.")
        classes, labels = self.labellings[labelling]
        matrix = np.eye(len(classes), dtype=bool)[labels]
        return replace(self, classes=classes, labels=labels, label_matrix=matrix, labelling=labelling)

    def parts(self, settings: DataSettings) -> dict[str, Indices]:
        """Indices of train, val, test (and the parts of Gradient-Blending) under the `data` settings of a run."""
        return partition(self.split, self.labels, settings)

    def used_ids_digest(self, indices: Indices) -> str:
        """Digest of the sorted ids at `indices`: two runs with equal digests used the same clips."""
        return digest_json(sorted(self.ids[indices].tolist()))


def load_clips(manifest_path: Path, audio_path: Path, visual_path: Path | None = None) -> Clips:
    """Join a manifest and its feature stores by clip id; without `visual_path` no pictures are read.

    Raises UserError when a store was made from another manifest or holds no usable clip.
    """
    manifest = read_manifest(manifest_path)
    audio = open_store(audio_path)
    visual = open_store(visual_path) if visual_path else _no_pictures(audio)
    frame = manifest.frame
    a, v = (_aligned(store, manifest) for store in (audio, visual))
    usable = (a["row"].to_numpy() >= 0) & (v["row"].to_numpy() >= 0)
    if not usable.any():
        raise UserError(_nothing_usable(manifest_path, {audio.path: a, visual.path: v}))
    status = np.where(a["row"] < 0, "audio " + a["status"].astype(str), "visual " + v["status"].astype(str))
    names, counts = np.unique(status[~usable].astype(str), return_counts=True)
    keep = np.flatnonzero(usable)
    told = [name for name in (*TIMELINE, *(f"{LABELLING}{name}" for name in manifest.labellings)) if name in frame]
    black = visual.card.get("black")
    if visual_path:
        _check_kinds(audio, visual)
    return Clips(
        ids=frame["id"].to_numpy(dtype=str)[keep],
        labels=manifest.label_index().astype(np.int64)[keep],
        split=frame["split"].to_numpy(dtype=str)[keep],
        classes=list(manifest.classes),
        audio=_resident(audio.array),
        audio_rows=a["row"].to_numpy(dtype=np.int64)[keep],
        window=audio.card["recipe"].get("window_frames"),
        visual=_resident(visual.array),
        visual_rows=v["row"].to_numpy(dtype=np.int64)[keep],
        counts=torch.as_tensor(v["n_frames"].to_numpy(dtype=np.int64)[keep]),
        sizes=torch.as_tensor(v[["width", "height"]].to_numpy(dtype=np.int64)[keep]),
        losses={str(name): int(count) for name, count in zip(names, counts, strict=True)},
        # By content, not by path: clips that were moved or renamed as files are the same training data.
        digest=digest_json(
            [
                manifest.frame[["id", "label", "split"]].to_numpy(dtype=str).tolist(),
                manifest.classes,
                *([manifest.labellings] if manifest.labellings else []),
                v[["n_frames", "width", "height"]].to_numpy().tolist(),
                audio.card["sha256"],
                visual.card["sha256"],
                *([frame[told].to_numpy(dtype=str).tolist()] if told else []),
            ]
        ),
        label_matrix=manifest.label_matrix()[keep],
        truth={name: manifest.timeline(name)[keep] for name in EVENTS if name in told},
        spectrograms="segments" not in audio.card["recipe"],
        black=None if black is None else np.asarray(black, dtype=visual.array.dtype).astype(np.float32),
        labellings={
            name: (classes, manifest.label_index(name).astype(np.int64)[keep])
            for name, classes in manifest.labellings.items()
        },
        modalities=MODALITIES if visual_path else ("audio",),
    )


def _no_pictures(audio: FeatureStore) -> FeatureStore:
    """What stands for the visual store where pictures are not read, of the clips of the other one."""
    index = audio.index[["id"]].assign(row=0, status="ok", reason="", n_frames=0, width=0, height=0)
    return FeatureStore(Path("none"), np.empty((1, 0), np.float16), index, {"recipe": {}, "sha256": None})


def _nothing_usable(manifest_path: Path, indices: dict[Path, Any]) -> str:
    """What to say when no clip has all modalities: where the most are lost, and why the first of them is."""
    path, index = min(indices.items(), key=lambda store: int((store[1]["row"] >= 0).sum()))
    first = index[index["row"] < 0].iloc[0]
    return (
        f"{manifest_path}: no clip has all modalities; the losses stand in {path}/card.json, the first is "
        f"{first['id']} ({first['status']}: {first['reason']}); fix the files and delete {path} to have it made again."
    )


def _check_kinds(*stores: FeatureStore) -> None:
    """Raise UserError when one store has vectors per segment and the other has not."""
    if len({"segments" in store.card["recipe"] for store in stores}) > 1:
        named = " and ".join(f"{store.path} ({store.card['recipe']['name']})" for store in stores)
        raise UserError(
            f"{named}: one has vectors per second, the other has not; choose data.audio_recipe and data.visual_recipe "
            "of one kind."
        )


def _aligned(store: FeatureStore, manifest: Manifest) -> Any:
    """Rows of a store's index, clip by clip of the manifest."""
    if store.index["id"].tolist() != manifest.frame["id"].tolist():
        raise UserError(
            f"{store.path}: made from another manifest than the one given; delete the folder to have it made again."
        )
    return store.index.reset_index(drop=True)


def _resident(array: NDArray[Any]) -> NDArray[Any]:
    return np.array(array) if array.nbytes <= IN_MEMORY_BYTES else array


@dataclass(frozen=True)
class AudioScale:
    """Mean and standard deviation of the stored values of one part."""

    mean: float
    deviation: float


def audio_scale(clips: Clips, indices: Indices) -> AudioScale:
    """Scale of all stored audio values of the clips at `indices`, summed in float64; raises UserError for silence."""
    total, squares, count = 0.0, 0.0, 0
    for start in range(0, len(indices), _SCALED_AT_ONCE):
        values = clips.audio[clips.audio_rows[indices[start : start + _SCALED_AT_ONCE]]].astype(np.float64)
        total, squares, count = total + values.sum(), squares + np.square(values).sum(), count + values.size
    mean = total / count
    deviation = float(np.sqrt(max(squares / count - mean**2, 0.0)))
    if deviation == 0:
        raise UserError("the sound of all training clips is one constant value; look at the audio files.")
    return AudioScale(float(mean), deviation)


@dataclass(frozen=True)
class BatchSource:
    """Batches of clips for one run: which modalities, which transforms, on which device.

    `targets`: a label for every clip, on the CPU. `frames`: None where the visual store holds vectors. `scale`: audio
    is standardised by it. With `drop_last` an epoch ends before its last, smaller batch.
    """

    clips: Clips
    targets: Tensor
    modalities: tuple[str, ...]
    frames: FrameOptions | None
    device: torch.device
    batch_size: int
    drop_last: bool = False
    eval_batch_size: int = 256
    scale: AudioScale | None = None

    def training(
        self, groups: Sequence[Indices], order_seed: int, batch_seeds: list[int], first: int
    ) -> Iterator[Batch]:
        """Augmented batches of one group after the other, from batch number `first` on.

        `order_seed` draws the order within each group. Batch b draws its augmentation from `batch_seeds[b]`.
        """
        generator, chunks = np.random.default_rng(order_seed), []
        for indices in groups:
            order = generator.permutation(indices)
            starts = range(0, self.batches(indices) * self.batch_size, self.batch_size)
            chunks += [order[start : start + self.batch_size] for start in starts]
        work = [(chunk, seed) for chunk, seed in zip(chunks, batch_seeds, strict=True)][first:]
        yield from self._ahead(work)

    def evaluation(self, indices: Indices) -> Iterator[Batch]:
        """Batches of `indices` in order, with test-time transforms."""
        size = self.eval_batch_size
        yield from self._ahead([(indices[start : start + size], None) for start in range(0, len(indices), size)])

    def batches(self, indices: Indices) -> int:
        """Number of training batches in an epoch over `indices`, at least 1."""
        whole, rest = divmod(len(indices), self.batch_size)
        return max(1, whole + (rest > 0 and not self.drop_last))

    def batch_of(self, indices: Indices, visual_indices: Indices | None = None) -> Batch:
        """The clips at `indices` as one batch with test-time transforms; with the pictures of other clips, if given."""
        return self._transform(*self._read(indices, None, visual_indices))

    def _ahead(self, work: Sequence[tuple[Indices, int | None]]) -> Iterator[Batch]:
        """Read in a thread, two batches ahead, when a store is memory-mapped; transform on the device."""
        if not isinstance(self.clips.visual, np.memmap) and not isinstance(self.clips.audio, np.memmap):
            yield from (self._transform(*self._read(*item)) for item in work)
            return
        with ThreadPoolExecutor(1) as pool:
            waiting = [pool.submit(self._read, *item) for item in work[:2]]
            for item in work[2:]:
                yield self._transform(*waiting.pop(0).result())
                waiting.append(pool.submit(self._read, *item))
            for rest in waiting:
                yield self._transform(*rest.result())

    def _read(self, indices: Indices, seed: int | None, visual_indices: Indices | None = None) -> _Raw:
        """Stored values of the clips at `indices`; `seed` chooses training frames, None those of evaluation."""
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        audio = visual = None
        if "audio" in self.modalities:
            audio = torch.from_numpy(self.clips.audio[self.clips.audio_rows[indices]])
        if "visual" in self.modalities:
            seen = indices if visual_indices is None else visual_indices
            rows = self.clips.visual_rows[seen]
            if self.frames is None:
                visual = torch.from_numpy(self.clips.visual[rows])
            else:
                position = choose_frames(self.clips.counts[torch.as_tensor(seen)], self.frames.frames, generator)
                visual = torch.from_numpy(self.clips.visual[rows[:, None], position.numpy()])
        return indices, generator, audio, visual

    def _transform(
        self, indices: Indices, generator: torch.Generator | None, audio: Tensor | None, visual: Tensor | None
    ) -> Batch:
        where = torch.as_tensor(indices)
        if audio is not None:
            audio = audio.to(self.device).float()
            if self.scale is not None:
                audio = (audio - self.scale.mean) / self.scale.deviation
            if self.clips.spectrograms:
                audio = audio_window(audio, self.clips.window, generator)
        if visual is not None:
            visual = visual.to(self.device)
            if self.frames is None:
                visual = visual.float()
            elif generator is None:
                visual = evaluation_frames(visual, self.frames.crop)
            else:
                visual = training_frames(visual, self.clips.sizes[where], self.frames, generator)
        return Batch(audio, visual, label=self.targets[where].to(self.device), index=where.to(self.device))
