"""What speaks against publishing a result set now, all of it at once, each with what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowkeeper.checkout import Checkout
from flowkeeper.clean import stale_files
from flowkeeper.dry_run import dry_run
from flowkeeper.errors import UserError
from flowkeeper.files import atomic_path
from flowkeeper.interface import Bulk, Plan, ResultSet
from flowkeeper.programs import Say, run, shown
from flowkeeper.records import incomplete_files, locked
from flowkeeper.verify import verify
from flowkeeper.words import count, listed

IGNORED = ".dvcignore"  # leaves out bulk files, but for the result sets that a line of it asks in


@dataclass(frozen=True)
class Publication:
    """What is to be published: a set, its plan, its configuration in snakemake's words, and whether with bulk files."""

    checkout: Checkout
    results: ResultSet
    plan: Plan
    words: list[str]
    bulk_wanted: bool

    @property
    def root(self) -> Path:
        return self.results.root

    @property
    def bulk(self) -> Bulk:
        return self.results.workflow.bulk

    @property
    def options(self) -> str:
        """The configuration as one types it after a command, with a space before it."""
        return f" {shown(self.words)}" if self.words else ""

    @property
    def bulk_line(self) -> str:
        """The line of .dvcignore that asks in the bulk files of this set."""
        return f"!/{self.results.folder}/{self.bulk.pattern}"

    @property
    def bulk_shared(self) -> bool:
        """Whether the set's bulk files are asked in already."""
        return self.bulk_line in self._ignored().splitlines()

    def share_bulk(self) -> None:
        """Ask the bulk files of the set in, for everyone who has the commit."""
        text = self._ignored()
        with atomic_path(self.root / IGNORED) as temporary:
            temporary.write_text(f"{text}{self.bulk_line}\n", encoding="utf-8")

    def _ignored(self) -> str:
        path = self.root / IGNORED
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    @property
    def with_bulk(self) -> bool:
        return self.bulk_wanted or self.bulk_shared


def reasons_against(publication: Publication, say: Say) -> list[str]:
    """Every reason against publishing; none when all is well."""
    reason = publication.checkout.reach_remote
    return [
        *_pending(publication, say),
        *_uncommitted(publication, say),
        *_unfinished(publication),
        *_stale(publication),
        *_absent(publication),
        *_damaged(publication),
        *filter(None, [reason(say)]),
    ]


def _pending(publication: Publication, say: Say) -> Iterator[str]:
    say(f"$ {shown(['snakemake', '-n', *publication.words])}")
    try:
        jobs = dry_run(publication.root, publication.words, []).jobs
    except UserError as error:
        yield str(error).replace("\n", "\n    ")
        return
    if jobs:
        kinds = ", ".join(f"{number} {kind}" for kind, number in Counter(job.kind for job in jobs).items())
        command = publication.results.workflow.command
        yield (
            f"{len(jobs)} {'jobs are' if len(jobs) > 1 else 'job is'} pending ({kinds}):"
            f" `snakemake{publication.options}` does what is to be done, `{command} why{publication.options}` says why"
        )


def _uncommitted(publication: Publication, say: Say) -> Iterator[str]:
    done = run(["git", "status", "--porcelain", "-z", "--untracked-files=all"], publication.root, say)
    if done.status != 0:
        yield f"git cannot tell what is committed: {done.fault}"
        return
    workflow = publication.results.workflow
    own = (IGNORED, ".dvc/config", f"{workflow.inputs}.dvc")  # what publishing itself changes in git
    changed = [path for path in _paths(done.output) if path not in own and not _is_pointer(path, workflow.results)]
    if changed:
        yield (
            f"{count(changed)} not committed: {listed(changed)}; `git add` and `git commit` what belongs to the"
            " repository, ignore or remove the rest"
        )
    if run(["git", "rev-parse", "--verify", "HEAD"], publication.root, say).status != 0:
        yield "there is no commit yet; `git commit` your code"


def _is_pointer(path: str, results: str) -> bool:
    return Path(path).parent == Path(results) and path.endswith(".dvc")


def _paths(status: str) -> Iterator[str]:
    """Paths of `git status --porcelain -z`; behind the entry of a renamed file stands its former path."""
    entries = iter(status.split("\0"))
    for entry in entries:
        if entry:
            yield entry[3:]
        if entry[:1] in ("R", "C"):
            next(entries, None)


def _unfinished(publication: Publication) -> Iterator[str]:
    if locked(publication.root):
        yield "a snakemake is at work here; wait for its end (after a crash of the machine: `snakemake --unlock`)"
    own = set(publication.plan.artifacts())
    begun = [path for path in incomplete_files(publication.root) if path in own]
    if begun:
        yield (
            f"{count(begun)} of jobs that did not end: {listed(begun)}; `snakemake{publication.options}` makes"
            f" {_them(begun)} again"
        )


def _stale(publication: Publication) -> Iterator[str]:
    paths = [file.path for file in stale_files(publication.results, publication.plan)]
    paths = [path for path in paths if not Path(path).name.startswith(".")]  # half written: DVC ignores these
    if paths:
        yield (
            f"{count(paths)} that no job of this configuration makes: {listed(paths)};"
            f" `{publication.results.workflow.command} clean --stale{publication.options}` removes {_them(paths)}"
        )


def _absent(publication: Publication) -> Iterator[str]:
    results, root, bulk = publication.results, publication.root, publication.bulk
    absent = [path for path in publication.plan.artifacts() if not (root / path).exists()]
    if absent:
        published = (root / f"{results.folder}.dvc").exists()
        get = results.type("fetch") if published else f"`snakemake{publication.options} -- FILE` makes one"
        yield f"{count(absent)} absent, which everyone would miss: {listed(absent)}; {get}"
    files = [path for path in publication.plan.bulk() if Path(path).name == bulk.file]
    absent = [path for path in files if not (root / path).exists()]
    if absent and publication.with_bulk:
        yield (
            f"{count(absent)} absent that would be published with {bulk.option}: {listed(absent)};"
            f" {results.type('fetch', bulk.option)}, or leave them out: no {bulk.option}, no line"
            f" {publication.bulk_line} in {IGNORED}"
        )


def _damaged(publication: Publication) -> Iterator[str]:
    """Damage that the published ledger tells of, or, for what was never published, the ledger of what was made here."""
    results = publication.results
    try:
        damaged = verify(results, publication.plan.artifacts()).damaged
    except UserError:
        return  # a ledger that cannot be read: snakemake has read it, too, and said so
    if damaged:
        told = listed([f"{path} ({wrong})" for path, wrong in damaged])
        yield f"{count(damaged)} damaged: {told}; {results.type('repair')}"


def _them(paths: list[str]) -> str:
    return "it" if len(paths) == 1 else "them"
