"""What Snakemake would do, and its own reasons: a dry run, parsed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowkeeper import programs
from flowkeeper.errors import UserError

REASONS = {
    "forced": "Forced execution",
    "missing": "Missing output files",
    "incomplete": "Incomplete output files",
    "updated": "Updated input files",
    "follows": "Input files updated by another job",
    "inputs": "Set of input files has changed since last execution",
    "command": "Code has changed since last execution",
    "params": "Params have changed since last execution",
    "environment": "Software environment definition has changed since last execution",
}
_KEYS = {text: key for key, text in REASONS.items()}
_REASON = re.compile(rf"(?:^|; )({'|'.join(REASONS.values())})(?:: |(?=;|$))")
# Jobs of a group, which on a cluster would share a submission, are told a step further to the right.
_RULE = re.compile(r"^(?:    )?(?:local)?(?:rule|checkpoint) (\w+):$")
_FIELDS = ("input", "output", "reason", "wildcards")
_FIELD = re.compile(rf"^(?:    ){{1,2}}({'|'.join(_FIELDS)}): (.*)$")
_UNRECORDED = re.compile(r"^(\d+) jobs? ha(?:ve|s) missing provenance")
_NOTE = re.compile(r"^(?:preflight|note): ")
_PREAMBLE = re.compile(r"^(Using |Assuming |Building DAG|Config file )")
_FAULT_LINES = 6


@dataclass(frozen=True)
class PendingJob:
    """A job that would run. reasons: key of REASONS -> files that it names (for params: Snakemake's own text)."""

    rule: str
    wildcards: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reasons: dict[str, tuple[str, ...]] = field(hash=False)

    @property
    def name(self) -> str:
        return f"{self.rule} [{self.wildcards}]" if self.wildcards else self.rule

    @property
    def kind(self) -> str:
        """First word of the rule's name: train, table, ..."""
        return self.rule.split("_")[0]


@dataclass(frozen=True)
class DryRun:
    """Pending jobs in an order in which they can run, sentences for the user, and what Snakemake could not check.

    unrecorded: number of jobs without record: their changes of code and settings go unnoticed.
    """

    jobs: tuple[PendingJob, ...]
    notes: tuple[str, ...] = ()
    unrecorded: int = 0

    @property
    def kinds(self) -> str:
        """How many jobs of each kind: "1 train, 2 measure"."""
        return ", ".join(f"{number} {kind}" for kind, number in Counter(job.kind for job in self.jobs).items())


def words_of(configfiles: Sequence[str], pairs: Sequence[str]) -> list[str]:
    """A configuration as arguments for snakemake."""
    given = ["--configfile", *configfiles] if configfiles else []
    return [*given, "--config", *pairs] if pairs else given


def dry_run(root: Path, arguments: Sequence[str], targets: Sequence[str]) -> DryRun:
    """Ask Snakemake; raises UserError with its own words when it cannot plan."""
    # Quiet of host and progress only: the rules with their reasons are what is parsed.
    command = ["snakemake", "-n", "--nocolor", "--quiet", "host", "progress", *arguments]
    done = programs.run([*command, *(["--", *targets] if targets else [])], root, say=lambda _: None)
    if done.status != 0:
        raise UserError(fault(done.output, done.errors))
    notes = tuple(line for line in done.errors.splitlines() if _NOTE.match(line))
    return parse(done.output.splitlines(), notes)


def parse(lines: Iterable[str], notes: Sequence[str] = ()) -> DryRun:
    """The jobs of a dry run's output; those that make no file, as the target `all`, are left out."""
    jobs: list[tuple[str, dict[str, str]]] = []
    unrecorded = 0
    for line in lines:
        if rule := _RULE.match(line):
            jobs.append((rule[1], {}))
        elif jobs and (entry := _FIELD.match(line)):
            jobs[-1][1].setdefault(entry[1], entry[2].rstrip())
        elif count := _UNRECORDED.match(line):
            unrecorded = int(count[1])
    made = [(rule, *(told.get(name, "") for name in _FIELDS)) for rule, told in jobs if "output" in told]
    return DryRun(tuple(_job(*each) for each in made), tuple(notes), unrecorded)


def _job(rule: str, reads: str, writes: str, reason: str, wildcards: str) -> PendingJob:
    return PendingJob(rule, wildcards, _files(reads), _files(writes), parse_reason(reason))


def parse_reason(text: str) -> dict[str, tuple[str, ...]]:
    """Reasons of one job, by key of REASONS."""
    _, *parts = _REASON.split(text)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {_KEYS[label]: (rest,) if _KEYS[label] == "params" else _files(rest) for label, rest in pairs}


def _files(text: str) -> tuple[str, ...]:
    return tuple(text.split(", ")) if text else ()


def fault(output: str, errors: str) -> str:
    """What Snakemake complained of: our own sentence if there is one, else the last lines of its message."""
    own = [line.removeprefix("error: ") for line in errors.splitlines() if line.startswith("error: ")]
    if own:
        return " ".join(own)
    said = [line.strip() for line in (*output.splitlines(), *errors.splitlines())]
    said = [line for line in said if line and not _PREAMBLE.match(line)]
    # Of a traceback the last line says what went wrong.
    kept = 1 if any(line.startswith("Traceback") for line in said) else _FAULT_LINES
    return f"snakemake cannot plan: {' '.join(said[-kept:]) or 'it gave no reason'}"
