"""What all sources that make their clips share: a folder of clips that is built, resumed and filled up again."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from avbalance.data.sources.common import card_for, plain_options, read_options, ready_options
from avbalance.data.sources.options import MadeOptions
from avbalance.errors import LostClip, UserError
from avbalance.names import rule_name
from avbalance.plan.digest import code_digest
from flowkeeper.files import digest_json, exclusive, read_json, sha256_file, write_json

if TYPE_CHECKING:
    import numpy as np

    from avbalance.data.manifest import Manifest
    from avbalance.data.scenes import PlannedClip

logger = logging.getLogger(__name__)

_MEDIA = "media"
_MADE = ("audio", "visual", "sha256", "status", "reason")
_MARKER = "settings.json"
_LOCK = ".lock"
_BATCH = 32


class PlannedLike(Protocol):
    """What is planned of a clip, at the least: its name and its part."""

    @property
    def id(self) -> str: ...
    @property
    def split(self) -> str: ...


@dataclass(frozen=True)
class Generator:
    """One kind of data whose clips are made, by functions of its options; its methods are those of a source's module.

    modules: names below avbalance.data of the code that a clip depends on. options: class of the kind's options.
    plan: all clips. classes: class names of the card. render: the frames and the sound of a clip, as `write_clip` takes
    them; a function of a module, that other processes find; it may raise LostClip. columns: what a clip's manifest row
    has beyond id, files and checksum. card: what the card has besides. origin: what else the clips depend on, such as
    the files that they are cut from; None where a clip depends on its number and the options alone, the numbers of
    clips and workers aside. missing: what is not there that clips are cut from.
    """

    modules: tuple[str, ...]
    options: type[MadeOptions]
    plan: Callable[[Any], Sequence[Any]]
    classes: Callable[[Any], list[str]]
    render: Callable[[Any, Any], tuple[np.ndarray, np.ndarray]]
    columns: Callable[[Any, Any], dict[str, Any]]
    card: Callable[[Any], dict[str, Any]] = lambda options: {}
    origin: Callable[[Sequence[Any]], Any] = lambda planned: None
    missing: Callable[[Any], str | None] = lambda options: None

    def preflight(self, spec: Mapping[str, Any]) -> str | None:
        """Say what is missing that clips are cut from; None when nothing is. Raises UserError on wrong options."""
        return self.missing(read_options(self.options, spec))

    def inputs(self, spec: Mapping[str, Any]) -> list[str]:
        """Files that list the clips: none, a corpus is looked through when the data set is built."""
        return []

    def build(self, name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
        """Make all clips in `out_dir`/media and return their manifest.

        A build that was killed goes on where it stopped: files are written whole, and the folder carries the digest of
        all that they depend on. Under any other digest the clips in the folder are removed first. Raises UserError on
        bad options, and when more than half of the clips are lost.
        """
        from avbalance.data.manifest import make_manifest

        options = ready_options(self.options, spec, self.preflight)
        plain = plain_options(options, spec)
        planned = self.plan(options)
        media = out_dir / _MEDIA
        with _alone(media):
            _prepare_folder(media, settings_digest(self, plain, planned), {_file(clip) for clip in planned})
            made = _write_all(self, planned, options, media)
        _tell_lost(name, planned, made)
        card = {**card_for(name, spec, self.classes(options), _MEDIA), **self.card(options)}
        card["options"] = {key: value for key, value in plain.items() if key != "workers"}
        return make_manifest(_rows(self, planned, made, options), card, f"data set {name}")

    def remake(self, manifest: Manifest, media: Path, workers: int) -> list[str]:
        """Make the clips of a manifest that are absent from the folder `media`; the others stay.

        Returns the ids of new clips whose bytes are not those of the manifest. Raises UserError when the generator now
        plans other clips than the manifest lists, or when these do not lie beside it.
        """
        if manifest.card["media_root"] != _MEDIA:
            raise UserError(
                f"{media}: generated clips are written to {_MEDIA}/ beside their manifest and nowhere else."
            )
        spec = {"kind": manifest.card["kind"], "options": manifest.card["options"]}
        options = read_options(self.options, spec).model_copy(update={"workers": workers})
        planned = self.plan(options)
        listed = {row["id"]: {name: row[name] for name in _MADE} for row in manifest.frame.to_dict("records")}
        _check_plan(self, manifest, planned, [listed.get(clip.id, {}) for clip in planned], options, media)
        with _alone(media):
            wanted = [clip for clip in planned if listed[clip.id]["status"] == "ok"]
            absent = [clip for clip in wanted if not (media / _file(clip)).exists()]
            digest = settings_digest(self, plain_options(options, spec), planned)
            _mark_remade(media, digest, alone=len(absent) == len(wanted))
            made = _write_all(self, absent, options, media)
        return [clip.id for clip, each in zip(absent, made, strict=True) if listed[clip.id] != each]


def settings_digest(generator: Generator, options: Mapping[str, Any], planned: Sequence[PlannedLike]) -> str:
    """Digest of all that a clip of given number depends on: settings, code, library versions and its origin.

    `options`: all of them by name, as `plain_options` has them. The numbers of clips and workers are left out, since a
    clip does not depend on them.
    """
    import av
    import numpy as np

    code = code_digest(*(f"avbalance.data.{name}" for name in (*generator.modules, "media_write")))
    settings = {key: value for key, value in options.items() if key not in ("clips", "workers")}
    versions = {"av": av.__version__, "numpy": np.__version__}
    origin = generator.origin(planned)
    found = {} if origin is None else {"origin": origin}
    return digest_json({"settings": settings, "code": code, "versions": versions, **found})


def render_scene(
    clip: PlannedClip, options: MadeOptions, classes: int, slow: str = "none"
) -> tuple[np.ndarray, np.ndarray]:
    """Frames and sound of a planned scene, of so many classes; slow: the modality that is told slowly."""
    from avbalance.data.render import render_audio, render_frames

    frames = render_frames(clip.scene, classes, options.side, options.fps, slow == "visual")
    return frames, render_audio(clip.scene, classes, options.rate, slow == "audio")


def scene_columns(clip: PlannedClip, classes: Sequence[str]) -> dict[str, Any]:
    """The columns of all clips that are planned as a scene: part, class, and what is planted."""
    return {
        "label": classes[clip.cls],
        "split": clip.split,
        "planted_audio": clip.scene.planted_audio,
        "planted_visual": clip.scene.planted_visual,
        "snr_audio_db": clip.scene.snr_audio_db,
        "snr_visual_db": clip.scene.snr_visual_db,
    }


def _check_plan(
    generator: Generator,
    manifest: Manifest,
    planned: Sequence[PlannedLike],
    made: Sequence[Mapping[str, Any]],
    options: MadeOptions,
    media: Path,
) -> None:
    """Raise UserError unless the plan, with what was made of it, has the manifest's rows, checksums aside."""
    from avbalance.data.manifest import make_manifest

    name = manifest.card["dataset"]
    rows = _rows(generator, planned, made, options)
    card = {key: value for key, value in manifest.card.items() if key != "digest"}
    if make_manifest(rows, card, f"data set {name}").card["digest"] != manifest.card["digest"]:
        raise UserError(
            f"{media}: clips are absent, and the generator now plans others than the manifest of {name} lists; "
            f"type snakemake --forcerun {rule_name('dataset', name)} to have the data set made afresh."
        )


