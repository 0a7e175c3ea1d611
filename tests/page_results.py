"""The results of a made-up paper as report.html is made of them; its names do their worst to be more than text."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from avbalance.evaluation.paper import Paper
from avbalance.provenance.run_record import RECORD_VERSION
from avbalance.reporting.page import page
from avbalance.reporting.tables import render_tables
from avbalance.table_files import write_parquet
from flowkeeper.files import write_json

SCRIPT = "<script>window.hacked = 1</script>"
QUOTES = "\"><img src=x onerror='window.hacked=2'>"
ARABIC = "\u202eأبجد\u202c"  # turns the direction of what follows, and back
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SVG = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="90pt" height="45pt"
 viewBox="0 0 90 45">
 <title id="a">Figure 1. A drawing {}</title><desc id="b">Drawn of 3 &lt; 4 clips.</desc>
 <g id="figure_1"><defs><path id="m1" d="M 0 0 L 0 3.123456" style="stroke: #000000"/></defs>
 <g><use xlink:href="#m1" x="10.123456" y="20.000000" style="stroke: #000000"/></g>
 <text style="font-size: 8px; font-family: 'DejaVu Sans'" x="3" y="40">0.123456 as it is</text></g></svg>
"""
README = f"""# Title

Not on the page.

## How it is replicated

See [a file](../elsewhere.md) and [a site](https://example.org/).

## Deviations

- {SCRIPT}

| | Why |
|---|---|
| **bold** | `code` |
"""


def results(folder: Path, seeds: int = 3) -> dict[str, Any]:
    """Make the files of a small result set below `folder`, the current one; returns what the page command reads."""
    runs = [("audio", "Audio unimodal"), ("fused", f"Fused {SCRIPT}"), ("other", f"Other {ARABIC} {QUOTES}")]
    rows = [_row(run, seed, value) for place, (run, _) in enumerate(runs) for seed, value in _values(place, seeds)]
    own = folder / "results/made/papers/paper"
    own.mkdir(parents=True)
    write_parquet(own / "measurements.parquet", pd.DataFrame(rows))
    write_json(own / "claims.json", _claims())
    (own / "figure1.svg").write_text(SVG.replace("{}", escape(QUOTES)))
    (own / "figure1.csv").write_text("name,value\na,0.123456789\nb,2\n")
    (folder / "README.md").write_text(README)
    (folder / "published").mkdir()
    (folder / "published/table1.csv").write_text("dataset,method,subset,accuracy\nSet,Audio unimodal,overall,60.5\n")
    folders = [f"paper/set-1/{run}/seed{seed}" for run, _ in runs for seed in range(seeds)]
    for place, name in enumerate(folders):
        record_run(folder / "results/made/runs" / name, name, learned=place != 0)
    table = {
        "id": "table1",
        "title": f"Table 1. Accuracy {QUOTES}",
        "rows": [{"key": "run", "name": "method", "title": "Method", "values": "*"}],
        "columns": [{"key": "dataset", "values": ["set"]}, {"key": "subset", "values": ["overall", "audio_preferred"]}],
        "select": {"protocol": "none"},
        "notes": [SCRIPT],
    }
    dataset = {"label": "Set", "data": "set-1", "describe": f"generated {SCRIPT}"}
    paper = {
        "slug": "paper",
        "title": f"A paper {SCRIPT}",
        "published": str(folder / "published"),
        "datasets": {"set": dataset, "absent": {"label": "Absent", "data": None, "describe": "left out"}},
        "labels": dict(runs),
        "runs": [],
        "cuts": [{"what": SCRIPT, "reason": "no time", "tables": ["table1"]}],
    }
    declarations = {"published": [{"file": "table1.csv", "value": "accuracy"}], "tables": [table]}
    render_tables(Paper.from_dict(paper), declarations, own / "measurements.parquet", own)
    return {
        "name": "made",
        "config": "tier=made",
        "runs": "results/made/runs",
        "papers": [
            {
                "paper": paper,
                "reference": "Somebody",
                "halves": {},
                "folder": "results/made/papers/paper",
                "claims": True,
                "verdict": None,
                "tables": ["table1"],
                "figures": ["figure1"],
                "readme": str(folder / "README.md"),
                "origins": {"set-1": "generated"},
                "runs": folders,
            }
        ],
    }


def _values(place: int, seeds: int) -> list[tuple[int, float]]:
    return [(seed, 50.0 + 10 * place + seed) for seed in range(seeds)]


def _row(run: str, seed: int, value: float) -> dict[str, Any]:
    fixed = {"split": "test", "condition": "both", "protocol": "none", "checkpoint": "selected"}
    return {
        "dataset": "set-1",
        "run": run,
        "seed": seed,
        "subset": "overall",
        **fixed,
        "metric": "accuracy",
        "value": value,
        "n": 40,
    }


