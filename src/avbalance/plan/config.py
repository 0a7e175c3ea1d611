"""Configuration: a tier, overlaid with what the user asks for, and the papers' declarations beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from avbalance.data.sources import check_dataset
from avbalance.declared import Known, listed, nearest, read
from avbalance.errors import UserError
from avbalance.plan.declarations import FILES, Configuration, DeclaredPaper, TierBase
from avbalance.plan.short import choice_in_full, paper_in_full
from avbalance.plan.short_reports import reports_in_full
from avbalance.plan.trees import merge, plain

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where PyYAML was built with it

DEEPEST = 5  # files of data sets that stand on each other


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; raises UserError naming file and line when it is missing or malformed.

    A key that stands twice in one mapping is an error too: YAML keeps the last one without a word.
    """
    try:
        loader = LOADER(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        for line, wrong in _wrong_nodes(node, set()):
            raise UserError(f"{path}, line {line}: {wrong}.")
        value = loader.construct_document(node) if node else None
    except FileNotFoundError as error:
        known = sorted(other.stem for other in path.parent.glob("*.yaml"))
        told = f"no such file; the folder has: {', '.join(known) or 'none'}{nearest(path.stem, known)}"
        raise UserError(f"{path}: {told}.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not saved as UTF-8 ({error.reason}); save the file as UTF-8.") from error
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        told = " ".join(filter(None, (error.context, error.problem)))
        hint = "; indent with spaces, not with tabs" if "cannot start any token" in told else ""
        raise UserError(f"{path}{place}: not valid YAML ({told}){hint}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: {'is empty; it' if value is None else 'it'} must be a mapping of keys to values.")
    return value


def _wrong_nodes(node: yaml.Node | None, seen: set[int]) -> Iterator[tuple[int, str]]:
    """Line and fault of each key that stands twice in one mapping, and of each number that is none."""
    if node is None or id(node) in seen:  # an anchor's node is met again at each of its aliases
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode) and node.value.lower().lstrip("+-") in (".nan", ".inf"):
        if node.tag == "tag:yaml.org,2002:float":
            yield node.start_mark.line + 1, f"is {node.value}; write a finite number"
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _wrong_nodes(item, seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, item in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in lines:
                    yield line, f"the key {key.value!r} stands here and in line {lines[key.value]}; keep one of them"
                lines[key.value] = line
            yield from _wrong_nodes(item, seen)


class PaperFiles:
    """The files paper.yaml of the repository `root`, without short forms; each is read once.

    further: paper -> runs that a configuration adds to it.
    """

    def __init__(self, root: Path, further: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> None:
        self.root, self.further = root, further
        self._full: dict[str, dict[str, Any]] = {}
        self._asked: list[str] = []  # papers that are being written out, each for the one before it

    def full(self, slug: str) -> dict[str, Any]:
        """One paper.yaml, laid over the paper that it `extends`.

        Raises UserError for what cannot be written out, and where papers take over from each other in a circle.
        """
        if slug in self._asked:
            raise UserError(
                f"workflow/papers: {' -> '.join([*self._asked, slug])} take over from each other, endlessly."
            )
        if slug not in self._full:
            path = self.root / "workflow" / "papers" / slug / "paper.yaml"
            if not path.is_file():
                known = sorted(other.parent.name for other in path.parents[1].glob("*/paper.yaml"))
                where = f"workflow/papers/{self._asked[-1]}/paper.yaml" if self._asked else "configuration, papers"
                raise UserError(
                    f"{where}: there is no paper {slug!r}{nearest(slug, known)}; there are {listed(known) or 'none'}."
                )
            self._asked.append(slug)
            paper = load_yaml(path)
            if parent := paper.pop("extends", None):
                inherited = load_paper(self.root, parent, self)
                own_files = ("tables", "figures", "claims", "checks", "illustrations", "published")
                for key in ("folder", "datasets", *own_files):
                    inherited.pop(key, None)
                # Nearest first: a kind of table or figure is taken from the first paper that has it.
                builds_on = [parent, *inherited.pop("builds_on", [])]
                paper = {**merge(inherited, paper), "builds_on": builds_on}
            if further := self.further.get(slug):
                paper = {**paper, "runs": {**paper.get("runs", {}), **further}}
            paper = reports_in_full(paper, str(path), self._reports_as_written)  # small papers say all in one file
            self._full[slug] = paper_in_full(paper, str(path), self.full)
            self._asked.pop()
        return self._full[slug]

    def reports(self, slug: str) -> dict[str, dict[str, Any]]:
        """What stands in tables.yaml, figures.yaml and claims.yaml of a paper, by the name of the file."""
        return {
            part: reports_in_full(given, f"workflow/papers/{slug}/{part}.yaml", self._reports_as_written)
            for part, given in self._reports_as_written(slug).items()
        }

    def _reports_as_written(self, slug: str) -> dict[str, dict[str, Any]]:
        folder = self.root / "workflow" / "papers" / slug
        return {part: load_yaml(path) for part in FILES if (path := folder / f"{part}.yaml").is_file()}


def load_config(root: Path, overrides: dict[str, Any], files: PaperFiles | None = None) -> dict[str, Any]:
    """The complete configuration: config/tiers/<tier>.yaml of the repository `root`, overlaid with `overrides`.

    Lists are replaced, mappings merged. A configuration that names `papers` computes these only; what it says of a
    paper is laid over what the tier says. `name` is the folder under results/. `takes` is of what is written beside it.
    """
    files = files or PaperFiles(root)
    tier = str(overrides.get("tier", "demo"))
    wanted = overrides.get("papers")
    if isinstance(wanted, dict):  # `papers: {slug: }` asks for the paper as the tier has it
        overrides = {**overrides, "papers": {slug: own or {} for slug, own in wanted.items()}}
    config = merge(_load_tier(files, tier), {"tier": tier, **_in_full(files, overrides, "configuration")})
    if isinstance(wanted, dict):
        config["papers"] = {slug: config["papers"][slug] for slug in wanted}
    if overrides.keys() - {"tier", "name"}:  # another computation than the tier's
        config["takes"] = overrides.get("takes")
    read(Configuration, config, "configuration")
    _check_variants(files.root, config)
    return config


def _check_variants(root: Path, config: dict[str, Any]) -> None:
    """Raise UserError for a variant of no data set: options of a misspelt one would change nothing."""
    known = sorted(path.stem for path in (root / "config" / "datasets").glob("*.yaml"))
    for name, own in config.get("datasets", {}).items():
        if "kind" not in own and (base := own.get("base", name)) not in known:
            told = f"config/datasets has no {base!r}{nearest(base, [*known, *config['datasets'].keys() - {name}])}"
            raise UserError(f"configuration, datasets.{name}: {told}; write its kind, or the base that it varies.")


def _load_tier(files: PaperFiles, tier: str) -> dict[str, Any]:
    """One tier file, laid over the tiers it names as `base`: one, or several of which each is laid over the last."""
    layers: dict[str, dict[str, Any]] = {}
    _stack(files, tier, layers)
    whole = reduce(merge, layers.values())
    return {**whole, "takes": layers[tier].get("takes")}


def _stack(files: PaperFiles, tier: str, layers: dict[str, dict[str, Any]], above: tuple[str, ...] = ()) -> None:
    """Add a tier to `layers`, after those below it; a tier that several stand on comes once."""
    if tier in layers:
        return
    if tier in above:
        raise UserError(f"config/tiers: {' -> '.join([*above, tier])} stand on each other, endlessly.")
    config = load_yaml(files.root / "config" / "tiers" / f"{tier}.yaml")
    base = read(TierBase, {"base": config.pop("base", [])}, f"config/tiers/{tier}.yaml").base
    for below in [base] if isinstance(base, str) else base:
        _stack(files, below, layers, (*above, tier))
    layers[tier] = _in_full(files, config, f"config/tiers/{tier}.yaml")


def _in_full(files: PaperFiles, config: dict[str, Any], where: str) -> dict[str, Any]:
    """One layer of configuration without short forms, see short.py: they count for this layer alone."""
    papers = config.get("papers")
    if not isinstance(papers, dict):
        return config
    full = {
        slug: choice_in_full(own, files.full(slug).get("runs", {}), f"{where}, papers.{slug}")
        for slug, own in papers.items()
        if isinstance(own, dict)
    }
    return {**config, "papers": {**papers, **full}}


def load_paper(root: Path, slug: str, files: PaperFiles | None = None) -> dict[str, Any]:
    """The declarations of one paper: paper.yaml with tables.yaml, figures.yaml and claims.yaml of the same folder.

    A paper may build on another's runs (`extends: slug`): its own keys are laid over that paper's datasets-free part.
    """
    files = files or PaperFiles(root)
    folder = root / "workflow" / "papers" / slug
    own = files.full(slug)
    parts = files.reports(slug)
    paper = reduce(merge, parts.values(), own)
    inherited = [role for other in own.get("builds_on", ()) for role in files.full(other)["datasets"]]
    known = {"run": list(paper.get("runs") or {}), "data set": [*(paper.get("datasets") or {}), *inherited]}
    if listed_data := sorted(path.stem for path in (root / "config" / "datasets").glob("*.yaml")):
        known["file of config/datasets"] = listed_data
    _check_paper(folder, paper, {"paper": own, **parts}, known)
    if paper["slug"] != slug:
        raise UserError(
            f"{folder / 'paper.yaml'}: slug is {paper['slug']!r} but the folder is {slug!r}; make them equal."
        )
    return {**paper, "folder": f"workflow/papers/{slug}"}


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

    `datasets: {synthetic-flat-g1: {base: synthetic-flat, options: {seed: 1}}}` in a tier makes a variant; a file may
    name another one as its `base`. One with a `kind` in the configuration is whole, and needs no file.
    """
    own = config.get("datasets", {}).get(name, {})
    if "kind" in own:
        check_dataset(own, f"data set {name}")
        return own
    file = own.get("base", name)
    layers, base = [own], file
    while base is not None:
        layers.append(load_yaml(root / "config" / "datasets" / f"{base}.yaml"))
        base = layers[-1].get("base")
        if len(layers) > DEEPEST:
            raise UserError(
                f"config/datasets/{file}.yaml: its `base` never ends, or is more than {DEEPEST} files deep."
            )
    spec: dict[str, Any] = reduce(merge, reversed(layers))
    spec.pop("base", None)
    check_dataset(spec, f"data set {name}, config/datasets/{file}.yaml")
    return spec
