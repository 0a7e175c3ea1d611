"""What stands behind the digests that jobs carry: their settings, and the modules of their code.

Commands, logs and Snakemake's records name digests alone. Behind them lie, in the state folder,

- settings/<digest>.json: the settings of a job (JSON), written before jobs run;
- closures/<digest>.json: module -> first 12 hex digits of its digest, so that `why` can say which module changed.

What is there is never changed. A colleague finds both in the headers of the ledgers that came with the results.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from flowkeeper.code import digest_of
from flowkeeper.errors import UserError
from flowkeeper.files import atomic_path, canonical_json
from flowkeeper.interface import Workflow

SETTINGS_DIGEST = re.compile(r"[0-9a-f]{20}")  # longer than CODE_DIGEST, so that a record's parameters are told apart
CODE_DIGEST = re.compile(r"[0-9a-f]{16}")
_DIGITS = 12


def settings_digest(text: str) -> str:
    """Digest (20 hex digits) of a job's settings, given as canonical JSON."""
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def save_settings(workflow: Workflow, root: Path, texts: Iterable[str]) -> None:
    """Write the settings that are not there yet; raises UserError when the disk refuses."""
    for text in texts:
        _save(_file(workflow, root, "settings", settings_digest(text)), text)


def read_settings(workflow: Workflow, root: Path, digest: str) -> str | None:
    """The settings behind `digest`, from this folder or from a ledger; None when neither has them whole."""
    texts = map(canonical_json, _kept(workflow, root, "settings", digest))
    return next((text for text in texts if settings_digest(text) == digest), None)


def save_closures(workflow: Workflow, root: Path, codes: Mapping[tuple[str, ...], str]) -> None:
    """Write the closures that are not there yet; codes: entry modules -> code digest (see WorkflowPlan.codes).

    A digest that the code no longer has, because a module was edited meanwhile, is left out.
    """
    for entries, digest in codes.items():
        path = _file(workflow, root, "closures", digest)
        if not path.exists():
            modules = workflow.code.closure(*entries)
            # Edited between planning and here: the file would then say of a digest what is not true.
            if digest_of(modules) == digest:
                _save(path, canonical_json(shortened(modules)))


def read_closure(workflow: Workflow, root: Path, digest: str) -> dict[str, str] | None:
    """The closure behind `digest`, from this folder or from a ledger; None when neither knows it."""
    kept = (each for each in _kept(workflow, root, "closures", digest) if isinstance(each, dict))
    return next(({str(name): str(digits) for name, digits in each.items()} for each in kept), None)


def check_code(workflow: Workflow, root: Path, digest: str) -> None:
    """Raise UserError when the code behind `digest` was changed since the workflow was planned.

    A job that waited in the queue would run the new code, and its record would name the old one. A digest whose
    closure is not known here is not checked.
    """
    planned = read_closure(workflow, root, digest) or {}
    # Only modules of the closure: one that was added since is found by its import in a changed module.
    now = shortened(workflow.code.modules(planned))
    changed = sorted(name for name, digits in planned.items() if now.get(name) != digits)
    if changed:
        raise UserError(
            f"the code of this step is not what was planned: {', '.join(changed)} changed meanwhile; "
            "run snakemake again."
        )


def shortened(modules: Mapping[str, str]) -> dict[str, str]:
    """A closure as it is kept."""
    return {name: digest[:_DIGITS] for name, digest in modules.items()}


def _file(workflow: Workflow, root: Path, kind: str, digest: str) -> Path:
    return root / workflow.state / kind / f"{digest}.json"


def _save(path: Path, text: str) -> None:
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _kept(workflow: Workflow, root: Path, kind: str, digest: str) -> Iterator[Any]:
    """What the state folder has of a digest, then what ledgers have; nothing of files that cannot be read."""
    with suppress(OSError, ValueError):
        yield json.loads(_file(workflow, root, kind, digest).read_text(encoding="utf-8"))
    for ledger in sorted((root / workflow.results).glob("*/provenance.jsonl")):
        told = _header(ledger, ledger.stat().st_mtime_ns).get(kind)
        if isinstance(told, dict) and digest in told:
            yield told[digest]


@cache
def _header(ledger: Path, changed: int) -> dict[str, Any]:
    """The first line of a ledger; changed: its time, so that one that changed is read again."""
    with suppress(OSError, ValueError), open(ledger, encoding="utf-8") as lines:
        header = json.loads(lines.readline())
        return header if isinstance(header, dict) else {}
    return {}
