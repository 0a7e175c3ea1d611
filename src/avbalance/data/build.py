"""The data step: from a data set's specification to its manifest."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from avbalance.data.manifest import write_manifest


def build_dataset(name: str, spec: dict[str, Any], out: Path) -> None:
    """Write the manifest `out` of data set `name`; generated media go beside it.

    Raises UserError, in one sentence, when lists or media are missing or malformed.
    """
    source = importlib.import_module(f"avbalance.data.sources.{spec['kind'].replace('-', '_')}")
    write_manifest(source.build(name, spec, out.parent), out)
