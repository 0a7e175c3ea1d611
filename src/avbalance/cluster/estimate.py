"""What a plan costs on a cluster: jobs, GPU-hours, disk, transfer, load of the scheduler, and what gives way first.

Reckoned from config/costs.yaml, which says what was measured and what is assumed, and from the records of runs that are
there already. An estimate: it is meant to be right within a factor of three, and to say what it rests on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from typing import Any

from avbalance.cluster.costs import COSTS, ClipCounts, CostFactor, Costs, Limit, load_costs
from avbalance.cluster.inventory import building, gaps, table, take_inventory
from avbalance.data.sources.built import BuiltOptions
from avbalance.errors import UserError
from avbalance.plan.cells import RunCell, SeededRun
from avbalance.plan.config import load_yaml
from avbalance.plan.plan import Plan
from avbalance.provenance.run_record import RECORD
from flowkeeper.files import read_json

PROFILE = "profiles/slurm/config.yaml"
SCALES = (1, 10, 100)
_BYTES = {"uint8": 1, "float16": 2, "float32": 4}
_HOUR = 3600.0


@dataclass(frozen=True)
class Load:
    """What a paper, or all papers together, ask of a cluster."""

    name: str
    trainings: int  # runs and seeds
    jobs: int  # that train
    submissions: int
    gpu_hours: float
    longest_hours: float  # of one training
    measured: int  # trainings whose time is a record's
    results_gb: float


@dataclass(frozen=True)
class Building:
    """What building a set costs: clips that are decoded for it, and models that judge them."""

    clips: float
    decode_hours: float  # of one core
    estimators: int
    gpu_hours: float  # where no estimator stops early


@dataclass(frozen=True)
class Strain:
    """A quantity at some scale, beside its limit."""

    name: str
    value: float
    limit: float
    then: str

    @property
    def exceeded(self) -> bool:
        return self.value > self.limit


class PlanCosts:
    """What one plan costs with `scale` times the clips."""

    def __init__(self, plan: Plan, scale: int = 1) -> None:
        self.plan, self.scale = plan, scale
        self.costs: Costs = load_costs(plan.root)
        self.profile: dict[str, Any] = load_yaml(plan.root / PROFILE)

    def load(self, slug: str) -> Load:
        """What one paper asks for."""
        cells = [cell for cell in self.plan.cells if cell.row.paper == slug]
        return self._load(slug, cells)

    @cached_property
    def total(self) -> Load:
        return self._load("together", self.plan.cells)

    def _load(self, name: str, cells: list[RunCell]) -> Load:
        jobs = [job for cell in cells for job in cell.jobs]
        hours = {(job.row.paper, job.folder): self.run_hours(job) for job in jobs}
        per_submission = int(self.profile["group-components"]["train0"])
        return Load(
            name=name,
            trainings=len(jobs),
            jobs=len(cells),
            submissions=ceil(len(cells) / per_submission),
            gpu_hours=sum(hours.values()),
            longest_hours=max(hours.values(), default=0.0),
            measured=sum(self.measured(job) is not None for job in jobs),
            results_gb=len(jobs) * self._number("run_mb") / 1e3,
        )

    def run_hours(self, job: SeededRun) -> float:
        """Hours of one training on a GPU, its start included."""
        measured = self.measured(job)
        if measured is not None:
            return measured * self.scale / _HOUR
        clips = self._clips(job.row.dataset)
        passes = clips.train + clips.evaluated * self.costs.evaluated
        network = job.row.settings.get("model", {}).get("name", "")
        core_s = self._clip_core_s(network, job.row.dataset) * passes * _epochs(job) * self.scale
        return (core_s / self._number("gpu_speedup") + self._number("job_start_s")) / _HOUR

    def measured(self, job: SeededRun) -> float | None:
        """Seconds that the run took, where its record is here and says that a GPU did it; else None."""
        path = self.plan.root / self.plan.runs / job.folder / RECORD
        if not path.is_file():
            return None
        record = read_json(path)
        return float(record["wall_s"]) if record.get("device", {}).get("kind") == "cuda" else None

    def training_hours(self, dataset: str) -> float:
        """GPU-hours of all trainings on a data set."""
        return sum(self.run_hours(job) for cell in self.plan.cells for job in cell.jobs if job.row.dataset == dataset)

    def known_clips(self, dataset: str) -> float | None:
        """Clips of a data set that the costs reckon with; None where they do not know it."""
        return self._all_clips(dataset) if dataset in self.costs.clips else None

    def building(self, dataset: str) -> Building:
        """Of a data set of the kind built: all rounds, each modality and fold a model of its own, at most.

        A scorer that is fitted to a data set decodes it whole, and the clips of the pool once more where it has a
        recipe of its own, as one with a network's scores has.
        """
        options = BuiltOptions.of(self.plan.datasets[dataset])
        pool = sum(self._all_clips(name) for name in (options.pool, *options.supplements))
        clips = pool
        for scorer in options.scorers.of_each() if options.scorers else ():
            clips += self._all_clips(scorer.dataset) if scorer.dataset else 0.0
            clips += pool if scorer.recipe else 0.0
        estimators, rounds = options.estimators, options.recalibration.rounds + 1
        folds, epochs = estimators.folds, int(estimators.protocol["epochs"])
        clip_core_s = self._clip_core_s("unimodal-net", dataset)
        # A model sees its own folds in training and the held one after each epoch.
        # Two modalities in every round.
        passes = 2 * rounds * pool * epochs * (folds - 1 + self.costs.evaluated)
        hours = clip_core_s * passes / self._number("gpu_speedup") / _HOUR
        return Building(clips, clips * self._number("feature_core_s") / _HOUR, 2 * rounds * folds, hours)

    def feature_hours(self, dataset: str) -> float:
        """Hours in which one core decodes a data set."""
        return self._all_clips(dataset) * self._number("feature_core_s") / _HOUR

    def store_gb(self, dataset: str) -> float:
        """Size of a data set's feature stores."""
        return self._all_clips(dataset) * self._clip_bytes(dataset) / 1e9

    def strains(self) -> list[Strain]:
        """Every limit, the most exceeded first."""
        limits: dict[str, Limit] = dict(self.costs.limits)
        strains = [Strain(name, value, limits[name].at, limits[name].then) for name, value in self._values()]
        return sorted(strains, key=lambda strain: strain.limit / max(strain.value, 1e-9))

    def _values(self) -> Iterator[tuple[str, float]]:
        datasets, parallel = self.plan.datasets, int(self.profile["jobs"])
        # However many GPUs there are, the longest training bounds the whole.
        hours = max(self.total.gpu_hours / parallel, self.total.longest_hours)
        busy = min(parallel, self.total.jobs)
        yield "run_hours", self.total.longest_hours
        yield "feature_hours", max(map(self.feature_hours, datasets), default=0.0)
        yield "store_gb", sum(map(self.store_gb, datasets))
        # As if reading were spread evenly over all GPU-hours of the jobs that run side by side.
        yield "gb_per_s", busy * self._read_gb() / max(self.total.gpu_hours * _HOUR, 1.0)
        # Each data set has two more jobs, its manifest and its features.
        yield "dag_jobs", float(self.total.jobs + 2 * len(datasets) + self._reports())
        yield "submissions_per_minute", self.total.submissions / max(hours * 60, 1.0)
        yield "hours_of_the_driver", hours

    def _reports(self) -> int:
        return sum(len(self.plan.report_parts(slug)) for slug in self.plan.papers)

    def _read_gb(self) -> float:
        """What all trainings together read from the stores, epoch by epoch."""
        jobs = [job for cell in self.plan.cells for job in cell.jobs]
        return sum(_epochs(job) * self.store_gb(job.row.dataset) for job in jobs)

    def _clip_bytes(self, dataset: str) -> float:
        """Bytes of one clip in the stores of both modalities."""
        from avbalance.features.recipes import get_audio_recipe, get_visual_recipe

        names = self.plan.recipes[dataset]
        recipes = [get_audio_recipe(name) for name in names["audio"]] + [get_visual_recipe(n) for n in names["visual"]]
        return float(sum(prod(recipe.shape) * _BYTES.get(str(recipe.dtype), 4) for recipe in recipes))

    def _clip_core_s(self, network: str, dataset: str) -> float:
        """Seconds of a core for one clip in one epoch."""
        table = self.costs.train_core_s
        known = table.get(network, table["any"])
        return float(known.get(dataset, known["any"]))

    def _clips(self, dataset: str) -> ClipCounts:
        if dataset not in self.costs.clips:
            raise UserError(
                f"{COSTS}: nothing is known of the data set {dataset}; add a line under clips: with train, evaluated"
                " and source."
            )
        return self.costs.clips[dataset]

    def _all_clips(self, dataset: str) -> float:
        clips = self._clips(dataset)
        return float(clips.train + clips.evaluated) * self.scale

    def _number(self, name: str) -> float:
        factor: CostFactor = getattr(self.costs, name)
        return factor.factor


