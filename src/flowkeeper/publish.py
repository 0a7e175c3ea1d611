"""Publish the result set of a configuration: its ledger, DVC's pointers, the bytes on the remote, and git's index."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowkeeper.bring import bring_into_cache, place_all, shortage_error
from flowkeeper.checkout import Checkout, open_checkout
from flowkeeper.closures import read_closure, save_closures
from flowkeeper.dry_run import words_of
from flowkeeper.errors import UserError
from flowkeeper.files import md5_file, sha256_file
from flowkeeper.interface import ResultSet, Workflow
from flowkeeper.ledger import Entry, Ledger, build_ledger, read_ledger, write_ledger
from flowkeeper.programs import Say, run, shown
from flowkeeper.publish_checks import IGNORED, Publication, reasons_against
from flowkeeper.restore import remember
from flowkeeper.upload import check_arrivals, upload
from flowkeeper.words import count, listed, size_text

_PASSING = ("created", "commit")  # of a header: a set that is published again unchanged keeps its ledger


def publish(
    workflow: Workflow,
    root: Path,
    configfiles: Sequence[str],
    pairs: Sequence[str],
    bulk: bool,
    dry: bool,
    say: Say,
) -> Ledger | None:
    """Publish the result set of a configuration (as given to snakemake); returns its ledger, None after a dry run.

    bulk: with its bulk files. dry: only say what would be published. Raises UserError that lists every reason against
    it, or names the step that failed; publishing again then goes on from there.
    """
    plan = workflow.load_plan(root, configfiles, pairs)
    results, words = ResultSet(workflow, root, plan.name), words_of(configfiles, pairs)
    publication = Publication(open_checkout(workflow, root, say), results, plan, words, bulk)
    reasons = reasons_against(publication, say)
    if reasons:
        lines = "\n".join(f"  - {reason}" for reason in reasons)
        raise UserError(f"{results.folder} is not published:\n{lines}")
    ledger = _ledger(publication, say)
    _tell_sizes(publication, ledger, say)
    if dry:
        say("a dry run: nothing was written or sent.")
        return None
    checkout = publication.checkout
    write_ledger(results.ledger, ledger)
    if bulk and not publication.bulk_shared:
        publication.share_bulk()
        say(f"{IGNORED}: new line {publication.bulk_line}")
    _keep_inputs(checkout, say)
    check_arrivals(checkout, say)
    upload(checkout, [results.folder, workflow.inputs], say)
    remember(results)
    _stage(results, say)
    return ledger


def _ledger(publication: Publication, say: Say) -> Ledger:
    """The ledger of the set as it is now; the one that is there if it says the same."""
    results = publication.results
    ledger = build_ledger(results, publication.plan.artifacts(), _header(publication, say))
    try:
        known = read_ledger(results)
    except UserError:
        return ledger
    return known if _content(known) == _content(ledger) else ledger


def _content(ledger: Ledger) -> tuple[dict[str, Any], dict[str, Entry]]:
    """What a ledger says but for time and commit of its publication."""
    return {key: value for key, value in ledger.header.items() if key not in _PASSING}, ledger.entries


def _header(publication: Publication, say: Say) -> dict[str, Any]:
    """When and from what the set is published: commit, environment, configuration, the code behind each digest."""
    root, plan, workflow = publication.root, publication.plan, publication.results.workflow
    list(workflow.steps(plan))  # asks for every digest, so that plan.codes has them all
    save_closures(workflow, root, plan.codes)
    known = {code: read_closure(workflow, root, code) for code in sorted(set(plan.codes.values()))}
    lock = root / workflow.lock
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": run(["git", "rev-parse", "HEAD"], root, say).output.strip(),
        "versions": workflow.versions(),
        "lock_sha256": sha256_file(lock) if lock.is_file() else None,
        "config": dict(plan.config),
        "closures": {code: closure for code, closure in known.items() if closure},
    }


def _tell_sizes(publication: Publication, ledger: Ledger, say: Say) -> None:
    results, checkout, root = publication.results, publication.checkout, publication.root
    workflow, bulk = results.workflow, publication.bulk
    own = [entry for path, entry in ledger.entries.items() if path.startswith(f"{results.folder}/")]
    before = checkout.listing(results.folder)
    news = [entry for entry in own if before.get(entry.path) != entry.md5]
    after = {entry.path for entry in own} | {results.ledger_file}
    dropped = [path for path in before if path not in after and Path(path).name != bulk.file]
    say(f"{results.folder}: {_files(len(own), sum(entry.size for entry in own))}")
    say(f"  new or changed since the last publication: {_files(len(news), sum(entry.size for entry in news))}")
    if dropped:
        say(f"  no longer part of it: {listed(dropped)}")
    files = [root / path for path in publication.plan.bulk() if Path(path).name == bulk.file and (root / path).exists()]
    included = "included" if publication.with_bulk else f"left out (include: {bulk.option})"
    say(f"  {bulk.called}: {_number_and_size(files)}, {included}")
    inputs = list((root / workflow.inputs).glob(workflow.input_files))
    say(f"{workflow.inputs_called} in {workflow.inputs}/: {_number_and_size(inputs)}")
    known = checkout.listing(workflow.inputs)
    changed = [path for path, md5 in known.items() if (root / path).exists() and md5_file(root / path) != md5]
    if changed:
        say(f"note: other content than published before: {listed(changed)}; publish all sets made with it again.")


def _number_and_size(paths: Sequence[Path]) -> str:
    return _files(len(paths), sum(path.stat().st_size for path in paths))


def _files(number: int, size: int) -> str:
    return f"{count(range(number))}, {size_text(size)}"


def _keep_inputs(checkout: Checkout, say: Say) -> None:
    """Put shared inputs in place that their pointer has and that are absent: `dvc add` would drop them for everyone.

    Raises UserError when they cannot be had.
    """
    inputs = checkout.workflow.inputs
    if not (checkout.root / f"{inputs}.dvc").exists():
        return
    pointer = checkout.pointer(inputs)
    if bring_into_cache(checkout, {inputs: pointer.listing}, [inputs], say):
        raise UserError(
            f"{inputs}.dvc: what it points to is neither in DVC's cache nor on the remote {checkout.remote}; take the"
            f" file from an earlier publication's commit, or delete it if nobody needs the"
            f" {checkout.workflow.inputs_called} that it lists."
        )
    known = checkout.cache.listing(pointer)
    absent = {path: md5 for path, md5 in known.items() if not (checkout.root / path).exists()}
    shortage = bring_into_cache(checkout, absent, list(absent), say)
    if shortage:
        raise shortage_error(checkout, shortage, absent)
    place_all(checkout, absent, say)
    if absent:
        say(f"{count(absent)} of other configurations brought, to stay published: {listed(list(absent))}")


def _stage(results: ResultSet, say: Say) -> None:
    """Hand the changed files to git, and say what is left to the user."""
    root, folder = results.root, results.folder
    paths = (f"{folder}.dvc", f"{results.workflow.inputs}.dvc", IGNORED, ".dvc/config")
    files = [file for file in paths if (root / file).is_file()]
    done = run(["git", "add", "--", *files], root, say)
    if done.status != 0:
        raise UserError(
            f"everything is on the remote, but `git add` failed: {done.fault}; mend that and publish again."
        )
    if run(["git", "diff", "--cached", "--quiet", "--", *files], root, say).status == 0:
        say(f"{folder} is on the remote, and git has nothing new to commit.")
        return
    commit = shown(["git", "commit", "-m", f"Publish {folder}"])
    say(f"{folder} is on the remote; what is left to you: `{commit}` and `git push`.")
