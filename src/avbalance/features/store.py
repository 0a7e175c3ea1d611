"""The feature store: one large array per modality, an index of all clips, and a card on its making.

Index and card are what others are told of a store. The array can be made again from the manifest by the card's
recipe; array.json, which never leaves the machine, says which array lies here.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.features.recipes import USABLE, Recipe
from flowkeeper.files import atomic_path, read_json, sha256_file, write_json

ARRAY, INDEX, CARD = "features.npy", "index.parquet", "card.json"
FACTS = "array.json"  # on the array that lies here: see `StoreWriter.place_array`
INDEX_COLUMNS = ("id", "row", "status", "reason", "n_frames", "width", "height", "duration")


@dataclass(frozen=True)
class FeatureStore:
    """A finished store.

    array: memory-mapped, one row per usable clip in manifest order: audio float16 (N, F, T) (Kaldi filter
    banks (N, T, F)), visual uint8 (N, frames, S, S, 3), arrays per second of either float16 (N, segments, ...), visual
    vectors of whole clips float16 (N, D).
    index: one line per clip of the manifest with id, row (-1 when unusable), status, reason, n_frames, width, height
    (pixels of the original), duration (s). card: see `StoreWriter.seal`.
    """

    path: Path
    array: NDArray[Any]
    index: pd.DataFrame
    card: dict[str, Any]


def open_store(path: str | os.PathLike[str]) -> FeatureStore:
    """Open a store read-only; raises UserError when it is absent, incomplete, or at odds with its card.

    An array that was made again and has other bytes than the published one is opened; the card then has its sha256
    and `made_again` = True.
    """
    folder = Path(path)
    missing = [name for name in (CARD, INDEX) if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{folder}: no complete feature store ({', '.join(missing)} absent); extract the features again."
        )
    if not (folder / ARRAY).is_file():
        raise UserError(
            f"{folder / ARRAY}: absent, though the card of the store is there; the next training makes it again, "
            "in Python avbalance.features.arrays.ensure_arrays does."
        )
    card = _actual_card(folder)
    try:
        # No bytes, no memory map: a store without usable clips is read whole.
        mode: Literal["r"] | None = "r" if card["shape"][0] else None
        array = np.load(folder / ARRAY, mmap_mode=mode, allow_pickle=False)
        index = pd.read_parquet(folder / INDEX)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: cannot be read ({error}); delete the folder to have it made again.") from error
    if list(array.shape) != card["shape"] or str(array.dtype) != card["dtype"]:
        raise UserError(
            f"{folder / ARRAY}: holds {array.dtype} {array.shape}, its card says {card['dtype']} "
            f"{tuple(card['shape'])}; delete the folder to have it made again."
        )
    return FeatureStore(folder, array, index, card)


def _actual_card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = read_json(folder / CARD)
    facts = array_facts(folder)
    if facts is None or facts["sha256"] == card.get("sha256"):
        return card
    if facts["card_sha256"] != card.get("sha256"):
        raise UserError(
            f"{folder / ARRAY}: belongs to an earlier card.json than the one beside it; delete it, "
            "and the next training makes it again."
        )
    return {**card, "sha256": facts["sha256"], "made_again": True}


def array_facts(folder: Path) -> dict[str, Any] | None:
    """What array.json says of the array in `folder` (see `StoreWriter.place_array`); None unless of this very file."""
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        return facts if facts["stat"] == _stat(folder / ARRAY) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def array_is_there(folder: str | os.PathLike[str]) -> bool:
    """Whether a store's array is known to be the one of its card, or that one made again; opens no large file."""
    path = Path(folder)
    facts = array_facts(path)
    if facts is None or not (path / CARD).is_file():
        return False
    card = read_json(path / CARD)
    return bool(facts["card_sha256"] == card.get("sha256") and facts["stat"][0] == card.get("bytes"))


def holds_extraction(folder: Path, key: str) -> bool:
    """Whether a store's array is there and was made by the extraction with that key (see `extract.FeatureRequest`)."""
    facts = array_facts(folder)
    return facts is not None and facts["extraction"] == key and array_is_there(folder)


def vouch(folder: Path, sha256: str, card_sha256: str, libraries: Any, extraction: str) -> None:
    """Write array.json for the array in `folder`, see `StoreWriter.place_array`."""
    facts = {"sha256": sha256, "card_sha256": card_sha256, "libraries": libraries, "extraction": extraction}
    write_json(folder / FACTS, {**facts, "stat": _stat(folder / ARRAY)})


def _stat(path: Path) -> list[int]:
    """Size and time: a file that was replaced has others."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def store_name(recipe: Recipe) -> str:
    """Folder name of a store: <modality>-<recipe>."""
    return f"{recipe.modality}-{recipe.name}"


def row_bytes(recipe: Recipe) -> int:
    """Bytes that one clip takes."""
    return int(np.prod(recipe.shape)) * np.dtype(recipe.dtype).itemsize


def check_disk(folder: Path, needed: int, purpose: str) -> int:
    """Free bytes on the disk of an existing folder; raises UserError when fewer than `needed`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: {purpose} needs {needed:,} bytes but only {free:,} are free; "
            "free the disk or choose a smaller recipe."
        )
    return free