def _epochs(job: SeededRun) -> int:
    return int(job.row.settings.get("protocol", {}).get("epochs", 1))


def lines(plan: Plan) -> list[str]:
    """The estimate as text, for people."""
    now = PlanCosts(plan)
    loads = [*map(now.load, plan.papers), now.total]
    text = [
        f"{'paper':<28}{'trainings':>10}{'jobs':>7}{'submitted':>11}{'GPU-hours':>11}{'longest (h)':>13}"
        f"{'results (GB)':>14}"
    ]
    text += [
        f"{each.name:<28}{each.trainings:>10,}{each.jobs:>7,}{each.submissions:>11,}{each.gpu_hours:>11,.0f}"
        f"{each.longest_hours:>13,.1f}{each.results_gb:>14,.1f}"
        for each in loads
    ]
    inventory = take_inventory(plan)
    text += ["", *table(inventory, now), *building(now), *plan.chosen]
    if missing := gaps(inventory):
        text += ["", "Missing:", *(f"  {gap}" for gap in missing)]
    text += ["", f"{now.total.measured} of {now.total.trainings} trainings are reckoned from their own records,"]
    text += [f"the others from {COSTS}, which says what was measured and what is assumed."]
    for scale in SCALES:
        text += ["", *_strained(PlanCosts(plan, scale))]
    return text


def _strained(costs: PlanCosts) -> Iterator[str]:
    yield f"With {costs.scale} times the clips, {costs.total.gpu_hours:,.0f} GPU-hours:"
    for strain in costs.strains():
        mark = "too much" if strain.exceeded else "fits"
        yield f"  {strain.name.replace('_', ' '):<24}{strain.value:>12,.2f} of {strain.limit:>8,.0f}  {mark}"
        if strain.exceeded:
            yield f"      {strain.then}"
