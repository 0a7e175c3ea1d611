"""Publish the result set of a configuration: its ledger, DVC's pointers, the bytes on the remote, and git's index."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.files import sha256_file
from avbalance.plan.commandline import arguments, load_plan_for
from avbalance.plan.steps import steps
from avbalance.provenance.closures import read_closure, save_closures
from avbalance.provenance.ledger import Entry, Ledger, build_ledger, ledger_path, read_ledger, write_ledger
from avbalance.provenance.restore import remember
from avbalance.provenance.run_record import code_state, versions
from avbalance.provenance.settings import for_ledger
from avbalance.provenance.stamp import md5_file
from avbalance.sharing.ignored import IGNORED, arrays_line, share_arrays
from avbalance.sharing.objects import (
    Checkout,
    bring_into_cache,
    count,
    open_checkout,
    place,
    read_pointer,
    shortage_error,
    size_text,
    some,
)
from avbalance.sharing.programs import Say, run, shown
from avbalance.sharing.refusals import Publication, refusals
from avbalance.sharing.sets import ARRAY, DATA
from avbalance.sharing.upload import check_arrivals, upload

_PASSING = ("created", "commit")  # of a header: a set that is published again unchanged keeps its ledger


def publish(
    root: Path, configfiles: Sequence[str], pairs: Sequence[str], features: bool, dry: bool, say: Say
) -> Ledger | None:
    """Publish the result set of a configuration (as given to snakemake); returns its ledger, None after a dry run.

    features: with the arrays of its feature stores. dry: only say what would be published. Raises UserError that
    lists every reason against it, or names the step that failed; publishing again then goes on from there.
    """
    plan = load_plan_for(root, configfiles, pairs)
    publication = Publication(open_checkout(root, say), plan, arguments(configfiles, pairs), features)
    reasons = refusals(publication, say)
    if reasons:
        lines = "\n".join(f"  - {reason}" for reason in reasons)
        raise UserError(f"{plan.results} is not published:\n{lines}")
    ledger = _ledger(publication)
    _tell_sizes(publication, ledger, say)
    if dry:
        say("a dry run: nothing was written or sent.")
        return None
    checkout = publication.checkout
    write_ledger(ledger_path(root, plan.name), ledger)
    if features and not publication.arrays_shared:
        share_arrays(root, plan.results)
        say(f"{IGNORED}: new line {arrays_line(plan.results)}")
    _keep_manifests(checkout, say)
    check_arrivals(checkout, say)
    upload(checkout, [plan.results, DATA], say)
    remember(root, plan.name)
    _stage(root, plan.results, say)
    return ledger


def _ledger(publication: Publication) -> Ledger:
    """The ledger of the set as it is now; the one that is there if it says the same."""
    root, plan = publication.root, publication.plan
    ledger = build_ledger(root, plan.name, plan.artifacts(), _header(publication))
    try:
        known = read_ledger(ledger_path(root, plan.name))
    except UserError:
        return ledger
    return known if _content(known) == _content(ledger) else ledger


def _content(ledger: Ledger) -> tuple[dict[str, Any], dict[str, Entry]]:
    """What a ledger says but for time and commit of its publication."""
    return {key: value for key, value in ledger.header.items() if key not in _PASSING}, ledger.entries()


def _header(publication: Publication) -> dict[str, Any]:
    """When and from what the set is published: commit, environment, configuration, what is behind each digest."""
    root, plan = publication.root, publication.plan
    settings = for_ledger(step.spec for step in steps(plan))  # asks for every code, so that plan.codes has them all
    save_closures(root, plan.codes)
    known = {code: read_closure(root, code) for code in sorted(set(plan.codes.values()))}
    lock, found = root / "requirements.lock", versions()
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": code_state(root)["commit"],
        "snakemake": found["snakemake"],
        "versions": found,
        "lock_sha256": sha256_file(lock) if lock.is_file() else None,
        "config": plan.config,
        "closures": {code: closure for code, closure in known.items() if closure},
        "settings": settings,
    }


def _tell_sizes(publication: Publication, ledger: Ledger, say: Say) -> None:
    root, plan = publication.root, publication.plan
    own = [entry for path, entry in ledger.entries().items() if path.startswith(f"{plan.results}/")]
    before = _published(publication.checkout, plan.results)
    news = [entry for entry in own if before.get(entry.path) != entry.md5]
    after = {entry.path for entry in own} | {str(ledger_path(Path(), plan.name))}
    dropped = [path for path in before if path not in after and Path(path).name != ARRAY]
    say(f"{plan.results}: {_files(len(own), sum(entry.size for entry in own))}")
    say(f"  new or changed since the last publication: {_files(len(news), sum(entry.size for entry in news))}")
    if dropped:
        say(f"  no longer part of it: {some(dropped)}")
    arrays = [root / path for path in plan.bulk() if Path(path).name == ARRAY and (root / path).exists()]
    included = "included" if publication.with_arrays else "left out (include: --features)"
    say(f"  arrays of feature stores: {_files(*_number_and_size(arrays))}, {included}")
    say(f"manifests in data/: {_files(*_number_and_size(list((root / DATA).glob('*/manifest.parquet'))))}")
    known = _published(publication.checkout, DATA)
    changed = [path for path, md5 in known.items() if (root / path).exists() and md5_file(root / path) != md5]
    if changed:
        say(f"note: other content than published before: {some(changed)}; publish every result set made with it again.")


def _number_and_size(paths: Sequence[Path]) -> tuple[int, int]:
    return len(paths), sum(path.stat().st_size for path in paths)


def _files(number: int, size: int) -> str:
    return f"{number} file{'s' * (number != 1)}, {size_text(size)}"


def _published(checkout: Checkout, folder: str) -> dict[str, str]:
    """Path -> md5 of what was last published of a folder; nothing where DVC's cache does not know."""
    if not (checkout.root / f"{folder}.dvc").exists():
        return {}
    pointer = read_pointer(checkout.root, folder)
    return checkout.cache.listing(pointer) if checkout.cache.good(pointer.listing) else {}


