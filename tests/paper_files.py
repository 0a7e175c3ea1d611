"""What the papers of this repository declare, for made-up runs of theirs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from avbalance.plan.config import load_paper

REPOSITORY = Path(__file__).parents[1]


@cache
def loaded(slug: str) -> dict[str, Any]:
    """All YAML files of a paper; not to be changed."""
    return load_paper(REPOSITORY, slug)


def labels_in(slug: str) -> dict[str, str]:
    """Run -> label as in paper.yaml."""
    return {run: declared["label"] for run, declared in loaded(slug)["runs"].items()}
