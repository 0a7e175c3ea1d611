"""The settings of jobs, kept by their digest, so that commands, logs and Snakemake's records can name this alone.

settings/<digest>.json of the state folder holds the text, written by the main process before its jobs run and never
changed, so that `why` can compare with what was before. A colleague finds it in the header of the ledger that came
with the results. A workflow whose rules give the text itself as a parameter needs none of this.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flowkeeper.files import atomic_path, canonical_json
from flowkeeper.interface import Workflow

DIGEST = re.compile(r"[0-9a-f]{20}")  # longer than a digest of code, so that a record's parameters are told apart


def settings_digest(text: str) -> str:
    """Digest (20 hex digits) of a job's settings, given as canonical JSON."""
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def save_settings(workflow: Workflow, root: Path, texts: Iterable[str]) -> None:
    """Write the settings that are not there yet; raises UserError when the disk refuses."""
    for text in texts:
        path = _file(workflow, root, settings_digest(text))
        if not path.exists():
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8")


def read_settings(workflow: Workflow, root: Path, digest: str) -> str | None:
    """The settings behind `digest`, from this folder or from a ledger; None when neither has them whole."""
    try:
        text = _file(workflow, root, digest).read_text(encoding="utf-8")
        if settings_digest(text) == digest:
            return text
    except (OSError, UnicodeDecodeError):
        pass
    for ledger in sorted((root / workflow.results).glob("*/provenance.jsonl")):
        known = _of_ledger(ledger, ledger.stat().st_mtime_ns)
        if digest in known and settings_digest(text := canonical_json(known[digest])) == digest:
            return text
    return None


def for_ledger(texts: Iterable[str]) -> dict[str, Any]:
    """Digest -> settings, as a ledger's header has them under the key `settings`."""
    return {settings_digest(text): json.loads(text) for text in texts}


@cache
def _of_ledger(ledger: Path, changed: int) -> Mapping[str, Any]:
    """What a ledger's header has; nothing of one that cannot be read. changed: its time, so that it is read again."""
    try:
        with open(ledger, encoding="utf-8") as lines:
            known = json.loads(lines.readline()).get("settings")
    except (OSError, ValueError, AttributeError):
        return {}
    return known if isinstance(known, dict) else {}


def _file(workflow: Workflow, root: Path, digest: str) -> Path:
    return root / workflow.state / "settings" / f"{digest}.json"