def _keep_manifests(checkout: Checkout, say: Say) -> None:
    """Put manifests in place that data.dvc has and that are absent: `dvc add data` would drop them for everyone.

    Raises UserError when they cannot be had.
    """
    if not (checkout.root / f"{DATA}.dvc").exists():
        return
    pointer = read_pointer(checkout.root, DATA)
    if bring_into_cache(checkout, {DATA: pointer.listing}, [DATA], say):
        raise UserError(
            f"{DATA}.dvc: what it points to is neither in DVC's cache nor on the remote {checkout.remote}; take"
            " the file from an earlier publication's commit, or delete it if nobody needs the manifests that it lists."
        )
    listed = checkout.cache.listing(pointer)
    absent = {path: md5 for path, md5 in listed.items() if not (checkout.root / path).exists()}
    shortage = bring_into_cache(checkout, absent, list(absent), say)
    if shortage:
        raise shortage_error(checkout, shortage, absent)
    for path, md5 in absent.items():
        place(checkout.cache, md5, checkout.root / path)
    if absent:
        say(f"{count(absent)} of other configurations brought, to stay published: {some(list(absent))}")


def _stage(root: Path, results: str, say: Say) -> None:
    """Hand the changed files to git, and say what is left to the user."""
    files = [file for file in (f"{results}.dvc", f"{DATA}.dvc", IGNORED, ".dvc/config") if (root / file).is_file()]
    done = run(["git", "add", "--", *files], root, say)
    if done.status != 0:
        raise UserError(
            f"everything is on the remote, but `git add` failed: {done.fault}; mend that and publish again."
        )
    if run(["git", "diff", "--cached", "--quiet", "--", *files], root, say).status == 0:
        say(f"{results} is on the remote, and git has nothing new to commit.")
        return
    commit = shown(["git", "commit", "-m", f"Publish {results}"])
    say(f"{results} is on the remote; what is left to you: `{commit}` and `git push`.")
