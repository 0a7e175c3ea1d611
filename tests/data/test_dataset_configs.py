"""The shipped data set specifications, their schema and the sources agree with each other."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from avbalance.schemas import SCHEMAS, first_violation

from avbalance.data.sources.common import read_options

CONFIGS = sorted((SCHEMAS.parents[1] / "config" / "datasets").glob("*.yaml"))
KINDS = (
    "synthetic",
    "synthetic-timeline",
    "synthetic-two-labels",
    "folder",
    "kinetics",
    "kinetics-sounds",
    "vggsound",
    "balanced",
    "llp",
    "cremad",
    "ave",
    "audioset",
    "grid",
    "grid-timeline",
    "built",
    "built-control",
)


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _source(kind: str) -> Any:
    return importlib.import_module(f"avbalance.data.sources.{kind.replace('-', '_')}")


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_knows_exactly_the_options_of_the_source(kind: str) -> None:
    schema = _load(SCHEMAS / "dataset.schema.yaml")
    assert kind in schema["properties"]["kind"]["enum"]
    options = schema["$defs"][kind]
    assert set(options["properties"]) == set(_source(kind).DEFAULTS)
    spec: dict[str, Any] = {"kind": kind, "options": dict.fromkeys(options["required"], "given")}
    read_options(spec, _source(kind).DEFAULTS)  # raises if the source requires more than the schema


def test_a_misspelt_option_breaks_the_schema_with_its_name() -> None:
    spec = _load(next(path for path in CONFIGS if path.stem == "synthetic-flat"))
    spec["options"]["clases"] = 3
    assert "clases" in str(first_violation("dataset", spec))


@pytest.mark.parametrize("path", [p for p in CONFIGS if _load(p)["kind"] in KINDS], ids=lambda path: path.stem)
def test_a_shipped_specification_is_valid(path: Path) -> None:
    spec = _load(path)
    assert first_violation("dataset", spec) is None
    generated = spec["kind"].startswith("synthetic") or path.stem == "synthetic-balanced"  # that is built of such
    assert (spec["stands_for"] is not None) == generated
    _source(spec["kind"]).preflight(spec)


def test_stand_ins_do_not_share_a_seed() -> None:
    made = [spec for spec in map(_load, CONFIGS) if spec["kind"].startswith("synthetic")]
    seeds = [spec["options"]["seed"] for spec in made]
    assert len(seeds) >= 3 and len(set(seeds)) == len(seeds)
