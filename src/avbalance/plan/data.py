"""What a plan asks of data: its data sets, their manifests, and the stores of their features."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from avbalance.data.sources import read_source
from avbalance.data.sources.base import Source, SourceCheck
from avbalance.digest import DIGEST_CACHE, code_digest
from avbalance.plan.config import load_dataset
from avbalance.plan.entries import source_entries
from avbalance.plan.sheet import Row
from flowkeeper.files import canonical_json

MODALITIES = ("audio", "visual")
STORE_FILES = ("index.parquet", "card.json")  # the array beside them is known by the card and can be made again
BULK_FILES = ("features.npy", "array.json")  # array.json: see features/store.py


@dataclass(frozen=True)
class FeaturePass:
    """One pass over the media of a data set: a recipe for each modality, or for one of them.

    number: 0 for the first pass; a data set that is used with several recipes of a modality needs several.
    """

    dataset: str
    number: int
    recipes: dict[str, str]

    @property
    def id(self) -> str:
        return self.dataset if self.number == 0 else f"{self.dataset}/{self.number + 1}"


def recipes_of(row: Row) -> dict[str, str]:
    """Modality -> recipe of the features that a run reads; a modality whose recipe is null is not read."""
    named = {modality: row.settings["data"][f"{modality}_recipe"] for modality in MODALITIES}
    return {modality: recipe for modality, recipe in named.items() if recipe is not None}


def _checked(source: Source) -> SourceCheck:
    braced = next((path for path in source.inputs() if "{" in path), None)
    if braced is None:
        return source.check()
    return SourceCheck(
        [f"{braced}: Snakemake takes braces for wildcards; rename the folder, or link to it by another name."]
    )


@dataclass(frozen=True)
class DataPlan:
    """Configuration, declarations and run sheet, and the data that the runs read.

    Paths are relative to the working directory.
    """

    root: Path  # the repository: where config/ and workflow/ lie
    config: dict[str, Any]
    papers: dict[str, dict[str, Any]]
    rows: dict[str, list[Row]]
    # a sentence for each role that had several data sets to choose from
    chosen: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def results(self) -> str:
        return f"results/{self.name}"

    @property
    def runs(self) -> str:
        return f"{self.results}/runs"

    def code(self, *entries: str) -> str:
        """Digest of the code behind a step, see digest.py."""
        if entries not in self.codes:
            self.codes[entries] = code_digest(*entries, cache_file=DIGEST_CACHE)
        return self.codes[entries]

    @cached_property
    def codes(self) -> dict[tuple[str, ...], str]:
        """Entry modules -> digest, for every digest that was asked for so far."""
        return {}

    @cached_property
    def datasets(self) -> dict[str, dict[str, Any]]:
        """Specification of every data set that some run uses, and of those that such a set is built from."""
        wanted = list(dict.fromkeys(row.dataset for rows in self.rows.values() for row in rows))
        specs: dict[str, dict[str, Any]] = {}
        for name in wanted:  # grows while it is gone through
            if name not in specs:
                specs[name] = load_dataset(self.root, self.config, name)
                wanted += read_source(specs[name]).members()
        return specs

    def manifest(self, dataset: str) -> str:
        return f"data/{dataset}/manifest.parquet"

    def source_entries(self, dataset: str) -> tuple[str, ...]:
        return source_entries(self.datasets[dataset]["kind"])

    def source_code(self, dataset: str) -> str:
        return self.code(*self.source_entries(dataset))

    def source_inputs(self, dataset: str) -> list[str]:
        """Annotation files of a data set, and the manifests of those that it is built from.

        Without a manifest those that exist now: a missing one is the preflight's matter. A manifest that came from
        elsewhere needs none of them: an input that nobody has makes Snakemake take the manifest as it is.
        """
        source = read_source(self.datasets[dataset])
        there = [path for path in source.inputs() if self._is_built(dataset) or Path(path).is_file()]
        return [*(path for path in there if "{" not in path), *map(self.manifest, source.members())]

    def dataset_spec(self, dataset: str) -> str:
        return canonical_json({"name": dataset, "spec": self.datasets[dataset]})

    @cached_property
    def source_checks(self) -> dict[str, SourceCheck]:
        """What a look at each data set finds that is not built already."""
        return {name: _checked(read_source(spec)) for name, spec in self.datasets.items() if not self._is_built(name)}

    def _is_built(self, dataset: str) -> bool:
        return Path(self.manifest(dataset)).exists()

    def preflight(self) -> list[str]:
        """Sentences on the data sets that cannot be read yet; nothing for data sets that are already built."""
        return [f"{name}: {sentence}" for name, check in self.source_checks.items() for sentence in check.faults]

    def oddities(self) -> list[str]:
        """Sentences on what is odd about data sets that are not built yet."""
        return [f"{name}: {sentence}." for name, check in self.source_checks.items() for sentence in check.notes]

    @cached_property
    def recipes(self) -> dict[str, dict[str, list[str]]]:
        """Feature recipes per data set: {"audio": [...], "visual": [...]}, in order of first use."""
        recipes: dict[str, dict[str, list[str]]] = {name: {m: [] for m in MODALITIES} for name in self.datasets}
        for rows in self.rows.values():
            for row in rows:
                for modality, recipe in recipes_of(row).items():
                    # A list rather than a set: the order says which recipes share a pass, and must be the same in every
                    # process.
                    if recipe not in recipes[row.dataset][modality]:
                        recipes[row.dataset][modality].append(recipe)
        return recipes

    @cached_property
    def feature_jobs(self) -> list[FeaturePass]:
        """Every pass that makes feature stores: the first recipes of both modalities together, then the second, ..."""
        return [
            FeaturePass(dataset, number, {m: name for m, name in zip(MODALITIES, pair, strict=True) if name})
            for dataset, recipes in self.recipes.items()
            for number, pair in enumerate(zip_longest(*(recipes[modality] for modality in MODALITIES)))
        ]

    def store(self, dataset: str, modality: str, recipe: str) -> str:
        return f"{self.results}/features/{dataset}/{modality}-{recipe}"

    def store_files(self, dataset: str, modality: str, recipe: str) -> list[str]:
        return [f"{self.store(dataset, modality, recipe)}/{name}" for name in STORE_FILES]

    def feature_files(self, job: FeaturePass) -> list[str]:
        """Files that one pass over the media leaves."""
        return [path for pair in job.recipes.items() for path in self.store_files(job.dataset, *pair)]

    def feature_spec(self, job: FeaturePass) -> str:
        """What the features command reads."""
        return canonical_json(job.recipes)

    def bulk(self) -> list[str]:
        """Files that may lie beside the artifacts and can be made again from them: the arrays of the feature stores."""
        return [
            f"{self.store(dataset, modality, recipe)}/{name}"
            for dataset, recipes in self.recipes.items()
            for modality, names in recipes.items()
            for recipe in names
            for name in BULK_FILES
        ]
