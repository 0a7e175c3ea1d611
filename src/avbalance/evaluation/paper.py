"""What evaluation and reporting know about a paper: its data sets, run labels and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from flowkeeper.files import read_json


@dataclass(frozen=True)
class RunFile:
    """One finished run: its name, its label in the paper, the data set's name on disk, seed, predictions.

    labelling: the further labelling of the data set that it was trained and scored on; "" for the first one.
    """

    run: str
    label: str
    dataset: str
    seed: int
    predictions: str
    labelling: str = ""

    def beside(self, name: str) -> Path:
        """Another file of the run, for example history.csv."""
        return Path(self.predictions).with_name(name)


@dataclass(frozen=True)
class DatasetInfo:
    """A data set in its role in the paper.

    label: the paper's name for it; data: the name on disk, None when the tier leaves it out; describe: what
    the data are, printed with every number ("synthetic stand-in for ..."); generators: further data sets of
    the same generator under other seeds, by name on disk, which is also their label; own: they are those that
    the paper worked on, not a stand-in nor other data; estimators: definition of the subsets -> run and seed of those
    that estimate it, which only the page is told; verdict: verdict.json of what is asked about it; the rest are paths,
    too, None or empty when absent.
    """

    role: str
    label: str
    data: str | None
    describe: str
    generators: dict[str, DatasetInfo] = field(default_factory=dict)
    manifest: str | None = None
    features: dict[str, str] = field(default_factory=dict)
    confidence: str | None = None
    subsets: str | None = None
    own: bool = False
    estimators: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    verdict: str | None = None

    @cached_property
    def withheld(self) -> dict[str, str]:
        """Definition of subsets -> the sentence that says why reports state nothing of them."""
        return dict(read_json(self.verdict)["withheld"]) if self.verdict else {}

    @classmethod
    def from_dict(cls, role: str, record: Mapping[str, Any]) -> DatasetInfo:
        """Build from plain JSON: the fields, with generators as name -> {subsets, manifest, features}."""
        further = {
            name: cls(role=role, label=name, data=name, describe=str(record["describe"]), **files)
            for name, files in record.get("generators", {}).items()
        }
        return cls(role=role, **{**record, "generators": further})


@dataclass(frozen=True)
class Paper:
    """A paper as the tier makes it.

    published: folder of the published CSV files; labels: run -> label of every declared run, made or not;
    cuts: dicts of what, why and, where not all are touched, tables (ids of tables, figures, or "claims");
    builds_on: slugs of the papers whose declarations it builds on, the nearest first.
    """

    slug: str
    title: str
    published: str
    datasets: dict[str, DatasetInfo]
    labels: dict[str, str]
    runs: tuple[RunFile, ...]
    cuts: tuple[dict[str, Any], ...] = ()
    builds_on: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """Slugs of the papers in whose folders kinds of claims and figures are looked for, its own first."""
        return self.slug, *self.builds_on

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Paper:
        """Build from plain JSON; raises UserError naming the key that is missing or unknown."""
        try:
            typed = {
                "datasets": {role: DatasetInfo.from_dict(role, info) for role, info in record["datasets"].items()},
                "runs": tuple(RunFile(**run) for run in record["runs"]),
                "cuts": tuple(record.get("cuts", ())),
                "builds_on": tuple(record.get("builds_on", ())),
            }
            return cls(**{**record, **typed})
        except (KeyError, TypeError) as error:
            raise UserError(f"the paper's description is not whole: {error}.") from error

    def dataset(self, role: str) -> DatasetInfo:
        """The data set in `role`; raises UserError when the paper declares no such role."""
        if role not in self.datasets:
            raise UserError(f"{self.slug}: no data set {role!r}; the paper declares {', '.join(self.datasets)}.")
        return self.datasets[role]

    def runs_on(self, data: str | None) -> list[RunFile]:
        """Finished runs on the data set with this name on disk."""
        return [run for run in self.runs if run.dataset == data]

    def run_files(self, role: str, run: str) -> list[RunFile]:
        """Finished seeds of a run on a role's own data set, in the order of the sheet: the reference seed first."""
        data = self.dataset(role).data
        return [each for each in self.runs if (each.dataset, each.run) == (data, run) and data is not None]

    def label(self, run: str) -> str:
        """The paper's name of a run; raises UserError when no run of that name is declared."""
        if run not in self.labels:
            raise UserError(f"{self.slug}: no run {run!r} is declared; the paper declares {', '.join(self.labels)}.")
        return self.labels[run]

    def subsets(self) -> dict[str, str]:
        """Name on disk -> subsets file, for every data set that has one, generator seeds included."""
        return {str(info.data): info.subsets for info in self.all_datasets() if info.subsets is not None}

    def all_datasets(self) -> list[DatasetInfo]:
        """Every data set that the tier makes, each followed by those of further generator seeds."""
        made = [info for info in self.datasets.values() if info.data is not None]
        return [each for info in made for each in (info, *info.generators.values())]
