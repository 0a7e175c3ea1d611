"""Why jobs are pending, in words: `avbalance why`."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flowkeeper.changes import Change, code_change, settings_changes
from flowkeeper.digests import CODE_DIGEST, SETTINGS_DIGEST, read_closure, read_settings, settings_digest, shortened
from flowkeeper.dry_run import DryRun, PendingJob, dry_run, words_of
from flowkeeper.files import canonical_json
from flowkeeper.interface import ResultSet, Step, Words, Workflow, WorkflowPlan
from flowkeeper.ledger import Entry, read_ledger
from flowkeeper.records import incomplete_files, read_record
from flowkeeper.words import listed

SHOWN = 8  # lines of a list, without --all
_FILES = 3  # files named in one line


def why(workflow: Workflow, root: Path, configfiles: Words, pairs: Words, targets: Words, whole: bool) -> list[str]:
    """Lines that say why each pending job is pending, and how many there are; nothing is run or written.

    configfiles, pairs, targets: as given to snakemake. whole: lists in full. Raises UserError when Snakemake cannot
    plan.
    """
    plan = workflow.load_plan(root, configfiles, pairs)
    run = dry_run(root, words_of(configfiles, pairs), targets)
    pending = Pending(ResultSet(workflow, root, plan.name), plan, run)
    return [*run.notes, *told(pending, None if whole else SHOWN), *ending(pending, targets)]


@dataclass(frozen=True)
class Reason:
    """One reason of one job. head: what jobs with the same reason share; detail: what is this job's own."""

    head: str
    detail: str = ""


@dataclass(frozen=True)
class Pending:
    """A plan, its pending jobs, and what is known of how their files were made."""

    results: ResultSet
    plan: WorkflowPlan
    run: DryRun

    @cached_property
    def steps(self) -> dict[str, Step]:
        return {path: step for step in self.results.workflow.steps(self.plan) for path in step.outputs}

    @cached_property
    def interrupted(self) -> set[str]:
        return set(incomplete_files(self.results.root))

    @cached_property
    def shared(self) -> dict[str, Entry]:
        """The result set's ledger: it knows of files that were not fetched."""
        return read_ledger(self.results).entries if self.results.ledger.exists() else {}

    def record(self, path: str) -> dict[str, Any] | None:
        """How a file was last made, whether or not it is still there."""
        known = read_record(self.results.root, path)
        return self.shared[path].record if known is None and path in self.shared else known

    def former(self, job: PendingJob) -> dict[str, Any] | None:
        """How the first of a job's files that has a record was last made."""
        return next((record for path in job.outputs if (record := self.record(path))), None)

    def reasons(self, job: PendingJob) -> list[Reason]:
        """All reasons of a job: its own, then the pending jobs from which it follows."""
        # Files that are absent are reason enough: what they would follow from says nothing more.
        if "missing" in job.reasons or "follows" not in job.reasons:
            return self.own[job]
        causes = listed([cause.name for cause in self.causes(job)], _FILES)
        return [*self.own[job], *([Reason(f"follows from: {causes}")] if causes else [])]

    @cached_property
    def own(self) -> dict[PendingJob, list[Reason]]:
        """Reasons of each job other than pending jobs before it.

        Snakemake stops at the first reason that it finds; changed settings and code are told in any case.
        """
        return {job: [*self._parameters(job), *self._files(job), *self._others(job)] for job in self.run.jobs}

    def causes(self, job: PendingJob) -> list[PendingJob]:
        """The pending jobs with reasons of their own that stand before `job`, in the order of the dry run."""
        makers = {path: each for each in self.run.jobs for path in each.outputs}
        waiting, before = [job], set[PendingJob]()
        while waiting:
            paths = waiting.pop().reasons.get("follows", ())
            new = {makers[path] for path in paths if path in makers} - before - {job}
            before |= new
            waiting += new
        return [each for each in self.run.jobs if each in before and self.own[each]]

    def _files(self, job: PendingJob) -> Iterator[Reason]:
        absent = sorted(job.reasons.get("missing", ()))
        gone = [path for path in absent if self.record(path)]
        new = [path for path in absent if path not in gone]
        if new:
            yield Reason("never made", listed(new, 1))
        if gone:
            yield Reason("made before, but deleted or not fetched", listed(gone, 1))
        for path in sorted(job.reasons.get("updated", ())):
            yield Reason(f"content changed: {path}")
        if "inputs" in job.reasons:
            before = (self.former(job) or {}).get("input") or []
            came = [path for path in job.inputs if path not in before]
            went = [path for path in before if path not in job.inputs]
            if came:
                yield Reason(f"further input: {listed(came, _FILES)}")
            if went or not came:
                yield Reason(f"input no longer read: {listed(went, _FILES) or 'not recorded'}")

    def _others(self, job: PendingJob) -> Iterator[Reason]:
        if "incomplete" in job.reasons or self.interrupted.intersection(job.outputs):
            yield Reason("its last run was interrupted")  # Snakemake calls it force to do such a job again
        elif "forced" in job.reasons:
            yield Reason("forced on the command line")
        if "command" in job.reasons:
            yield Reason(f"the command of its rule changed (workflow/rules, rule {job.rule})")
        if "environment" in job.reasons:
            yield Reason("its software environment changed (envs)")

    def _parameters(self, job: PendingJob) -> list[Reason]:
        """What changed in code and settings since the job's files were made; nothing for files never made."""
        step, former = self.steps.get(job.outputs[0]), self.former(job)
        if step is None or former is None:
            return [Reason(f"params changed: {text}") for text in job.reasons.get("params", ())]
        old = _recorded(former)
        reasons = [*self._code(old, step), *self._settings(old, step)]
        if not reasons and "params" in job.reasons:
            return [Reason(f"params changed: {job.reasons['params'][0].strip()}")]
        return reasons

    def _code(self, old: list[str], step: Step) -> Iterator[Reason]:
        digests = [text for text in old if CODE_DIGEST.fullmatch(text)]
        if digests and step.code not in digests:
            workflow = self.results.workflow
            entries = next(entries for entries, digest in self.plan.codes.items() if digest == step.code)
            now = shortened(workflow.code.closure(*entries))
            yield Reason(code_change(read_closure(workflow, self.results.root, digests[0]), now))

    def _settings(self, old: list[str], step: Step) -> Iterator[Reason]:
        """A rule has the settings themselves as a parameter, or their digest."""
        before = next((text for text in old if not CODE_DIGEST.fullmatch(text)), None)
        if before in (None, step.settings, settings_digest(step.settings)):
            return
        if SETTINGS_DIGEST.fullmatch(before):
            before = read_settings(self.results.workflow, self.results.root, before)
        if before is None:
            yield Reason("settings changed (what they were before is not recorded here)")
            return
        try:
            changes = settings_changes(_without_code(before), _without_code(step.settings))
        except ValueError:
            changes = [Change(f"{before!r} -> {step.settings!r}")]
        for change in changes:
            yield Reason(f"settings changed: {change.what}", change.where)


