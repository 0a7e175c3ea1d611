"""Generated stand-in data: mp4 clips whose informativeness per modality is planted and recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources.common import card_for, read_options, required
from avbalance.errors import UserError
from avbalance.files import digest_json, read_json, sha256_file, write_json
from avbalance.plan.digest import code_digest

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest
    from avbalance.data.scenes import PlannedClip

logger = logging.getLogger(__name__)

DEFAULTS: dict[str, Any] = {
    "seed": required(),
    "classes": required(),
    "clips": required(),
    "discrepancy_beta": required(),
    "snr_audio_db": required(),
    "snr_visual_db": required(),
    "flip": False,
    "duration": 4.0,
    "side": 64,
    "fps": 4,
    "rate": 16000,
    "workers": 1,
}
_MEDIA = "media"
_MARKER = "settings.json"
_BATCH = 32


def preflight(spec: Mapping[str, Any]) -> str | None:
    """None: generated data need nothing. Raises UserError on unknown or absent options."""
    _options(spec)
    return None


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that the data set is made from: none."""
    return []


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """Generate all clips into `out_dir`/media and return their manifest.

    A build that was killed goes on where it stopped: files are written whole, each depends on its own number
    and the settings alone, and the folder carries the digest of the settings and of the generator's code.
    Under any other digest the clips in the folder are removed first. Raises UserError on bad options.
    """
    from avbalance.data.manifest import make_manifest
    from avbalance.data.scenes import JointLaw, plan_dataset

    options = _options(spec)
    alpha, beta = options["discrepancy_beta"]
    law = JointLaw(alpha, beta, tuple(options["snr_audio_db"]), tuple(options["snr_visual_db"]), bool(options["flip"]))
    planned = plan_dataset(int(options["seed"]), options["clips"], options["classes"], float(options["duration"]), law)
    media = out_dir / _MEDIA
    _prepare_folder(media, settings_digest(options), {f"{clip.id}.mp4" for clip in planned})
    checksums = _write_all(planned, options, media)
    classes = [f"class-{cls:02d}" for cls in range(options["classes"])]
    rows = [_row(clip, classes, checksum) for clip, checksum in zip(planned, checksums, strict=True)]
    card = card_for(name, spec, classes, _MEDIA)
    card["options"] = {key: value for key, value in options.items() if key != "workers"}
    return make_manifest(rows, card, f"data set {name}")


def settings_digest(options: Mapping[str, Any]) -> str:
    """Digest of all that a clip of given number depends on: settings, code and library versions.

    The numbers of clips and workers are left out, since a clip does not depend on them.
    """
    import av
    import numpy as np

    code = code_digest(*(f"avbalance.data.{name}" for name in ("scenes", "render", "media_write")))
    settings = {key: value for key, value in options.items() if key not in ("clips", "workers")}
    versions = {"av": av.__version__, "numpy": np.__version__}
    return digest_json({"settings": settings, "code": code, "versions": versions})


def _options(spec: Mapping[str, Any]) -> dict[str, Any]:
    options = read_options(spec, DEFAULTS)
    if options["classes"] < 2:
        raise UserError("data set of kind synthetic: option 'classes' must be at least 2.")
    if options["side"] % 2 or options["side"] < 16:
        raise UserError("data set of kind synthetic: option 'side' must be even and at least 16 (pixels).")
    unknown = sorted(set(options["clips"]) - {"train", "val", "test"})
    if unknown:
        raise UserError(f"data set of kind synthetic: option 'clips' has the unknown split {unknown[0]!r}.")
    if min(options["discrepancy_beta"]) <= 0:
        raise UserError("data set of kind synthetic: option 'discrepancy_beta' needs two positive numbers.")
    return options


def _prepare_folder(media: Path, digest: str, wanted: set[str]) -> None:
    """Leave in the folder only clips of these settings, then mark it with them."""
    media.mkdir(parents=True, exist_ok=True)
    marker = media / _MARKER
    same = marker.exists() and read_json(marker).get("digest") == digest
    if not same:
        marker.unlink(missing_ok=True)
    for path in media.glob("*.mp4"):
        if not same or path.name not in wanted:
            path.unlink()
    for path in media.glob(".*.partial"):
        path.unlink()
    if not same:
        write_json(marker, {"digest": digest})


def _write_all(planned: Sequence[PlannedClip], options: Mapping[str, Any], media: Path) -> list[str]:
    write = partial(_write_batch, options=dict(options), media=media)
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

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(write, batches)


def _write_batch(batch: Sequence[PlannedClip], options: Mapping[str, Any], media: Path) -> list[str]:
    from avbalance.data.media_write import write_clip
    from avbalance.data.render import render_audio, render_frames

    checksums = []
    for clip in batch:
        path = media / f"{clip.id}.mp4"
        if not path.exists():
            frames = render_frames(clip.scene, options["classes"], options["side"], options["fps"])
            waveform = render_audio(clip.scene, options["classes"], options["rate"])
            write_clip(path, frames, waveform, options["fps"], options["rate"])
        checksums.append(sha256_file(path))
    return checksums


def _row(clip: PlannedClip, classes: Sequence[str], checksum: str) -> dict[str, Any]:
    return {
        "id": clip.id,
        "audio": f"{clip.id}.mp4",
        "visual": f"{clip.id}.mp4",
        "label": classes[clip.cls],
        "split": clip.split,
        "sha256": checksum,
        "planted_audio": clip.scene.planted_audio,
        "planted_visual": clip.scene.planted_visual,
        "snr_audio_db": clip.scene.snr_audio_db,
        "snr_visual_db": clip.scene.snr_visual_db,
    }
