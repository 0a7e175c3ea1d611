"""What all sources of generated clips share: a folder of clips that is built, resumed and filled up again."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources.common import card_for, required
from avbalance.errors import UserError
from avbalance.files import digest_json, exclusive, read_json, sha256_file, write_json
from avbalance.plan.digest import code_digest
from avbalance.plan.names import rule_name

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest
    from avbalance.data.scenes import JointLaw, PlannedClip

logger = logging.getLogger(__name__)

Options = Mapping[str, Any]
REQUIRED: dict[str, Any] = dict.fromkeys(
    ("seed", "classes", "clips", "discrepancy_beta", "snr_audio_db", "snr_visual_db"), required()
)
_MEDIA = "media"
_MARKER = "settings.json"
_LOCK = ".lock"
_BATCH = 32


@dataclass(frozen=True)
class Generator:
    """One kind of generated data, by functions of its options.

    modules: names below avbalance.data of the code, renderer aside, that a clip of given number depends on.
    options: checked options of a specification. plan: all clips. classes: class names of the card; those of the events
    come first, unless `prototypes` says how many classes events have. columns: what a clip's manifest row has beyond
    the columns of all generated data. card: what the card has besides.
    """

    modules: tuple[str, ...]
    options: Callable[[Mapping[str, Any]], dict[str, Any]]
    plan: Callable[[Options], Sequence[PlannedClip]]
    classes: Callable[[Options], list[str]]
    columns: Callable[[PlannedClip, Sequence[str]], dict[str, Any]]
    prototypes: Callable[[Options], int] = lambda options: int(options["classes"])
    card: Callable[[], dict[str, Any]] = dict


def build(generator: Generator, name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """Generate all clips into `out_dir`/media and return their manifest.

    A build that was killed goes on where it stopped: files are written whole, each depends on its own number
    and the settings alone, and the folder carries the digest of the settings and of the generator's code.
    Under any other digest the clips in the folder are removed first. Raises UserError on bad options.
    """
    from avbalance.data.manifest import make_manifest

    options = generator.options(spec)
    planned = generator.plan(options)
    media = out_dir / _MEDIA
    with _alone(media):
        _prepare_folder(media, settings_digest(generator, options), {_file(clip) for clip in planned})
        checksums = _write_all(planned, options, generator.prototypes(options), media)
    classes = generator.classes(options)
    rows = [_row(generator, clip, classes, checksum) for clip, checksum in zip(planned, checksums, strict=True)]
    card = {**card_for(name, spec, classes, _MEDIA), **generator.card()}
    card["options"] = {key: value for key, value in options.items() if key != "workers"}
    return make_manifest(rows, card, f"data set {name}")


def remake(generator: Generator, manifest: Manifest, media: Path, workers: int) -> list[str]:
    """Generate the clips of a manifest that are absent from the folder `media`; the others stay.

    Returns the ids of new clips whose bytes are not those of the manifest. Raises UserError when the generator now
    plans other clips than the manifest lists.
    """
    spec = {"kind": manifest.card["kind"], "options": manifest.card["options"]}
    options = {**generator.options(spec), "workers": workers}
    planned = generator.plan(options)
    _check_plan(generator, manifest, planned, options, media)
    with _alone(media):
        absent = [clip for clip in planned if not (media / _file(clip)).exists()]
        _mark_remade(media, settings_digest(generator, options), alone=len(absent) == len(planned))
        checksums = _write_all(absent, options, generator.prototypes(options), media)
    listed = dict(zip(manifest.frame["id"], manifest.frame["sha256"], strict=True))
    return [clip.id for clip, checksum in zip(absent, checksums, strict=True) if listed[clip.id] != checksum]


def settings_digest(generator: Generator, options: Options) -> str:
    """Digest of all that a clip of given number depends on: settings, code and library versions.

    The numbers of clips and workers are left out, since a clip does not depend on them.
    """
    import av
    import numpy as np

    code = code_digest(*(f"avbalance.data.{name}" for name in (*generator.modules, "render", "media_write")))
    settings = {key: value for key, value in options.items() if key not in ("clips", "workers")}
    versions = {"av": av.__version__, "numpy": np.__version__}
    return digest_json({"settings": settings, "code": code, "versions": versions})


def check_options(kind: str, options: Options) -> None:
    """Raise UserError for values that no generated data with classes and splits of their own can have."""
    if options["classes"] < 2:
        raise UserError(f"data set of kind {kind}: option 'classes' must be at least 2.")
    check_pictures(kind, options)
    unknown = sorted(set(options["clips"]) - {"train", "val", "test"})
    if unknown:
        raise UserError(f"data set of kind {kind}: option 'clips' has the unknown split {unknown[0]!r}.")
    check_beta(kind, options, "discrepancy_beta")


def check_pictures(kind: str, options: Options) -> None:
    """Raise UserError for pictures of a size that cannot be coded."""
    if options["side"] % 2 or options["side"] < 16:
        raise UserError(f"data set of kind {kind}: option 'side' must be even and at least 16 (pixels).")


def check_beta(kind: str, options: Options, name: str) -> None:
    """Raise UserError unless the option of that name can describe a Beta distribution."""
    if min(options[name]) <= 0:
        raise UserError(f"data set of kind {kind}: option {name!r} needs two positive numbers.")


def joint_law(options: Options) -> JointLaw:
    """The law of informativeness that the options describe."""
    from avbalance.data.scenes import JointLaw

    alpha, beta = options["discrepancy_beta"]
    flip = bool(options["flip"])
    return JointLaw(alpha, beta, tuple(options["snr_audio_db"]), tuple(options["snr_visual_db"]), flip)


def class_names(options: Options) -> list[str]:
    """Names of the classes of events."""
    return [f"class-{cls:02d}" for cls in range(options["classes"])]


def _check_plan(
    generator: Generator, manifest: Manifest, planned: Sequence[PlannedClip], options: Options, media: Path
) -> None:
    """Raise UserError unless the plan has the manifest's rows, checksums aside."""
    from avbalance.data.manifest import make_manifest

    name = manifest.card["dataset"]
    classes = generator.classes(options)
    rows = [_row(generator, clip, classes, "") for clip in planned]
    card = {key: value for key, value in manifest.card.items() if key != "digest"}
    if make_manifest(rows, card, f"data set {name}").card["digest"] != manifest.card["digest"]:
        raise UserError(
            f"{media}: clips are absent, and the generator now plans others than the manifest of {name} lists; "
            f"type snakemake --forcerun {rule_name('dataset', name)} to have the data set made afresh."
        )


