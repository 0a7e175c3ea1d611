"""What a workflow tells flowkeeper: one `Workflow`, and for each configuration a `WorkflowPlan` of its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from flowkeeper.code import Code

Words = Sequence[str]


@dataclass(frozen=True)
class Step:
    """One job: the files that it makes, its settings (JSON) and the digest of its code, as its rule's `params` say."""

    outputs: tuple[str, ...]
    settings: str
    code: str


class WorkflowPlan(Protocol):
    """What one configuration makes; paths are relative to the folder in which snakemake works.

    name: of the result set, whose files lie below results/<name>/. config: all of it, for the ledger. codes: entry
    modules -> digest, for the code of every step that was asked for so far.
    """

    @property
    def name(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def codes(self) -> Mapping[tuple[str, ...], str]: ...

    def artifacts(self) -> list[str]:
        """Every file that `snakemake` without a target makes."""

    def unasked(self) -> list[str]:
        """Files that are made only if somebody asks for them by name."""

    def bulk(self) -> list[str]:
        """Large files beside the artifacts that may be absent, see `Bulk`."""


@dataclass(frozen=True)
class Bulk:
    """Large files beside the outputs of jobs that can be made again from these; published only when asked for."""

    file: str = "features.npy"  # their name
    below: str = "features"  # the folder of results/<name>/ that has them at any depth
    called: str = "arrays of feature stores"
    option: str = "--features"  # of publish and fetch
    again: str = "the next training that needs it makes it again"


@dataclass(frozen=True)
class Workflow:
    """A repository with a Snakemake workflow, under git and DVC.

    load_plan(root, configfiles, pairs): the plan of a configuration, in the words of snakemake's --configfile and
    --config. steps(plan): its steps. default_name(root): the result set that is meant when none is named. kinds:
    what `fetch --only` offers -> whether a file, its path below results/<name>/, is of that kind. versions(): of the
    packages that bear on results. checksums(root, name): the sha256 of files (path, sha256) that something other
    than a ledger knows; "" for a bulk file of which nothing is known. keep(root, plan, paths): called before jobs make
    these files again, which removes them first.
    """

    command: str  # what users type before `fetch`, `repair` and so on
    code: Code  # where the Python of the jobs lies
    load_plan: Callable[[Path, Words, Words], WorkflowPlan]
    steps: Callable[[Any], Iterable[Step]]
    default_name: Callable[[Path], str | None]
    kinds: Mapping[str, Callable[[str], bool]]
    bulk: Bulk = Bulk()
    versions: Callable[[], dict[str, str]] = dict
    checksums: Callable[[Path, str], Iterable[tuple[str, str]]] = lambda root, name: ()
    keep: Callable[[Path, Any, set[str]], None] = lambda root, plan, paths: None
    state: str = ".flowkeeper"  # folder of what is remembered on this machine; git must ignore it
    results: str = "results"
    inputs: str = "data"  # folder that the result sets share
    input_files: str = "*/manifest.parquet"  # what DVC carries of it
    inputs_called: str = "manifests"
    lock: str = "requirements.lock"
    guide: str = "docs/how-to/share-artifacts.md"


@dataclass(frozen=True)
class ResultSet:
    """One result set of a workflow, in the folder `root` that snakemake works in."""

    workflow: Workflow
    root: Path
    name: str

    @property
    def folder(self) -> str:
        return f"{self.workflow.results}/{self.name}"

    @property
    def ledger_file(self) -> str:
        """The ledger, among the files of the set."""
        return f"{self.folder}/provenance.jsonl"

    @property
    def ledger(self) -> Path:
        return self.root / self.ledger_file

    @property
    def own_ledger(self) -> Path:
        """The ledger of what was made here, whether or not it is published."""
        return self.state / "ledgers" / f"{self.name}.jsonl"

    @property
    def state(self) -> Path:
        return self.root / self.workflow.state

    @property
    def drivers(self) -> Path:
        """Folder of the snakemakes at work, see drivers.py."""
        return self.state / "drivers"

    def type(self, command: str, option: str = "") -> str:
        """What to type for a command on this set."""
        return f"`{' '.join(filter(None, [self.workflow.command, command, self.name, option]))}`"
