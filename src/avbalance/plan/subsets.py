"""Confidences and preferred subsets of a plan."""

from __future__ import annotations

from typing import Any

from avbalance.files import canonical_json
from avbalance.plan.trainings import Trainings
from avbalance.plan.trees import plain


class Subsets(Trainings):
    """Which unimodal runs decide the discrepancy of which data set."""

    def confidence_datasets(self, slug: str) -> list[str]:
        """Data sets of a paper on which the discrepancy is estimated: those that have both unimodal runs."""
        wanted = self.papers[slug].get("confidence")
        found = []
        for dataset in dict.fromkeys(row.dataset for row in self.rows[slug]):
            runs = {row.run for row in self.rows[slug] if row.dataset == dataset}
            if wanted and {wanted["audio"], wanted["visual"]} <= runs:
                found.append(dataset)
        return found

    def confidence_folder(self, slug: str, dataset: str) -> str:
        return f"{self.results}/confidence/{slug}/{dataset}"

    def confidence_files(self, slug: str, dataset: str) -> list[str]:
        names = ("confidence.parquet", "histogram.npz", "sensitivity.csv", "flatness.csv", "stopping.json")
        return [f"{self.confidence_folder(slug, dataset)}/{name}" for name in names]

    def subsets_file(self, slug: str, dataset: str) -> str:
        return f"{self.results}/subsets/{slug}/{dataset}.parquet"

    def subset_files(self, slug: str) -> list[str]:
        return [self.subsets_file(slug, dataset) for dataset in self.confidence_datasets(slug)]

    def confidence_inputs(self, slug: str, dataset: str) -> dict[str, str]:
        """confidence.npz of the first seed's unimodal runs: they define the subsets for all seeds of all methods."""
        wanted = self.papers[slug]["confidence"]
        return {modality: self._npz(slug, dataset, wanted[modality], 0) for modality in ("audio", "visual")}

    def subset_pairs(self, slug: str, dataset: str) -> dict[str, list[str]]:
        """Definition -> the two confidence.npz that decide it (see analysis/subsets.py)."""
        wanted = self.papers[slug]["confidence"]
        rows = {row.run: row for row in self.rows[slug] if row.dataset == dataset}
        pairs = {"estimated": list(self.confidence_inputs(slug, dataset).values())}
        for half, runs in wanted.get("halves", {}).items():
            if set(runs.values()) <= set(rows):
                pairs[f"cross-fitted-{half}"] = [self._npz(slug, dataset, runs[m], 0) for m in ("audio", "visual")]
        for position, seed in enumerate(rows[wanted["audio"]].seeds):
            pairs[f"seed-matched-{seed}"] = [self._npz(slug, dataset, wanted[m], position) for m in ("audio", "visual")]
        return pairs

    def subset_inputs(self, slug: str, dataset: str) -> list[str]:
        return list(dict.fromkeys(path for pair in self.subset_pairs(slug, dataset).values() for path in pair))

    def subset_spec(self, slug: str, dataset: str) -> str:
        return canonical_json({"pairs": self.subset_pairs(slug, dataset), "rule": self._stop_rule(slug)})

    def confidence_spec(self, slug: str) -> str:
        return canonical_json(self._stop_rule(slug))

    def _stop_rule(self, slug: str) -> dict[str, Any]:
        """The early stop of the estimators, see analysis/confidence.py."""
        rule: dict[str, Any] = plain(self.papers[slug]["confidence"]["rule"])
        return rule

    def _npz(self, slug: str, dataset: str, run: str, position: int) -> str:
        row = next(row for row in self.rows[slug] if row.dataset == dataset and row.run == run)
        return f"{self.runs}/{slug}/{dataset}/{run}/seed{row.seeds[position]}/confidence.npz"
