"""Which modules stand behind a code digest: the digest alone says that code changed, its closure says which.

A closure is kept as module -> first 12 hex digits of its token digest, in `.avbalance/closures/<digest>.json`, written
when jobs are about to run. A colleague finds it in the header of the ledger that came with the results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.files import write_json
from avbalance.plan.digest import DIGEST_CACHE, closure_digests, digest_of, module_digests

FOLDER = Path(".avbalance/closures")
LEDGERS = "results/*/provenance.jsonl"
_DIGITS = 12


def save_closures(root: Path, codes: Mapping[tuple[str, ...], str]) -> None:
    """Write the closures that are not there yet; codes: entry modules -> code digest (see Plan.codes).

    A digest that the code no longer has, because a module was edited meanwhile, is left out.
    """
    for entries, digest in codes.items():
        path = _file(root, digest)
        if path.exists():
            continue
        modules = closure_digests(*entries, cache_file=root / DIGEST_CACHE)
        if digest_of(modules) == digest:
            write_json(path, shortened(modules))


def read_closure(root: Path, digest: str) -> dict[str, str] | None:
    """The closure behind `digest`, from this folder or from a ledger; None when neither knows it."""
    try:
        return _closure(json.loads(_file(root, digest).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        pass
    found = (_closure(_known(ledger).get(digest)) for ledger in sorted(root.glob(LEDGERS)))
    return next((closure for closure in found if closure), None)


def check_code(root: Path, digest: str) -> None:
    """Raise UserError when the code behind `digest` was changed since the workflow was planned.

    A job that waited in the queue would run the new code, and its record would name the old one. A digest whose
    closure is not known here is not checked.
    """
    planned = read_closure(root, digest)
    if planned is None:
        return
    now = shortened(module_digests(planned, cache_file=root / DIGEST_CACHE))
    changed = sorted(name for name, kept in planned.items() if now.get(name) != kept)
    if changed:
        raise UserError(
            f"the code of this step is not what was planned: {', '.join(changed)} changed meanwhile; "
            "run snakemake again."
        )


def shortened(modules: Mapping[str, str]) -> dict[str, str]:
    """A closure as it is kept."""
    return {name: token_digest[:_DIGITS] for name, token_digest in modules.items()}


def _file(root: Path, digest: str) -> Path:
    return root / FOLDER / f"{digest}.json"


def _known(ledger: Path) -> dict[str, Any]:
    """Code digest -> closure, of a ledger's header; nothing of a ledger that cannot be read."""
    try:
        with open(ledger, encoding="utf-8") as lines:
            known = json.loads(lines.readline()).get("closures")
    except (OSError, ValueError, AttributeError):
        return {}
    return known if isinstance(known, dict) else {}


def _closure(value: Any) -> dict[str, str] | None:
    return {str(name): str(digits) for name, digits in value.items()} if isinstance(value, dict) else None
