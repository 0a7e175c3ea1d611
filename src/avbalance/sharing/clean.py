"""Files of a result set that no job of its configuration makes any more: found, and removed when asked to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avbalance.errors import UserError
from avbalance.plan.plan import Plan
from avbalance.provenance.ledger import ledger_path
from avbalance.sharing.sets import refuse_while_running


@dataclass(frozen=True)
class Stale:
    """A file that no planned job makes, and its bytes."""

    path: str
    size: int


def stale_files(root: Path, plan: Plan) -> list[Stale]:
    """Files under results/<name>/ that no job of the plan makes and that do not lie beside one as plan.bulk() says."""
    known = {*plan.artifacts(), *plan.unasked(), *plan.bulk(), str(ledger_path(Path(), plan.name))}
    paths = (path for path in sorted((root / plan.results).rglob("*")) if path.is_symlink() or not path.is_dir())
    found = [(str(path.relative_to(root)), path.lstat().st_size) for path in paths]
    return [Stale(path, size) for path, size in found if path not in known]


def remove_stale(root: Path, plan: Plan) -> list[Stale]:
    """Remove what `stale_files` finds, and the folders that are empty then; raises UserError while snakemake runs."""
    refuse_while_running(root)
    found = stale_files(root, plan)
    for file in found:
        path = root / file.path
        try:
            path.unlink()
            for folder in path.parents:
                if folder == root / "results" or any(folder.iterdir()):
                    break
                folder.rmdir()
        except OSError as error:
            raise UserError(f"{file.path}: cannot be removed ({error.strerror}); mend the rights.") from error
    return found
