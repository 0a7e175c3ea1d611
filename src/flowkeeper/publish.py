"""Publish the result set of a configuration: its ledger, DVC's pointers, the bytes on the remote, and git's index."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowkeeper.bring import bring_all, bring_into_cache, place_all, transfer
from flowkeeper.checkout import Checkout, open_checkout
from flowkeeper.digests import read_closure, save_closures, settings_digest
from flowkeeper.dry_run import words_of
from flowkeeper.errors import UserError
from flowkeeper.files import atomic_path, md5_file, sha256_file
from flowkeeper.interface import ResultSet, Words, Workflow
from flowkeeper.ledger import Entry, Ledger, build_ledger, read_ledger, write_ledger
from flowkeeper.programs import Say, dvc, dvc_transfer, run, shown
from flowkeeper.publish_checks import IGNORED, Publication
from flowkeeper.restore import restore
from flowkeeper.words import count, listed, size_text

_AGAIN = "nothing is lost: publish again, it goes on from here"
_PASSING = ("created", "commit")  # of a header: a set that is published again unchanged keeps its ledger


def publish(workflow: Workflow, root: Path, configfiles: Words, pairs: Words, bulk: bool, dry: bool, say: Say) -> None:
    """Publish the result set of a configuration (as given to snakemake).

    bulk: with its bulk files. dry: only say what would be published. Raises UserError that lists every reason against
    it, or names the step that failed; publishing again then goes on from there.
    """
    plan = workflow.load_plan(root, configfiles, pairs)
    results, checkout = ResultSet(workflow, root, plan.name), open_checkout(workflow, root, say)
    publication = Publication(checkout, results, plan, words_of(configfiles, pairs), bulk)
    reasons = publication.reasons_against(say)
    if reasons:
        raise UserError("\n  - ".join([f"{results.folder} is not published:", *reasons]))
    ledger = _ledger(publication, say)
    _tell_sizes(publication, ledger, say)
    if dry:
        say("a dry run: nothing was written or sent.")
        return
    write_ledger(results.ledger, ledger)
    if bulk and publication.bulk_line not in publication.ignored.splitlines():
        with atomic_path(root / IGNORED) as temporary:
            temporary.write_text(f"{publication.ignored}{publication.bulk_line}\n", encoding="utf-8")
        say(f"{IGNORED}: new line {publication.bulk_line}")
    _keep_inputs(checkout, say)
    _upload(checkout, [results.folder, workflow.inputs], say)
    restore(results)  # so that the next look is a short one
    _stage(results, say)


def _ledger(publication: Publication, say: Say) -> Ledger:
    """The ledger of the set as it is now; the one that is there if it says the same."""
    results = publication.results
    ledger = build_ledger(results, publication.plan.artifacts(), _header(publication, say))
    try:
        known = read_ledger(results)
    except UserError:
        return ledger
    # Equal bytes: a set that is published again unchanged must not look changed to git and DVC.
    return known if _content(known) == _content(ledger) else ledger


def _content(ledger: Ledger) -> tuple[dict[str, Any], dict[str, Entry]]:
    """What a ledger says but for time and commit of its publication."""
    return {key: value for key, value in ledger.header.items() if key not in _PASSING}, ledger.entries


def _header(publication: Publication, say: Say) -> dict[str, Any]:
    """When and from what the set is published: commit, environment, configuration, the code behind each digest."""
    root, plan, workflow = publication.root, publication.plan, publication.results.workflow
    texts = [step.settings for step in workflow.steps(plan)]  # asks for every code, for plan.codes
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
        "settings": {settings_digest(text): json.loads(text) for text in texts},
    }


def _tell_sizes(publication: Publication, ledger: Ledger, say: Say) -> None:
    """What is about to be published, and what of it is new."""
    results, checkout, root = publication.results, publication.checkout, publication.root
    workflow, bulk, before = results.workflow, results.workflow.bulk, checkout.listing(results.folder)
    own = [entry for path, entry in ledger.entries.items() if path.startswith(f"{results.folder}/")]
    after = {results.ledger_file, *(entry.path for entry in own)}
    dropped = [path for path in before if path not in after and Path(path).name != bulk.file]
    included = "included" if publication.with_bulk else f"left out (include: {bulk.option})"
    bulk_sizes = [(root / path).stat().st_size for path in publication.bulk_files if (root / path).exists()]
    inputs = [path.stat().st_size for path in (root / workflow.inputs).glob(workflow.input_files)]
    known = checkout.listing(workflow.inputs)
    changed = [path for path, md5 in known.items() if (root / path).exists() and md5_file(root / path) != md5]
    say(f"{results.folder}: {_number_and_size([entry.size for entry in own])}")
    news = [entry.size for entry in own if before.get(entry.path) != entry.md5]
    say(f"  new or changed since the last publication: {_number_and_size(news)}")
    if dropped:
        say(f"  no longer part of it: {listed(dropped)}")
    say(f"  {bulk.called}: {_number_and_size(bulk_sizes)}, {included}")
    say(f"{workflow.inputs_called} in {workflow.inputs}/: {_number_and_size(inputs)}")
    if changed:
        say(f"note: other content than published before: {listed(changed)}; publish all sets made with it again.")


def _number_and_size(sizes: Sequence[int]) -> str:
    return f"{count(sizes)}, {size_text(sum(sizes))}"


def _keep_inputs(checkout: Checkout, say: Say) -> None:
    """Put shared inputs in place that their pointer has and that are absent: `dvc add` would drop them for everyone.

    Raises UserError when they cannot be had.
    """
    inputs, called = checkout.workflow.inputs, checkout.workflow.inputs_called
    if not (checkout.root / f"{inputs}.dvc").exists():
        return
    pointer = checkout.pointer(inputs)
    if bring_into_cache(checkout, {inputs: pointer.listing}, say, target=inputs):
        raise UserError(
            f"{inputs}.dvc: what it points to is neither in DVC's cache nor on the remote {checkout.remote}; take the"
            f" file from an earlier publication's commit, or delete it if nobody needs the {called} that it lists."
        )
    known = checkout.cache.listing(pointer)
    absent = {path: md5 for path, md5 in known.items() if not (checkout.root / path).exists()}
    bring_all(checkout, absent, say)
    place_all(checkout, absent, say)
    if absent:
        say(f"{count(absent)} of other configurations brought, to stay published: {listed(list(absent))}")


def _done(checkout: Checkout, words: list[str], say: Say) -> None:
    """Run a command of DVC; raises UserError when it fails."""
    done = dvc(words, checkout.root, say)
    if done.status != 0:
        raise UserError(f"`dvc {shown(words)}` failed: {done.fault}; fix that; {_AGAIN}.")


def _upload(checkout: Checkout, folders: Sequence[str], say: Say) -> None:
    """Add folders to DVC and send them; raises UserError with the step that failed."""
    for folder in folders:
        _done(checkout, ["add", folder], say)
    done = dvc_transfer(["push", *(f"{folder}.dvc" for folder in folders)], checkout.root, say)
    if done.status == 0:  # and what the remote lost of these files, see patches.pointer_to_objects
        done = transfer(checkout, "push", [md5 for folder in folders for md5 in checkout.listing(folder).values()], say)
    if done.status != 0:
        raise UserError(f"{checkout.remote_text} did not get everything: {done.fault}; {_AGAIN}.")


def _stage(results: ResultSet, say: Say) -> None:
    """Hand the changed files to git, and say what is left to the user."""
    root, folder = results.root, results.folder
    paths = (f"{folder}.dvc", f"{results.workflow.inputs}.dvc", IGNORED)
    files = [file for file in paths if (root / file).is_file()]
    done = run(["git", "add", "--", *files], root, say)
    if done.status != 0:
        raise UserError(f"all is on the remote, but `git add` failed: {done.fault}; fix that and publish again.")
    if run(["git", "diff", "--cached", "--quiet", "--", *files], root, say).status == 0:
        say(f"{folder} is on the remote, and git has nothing new to commit.")
        return
    commit = shown(["git", "commit", "-m", f"Publish {folder}"])
    say(f"{folder} is on the remote; what is left to you: `{commit}` and `git push`.")
