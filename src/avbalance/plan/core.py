"""What all parts of the plan share: configuration, declarations, the run sheet, and digests of code."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from avbalance.plan.config import load_dataset
from avbalance.plan.digest import DIGEST_CACHE, code_digest
from avbalance.plan.entries import members
from avbalance.plan.sheet import Job, Row, outputs


@dataclass(frozen=True)
class Core:
    """Configuration, declarations and run sheet; paths are relative to the working directory."""

    root: Path  # the repository: where config/ and workflow/ lie
    config: dict[str, Any]
    papers: dict[str, dict[str, Any]]
    rows: dict[str, list[Row]]
    chosen: list[str] = field(
        default_factory=list
    )  # a sentence for each role that had several data sets to choose from

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def results(self) -> str:
        return f"results/{self.name}"

    @property
    def runs(self) -> str:
        return f"{self.results}/runs"

    @cached_property
    def datasets(self) -> dict[str, dict[str, Any]]:
        """Specification of every data set that some run uses, and of those that such a set is built from."""
        wanted = list(dict.fromkeys(row.dataset for rows in self.rows.values() for row in rows))
        found: dict[str, dict[str, Any]] = {}
        while wanted:
            name = wanted.pop(0)
            if name not in found:
                found[name] = load_dataset(self.root, self.config, name)
                wanted += members(found[name])
        return found

    def code(self, *entries: str) -> str:
        """Digest of the code behind a step, see plan/digest.py."""
        if entries not in self.codes:
            self.codes[entries] = code_digest(*entries, cache_file=DIGEST_CACHE)
        return self.codes[entries]

    @cached_property
    def codes(self) -> dict[tuple[str, ...], str]:
        """Entry modules -> digest, for every digest that was asked for so far."""
        return {}

    def manifest(self, dataset: str) -> str:
        return f"data/{dataset}/manifest.parquet"

    def run_files(self, job: Job) -> list[str]:
        return [f"{self.runs}/{path}" for path in outputs(job)]
