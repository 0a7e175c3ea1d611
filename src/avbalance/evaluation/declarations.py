"""What a paper declares for its claims and measurements, with types; `check_claims` reads all of it."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, create_model, model_validator

from avbalance import kinds
from avbalance.analysis.conditions import CONDITIONS, LEVELS, PROBES, SILENCES
from avbalance.analysis.statistics import DRAWS, LEVEL
from avbalance.declared import Declared, Known, among, check_name, named, read, refusal
from avbalance.errors import UserError
from avbalance.evaluation.kinds import AtLeastOne, Block, check_subset
from avbalance.evaluation.measure import COMPARED, MEASURED, Measures
from avbalance.evaluation.published import MAP, PLACE_NAMES, PublishedFile, load_published, published_files
from avbalance.evaluation.rows import MAJORITY, NO_EVENT, majority
from avbalance.plan.declarations import DeclaredConfidence
from avbalance.plan.trees import plain

MAP_METRIC = "j2"  # how flat a confidence map is: published, never measured
PARTS = ("train", "val", "test")
PROTOCOLS = ("estimated", "cross-fitted", "planted", "annotated")  # who chooses subsets; not all data are annotated
Protocol = Literal["estimated", "cross-fitted", "planted", "annotated", "none"]


def _run_or_map(name: str, info: ValidationInfo) -> str:
    return name if name == MAP else check_name(PLACE_NAMES["run"], name, info.context)


class PublishedPlace(Declared):
    """Where a published number belongs, as its file says: one in no place of ours would vanish without a word."""

    dataset: Annotated[str, AfterValidator(named(PLACE_NAMES["dataset"]))]
    """label of the data set"""
    run: Annotated[str, AfterValidator(_run_or_map)]
    """label of the run"""
    subset: Annotated[str, AfterValidator(lambda name: name if name in PARTS else check_subset(name))]
    """subset, of a confidence map the part"""
    metric: Annotated[str, among("metric", (*MEASURED, MAP_METRIC))]
    """metric"""


class Statistics(Declared):
    """How comparisons are judged (`statistics` of claims.yaml)."""

    draws: Annotated[int, Field(ge=1)] = DRAWS
    """drawings of the test clips"""
    level: Annotated[float, Field(gt=0, lt=1)] = LEVEL
    """probability with which a claim's intervals all cover the truth"""
    seed: Annotated[int, Field(ge=0)] = 0
    """seed of the drawings"""
    min_n: Annotated[int, Field(ge=1)] = 20
    """clips below which nothing is tested"""


class Claim(Declared):
    """A claim, check or illustration."""

    id: str
    """short name, for example C1"""
    text: str
    """the sentence that is tested"""
    source: str = ""
    """where the paper says it"""
    reading: str = ""
    """how it was read, where that is not plain"""
    protocols: list[Protocol] = Field(default=[])
    """who chooses the subsets; by default all protocols, or none where no subset occurs"""
    tests: AtLeastOne[Block]
    """the comparisons that must hold"""

    @model_validator(mode="after")
    def _one_headline(self) -> Claim:
        if sum(block.headline for block in self.tests) > 1:
            raise refusal("tests have two headlines; a claim has one at most")
        return self


@dataclass(frozen=True)
class Declarations:
    """All that claims rest on; confidence: None where no runs choose subsets."""

    claims: tuple[Claim, ...] = ()
    checks: tuple[Claim, ...] = ()
    illustrations: tuple[Claim, ...] = ()
    published: list[PublishedFile] = field(default_factory=list)
    measures: Measures = field(default_factory=Measures)
    statistics: Statistics = field(default_factory=Statistics)
    confidence: DeclaredConfidence | None = None

    @property
    def blocks(self) -> list[Block]:
        """The comparisons of all claims, checks and illustrations."""
        return [block for claim in (*self.claims, *self.checks, *self.illustrations) for block in claim.tests]

    @property
    def estimators(self) -> list[str]:
        """The unimodal runs that choose subsets."""
        return [self.confidence.audio, self.confidence.visual] if self.confidence else []

    @property
    def modules(self) -> list[str]:
        """The modules of all kinds that are used."""
        return sorted({type(block).__module__ for block in self.blocks})


