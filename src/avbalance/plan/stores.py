"""Data sets and feature stores of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from avbalance.files import canonical_json
from avbalance.plan.core import Core
from avbalance.plan.entries import members, source_entries, source_module
from avbalance.plan.sheet import Row

MODALITIES = ("audio", "visual")
STORE_FILES = ("index.parquet", "card.json")  # the array beside them is known by the card and can be made again
BULK_FILES = ("features.npy", "array.json")  # array.json: see features/store.py


@dataclass(frozen=True)
class FeatureJob:
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


class Stores(Core):
    """How manifests and feature stores are made."""

    @cached_property
    def recipes(self) -> dict[str, dict[str, list[str]]]:
        """Feature recipes per data set: {"audio": [...], "visual": [...]}, in order of first use."""
        found: dict[str, dict[str, list[str]]] = {name: {m: [] for m in MODALITIES} for name in self.datasets}
        for rows in self.rows.values():
            for row in rows:
                for modality, recipe in recipes_of(row).items():
                    if recipe not in found[row.dataset][modality]:
                        found[row.dataset][modality].append(recipe)
        return found

    @cached_property
    def feature_jobs(self) -> list[FeatureJob]:
        """Every pass that makes feature stores: the first recipes of both modalities together, then the second, ..."""
        found = []
        for dataset, recipes in self.recipes.items():
            for number, pair in enumerate(zip_longest(*(recipes[modality] for modality in MODALITIES))):
                chosen = {modality: name for modality, name in zip(MODALITIES, pair, strict=True) if name is not None}
                found.append(FeatureJob(dataset, number, chosen))
        return found

    def store(self, dataset: str, modality: str, recipe: str) -> str:
        return f"{self.results}/features/{dataset}/{modality}-{recipe}"

    def store_files(self, dataset: str, modality: str, recipe: str) -> list[str]:
        return [f"{self.store(dataset, modality, recipe)}/{name}" for name in STORE_FILES]

    def feature_files(self, job: FeatureJob) -> list[str]:
        """Files that one pass over the media leaves."""
        stores = [self.store_files(job.dataset, modality, name) for modality, name in job.recipes.items()]
        return [path for files in stores for path in files]

    def feature_spec(self, job: FeatureJob) -> str:
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

    def source_entries(self, dataset: str) -> tuple[str, ...]:
        return source_entries(self.datasets[dataset]["kind"])

    def source_code(self, dataset: str) -> str:
        return self.code(*self.source_entries(dataset))

    def source_inputs(self, dataset: str) -> list[str]:
        """Annotation files of a data set, and the manifests of those that it is built from.

        Without a manifest those that exist now: a missing one is the preflight's matter. A manifest that came from
        elsewhere needs none of them: an input that nobody has makes Snakemake take the manifest as it is.
        """
        spec = self.datasets[dataset]
        files: list[str] = source_module(spec["kind"]).inputs(spec)
        listed = [path for path in files if Path(self.manifest(dataset)).exists() or Path(path).is_file()]
        return [*listed, *map(self.manifest, members(spec))]

    def dataset_spec(self, dataset: str) -> str:
        return canonical_json({"name": dataset, "spec": self.datasets[dataset]})

    def preflight(self) -> list[str]:
        """One sentence per real data set that cannot be read yet; nothing for data sets that are already built."""
        sentences = []
        for name, spec in self.datasets.items():
            if not Path(self.manifest(name)).exists():
                sentence = source_module(spec["kind"]).preflight(spec)
                if sentence:
                    sentences.append(f"{name}: {sentence}")
        return sentences
