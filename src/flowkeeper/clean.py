"""Files of a result set that no job of its configuration makes any more: listed, and removed when asked to."""

from __future__ import annotations

from flowkeeper.errors import UserError
from flowkeeper.interface import ResultSet, WorkflowPlan
from flowkeeper.sets import refuse_while_running


def stale_files(results: ResultSet, plan: WorkflowPlan) -> dict[str, int]:
    """Path -> bytes of what lies below results/<name>/ and no job of the plan makes, nor is bulk beside its files."""
    known = {*plan.artifacts(), *plan.unasked(), *plan.bulk(), results.ledger_file}
    below = sorted((results.root / results.folder).rglob("*"))
    files = {str(path.relative_to(results.root)): path for path in below if path.is_symlink() or not path.is_dir()}
    return {name: path.lstat().st_size for name, path in files.items() if name not in known}


def remove_stale(results: ResultSet, plan: WorkflowPlan) -> dict[str, int]:
    """Remove what `stale_files` lists, and the folders that are empty then; raises UserError while snakemake runs."""
    refuse_while_running(results.workflow, results.root)
    stale = stale_files(results, plan)
    for name in stale:
        path = results.root / name
        try:
            path.unlink()
            for folder in path.parents:
                if folder == results.root / results.workflow.results or any(folder.iterdir()):
                    break
                folder.rmdir()
        except OSError as error:
            raise UserError(f"{name}: cannot be removed ({error.strerror}); fix permissions.") from error
    return stale
