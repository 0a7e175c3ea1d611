"""What is to be published, and what speaks against it now: all of it at once, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowkeeper.checkout import Checkout
from flowkeeper.clean import stale_files
from flowkeeper.dry_run import dry_run
from flowkeeper.errors import UserError
from flowkeeper.interface import ResultSet, WorkflowPlan
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
    plan: WorkflowPlan
    words: list[str]
    bulk_wanted: bool

    @property
    def root(self) -> Path:
        return self.results.root

    @property
    def bulk_files(self) -> list[str]:
        """Where its bulk files are, or would be."""
        return [path for path in self.plan.bulk() if Path(path).name == self.results.workflow.bulk.file]

    @property
    def bulk_line(self) -> str:
        """The line of .dvcignore that asks in its bulk files."""
        bulk = self.results.workflow.bulk
        return f"!/{self.results.folder}/{bulk.below}/**/{bulk.file}"

    @property
    def ignored(self) -> str:
        """What .dvcignore says."""
        path = self.root / IGNORED
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    @property
    def with_bulk(self) -> bool:
        return self.bulk_wanted or self.bulk_line in self.ignored.splitlines()

    def reasons_against(self, say: Say) -> list[str]:
        """Every reason against publishing; none when all is well."""
        return [
            *self._pending(say),
            *self._uncommitted(say),
            *self._unfinished(),
            *self._stale(),
            *self._absent(),
            *self._damaged(),
            *filter(None, [self.checkout.reach_remote(say)]),
        ]

    def _type(self, command: str) -> str:
        """A command with the configuration, as one types it."""
        return f"`{command}{' ' if self.words else ''}{shown(self.words)}`"

    def _pending(self, say: Say) -> Iterator[str]:
        say(f"$ {shown(['snakemake', '-n', *self.words])}")
        try:
            run = dry_run(self.root, self.words, [])
        except UserError as error:
            yield str(error).replace("\n", "\n    ")
            return
        if run.jobs:
            number = f"{len(run.jobs)} {'jobs are' if len(run.jobs) > 1 else 'job is'} pending ({run.kinds})"
            why = self._type(f"{self.results.workflow.command} why")
            yield f"{number}: {self._type('snakemake')} does what is to be done, {why} says why"

    def _uncommitted(self, say: Say) -> Iterator[str]:
        workflow = self.results.workflow
        own = (IGNORED, f"{workflow.inputs}.dvc", f"{workflow.results}/*.dvc")  # changed by publishing
        # -z: names with spaces or letters beyond ASCII come as they are, not quoted.
        words = ["git", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", "."]
        done = run([*words, *(f":(exclude,glob){path}" for path in own)], self.root, say)
        changed = [entry[3:] for entry in done.output.split("\0") if entry]
        if done.status != 0:
            yield f"git cannot tell what is committed: {done.fault}"
        elif changed:
            yield (
                f"{count(changed)} not committed: {listed(changed)}; `git add` and `git commit` what belongs to the"
                " repository, ignore or remove the rest"
            )
        if run(["git", "rev-parse", "--verify", "HEAD"], self.root, say).status != 0:
            yield "there is no commit yet; `git commit` your code"

    def _unfinished(self) -> Iterator[str]:
        if locked(self.root):
            yield "a snakemake is at work here; wait for its end (after a crash of the machine: `snakemake --unlock`)"
        begun = sorted(set(incomplete_files(self.root)).intersection(self.plan.artifacts()))
        if begun:
            again = self._type("snakemake")
            yield f"{count(begun)} of jobs that did not end: {listed(begun)}; {again} makes them again"

    def _stale(self) -> Iterator[str]:
        stale = stale_files(self.results, self.plan)
        paths = [path for path in stale if not Path(path).name.startswith(".")]  # half written: DVC ignores these
        if paths:
            remove = self._type(f"{self.results.workflow.command} clean --stale")
            yield f"{count(paths)} that no job of this configuration makes: {listed(paths)}; {remove} removes them"

    def _absent(self) -> Iterator[str]:
        results, option = self.results, self.results.workflow.bulk.option
        absent = [path for path in self.plan.artifacts() if not (self.root / path).exists()]
        if absent:
            published = (self.root / f"{results.folder}.dvc").exists()
            get = results.type("fetch") if published else f"{self._type('snakemake')[:-1]} -- FILE` makes one"
            yield f"{count(absent)} absent, which everyone would miss: {listed(absent)}; {get}"
        absent = [path for path in self.bulk_files if not (self.root / path).exists()]
        if absent and self.with_bulk:
            yield (
                f"{count(absent)} absent that would be published with {option}: {listed(absent)};"
                f" {results.type('fetch', option)}, or leave them out: no {option}, no line"
                f" {self.bulk_line} in {IGNORED}"
            )

    def _damaged(self) -> Iterator[str]:
        """Damage that the ledger tells of; of what was never published, the ledger of what was made here."""
        try:
            wrong = [f"{path} ({what})" for path, what in verify(self.results, self.plan.artifacts()).damaged]
        except UserError:
            return  # a ledger that cannot be read: snakemake has read it, too, and said so
        if wrong:
            yield f"{count(wrong)} damaged: {listed(wrong)}; {self.results.type('repair')}"
