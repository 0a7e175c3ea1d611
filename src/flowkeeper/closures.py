"""Which modules stand behind a code digest: the digest alone says that code changed, its closure says which.

A closure is kept as module -> first 12 hex digits of its token digest, in closures/<digest>.json of the state folder,
written when jobs are about to run. A colleague finds it in the header of the ledger that came with the results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowkeeper.code import digest_of
from flowkeeper.errors import UserError
from flowkeeper.files import write_json
from flowkeeper.interface import Workflow

_DIGITS = 12


def save_closures(workflow: Workflow, root: Path, codes: Mapping[tuple[str, ...], str]) -> None:
    """Write the closures that are not there yet; codes: entry modules -> code digest (see Plan.codes).

    A digest that the code no longer has, because a module was edited meanwhile, is left out.
    """
    for entries, digest in codes.items():
        path = closure_file(workflow, root, digest)
        if not path.exists():
            modules = workflow.code.closure(*entries)
            if digest_of(modules) == digest:
                write_json(path, shortened(modules))


def read_closure(workflow: Workflow, root: Path, digest: str) -> dict[str, str] | None:
    """The closure behind `digest`, from this folder or from a ledger; None when neither knows it."""
    try:
        known: Any = json.loads(closure_file(workflow, root, digest).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    ledgers = sorted((root / workflow.results).glob("*/provenance.jsonl"))
    told = (each for each in (known, *(_told(ledger).get(digest) for ledger in ledgers)) if isinstance(each, dict))
    return next(({str(name): str(digits) for name, digits in each.items()} for each in told), None)


def check_code(workflow: Workflow, root: Path, digest: str) -> None:
    """Raise UserError when the code behind `digest` was changed since the workflow was planned.

    A job that waited in the queue would run the new code, and its record would name the old one. A digest whose
    closure is not known here is not checked.
    """
    planned = read_closure(workflow, root, digest)
    if planned is None:
        return
    now = shortened(workflow.code.modules(planned))
    changed = sorted(name for name, kept in planned.items() if now.get(name) != kept)
    if changed:
        raise UserError(
            f"the code of this step is not what was planned: {', '.join(changed)} changed meanwhile; "
            "run snakemake again."
        )


def shortened(modules: Mapping[str, str]) -> dict[str, str]:
    """A closure as it is kept."""
    return {name: token_digest[:_DIGITS] for name, token_digest in modules.items()}


def closure_file(workflow: Workflow, root: Path, digest: str) -> Path:
    return root / workflow.state / "closures" / f"{digest}.json"


def _told(ledger: Path) -> dict[str, Any]:
    """Code digest -> closure, of a ledger's header; nothing of a ledger that cannot be read."""
    try:
        with open(ledger, encoding="utf-8") as lines:
            known = json.loads(lines.readline()).get("closures")
    except (OSError, ValueError, AttributeError):
        return {}
    return known if isinstance(known, dict) else {}
