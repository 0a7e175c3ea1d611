"""What speaks against publishing a result set now, all of it at once, each with what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avbalance.errors import UserError
from avbalance.plan.plan import Plan
from avbalance.provenance.dryrun import dry_run
from avbalance.provenance.ledger import ledger_path
from avbalance.provenance.records import incomplete_files, locked
from avbalance.provenance.restore import verify
from avbalance.sharing.clean import stale_files
from avbalance.sharing.ignored import arrays_line, arrays_shared
from avbalance.sharing.objects import Checkout, count, some
from avbalance.sharing.programs import Say, run, shown
from avbalance.sharing.sets import ARRAY

OWN = (".dvcignore", ".dvc/config", "data.dvc")  # what publishing itself changes in git, with results/*.dvc


@dataclass(frozen=True)
class Publication:
    """What is to be published: the plan, its configuration in snakemake's words, and whether with arrays."""

    checkout: Checkout
    plan: Plan
    words: list[str]
    features: bool

    @property
    def root(self) -> Path:
        return self.checkout.root

    @property
    def options(self) -> str:
        """The configuration as one types it after a command, with a space before it."""
        return f" {shown(self.words)}" if self.words else ""

    @property
    def arrays_shared(self) -> bool:
        """Whether the set's arrays are asked in already."""
        return arrays_shared(self.root, self.plan.results)

    @property
    def with_arrays(self) -> bool:
        return self.features or self.arrays_shared


def refusals(publication: Publication, say: Say) -> list[str]:
    """Every reason against publishing; none when all is well."""
    return [
        *_pending(publication, say),
        *_uncommitted(publication, say),
        *_unfinished(publication),
        *_stale(publication),
        *_absent(publication),
        *_damaged(publication),
        *_no_remote(publication, say),
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
        yield (
            f"{len(jobs)} {'jobs are' if len(jobs) > 1 else 'job is'} pending ({kinds}):"
            f" `snakemake{publication.options}` does what is to be done, `avbalance why{publication.options}` says why"
        )


def _uncommitted(publication: Publication, say: Say) -> Iterator[str]:
    done = run(["git", "status", "--porcelain", "-z", "--untracked-files=all"], publication.root, say)
    if done.status != 0:
        yield f"git cannot tell what is committed: {done.fault}"
        return
    changed = [path for path in _paths(done.output) if path not in OWN and not _is_pointer(path)]
    if changed:
        yield (
            f"{count(changed)} not committed: {some(changed)}; `git add` and `git commit` what belongs to the"
            " repository, ignore or remove the rest"
        )
    if run(["git", "rev-parse", "--verify", "HEAD"], publication.root, say).status != 0:
        yield "there is no commit yet; `git commit` your code"


def _is_pointer(path: str) -> bool:
    return Path(path).parent == Path("results") and path.endswith(".dvc")


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
            f"{count(begun)} of jobs that did not end: {some(begun)}; `snakemake{publication.options}` makes"
            f" {_them(begun)} again"
        )


def _stale(publication: Publication) -> Iterator[str]:
    found = [file.path for file in stale_files(publication.root, publication.plan)]
    found = [path for path in found if not Path(path).name.startswith(".")]  # half written: DVC ignores these
    if found:
        yield (
            f"{count(found)} that no job of this configuration makes: {some(found)};"
            f" `avbalance clean --stale{publication.options}` removes {_them(found)}"
        )


def _absent(publication: Publication) -> Iterator[str]:
    plan, root = publication.plan, publication.root
    absent = [path for path in plan.artifacts() if not (root / path).exists()]
    if absent:
        published = (root / f"{plan.results}.dvc").exists()
        get = f"`avbalance fetch {plan.name}`" if published else f"`snakemake{publication.options} -- FILE` makes one"
        yield f"{count(absent)} absent, which everyone would miss: {some(absent)}; {get}"
    stores = sorted({str(Path(path).parent) for path in plan.bulk()})
    arrays = [f"{store}/{ARRAY}" for store in stores if not (root / store / ARRAY).exists()]
    if arrays and publication.with_arrays:
        yield (
            f"{count(arrays)} absent that would be published with --features: {some(arrays)}; `avbalance fetch"
            f" {plan.name} --features`, or leave arrays out: no --features, no line {arrays_line(plan.results)} in"
            " .dvcignore"
        )


def _damaged(publication: Publication) -> Iterator[str]:
    root, name = publication.root, publication.plan.name
    if not ledger_path(root, name).exists():
        return
    try:
        damaged = [f"{path} ({wrong})" for path, wrong in verify(root, name).damaged]
    except UserError:
        return  # a ledger that cannot be read: snakemake has read it, too, and said so
    if damaged:
        yield f"{count(damaged)} damaged: {some(damaged)}; `avbalance repair {name}`"


def _no_remote(publication: Publication, say: Say) -> Iterator[str]:
    reason = publication.checkout.reach_remote(say)
    if reason:
        yield reason


def _them(paths: list[str]) -> str:
    return "it" if len(paths) == 1 else "them"
