"""report.html: all evidence of a result set on one page that needs no other file and asks no server for anything.

What the page says is gathered here as plain data, from tables, claims, figures and the records of runs; the
template, the style and the script beside this file say how it looks. The same results give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from avbalance.evaluation.paper import Paper
from avbalance.reporting.page import front
from avbalance.reporting.page.claims import claims_view
from avbalance.reporting.page.clips import verdict_view
from avbalance.reporting.page.compact import packed
from avbalance.reporting.page.decisions import sections
from avbalance.reporting.page.figures import inline_svg, numbers_text, prefixes
from avbalance.reporting.page.runs import Runs
from avbalance.reporting.page.subsets import definitions
from avbalance.reporting.page.tables import Tables
from avbalance.table_files import write_text
from flowkeeper.files import read_json

HERE = Path(__file__).parent


def render_report(spec: Mapping[str, Any], out: str | Path) -> None:
    """Write the page; spec: see `Pages.page_spec` in plan/page.py. Raises UserError for what cannot be read."""
    write_text(out, page(spec))


def page(spec: Mapping[str, Any]) -> str:
    """The page as HTML."""
    runs, tables = Runs(), Tables()
    names = prefixes()
    papers = [_paper(declared, spec["runs"], runs, tables, names) for declared in spec["papers"]]
    state = front.training_state(runs.records)
    seeds = [len(seeds) for seeds in tables.pools["seeds"].values if seeds]
    data = {
        "name": spec["name"],
        "config": spec["config"],
        "folder": spec["runs"],
        **runs.as_json(),
        **tables.as_json(),
        "papers": {
            each["slug"]: {
                "title": each["title"],
                "labels": each["labels"],
                "halves": each["halves"],
                "data": {item["name"]: item["label"] for item in each["data"] if item["name"]},
                "folder": each["folder"],
            }
            for each in papers
        },
        # Taken out of the tables: only the script of the page reads them, the template does not.
        "cells": {f"{each['slug']}-{table['id']}": table.pop("cells") for each in papers for table in each["tables"]},
    }
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        # A misspelt name in the template must stop the page instead of leaving a hole in it.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    return templates.get_template("report.html.j2").render(
        name=spec["name"],
        config=spec["config"],
        papers=papers,
        own=papers[0]["verdict"] if len(papers) == 1 else None,
        state=state,
        kinds=front.data_kinds(papers),
        limits=front.limits(papers, state, seeds),
        machines=front.machines(runs.records),
        commits=front.commits(runs.records),
        # NaN is no JSON and would break the page's script, so it fails here.
        data=packed(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)),
        style=Markup((HERE / "report.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "report.js").read_text(encoding="utf-8")),
    )


def _paper(
    declared: Mapping[str, Any], runs_folder: str, runs: Runs, tables: Tables, names: Iterator[str]
) -> dict[str, Any]:
    """All that the page says of a paper; names: prefixes for its drawings."""
    paper, folder = Paper.from_dict(declared["paper"]), Path(declared["folder"])
    before = len(runs.records)
    runs.read(declared["runs"], runs_folder)
    shown = [tables.view(folder / f"{table}.json") for table in declared["tables"]]
    figures = [_figure(folder, each, next(names)) for each in declared["figures"]]
    named = [each for each in (*shown, *figures) if each["number"]]
    anchors = {each["number"][0].lower() + each["number"][1:]: each["id"] for each in named}  # Table IV -> table IV
    return {
        "slug": paper.slug,
        "title": paper.title,
        "reference": declared["reference"],
        "folder": declared["folder"],
        "labels": paper.labels,
        "halves": declared["halves"],
        "data": front.data_view(paper, declared["origins"], runs.records[before:]),
        "verdict": verdict_view(declared["verdict"], paper) if declared["verdict"] else None,
        "claims": claims_view(read_json(folder / "claims.json"), anchors) if declared["claims"] else None,
        "definitions": definitions(paper),
        "tables": shown,
        "figures": figures,
        "cuts": paper.cuts,
        "sections": sections(declared["readme"]) if declared["readme"] else [],
    }


def _figure(folder: Path, figure: str, prefix: str) -> dict[str, Any]:
    svg, title, caption = inline_svg(folder, figure, prefix)
    number, _, rest = title.partition(". ")
    numbers = numbers_text(folder / f"{figure}.csv")
    return {
        "id": figure,
        "number": number if rest else "",
        "title": rest or title,
        "svg": svg,
        "caption": " ".join(caption),
        "numbers": packed(numbers),
        "size": len(numbers),
    }