def outcome(text: str, effect: float | None, **more: Any) -> dict[str, Any]:
    """A comparison as claims.json has it, with an interval of 1 to either side."""
    sides = {"low": None, "high": None} if effect is None else {"low": effect - 1, "high": effect + 1}
    verdict = "not testable here" if effect is None else "as claimed" if effect > 1 else "inconclusive"
    known = {"text": text, "verdict": verdict, "effect": effect, **sides, "unit": "points", "n": 40, "detectable": 2.0}
    seeds = {
        "seeds": [] if effect is None else [effect - 0.5, effect + 0.5],
        "numbers": [] if effect is None else [0, 1],
    }
    rest = {"published": 1.5, "reason": "" if effect is not None else "no such run", "headline": False}
    return {**known, **seeds, **rest, **more}


def result(*outcomes: dict[str, Any]) -> dict[str, Any]:
    verdicts = [each["verdict"] for each in outcomes]
    counts = {"claimed": "as claimed", "contrary": "contrary", "inconclusive": "inconclusive"}
    known = {name: verdicts.count(verdict) for name, verdict in counts.items()}
    reasons = [each["reason"] for each in outcomes if each["reason"]]
    return {
        **known,
        "untestable": verdicts.count("not testable here"),
        "comparisons": len(outcomes),
        "powered": 1,
        "verdict": verdicts[0],
        "reasons": reasons,
        "outcomes": list(outcomes),
    }


def claim(name: str, text: str, results: dict[str, Any], source: str = "") -> dict[str, Any]:
    published = {"comparisons": 1, "right": 1, "borrowed": False, "smallest": 1.5, "largest": 1.5}
    return {
        "id": name,
        "text": text,
        "source": source,
        "reading": "",
        "own": False,
        "published": published,
        "results": results,
    }


def _claims() -> dict[str, Any]:
    fused = outcome("Set: Fused <script>window.hacked = 1</script> > Audio unimodal", 2.5, headline=True)
    both = {"planted": result(outcome("Set: A > B", -0.2)), "estimated": result(outcome("Set: A > B", None))}
    return {
        "paper": "paper",
        "title": "A paper",
        "data": [],
        "statistics": {},
        "cuts": [],
        "claims": [
            claim("C1", f"It holds {SCRIPT}", {"none": result(fused)}, "section 2, table 1 and figure 1"),
            claim("C2", f"Two definitions {ARABIC}", both),
        ],
        "checks": [claim("K1", "A check", {"none": result(outcome("Set: A > B", 0.3))})],
        "illustrations": [],
    }


def record_run(path: Path, folder: str, learned: bool = True, epochs: int = 4) -> None:
    """Write record.json and history.csv of a run."""
    _, _, run, seed = folder.split("/")
    record = {
        "record_version": RECORD_VERSION,
        "code": {"commit": COMMIT, "digest": "c0de", "dirty": False},
        "job": {"folder": folder, "run": run, "seed": int(seed[4:]), "method": "baseline", "reads": {},
                "writes": ["predictions.parquet"]},
        "device": {"kind": "cpu", "threads": 1, "cores": 2, "processor": f"P {SCRIPT}", "system": "Linux",
                   "instruction_set": {"torch": "AVX2", "pinned": {"ATEN_CPU_CAPABILITY": "avx2"}}},
        "data": {"digest": "da7a" * 8, "manifest_sha256": "3a9" * 8, "clips": {"train": 90, "test": 40},
                 "losses": {"corrupt": 1}},
        "paths": {"manifest": "data/set-1/manifest.parquet", "audio": "features/a", "visual": "features/v"},
        "versions": {"torch": "2"},
        "settings": {"protocol": {"epochs": epochs}, "model": {"name": "m"}},
        "learning": {"learned": learned, "converged": True, "metric": "accuracy", "value": 71.25, "chance": 10.0,
                     "reason": "learned: 61.2 points above guessing, standard error 3.1"},
        "selected_epoch": 3,
        "epochs_run": epochs,
        "parameters": 1234,
        "finished": "2001-02-03T04:05:06+00:00",
        "wall_s": 123.456,
    }  # fmt: skip
    path.mkdir(parents=True)
    write_json(path / "record.json", record)
    lines = [f"{epoch},{2 / epoch},{70 + epoch / 10}" for epoch in range(1, epochs + 1)]
    (path / "history.csv").write_text("\n".join(["epoch,train_loss,val_accuracy", *lines]) + "\n")


def made_page(folder: Path) -> Path:
    """The page of these results, as a file in `folder`, the current one."""
    path = folder / "report.html"
    path.write_text(page(results(folder)), encoding="utf-8")
    return path


def add_runs(spec: dict[str, Any], count: int) -> None:
    """Make further runs of 100 epochs, on seven data sets, and have the page tell of them."""
    more = [f"paper/set-{place % 7}/run{place % 50}/seed{place}" for place in range(count)]
    for folder in more:
        record_run(Path(spec["runs"], folder), folder, epochs=100)
    spec["papers"][0]["runs"] = spec["papers"][0]["runs"] + more


def large_page(folder: Path) -> Path:
    """The page of these results and a thousand more runs, as a file in `folder`, the current one."""
    path, spec = folder / "large.html", results(folder)
    add_runs(spec, 1000)
    path.write_text(page(spec), encoding="utf-8")
    return path


def as_told(spec: dict[str, Any]) -> dict[str, Any]:
    """What a command gets after the settings went through a file."""
    told: dict[str, Any] = json.loads(json.dumps(spec))
    return told
