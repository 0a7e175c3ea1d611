"""What of a data set lies on this machine: its lists, how many of its clips have their files, and how large these are.

Counted by the data set's own source, so that a clip is at hand exactly when the workflow would use it. Only lists are
read; of media the names and sizes are looked at, so that 200,000 clips take seconds on a local disk.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest

_WITHOUT_MEDIA = {"allow_missing": True, "checksums": False}
_ROW = re.compile(r"(\.h5|\.hdf5|\.tfrecord)#\d+$")


@dataclass(frozen=True)
class AtHand:
    """What is there of a data set, and one sentence on what is not and where to get it ("": nothing is missing).

    lists: whether all files that name the clips are there; without them nothing is counted. listed, found: clips, and
    those of them with all their files. size: bytes of the files that the manifest names; siblings that a source finds
    by their place (LLP's r2plus1d_18) are not among them.
    """

    lists: bool
    listed: int = 0
    found: int = 0
    size: int = 0
    missing: str = ""


def is_fetched(source: Any) -> bool:
    """Whether the module of a kind of data set says where its media come from; others are made here, or the user's."""
    return hasattr(source, "MEDIA_SOURCES")


def at_hand(source: Any, name: str, spec: Mapping[str, Any]) -> AtHand:
    """Count what is there of the data set `name`, whose kind's module is `source`; wrong lists become the sentence."""
    try:
        problem = source.preflight(spec) or ""
        if not all(Path(path).is_file() for path in source.inputs(spec)):
            return AtHand(lists=False, missing=problem)
        with _silence():
            manifest = source.build(name, {**spec, "options": {**spec["options"], **_WITHOUT_MEDIA}}, Path())
    except UserError as error:
        return AtHand(lists=True, missing=str(error))
    frame = manifest.frame
    found = frame[frame["status"] == "ok"]
    listed = len(frame) + int(manifest.card.get("left_out", {}).get("missing", 0))
    root = Path(manifest.card["media_root"])
    size = _size(root, {*found["audio"].dropna(), *found["visual"].dropna()})
    return AtHand(True, listed, len(found), size, problem or _gap(manifest, listed - len(found), listed, source, spec))


@contextmanager
def _silence() -> Iterator[None]:
    """Oddities and missing clips are told when the data set is built."""
    logger = logging.getLogger("avbalance.data")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _size(root: Path, paths: Iterable[str]) -> int:
    """Bytes of files, of the files in folders, and of arrays of which rows are named."""
    return sum(_bytes(os.path.join(root, path)) for path in {_ROW.sub(r"\1", path) for path in paths})


def _bytes(path: str) -> int:
    found = os.stat(path)
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size
    with os.scandir(path) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


def _gap(manifest: Manifest, missing: int, listed: int, source: Any, spec: Mapping[str, Any]) -> str:
    if not missing:
        return ""
    option = next(name for name in source.MEDIA_SOURCES if spec["options"].get(name))
    lost = manifest.frame[manifest.frame["status"] != "ok"]
    first = f", the first {lost['id'].iloc[0]} ({lost['reason'].iloc[0]})" if len(lost) else ""
    where, how = spec["options"][option], source.MEDIA_SOURCES[option]
    return f"{where}: {missing:,} of {listed:,} clips are missing{first}; {how}."
