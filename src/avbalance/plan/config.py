"""Configuration: a tier, overlaid with what the user asks for, and the papers' declarations beside it."""

from __future__ import annotations

from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from avbalance.data.sources import check_dataset
from avbalance.declared import Known, read
from avbalance.errors import UserError
from avbalance.plan.declarations import FILES, Configuration, DeclaredPaper

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where PyYAML was built with it


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; raises UserError naming file and line when it is missing or malformed."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    except FileNotFoundError as error:
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml"))) or "none"
        raise UserError(f"{path}: no such file; the folder has: {known}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be a mapping of keys to values.")
    return value


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A copy of `base` with `over` laid on it: mappings are merged key by key, everything else is replaced."""
    merged = deepcopy(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict) and not is_sourced(merged[key]):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged


def is_sourced(value: Any) -> bool:
    """Whether `value` is a declared value with its source: {value: ..., source: ...}."""
    return isinstance(value, dict) and set(value) == {"value", "source"}


def plain(value: Any) -> Any:
    """The same tree with every {value, source} replaced by its value."""
    if is_sourced(value):
        return plain(value["value"])
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def load_config(root: Path, overrides: dict[str, Any]) -> dict[str, Any]:
    """The complete configuration: config/tiers/<tier>.yaml of the repository `root`, overlaid with `overrides`.

    Lists are replaced, mappings merged. A configuration that names `papers` computes these only; what it says of a
    paper is laid over what the tier says. `name` is the folder under results/.
    """
    tier = str(overrides.get("tier", "demo"))
    wanted = overrides.get("papers")
    if isinstance(wanted, dict):  # `papers: {slug: }` asks for the paper as the tier has it
        overrides = {**overrides, "papers": {slug: own or {} for slug, own in wanted.items()}}
    config = merge(load_tier(root, tier), {"tier": tier, **overrides})
    if isinstance(wanted, dict):
        config["papers"] = {slug: config["papers"][slug] for slug in wanted}
    read(Configuration, config, "configuration")
    return config


def load_tier(root: Path, tier: str) -> dict[str, Any]:
    """One tier file, laid over the tiers it names as `base`: one, or several of which each is laid over the last."""
    layers: dict[str, dict[str, Any]] = {}
    _stack(root, tier, layers)
    return reduce(merge, layers.values())


def _stack(root: Path, tier: str, layers: dict[str, dict[str, Any]]) -> None:
    """Add a tier to `layers`, after those below it; a tier that several stand on comes once."""
    if tier in layers:
        return
    config = load_yaml(root / "config" / "tiers" / f"{tier}.yaml")
    base = config.pop("base", [])
    for below in [base] if isinstance(base, str) else base:
        _stack(root, below, layers)
    layers[tier] = config


def load_paper(root: Path, slug: str) -> dict[str, Any]:
    """The declarations of one paper: paper.yaml with tables.yaml, figures.yaml and claims.yaml of the same folder.

    A paper may build on another's runs (`extends: slug`): its own keys are laid over that paper's datasets-free part.
    """
    return _load_paper(root, slug)[0]


def _load_paper(root: Path, slug: str) -> tuple[dict[str, Any], list[str]]:
    """The same, and the roles that its runs may speak of: its own, and those of the papers that it builds on."""
    folder = root / "workflow" / "papers" / slug
    files = {"paper": load_yaml(folder / "paper.yaml")}
    files |= {part: load_yaml(folder / f"{part}.yaml") for part in FILES if (folder / f"{part}.yaml").is_file()}
    parent = files["paper"].pop("extends", None)
    paper: dict[str, Any] = {}
    roles: list[str] = []
    if parent:
        paper, roles = _load_paper(root, parent)
        for key in ("datasets", "tables", "figures", "claims", "checks", "illustrations", "published", "folder"):
            paper.pop(key, None)
    paper = reduce(merge, files.values(), paper)
    roles = [*(paper.get("datasets") or {}), *roles]
    known = {"run": list(paper.get("runs") or {}), "data set": roles}
    _check_paper(folder, paper, files, known)
    if paper["slug"] != slug:
        raise UserError(
            f"{folder / 'paper.yaml'}: slug is {paper['slug']!r} but the folder is {slug!r}; make them equal."
        )
    return {**paper, "folder": f"workflow/papers/{slug}"}, roles


def _check_paper(folder: Path, paper: dict[str, Any], files: dict[str, dict[str, Any]], known: Known) -> None:
    """Raise UserError for what a paper's files may not say; `paper` is all of them together, with what is inherited."""
    for part, model in FILES.items():
        for name in (each for each in ("paper", part) if each in files):  # small papers say all in one file
            own = {key: value for key, value in files[name].items() if name == part or key in model.model_fields}
            if own:
                read(model, plain(own), str(folder / f"{name}.yaml"), known)
    elsewhere = {key for model in FILES.values() for key in model.model_fields}
    rest = {key: value for key, value in paper.items() if key not in elsewhere}
    read(DeclaredPaper, plain(rest), str(folder / "paper.yaml"), known)
    absent = [key for key in ("measures", "tables") if key not in paper]
    if absent:
        raise UserError(f"{folder / 'tables.yaml'}: lacks the key {absent[0]!r}.")


def load_dataset(root: Path, config: dict[str, Any], name: str) -> dict[str, Any]:
    """The specification of data set `name`: config/datasets/<base>.yaml with the options of the configuration.

    `datasets: {synthetic-flat-g1: {base: synthetic-flat, options: {seed: 1}}}` in a tier makes a variant.
    """
    own = config.get("datasets", {}).get(name, {})
    base = own.get("base", name)
    spec = load_yaml(root / "config" / "datasets" / f"{base}.yaml")
    merged = merge(spec, {key: value for key, value in own.items() if key != "base"})
    check_dataset(merged, f"data set {name}, config/datasets/{base}.yaml")
    return merged
