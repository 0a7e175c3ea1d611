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
from flowkeeper.files import atomic_path, exclusive

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
    for name in names:
        if name not in files:
            raise UserError(f"{record}: offers no {name}; it has {', '.join(sorted(files)) or 'nothing'}.")
    with exclusive(folder / ".lock", f"downloads into {folder}"):
        for name in names:
            _bring(files[name], folder / name, say)


def _listed(record: str) -> dict[str, Remote]:
    """Name -> file of a record of Zenodo."""
    try:
        with _opened(record) as answer:
            files: list[Mapping[str, Any]] = json.load(answer)["files"]
        return {
            str(each["key"]): Remote(str(each["links"]["self"]), int(each["size"]), str(each.get("checksum", "")))
            for each in files
        }
    except _FAILURES as error:
        raise UserError(f"{record}: cannot be read ({error}); try again later, or give another --record.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{record}: is no list of files as Zenodo writes it; give another --record.") from error


def _opened(address: str, start: int = 0) -> Any:
    """The host's answer, of a file from byte `start` on where the host knows ranges."""
    if not address.startswith(("https://", "http://")):
        raise UserError(f"{address}: is no web address; give one that begins with https://.")
    headers = {"User-Agent": _AGENT} | ({"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_TIMEOUT_S)


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
    _fetch(remote, archive)
    _unpack(archive, archive.parent)
    with atomic_path(mark) as temporary:
        temporary.write_text(wanted, encoding="utf-8")
    archive.unlink()


def _fetch(remote: Remote, path: Path) -> None:
    """Fetch a file, going on from what was left in `path`.part; raises UserError when it does not arrive whole."""
    part = path.with_name(f"{path.name}.part")
    there = part.stat().st_size if part.exists() else 0
    if there < remote.size or not there:
        try:
            with _opened(remote.address, there) as answer:
                # Both: some hosts answer a range with the whole file, and appending that would give a file of the right
                # length by chance.
                goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {there}-")
                with part.open("ab" if goes_on else "wb") as handle:  # a host without ranges sends the whole file
                    shutil.copyfileobj(answer, handle, _CHUNK)
        except _FAILURES as error:
            raise UserError(f"{remote.address}: {error}; type the command again to go on where it stopped.") from error
    arrived = part.stat().st_size
    if arrived < remote.size:
        raise UserError(
            f"{remote.address}: {arrived:,} of {remote.size:,} bytes arrived; type the command again to go on."
        )
    algorithm, _, digest = remote.checksum.partition(":")
    whole = arrived == remote.size
    if whole and algorithm in hashlib.algorithms_guaranteed:
        with part.open("rb") as handle:
            whole = hashlib.file_digest(handle, algorithm).hexdigest() == digest
    if not whole:
        # Not kept: what does not match the checksum cannot be continued.
        part.unlink()
        raise UserError(f"{remote.address}: did not arrive as its host lists it, and was removed; fetch it again.")
    os.replace(part, path)


def _unpack(archive: Path, folder: Path) -> None:
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
