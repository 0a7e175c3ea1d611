"""The configuration as given on a command line, in Snakemake's own words: --configfile and --config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.plan.config import load_yaml
from avbalance.plan.plan import Plan, load_plan
from avbalance.plan.trees import merge

BASE = "config/config.yaml"


def load_plan_for(root: Path, configfiles: Sequence[str], pairs: Sequence[str]) -> Plan:
    """The plan that `snakemake --configfile ... --config ...` makes in the repository `root`.

    Raises UserError for a file that cannot be read, a pair that is not key=value, and a wrong configuration.
    """
    config = load_yaml(root / BASE)
    for name in configfiles:
        config = merge(config, load_yaml(root / name))
    return load_plan(root, merge(config, _parsed(pairs)))


def _parsed(pairs: Sequence[str]) -> dict[str, Any]:
    """Pairs as Snakemake reads them: what looks like a number is one."""
    from snakemake.cli import parse_config

    try:
        parsed: dict[str, Any] = parse_config(list(pairs))
    except ValueError as error:
        raise UserError(f"--config {' '.join(pairs)}: give key=value pairs ({error}).") from error
    return parsed
