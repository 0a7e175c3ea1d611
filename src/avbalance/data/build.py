"""The data step: from a data set's specification to its manifest, and absent media that are made again beside it."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

from avbalance.data.manifest import read_manifest, write_manifest

log = logging.getLogger(__name__)


def build_dataset(name: str, spec: dict[str, Any], out: Path) -> None:
    """Write the manifest `out` of data set `name`; generated media go beside it.

    Raises UserError, in one sentence, when lists or media are missing or malformed.
    """
    source = importlib.import_module(_module_of(spec["kind"]))
    write_manifest(source.build(name, spec, out.parent), out)


def ensure_media(manifest_path: str | Path, workers: int = 1) -> None:
    """Make the absent clips of a manifest whose source can; the manifest stays as it is.

    A source can when its module has `remake(manifest, folder, workers) -> ids of clips with other bytes`. Clips of
    other sources are left to be counted as lost. Clips that another build of the encoder wrote in other bytes than
    the manifest's are used, with a warning. Raises UserError when the source now makes other clips.
    """
    path = Path(manifest_path)
    manifest = read_manifest(path)
    name = _module_of(str(manifest.card["kind"]))
    try:
        remake = getattr(importlib.import_module(name), "remake", None)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        return  # a manifest of a kind that is none of ours
    root = manifest.media_root(path)
    files = {str(name) for column in ("audio", "visual") for name in manifest.frame[column] if name}
    absent = sum(not (root / name).exists() for name in files)
    if remake is None or not absent:
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


def _module_of(kind: str) -> str:
    """Name of the module of a kind of data set."""
    return f"avbalance.data.sources.{kind.replace('-', '_')}"
