"""The data step: from a data set's specification to its manifest, and absent media that are made again beside it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from avbalance.data.manifest import Manifest, read_manifest, write_manifest
from avbalance.data.sources import build, kinds, source_class

log = logging.getLogger(__name__)


def build_dataset(name: str, spec: dict[str, Any], out: Path) -> None:
    """Write the manifest `out` of data set `name`; generated media go beside it.

    Raises UserError, in one sentence, when lists or media are missing or malformed.
    """
    write_manifest(build(name, spec, out.parent), out)


def ensure_media(manifest_path: str | Path, workers: int = 1) -> None:
    """Make the absent clips of a manifest whose source can; the manifest stays as it is.

    Clips of other sources are left to be counted as lost. Clips that another build of the encoder wrote in other bytes
    than the manifest's are used, with a warning. Raises UserError when the source now makes other clips.
    """
    path = Path(manifest_path)
    manifest = read_manifest(path)
    root = manifest.media_root(path)
    differing = remake(manifest, root, workers)
    if differing:
        log.warning(
            "%s: %d clips have other bytes than %s lists, as another build of the encoder writes them; "
            "features made of them may differ slightly from published ones.",
            root,
            len(differing),
            path,
        )


def remake(manifest: Manifest, root: Path, workers: int) -> list[str]:
    """Make the clips of a manifest that are absent from the folder `root`, if its source can; see `Source.remake`."""
    kind = str(manifest.card["kind"])
    # A manifest of an older version may name a kind that is gone: its clips are counted as lost, as before.
    if kind not in kinds() or not source_class(kind, "kind").CAN_REMAKE:
        return []
    files = {str(name) for column in ("audio", "visual") for name in manifest.frame[column] if name}
    absent = sum(not (root / name).exists() for name in files)
    if not absent:
        return []
    log.info("%s: %d of %d generated files are absent and made again", root, absent, len(files))
    return source_class(kind, "kind").of(manifest.card).remake(manifest, root, workers)
