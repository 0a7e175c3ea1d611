"""Generated media that are absent, made again beside their manifest."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from pathlib import Path

from avbalance.data.manifest import Manifest, read_manifest

log = logging.getLogger(__name__)

Remake = Callable[[Manifest, Path, int], list[str]]


def ensure_media(manifest_path: str | Path, workers: int = 1) -> None:
    """Generate the absent clips of a manifest whose source can; the manifest stays as it is.

    A source can when its module has `remake(manifest, folder, workers) -> ids of clips with other bytes`. Clips of
    other sources are left to be counted as lost. Clips that another build of the encoder wrote in other bytes than
    the manifest's are used, with a warning. Raises UserError when the source now makes other clips.
    """
    path = Path(manifest_path)
    manifest = read_manifest(path)
    remake = _remake_of(str(manifest.card["kind"]))
    if remake is None:
        return
    root = manifest.media_root(path)
    files = {str(name) for column in ("audio", "visual") for name in manifest.frame[column] if name}
    absent = sum(not (root / name).exists() for name in files)
    if not absent:
        return
    log.info("%s: %d of %d generated files are absent and made again", root, absent, len(files))
    differing = remake(manifest, root, workers)
    if differing:
        log.warning(
            "%s: %d clips have other bytes than %s lists, as another build of the encoder writes them; "
            "features made of them may differ slightly from published ones.",
            root,
            len(differing),
            path,
        )


def _remake_of(kind: str) -> Remake | None:
    """What makes the clips of a kind of data set again; None when they cannot be made."""
    name = f"avbalance.data.sources.{kind.replace('-', '_')}"
    try:
        remake: Remake | None = getattr(importlib.import_module(name), "remake", None)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        return None
    return remake
