"""What to cite for the results of a configuration: this software, the papers behind it, the data sets."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from avbalance.data.sources import source_text
from avbalance.plan.entries import module_name
from avbalance.plan.plan import Plan
from avbalance.provenance.run_record import code_state
from avbalance.reporting.bibliography import Bibliography, Work

NOT_RECORDED = ("synthetic", "built")  # kinds of data sets that this software makes, or that are made of others

Cited = dict[str, tuple[Work, dict[str, list[str]]]]  # key -> a work, and for what: kind of thing -> names


def cited(root: Path, plan: Plan) -> Cited:
    """The works that the results of a plan stand on, this software first. Imports torch, for the cards of methods."""
    books = Bibliography.of(root)
    software = books.software(code_state(root)["commit"])
    entries: Cited = {software.key: (software, {"software": ["avbalance"]})}
    for kind, name, works in (*_papers(books, plan), *_methods(books, plan), *_data(books, plan)):
        for work in works:
            entries.setdefault(work.key, (work, {}))[1].setdefault(kind, []).append(name)
    return entries


NamedWorks = Iterator[tuple[str, str, list[Work]]]


def _papers(books: Bibliography, plan: Plan) -> NamedWorks:
    for slug, paper in plan.papers.items():
        yield "paper", slug, books.behind(slug, paper["title"], paper["reference"])


def _methods(books: Bibliography, plan: Plan) -> NamedWorks:
    from avbalance.methods.base import load

    rows = [row for sheet in plan.rows.values() for row in sheet]
    for name in sorted({row.method for row in rows}):
        card = load(name).card
        yield "method", card.label, books.behind(name, card.label, card.reference)
    for name in sorted({row.parts[1] or "" for row in rows} - {""}):
        module = importlib.import_module(f"avbalance.models.{module_name(name)}")
        yield "network", name, books.named_in(module.__doc__ or "")


def _data(books: Bibliography, plan: Plan) -> NamedWorks:
    """The works behind the data sets of a plan; recordings that no work describes are named as they are declared."""
    for name, spec in plan.datasets.items():
        works = books.named_in(source_text(spec["kind"]))
        if works or not spec["kind"].startswith(NOT_RECORDED):
            yield "data set", name, works or books.behind(name, name, spec["describe"])


def text_of(works: Cited, plain: bool) -> str:
    """BibTeX, or plain sentences, each with what it is cited for."""
    if plain:
        return "\n".join(f"- {work.plain} For: {_what(reasons)}." for work, reasons in works.values())
    return "\n\n".join(f"% {_what(reasons)}\n{work.bibtex}" for work, reasons in works.values())


def _what(reasons: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{kind}{'s' * (len(names) > 1)} {', '.join(names)}" for kind, names in reasons.items())
