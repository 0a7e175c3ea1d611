"""Files of a result set that no job of its configuration makes any more: listed, and removed when asked to."""

from __future__ import annotations

from dataclasses import dataclass

from flowkeeper.errors import UserError
from flowkeeper.interface import Plan, ResultSet
from flowkeeper.sets import refuse_while_running


@dataclass(frozen=True)
class Stale:
    """A file that no planned job makes, and its bytes."""

    path: str
    size: int


def stale_files(results: ResultSet, plan: Plan) -> list[Stale]:
    """Files below results/<name>/ that no job of the plan makes and that do not lie beside one as plan.bulk() says."""
    known = {*plan.artifacts(), *plan.unasked(), *plan.bulk(), results.ledger_file}
    below = sorted((results.root / results.folder).rglob("*"))
    paths = [path for path in below if path.is_symlink() or not path.is_dir()]
    files = [Stale(str(path.relative_to(results.root)), path.lstat().st_size) for path in paths]
    return [file for file in files if file.path not in known]


def remove_stale(results: ResultSet, plan: Plan) -> list[Stale]:
    """Remove what `stale_files` lists, and the folders that are empty then; raises UserError while snakemake runs."""
    refuse_while_running(results.workflow, results.root)
    stale = stale_files(results, plan)
    for file in stale:
        path = results.root / file.path
        try:
            path.unlink()
            for folder in path.parents:
                if folder == results.root / results.workflow.results or any(folder.iterdir()):
                    break
                folder.rmdir()
        except OSError as error:
            raise UserError(f"{file.path}: cannot be removed ({error.strerror}); mend the rights.") from error
    return stale
