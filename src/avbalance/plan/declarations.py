"""What may be written in a configuration, and in the files of a paper.

Settings of runs are checked when all layers are laid over each other (avbalance.training.settings.check), options of
data sets with their kind (avbalance.data.sources.check_dataset).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from avbalance.declared import Count, Declared, ListedData, Name, Once, Role, Run, Size
from avbalance.stopping import StopRule

Seeds = Annotated[Once[Count], Field(min_length=1)]


class SettingsLayer(Declared):
    """Settings of runs, in four parts; the later layer counts. In a paper a value may be {value, source}."""

    data: dict[str, Any] = Field(default={})
    """what is read of the data set"""
    model: dict[str, Any] = Field(default={})
    """the network"""
    method: dict[str, Any] = Field(default={})
    """the method's options"""
    protocol: dict[str, Any] = Field(default={})
    """how long, how fast and by what a run is trained and selected"""


class CutNote(Declared):
    """What is smaller than in the paper, and why; printed under what it touches."""

    what: str
    """what is smaller"""
    reason: str
    """why"""
    papers: list[Name] | None = None
    """papers that it touches; all when absent"""
    tables: list[Name] | None = None
    """tables and figures that it touches; all when absent"""


class DatasetVariant(Declared):
    """A data set that is another one with other options, or, with `kind`, one that no file of config/datasets holds."""

    kind: str | None = None
    """kind of data set; without it, what the file says"""
    base: Name | None = None
    """file of config/datasets; by default that of the data set's name"""
    stands_for: str | None = None
    """the real data set that generated data stand in for"""
    describe: str | None = None
    """what the clips are, in one line"""
    options: dict[str, Any] = Field(default={})
    """options, laid over those of the file"""


class RolePlan(Declared):
    """What a configuration says of all runs on one of a paper's data sets."""

    settings: SettingsLayer | None = None
    """settings, laid over the paper's"""
    seeds: Seeds | None = None
    """initialisation seeds"""


class RunPlan(RolePlan):
    """What a configuration says of one run of a paper."""

    skip: bool = False
    """leave the run out"""
    only: list[Name] | None = None
    """roles on which it is made"""
    choose: None = None
    """null switches a search off"""
    roles: dict[Name, RunPlan] = Field(default={})
    """these keys for one role"""


class RobustnessPlan(Declared):
    """Some runs on more generator seeds."""

    datasets: dict[Name, list[Name]]
    """further data sets of each role"""
    runs: list[Name]
    """runs that are made on them"""
    seeds: Seeds
    """initialisation seeds"""


class PaperPlan(Declared):
    """What a configuration says of one paper."""

    cells: Literal["method", "dataset"] = "method"
    """what one process trains where seeds_per_job is all: a method, or all methods of a data set"""
    datasets: dict[Name, Name | Annotated[Once[Name], Field(min_length=2)] | None] = Field(default={})
    """data set of each role; null leaves the role out; of several the first whose lists are there, else the last"""
    settings: SettingsLayer | None = None
    """laid over every run's settings"""
    roles: dict[Name, RolePlan] = Field(default={})
    """laid over every run on the data set that plays the role"""
    runs: dict[Name, RunPlan] = Field(default={})
    """laid over single runs"""
    further: dict[str, dict[str, Any]] = Field(default={})
    """runs of your own beside those of the paper, as its paper.yaml would have them"""
    robustness: RobustnessPlan | None = None
    """some runs on more generator seeds"""


class Configuration(Declared):
    """A complete configuration: a tier, overlaid with what the user asks for."""

    name: Name
    """folder below results/"""
    tier: Name
    """file of config/tiers that this stands on"""
    seeds: Seeds
    """initialisation seeds of every run"""
    least_seeds: Size = 1
    """runs of fewer seeds are left out, but for those that others read"""
    seeds_per_job: Literal["all"] | Size
    """all: one process trains all seeds of a method; a number: so many seeds of one run"""
    cuts: list[CutNote] = Field(default=[])
    """what is smaller than in the paper"""
    datasets: dict[Name, DatasetVariant] = Field(default={})
    """variants of config/datasets"""
    papers: Annotated[dict[Name, PaperPlan], Field(min_length=1)]
    """what to compute"""
    takes: str | None = None
    """how long a whole run takes, and by what that is known: said when one starts; not taken over from below"""