def _alone(media: Path) -> AbstractContextManager[None]:
    return exclusive(media / _LOCK, f"generates the clips in {media}")


def _file(clip: PlannedClip) -> str:
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


def _write_all(planned: Sequence[PlannedClip], options: Options, prototypes: int, media: Path) -> list[str]:
    write = partial(_write_batch, options=dict(options), prototypes=prototypes, media=media)
    batches = [planned[start : start + _BATCH] for start in range(0, len(planned), _BATCH)]
    checksums: list[str] = []
    for done in _map(write, batches, int(options["workers"])):
        checksums += done
        logger.info("%d of %d clips", len(checksums), len(planned))
    return checksums


def _map(write: partial[list[str]], batches: Sequence[Any], workers: int) -> Iterator[list[str]]:
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


def _write_batch(batch: Sequence[PlannedClip], options: Options, prototypes: int, media: Path) -> list[str]:
    from avbalance.data.media_write import write_clip
    from avbalance.data.render import render_audio, render_frames

    checksums, slow = [], options.get("slow")
    for clip in batch:
        path = media / _file(clip)
        if not path.exists():
            frames = render_frames(clip.scene, prototypes, options["side"], options["fps"], slow == "visual")
            waveform = render_audio(clip.scene, prototypes, options["rate"], slow == "audio")
            write_clip(path, frames, waveform, options["fps"], options["rate"])
        checksums.append(sha256_file(path))
    return checksums


def _row(generator: Generator, clip: PlannedClip, classes: Sequence[str], checksum: str) -> dict[str, Any]:
    return {
        "id": clip.id,
        "audio": _file(clip),
        "visual": _file(clip),
        "label": classes[clip.cls],
        "split": clip.split,
        "sha256": checksum,
        "planted_audio": clip.scene.planted_audio,
        "planted_visual": clip.scene.planted_visual,
        "snr_audio_db": clip.scene.snr_audio_db,
        "snr_visual_db": clip.scene.snr_visual_db,
        **generator.columns(clip, classes),
    }