class StoreWriter:
    """Appends rows to an unfinished store in a folder of its own.

    `seal` completes the store, `publish` moves it into place. `rows` rows are on disk after `sync`; `rewind` drops what
    came after them, so that a killed job goes on where it was last synced.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.recipe = recipe
        self.folder = folder
        self.rows = 0
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / ARRAY
        self._file: BinaryIO = path.open("r+b" if path.exists() else "w+b")
        self._offset = self._write_header()

    def _write_header(self) -> int:
        """Write the .npy header for the present number of rows; its length does not depend on that number."""
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(self.recipe.dtype)),
            "fortran_order": False,
            "shape": (self.rows, *self.recipe.shape),
        }
        self._file.seek(0)
        # NumPy leaves room in a header for a longer number of rows, so that it can be written again in place.
        np.lib.format.write_array_header_1_0(self._file, header)
        return self._file.tell()

    def rewind(self, rows: int) -> bool:
        """Keep the first `rows` rows only; False, and nothing is changed, where there are not so many."""
        end = self._offset + rows * row_bytes(self.recipe)
        if self._file.seek(0, os.SEEK_END) < end:
            return False
        self._file.truncate(end)
        self._file.seek(end)
        self.rows = rows
        return True

    def append(self, array: NDArray[Any]) -> int:
        """Write one clip's array, of the recipe's shape and dtype; returns its row."""
        if array.shape != self.recipe.shape or array.dtype != self.recipe.dtype:
            raise ValueError(f"{array.dtype} {array.shape} is not what recipe {self.recipe.name} stores")
        try:
            self._file.write(np.ascontiguousarray(array).data)
        except OSError as error:
            raise UserError(f"{self.folder / ARRAY}: cannot be written ({error.strerror}); free the disk.") from error
        self.rows += 1
        return self.rows - 1

    def sync(self) -> None:
        """Bring all rows to disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def seal(self, index: pd.DataFrame, extra: dict[str, Any]) -> dict[str, Any]:
        """Complete and close the array; returns the card of the store.

        The card says: modality, recipe (all fields), shape, dtype, bytes, sha256 (of features.npy), clips (in
        the manifest), losses and flagged (number of clips by status, unusable and usable), and what `extra`
        adds: a store of clip vectors has black, the vector of a clip of black frames.
        """
        self._write_header()
        self.sync()
        self._file.close()
        array = self.folder / ARRAY
        counts = index.loc[index["status"] != "ok", "status"].value_counts().sort_index()
        return {
            "modality": self.recipe.modality,
            "recipe": self.recipe.as_dict(),
            "shape": [self.rows, *self.recipe.shape],
            "dtype": self.recipe.dtype,
            "bytes": array.stat().st_size,
            "sha256": sha256_file(array),
            "clips": len(index),
            "losses": {str(name): int(n) for name, n in counts.items() if name not in USABLE},
            "flagged": {str(name): int(n) for name, n in counts.items() if name in USABLE},
            **extra,
        }

    def publish(self, target: Path, index: pd.DataFrame, card: dict[str, Any], extraction: str = "") -> None:
        """Move a sealed store to the folder `target`, in place of an older one; the card comes last."""
        target.mkdir(parents=True, exist_ok=True)
        # First: without its card a store counts as absent, so that a kill in between leaves nothing half-new.
        (target / CARD).unlink(missing_ok=True)
        self.place_array(target, card, card["sha256"], extraction)
        with atomic_path(target / INDEX) as temporary:
            index.to_parquet(temporary, index=False)
        write_json(target / CARD, card)

    def place_array(self, target: Path, made: dict[str, Any], card_sha256: str, extraction: str = "") -> None:
        """Move the sealed array alone to the store `target`, and write array.json on it.

        made: the card that `seal` returned. card_sha256: the array's sha256 on the card of `target`. extraction:
        digest of all that decided the bytes. array.json says: sha256, card_sha256, libraries, extraction, and stat
        (bytes and time of the file that it speaks of).
        """
        # It vouches for the array's size and time: it must not be there while another array takes its place.
        (target / FACTS).unlink(missing_ok=True)
        _move(self.folder / ARRAY, target / ARRAY)
        vouch(target, made["sha256"], card_sha256, made.get("libraries"), extraction)


def _move(source: Path, target: Path) -> None:
    """Rename; across disks copy beside the target first, so that it appears whole or not at all."""
    try:
        os.replace(source, target)
        return
    except OSError as error:  # told by trying: a folder that is mounted a second time is of the same disk
        if error.errno != errno.EXDEV:
            raise
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    source.unlink()