class TierBase(Declared):
    """What a tier file says beside the configuration that it is."""

    base: Name | Once[Name] = Field(default=[])
    """tiers that it stands on: one, or several of which each is laid over the last"""


class Need(Declared):
    """A file of another run, of the same seed."""

    run: Run
    """the run"""
    file: Name
    """the file that it leaves"""


class Choice(Declared):
    """What is set by the validation metric of other runs: an option of the method, or all settings but `data`."""

    option: str | None = None
    """option of the method; null: model, method and protocol are those of the best candidate"""
    candidates: dict[Run, Any]
    """run that tries a value: the value; null where there is no `option`"""


class RunLayer(Declared):
    """What may differ between the data sets of one run."""

    settings: SettingsLayer | None = None
    """settings, laid over the paper's and those of its data set"""
    needs: dict[str, Need] = Field(default={})
    """files of other runs, by the name under which the method knows them"""
    choose: Choice | None = None
    """what is found by validation"""
    combine: dict[str, Run] = Field(default={})
    """runs whose predictions are joined, by the name under which the method knows them; nothing is trained"""
    artifacts: list[Name] = Field(default=[])
    """further files that the method writes, for other runs to read"""
    reports: bool = True
    """false: the run is made for its artifacts only"""
    only: list[Role] | None = None
    """data sets on which it is made; by default all"""
    seeds: Seeds | None = None
    """initialisation seeds, in place of the configuration's"""


class DeclaredRun(RunLayer):
    """One run of a paper."""

    label: str
    """its name in tables and figures"""
    method: str
    """method that trains it"""
    roles: dict[Role, RunLayer] = Field(default={})
    """these keys for one data set"""


class DeclaredRole(Declared):
    """One data set of a paper."""

    label: str
    """its name in tables and figures"""
    data: ListedData | None = None
    """the paper's own data set in config/datasets, by default that of the role's name; null: there is none"""
    runs: list[Run] | None = None
    """runs that are made on it; by default all"""
    settings: SettingsLayer | None = None
    """settings of all runs on it"""


class UnimodalRuns(Declared):
    """The runs of one modality each by which the discrepancy is estimated."""

    audio: Run
    """run on sound"""
    visual: Run
    """run on pictures"""


class DeclaredConfidence(UnimodalRuns):
    """How the discrepancy of clips is estimated."""

    rule: StopRule
    """when a run counts as stopped"""
    halves: dict[Literal["a", "b"], UnimodalRuns] = Field(default={})
    """runs on halves of the training part, for cross-fitting"""


class DeclaredPaper(Declared):
    """The file paper.yaml of a paper."""

    slug: Name
    """name of the paper's folder"""
    builds_on: list[Name] = Field(default=[])
    """papers whose runs, settings and measures this one takes over: written as `extends: <one paper>`"""
    title: str
    """title"""
    reference: str
    """authors, place, year"""
    datasets: dict[Name, DeclaredRole]
    """its data sets, by role"""
    runs: dict[Name, DeclaredRun]
    """its runs"""
    settings: SettingsLayer | None = None
    """settings that all runs share"""
    confidence: DeclaredConfidence | None = None
    """how the discrepancy of clips is estimated, where it is"""
    verdict: Role | None = None
    """the data set about which avbalance.diagnosis answers in words"""


class DeclaredTables(Declared):
    """The file tables.yaml of a paper."""

    published: list[dict[str, Any]] = Field(default=[])
    """published values, by files of the folder published"""
    measures: dict[str, Any] = Field(default={})
    """what is measured on predictions"""
    tables: list[dict[str, Any]] = Field(default=[])
    """the tables"""


class DeclaredFigures(Declared):
    """The file figures.yaml of a paper."""

    figures: list[dict[str, Any]]
    """the figures"""


class DeclaredClaims(Declared):
    """The file claims.yaml of a paper."""

    statistics: dict[str, Any] = Field(default={})
    """how tests are made"""
    claims: list[dict[str, Any]] = Field(default=[])
    """what the paper claims"""
    checks: list[dict[str, Any]] = Field(default=[])
    """what must hold for the claims to mean anything"""
    illustrations: list[dict[str, Any]] = Field(default=[])
    """what the paper shows by example"""


# Further files of a paper's folder, by name.
FILES: dict[str, type[Declared]] = {"tables": DeclaredTables, "figures": DeclaredFigures, "claims": DeclaredClaims}