def _recorded(record: dict[str, Any]) -> list[str]:
    """The texts among a record's parameters, which Snakemake keeps as Python literals."""
    try:
        values = [ast.literal_eval(literal) for literal in record["params"]]
    except (KeyError, TypeError, ValueError, SyntaxError):  # a ledger comes from elsewhere
        return []
    return [value for value in values if isinstance(value, str)]


def _without_code(spec: str) -> str:
    """The settings of a step without the digests of code that the jobs of a cell of several methods carry."""
    value = json.loads(spec)
    if isinstance(value, list):
        # Code is compared by its closure, which names the modules; as a setting it would be a bare digest.
        value = [{key: item for key, item in job.items() if key != "code"} for job in value]
    return canonical_json(value)


def told(pending: Pending, limit: int | None) -> Iterator[str]:
    """One paragraph for all jobs that have the same reasons; lists longer than `limit` are cut."""
    groups: dict[tuple[str, ...], list[tuple[PendingJob, list[Reason]]]] = {}
    for job in pending.run.jobs:
        reasons = pending.reasons(job)
        groups.setdefault(tuple(reason.head for reason in reasons), []).append((job, reasons))
    for heads, members in groups.items():
        kinds = {job.kind for job, _ in members}
        yield f"{len(members)} {f'{kinds.pop()} ' if len(kinds) == 1 else ''}job{'s' * (len(members) > 1)}:"
        lines = [_line(job, reasons) for job, reasons in members]
        if len(members) == 1:
            (job, reasons), *_ = members
            heads = tuple(f"{reason.head}{f' ({reason.detail})' if reason.detail else ''}" for reason in reasons)
            lines = [job.name]
        yield from _cut([f"  {head}" for head in heads or ("for a reason that Snakemake does not tell",)], limit, "  ")
        yield from _cut([f"    {line}" for line in lines], limit, "    ")
        yield ""


def _line(job: PendingJob, reasons: list[Reason]) -> str:
    details = dict.fromkeys(reason.detail for reason in reasons if reason.detail)
    return ": ".join(filter(None, [job.name, "; ".join(details)]))


def _cut(lines: list[str], limit: int | None, indent: str) -> list[str]:
    if limit is None or len(lines) <= limit + 1:
        return lines
    return [*lines[:limit], f"{indent}and {len(lines) - limit} more (--all shows them)"]


def ending(pending: Pending, targets: Sequence[str]) -> Iterator[str]:
    run, files = pending.run, pending.plan.artifacts()
    if run.unrecorded:
        yield (
            f"note: {run.unrecorded} finished jobs have no record, so that changed code or settings go unnoticed; "
            f"delete their files to have them made again, or type: {pending.results.type('fetch').strip('`')}"
        )
    absent = sum(not (pending.results.root / path).exists() for path in files)
    if run.jobs:
        yield f"{len(run.jobs)} job{'s' * (len(run.jobs) > 1)} pending: {run.kinds}"
    elif targets:
        yield "Nothing to be done: what you asked for is up to date."
    elif absent:
        present = len(files) - absent
        yield f"Nothing to be done: {present} files are up to date; absent, and needed by nothing: {absent}."
    else:
        yield f"Nothing to be done: all {len(files)} files are up to date."
