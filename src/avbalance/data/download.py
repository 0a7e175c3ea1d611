"""Archives from a host that offers them openly: one request at a time, resumed, checked, unpacked in place."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.files import atomic_path, exclusive

GRID_RECORD = "https://zenodo.org/api/records/3625687"  # never tried from here
_TIMINGS = "alignments.zip"
_AGENT = "avbalance (research; one request at a time)"
_TIMEOUT_S = 60.0
_CHUNK = 1 << 20
_FAILURES = (OSError, http.client.HTTPException)  # URLError and timeouts are OSErrors

Say = Callable[[str], None]


@dataclass(frozen=True)
class Remote:
    """A file that a host offers: its address, size in bytes, checksum such as "md5:<hex>" ("" where it has none)."""

    address: str
    size: int
    checksum: str


def download_grid(talkers: Sequence[str], folder: Path, record: str, say: Say) -> None:
    """Put clips and timings of some talkers of GRID into `folder`; what is there already is not fetched again.

    record: address of the host's list of files, as Zenodo writes it. Raises UserError when a file is not listed, does
    not arrive whole or as the host's checksum says, when the disk is too small, and for an archive that would write
    outside the folder.
    """
    files = _listed(record)
    names = [_TIMINGS, *(f"{talker}.zip" for talker in talkers)]
    absent = [name for name in names if name not in files]
    if absent:
        raise UserError(f"{record}: offers no {absent[0]}; it has {', '.join(sorted(files)) or 'nothing'}.")
    with exclusive(folder / ".lock", f"downloads into {folder}"):
        for name in names:
            _bring(files[name], folder / name, say)


def _bring(remote: Remote, archive: Path, say: Say) -> None:
    """Fetch and unpack an archive, and mark that this was done."""
    mark = archive.with_name(f".{archive.name}.unpacked")
    wanted = f"{remote.size} {remote.checksum}\n"
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
        say(f"{archive.name}: is there")
        return
    free = shutil.disk_usage(archive.parent).free
    if free < 2 * remote.size:  # the archive and what is in it
        raise UserError(
            f"{archive.parent}: {free:,} bytes are free, {archive.name} needs {2 * remote.size:,}; make room."
        )
    say(f"{archive.name}: {remote.size:,} bytes from {remote.address}")
    fetch_file(remote, archive)
    unpack(archive, archive.parent)
    with atomic_path(mark) as temporary:
        temporary.write_text(wanted, encoding="utf-8")
    archive.unlink()


def _listed(record: str) -> dict[str, Remote]:
    """Name -> file of a record of Zenodo."""
    try:
        with _opened(record, 0) as answer:
            files: list[Mapping[str, Any]] = json.load(answer)["files"]
        return {
            str(each["key"]): Remote(str(each["links"]["self"]), int(each["size"]), str(each.get("checksum", "")))
            for each in files
        }
    except _FAILURES as error:
        raise UserError(f"{record}: cannot be read ({error}); try again later, or give another --record.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{record}: is no list of files as Zenodo writes it; give another --record.") from error


def fetch_file(remote: Remote, path: Path) -> None:
    """Fetch a file, going on from what was left in `path`.part; raises UserError when it does not arrive whole."""
    part = path.with_name(f"{path.name}.part")
    there = part.stat().st_size if part.exists() else 0
    if there < remote.size or not there:
        try:
            _append(remote.address, part, there)
        except _FAILURES as error:
            raise UserError(f"{remote.address}: {error}; type the command again to go on where it stopped.") from error
    arrived = part.stat().st_size
    if arrived < remote.size:
        raise UserError(
            f"{remote.address}: {arrived:,} of {remote.size:,} bytes arrived; type the command again to go on."
        )
    if arrived > remote.size or not _as_said(part, remote.checksum):
        part.unlink()
        raise UserError(f"{remote.address}: did not arrive as its host lists it, and was removed; fetch it again.")
    os.replace(part, path)


def _append(address: str, part: Path, there: int) -> None:
    """Write what comes after the first `there` bytes behind them; everything where the host knows no ranges."""
    with _opened(address, there) as answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {there}-")
        with part.open("ab" if goes_on else "wb") as handle:
            shutil.copyfileobj(answer, handle, _CHUNK)


def _opened(address: str, there: int) -> Any:
    headers = {"User-Agent": _AGENT} | ({"Range": f"bytes={there}-"} if there else {})
    if not address.startswith(("https://", "http://")):
        raise UserError(f"{address}: is no web address; give one that begins with https://.")
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_TIMEOUT_S)


def _as_said(path: Path, checksum: str) -> bool:
    """Whether a file has a checksum that its host gives, if it gives one that can be told."""
    algorithm, _, digest = checksum.partition(":")
    if algorithm not in hashlib.algorithms_guaranteed:
        return True
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, algorithm).hexdigest() == digest


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip file; raises UserError for one that is damaged, or names a file outside the folder."""
    inside = folder.resolve()
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():  # zipfile itself would write such a file elsewhere without a word
                if not (inside / name).resolve().is_relative_to(inside):
                    raise UserError(f"{archive}: would write {name!r} outside of {folder}; it was not unpacked.")
            opened.extractall(inside)
    except zipfile.BadZipFile as error:
        raise UserError(f"{archive}: not a readable zip file ({error}); remove it and fetch it again.") from error