def _alone(media: Path) -> AbstractContextManager[object]:
    return exclusive(media / _LOCK, f"generates the clips in {media}")


def _file(clip: PlannedLike) -> str:
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


def _write_all(
    generator: Generator, planned: Sequence[PlannedLike], options: MadeOptions, media: Path
) -> list[dict[str, Any]]:
    """What was made of each clip: the columns _MADE of its row."""
    write = partial(_write_batch, render=generator.render, options=options, media=media)
    batches = [planned[start : start + _BATCH] for start in range(0, len(planned), _BATCH)]
    made: list[dict[str, Any]] = []
    for done in _map(write, batches, options.workers):
        made += done
        logger.info("%d of %d clips", len(made), len(planned))
    return made


def _tell_lost(name: str, planned: Sequence[PlannedLike], made: Sequence[Mapping[str, Any]]) -> None:
    """Log how many clips are lost, and the first of them; raise UserError when it is more than half."""
    lost = [(clip.id, each["reason"]) for clip, each in zip(planned, made, strict=True) if each["status"] != "ok"]
    if not lost:
        return
    told = f"{len(lost)} of {len(made)} clips are lost; first: {lost[0][0]}: {lost[0][1]}"
    if 2 * len(lost) > len(made):
        raise UserError(f"data set {name}: {told}; fix the files, or leave those clips out.")
    logger.warning("data set %s: %s", name, told)


def _map(write: partial[list[dict[str, Any]]], batches: Sequence[Any], workers: int) -> Iterator[list[dict[str, Any]]]:
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


def _write_batch(
    batch: Sequence[PlannedLike],
    render: Callable[[Any, Any], tuple[np.ndarray, np.ndarray]],
    options: MadeOptions,
    media: Path,
) -> list[dict[str, Any]]:
    from avbalance.data.media_write import write_clip

    made: list[dict[str, Any]] = []
    for clip in batch:
        path = media / _file(clip)
        try:
            if not path.exists():
                write_clip(path, *render(clip, options), options.fps, options.rate)
        except LostClip as error:
            made.append({"audio": None, "visual": None, "sha256": None, "status": error.status, "reason": error.reason})
        else:
            files = {"audio": path.name, "visual": path.name, "sha256": sha256_file(path)}
            made.append({**files, "status": "ok", "reason": ""})
    return made


def _rows(
    generator: Generator, planned: Sequence[PlannedLike], made: Sequence[Mapping[str, Any]], options: MadeOptions
) -> list[dict[str, Any]]:
    return [
        {"id": clip.id, **each, **generator.columns(clip, options)} for clip, each in zip(planned, made, strict=True)
    ]
