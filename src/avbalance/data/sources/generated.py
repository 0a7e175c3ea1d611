"""Kinds of data sets whose clips are made here: a folder of clips that is built, resumed and filled up again."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field

from avbalance.data import PARTS
from avbalance.data.sources.base import Row, Source, card_for
from avbalance.declared import Above0, Count, Size, nearest, refusal
from avbalance.digest import code_digest
from avbalance.errors import LostClip, UserError
from avbalance.names import rule_name
from flowkeeper.files import digest_json, exclusive, read_json, sha256_file, write_json

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest

logger = logging.getLogger(__name__)

_MEDIA = "media"
_MADE = ("audio", "visual", "sha256", "status", "reason")
_MARKER = "settings.json"
_LOCK = ".lock"
_BATCH = 32


def _even(side: int) -> int:
    if side % 2:
        raise refusal(f"is {side}; it must be even, since pictures are coded in blocks of two")
    return side


def _parts(clips: dict[str, int]) -> dict[str, int]:
    for part in clips:
        if part not in PARTS:
            raise refusal(f"has the part {part!r}{nearest(part, PARTS)}; there are {', '.join(PARTS)}")
    absent = [part for part in ("train", "test") if not clips.get(part)]
    if absent:
        raise refusal(f"is {clips}; it needs clips of the part {absent[0]!r}")
    return clips


Beta = Annotated[tuple[Above0, Above0], Field(strict=False)]  # alpha and beta: u_audio - u_visual is 2 Beta - 1
Side = Annotated[int, Field(ge=16), AfterValidator(_even)]
PartSizes = Annotated[dict[str, Count], AfterValidator(_parts)]


class MadeSource(Source):
    """Data sets whose clips are made here: what is planned, and how a clip of the plan is made."""

    CAN_REMAKE = True
    MODULES: ClassVar[tuple[str, ...]]  # names below avbalance.data of the code that a clip depends on

    side: Side
    """height and width in pixels"""
    fps: Size
    """frames per second"""
    rate: Literal[8000, 16000, 22050, 32000, 44100, 48000] = 16000
    """audio samples per second"""
    workers: Size = 1
    """processes that make clips side by side"""

    def plan(self) -> Sequence[Any]:
        """All clips; each has an id."""
        raise NotImplementedError

    @property
    def class_names(self) -> list[str]:
        """Class names of the card."""
        raise NotImplementedError

    def render(self, clip: Any) -> tuple[np.ndarray, np.ndarray]:
        """Frames and sound of a clip, as `write_clip` takes them; may raise LostClip."""
        raise NotImplementedError

    def columns(self, clip: Any) -> Row:
        """What a clip's manifest row has beyond id, files and checksum."""
        raise NotImplementedError

    def further_card(self) -> dict[str, Any]:
        """What the card has besides."""
        return {}

    def origin(self, planned: Sequence[Any]) -> Any:
        """What else clips depend on, such as files that they are cut from; None: on number and options alone."""
        return None

    def build(self, name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
        """Make all clips in `out_dir`/media and return their manifest.

        A build that was killed goes on where it stopped: files are written whole, and the folder carries the digest of
        all that they depend on. Under any other digest the clips in the folder are removed first. Raises UserError
        when more than half of the clips are lost.
        """
        from avbalance.data.manifest import make_manifest

        plain, planned, media = self._plain(spec), self.plan(), out_dir / _MEDIA
        with _alone(media):
            _prepare_folder(media, self._digest(plain, planned), {_file(clip) for clip in planned})
            made = self._write_all(planned, media)
        _tell_lost(name, planned, made)
        card = {**card_for(name, spec, self.class_names, _MEDIA), **self.further_card()}
        card["options"] = {key: value for key, value in plain.items() if key != "workers"}
        return make_manifest(self._rows(planned, made), card, f"data set {name}")

    def remake(self, manifest: Manifest, media: Path, workers: int) -> list[str]:
        """Make the clips of a manifest that are absent from the folder `media`; the others stay.

        Raises UserError when other clips are planned now than the manifest lists, or these do not lie beside it.
        """
        if manifest.card["media_root"] != _MEDIA:
            raise UserError(
                f"{media}: generated clips are written to {_MEDIA}/ beside their manifest and nowhere else."
            )
        planned = self.plan()
        listed = {row["id"]: {name: row[name] for name in _MADE} for row in manifest.frame.to_dict("records")}
        self._check_plan(manifest, planned, [listed.get(clip.id, {}) for clip in planned], media)
        with _alone(media):
            wanted = [clip for clip in planned if listed[clip.id]["status"] == "ok"]
            absent = [clip for clip in wanted if not (media / _file(clip)).exists()]
            digest = self._digest(self._plain(manifest.card), planned)
            _mark_remade(media, digest, alone=len(absent) == len(wanted))
            made = self.model_copy(update={"workers": workers})._write_all(absent, media)
        return [clip.id for clip, each in zip(absent, made, strict=True) if listed[clip.id] != each]

    def _plain(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """All options by name: what is given as it is given, and the defaults of the rest."""
        return {**self.model_dump(mode="json"), **dict(spec.get("options") or {})}

    def _digest(self, options: Mapping[str, Any], planned: Sequence[Any]) -> str:
        """Digest of all that a clip of given number depends on: settings, code, library versions and its origin.

        The numbers of clips and workers are left out, since a clip does not depend on them.
        """
        import av

        code = code_digest(*(f"avbalance.data.{name}" for name in (*self.MODULES, "media_write")))
        settings = {key: value for key, value in options.items() if key not in ("clips", "workers")}
        versions = {"av": av.__version__, "numpy": np.__version__}
        origin = self.origin(planned)
        further = {} if origin is None else {"origin": origin}
        return digest_json({"settings": settings, "code": code, "versions": versions, **further})

    def _check_plan(
        self, manifest: Manifest, planned: Sequence[Any], made: Sequence[Mapping[str, Any]], media: Path
    ) -> None:
        """Raise UserError unless the plan, with what was made of it, has the manifest's rows, checksums aside."""
        from avbalance.data.manifest import make_manifest

        name = manifest.card["dataset"]
        card = {key: value for key, value in manifest.card.items() if key != "digest"}
        again = make_manifest(self._rows(planned, made), card, f"data set {name}")
        if again.card["digest"] != manifest.card["digest"]:
            raise UserError(
                f"{media}: clips are absent, and the generator now plans others than the manifest of {name} lists; "
                f"type snakemake --forcerun {rule_name('dataset', name)} to have the data set made afresh."
            )

    def _rows(self, planned: Sequence[Any], made: Sequence[Mapping[str, Any]]) -> list[Row]:
        return [{"id": clip.id, **each, **self.columns(clip)} for clip, each in zip(planned, made, strict=True)]

    def _write_all(self, planned: Sequence[Any], media: Path) -> list[Row]:
        """What was made of each clip: the columns _MADE of its row."""
        write = partial(_write_batch, source=self, media=media)
        batches = [planned[start : start + _BATCH] for start in range(0, len(planned), _BATCH)]
        made: list[Row] = []
        for done in _map(write, batches, self.workers):
            made += done
            logger.info("%d of %d clips", len(made), len(planned))
        return made


def _alone(media: Path) -> AbstractContextManager[object]:
    return exclusive(media / _LOCK, f"generates the clips in {media}")


def _file(clip: Any) -> str:
    return f"{clip.id}.mp4"


def _prepare_folder(media: Path, digest: str, wanted: set[str]) -> None:
    """Leave in the folder only clips of these settings, then mark it with them."""
    same = _marked(media) == digest
    if not same:
        (media / _MARKER).unlink(missing_ok=True)
    for path in media.glob("*.mp4"):
        if not same or path.name not in wanted:
            path.unlink()
    _sweep(media)
    if not same:
        write_json(media / _MARKER, {"digest": digest})


def _mark_remade(media: Path, digest: str, alone: bool) -> None:
    """Mark a folder to which clips are added that are all there is (`alone`), or come to others.

    Where they come to clips of other settings no mark is left: no later build takes such a mixture over.
    """
    _sweep(media)
    if alone:
        write_json(media / _MARKER, {"digest": digest})
    elif _marked(media) != digest:
        (media / _MARKER).unlink(missing_ok=True)


def _marked(media: Path) -> str | None:
    """Digest of the settings that the folder's clips were made with."""
    marker = media / _MARKER
    return read_json(marker).get("digest") if marker.exists() else None


def _sweep(media: Path) -> None:
    """Remove what killed processes left half written; living ones hold the folder's lock."""
    for path in media.glob(".*.partial"):
        path.unlink()


def _tell_lost(name: str, planned: Sequence[Any], made: Sequence[Mapping[str, Any]]) -> None:
    """Log how many clips are lost, and the first of them; raise UserError when it is more than half."""
    lost = [(clip.id, each["reason"]) for clip, each in zip(planned, made, strict=True) if each["status"] != "ok"]
    if not lost:
        return
    told = f"{len(lost)} of {len(made)} clips are lost; first: {lost[0][0]}: {lost[0][1]}"
    if 2 * len(lost) > len(made):
        raise UserError(f"data set {name}: {told}; fix the files, or leave those clips out.")
    logger.warning("data set %s: %s", name, told)


def _map(write: partial[list[Row]], batches: Sequence[Any], workers: int) -> Iterator[list[Row]]:
    if workers <= 1:
        yield from map(write, batches)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_leave_with_parent) as pool:
        yield from pool.map(write, batches)


def _leave_with_parent() -> None:
    """End this process when its parent is killed, who alone holds the lock on the folder."""
    from multiprocessing import parent_process
    from threading import Thread

    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _write_batch(batch: Sequence[Any], source: MadeSource, media: Path) -> list[Row]:
    from avbalance.data.media_write import write_clip

    made: list[Row] = []
    for clip in batch:
        path = media / _file(clip)
        try:
            if not path.exists():
                write_clip(path, *source.render(clip), source.fps, source.rate)
        except LostClip as error:
            made.append({"audio": None, "visual": None, "sha256": None, "status": error.status, "reason": error.reason})
        else:
            files = {"audio": path.name, "visual": path.name, "sha256": sha256_file(path)}
            made.append({**files, "status": "ok", "reason": ""})
    return made