def check_claims(
    declared: Mapping[str, Any], papers: Sequence[str], folder: str | Path, known: Known | None = None
) -> Declarations:
    """What a paper declares, typed; raises UserError with file, place and nearest known name for what is wrong.

    declared: the merged content of its YAML files, of which other keys are ignored. papers: its slug and those that it
    builds on, in whose folders kinds of comparison are looked for. folder: of the paper. known: the names that may
    occur, see `known_names`; its published files are opened too then. Without it names are free.
    """
    claims, tables = f"{folder}/claims.yaml", f"{folder}/tables.yaml"
    published = published_files(declared.get("published") or (), tables, known)
    if known is not None:
        for key in load_published(Path(folder) / "published", published):
            place = dict(zip(PublishedPlace.model_fields, key, strict=False))  # a condition, checked before, may follow
            read(PublishedPlace, place, f"{tables}, published", known)
    model, confidence, ids = claim_model(tuple(papers)), plain(declared.get("confidence")), set[str]()
    return Declarations(
        **{
            key: tuple(_claims(model, key, declared.get(key) or (), claims, known, ids))
            for key in ("claims", "checks", "illustrations")
        },
        published=published,
        measures=read(Measures, declared.get("measures") or {}, f"{tables}, measures", known),
        statistics=read(Statistics, declared.get("statistics") or {}, f"{claims}, statistics", known),
        confidence=read(DeclaredConfidence, confidence, f"{folder}/paper.yaml, confidence", known)
        if confidence
        else None,
    )


def _claims(
    model: type[Claim], key: str, entries: Any, where: str, known: Known | None, ids: set[str]
) -> Iterator[Claim]:
    """The claims of one key; raises UserError as above, and for an id that is among `ids`, those of the file so far."""
    for number, entry in enumerate(entries, start=1):
        name = entry.get("id") if isinstance(entry, Mapping) else None
        claim = read(model, entry, f"{where}, {name or f'{key}[{number}]'}", known)
        if claim.id in ids:
            raise UserError(f"{where}, {key}: the id {claim.id!r} is used twice.")
        ids.add(claim.id)
        yield claim


@functools.cache
def claim_model(papers: tuple[str, ...]) -> type[Claim]:
    """The class of claims whose tests may be of the kinds that some papers, by slug, and all papers have."""
    known = kinds.modules(papers, "claims")

    def check_kind(given: Any) -> Any:
        if not isinstance(given, Mapping) or "kind" not in given:
            raise refusal("lacks the key 'kind'")
        if given["kind"] not in known:
            raise refusal(kinds.unknown(papers, "claims", str(given["kind"])))
        return given

    any_kind: Any = functools.reduce(operator.or_, [kinds.class_in(module, "claims") for module in known.values()])
    block = Annotated[any_kind, Field(discriminator="kind"), BeforeValidator(check_kind)]
    tests = Field(min_length=1, description=Claim.model_fields["tests"].description)
    return create_model("Claim", __base__=Claim, tests=(list[block], tests))


def known_names(paper: Mapping[str, Any]) -> Known:
    """The names that a paper's declarations may use, by their kind as in declared.py; paper: all of its YAML files."""
    runs = list(paper["runs"])
    entries = [*paper["runs"].values(), *paper["datasets"].values()]
    settings = [entry.get("settings", {}).get("data", {}) for entry in entries]
    labellings = {str(plain(data["labelling"])): None for data in settings if data.get("labelling")}
    references = [MAJORITY, *map(majority, labellings), NO_EVENT]
    return {
        "data set": list(paper["datasets"]),
        "run": runs,
        "run or reference": [*runs, *references],
        "label of a run": [entry["label"] for entry in paper["runs"].values()],
        "label of a data set": [entry["label"] for entry in paper["datasets"].values()],
        "metric": COMPARED,
        "condition": [*CONDITIONS, *PROBES, *_variants()],
    }


def _variants() -> list[str]:
    """The conditions with what may stand after an @, see analysis/conditions.py."""
    pairs = list(itertools.product(LEVELS, SILENCES))
    endings = [*LEVELS, *SILENCES, *map("+".join, pairs), *("+".join(reversed(pair)) for pair in pairs)]
    return [f"{name}@{end}" for name, each in CONDITIONS.items() if each.modality for end in endings]
