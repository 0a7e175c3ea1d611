"""The command line: one subcommand per step of the workflow, and a few for people.

Steps read their settings as JSON from standard input, exactly as the workflow's rules record them. Everything heavy is
imported inside the subcommands: `avbalance --help` and planning never import torch.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.errors import UserError
from avbalance.files import DISK_ERRORS

if TYPE_CHECKING:
    from avbalance.analysis.confidence import StopRule
    from avbalance.evaluation.paper import Paper


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status: 0, or 2 after one sentence on standard error."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(f"error: {error.filename}: {error.strerror}; free the disk or mend the rights.", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="avbalance", description="Audio-visual modality imbalance, reproducibly.")
    steps = parser.add_subparsers(required=True, metavar="command")

    step = _step(steps, "dataset", _dataset, "build a data set's manifest (JSON {name, spec} on standard input)")
    step.add_argument("--out", type=Path, required=True, help="data/<name>/manifest.parquet")

    step = _step(
        steps,
        "features",
        _features,
        "decode clips and store features (JSON {modality: recipe} on standard input)",
    )
    step.add_argument("--manifest", type=Path, required=True)
    step.add_argument("--out", type=Path, required=True, help="folder for <modality>-<recipe>/")
    step.add_argument("--workers", type=int, default=1, help="decoder processes")
    step.add_argument("--timeout", type=float, default=60.0, help="seconds that one clip may take")

    step = _step(steps, "train", _train, "train a cell (JSON list of jobs on standard input)")
    step.add_argument("--manifest", type=Path, required=True)
    step.add_argument("--audio", type=Path, required=True, help="audio feature store")
    step.add_argument("--visual", type=Path, required=True, help="visual feature store")
    step.add_argument("--out", type=Path, required=True, help="results/<name>/runs")
    step.add_argument("--code", required=True, help="digest of the code, part of a run's identity")
    step.add_argument("--device", default="auto", help="auto, cpu or cuda")
    step.add_argument("--threads", type=int, default=1)
    step.add_argument("--checkpoint-every", type=float, default=20.0, help="seconds between two saved states")

    step = _step(steps, "combine", _combine, "join predictions of finished runs (JSON job on standard input)")
    step.add_argument("--out", type=Path, required=True, help="results/<name>/runs")
    step.add_argument("--code", required=True)

    step = _step(
        steps, "confidence", _confidence, "estimate the modality discrepancy from two unimodal runs (JSON rule)"
    )
    step.add_argument("--audio", type=Path, required=True, help="confidence.npz of the audio run")
    step.add_argument("--visual", type=Path, required=True, help="confidence.npz of the visual run")
    step.add_argument("--manifest", type=Path, required=True)
    step.add_argument("--out", type=Path, required=True, help="folder")

    step = _step(steps, "subsets", _subsets, "split a test set (JSON {pairs, rule} on standard input)")
    step.add_argument("--manifest", type=Path, required=True)
    step.add_argument("--out", type=Path, required=True)

    step = _step(steps, "measure", _measure, "measure a paper's runs (JSON on standard input)")
    step.add_argument("--out", type=Path, required=True)

    for name, run, text in (
        ("table", _table, "write one table as csv, md and tex (JSON on standard input)"),
        ("figure", _figure, "draw one figure as png, pdf and csv (JSON on standard input)"),
    ):
        step = _step(steps, name, run, text)
        step.add_argument("--measurements", type=Path, required=True)
        step.add_argument("--out", type=Path, required=True, help="folder")

    step = _step(steps, "claims", _claims, "test a paper's claims (JSON on standard input)")
    step.add_argument("--out", type=Path, required=True, help="folder")

    step = _step(steps, "losses", _losses, "list the clips that were not used, and why (JSON on standard input)")
    step.add_argument("--out", type=Path, required=True)

    step = _step(steps, "methods", _methods, "list the methods and what they are")
    return parser


def _step(steps: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = steps.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _spec() -> Any:
    """The JSON on standard input."""
    if sys.stdin.isatty():
        raise UserError("this step reads its settings as JSON from standard input; see the rules in workflow/rules.")
    try:
        return json.load(sys.stdin)
    except ValueError as error:
        raise UserError(f"standard input is not valid JSON ({error}).") from error


def _mapping(*keys: str) -> dict[str, Any]:
    """The JSON object on standard input; raises UserError unless it has all `keys`."""
    spec = _spec()
    absent = [key for key in keys if not isinstance(spec, dict) or key not in spec]
    if absent:
        raise UserError(
            f"standard input: no key {absent[0]!r}; give a JSON object with {', '.join(keys)}, see workflow/rules."
        )
    found: dict[str, Any] = spec
    return found


def _jobs(*keys: str) -> list[dict[str, Any]]:
    """The JSON list of jobs on standard input; raises UserError unless each has all `keys`."""
    jobs = _spec()
    if not isinstance(jobs, list) or not jobs:
        raise UserError("standard input: give a JSON list of at least one job, see workflow/rules/train.smk.")
    for number, job in enumerate(jobs, start=1):
        absent = [key for key in keys if not isinstance(job, dict) or key not in job]
        if absent:
            raise UserError(f"standard input, job {number}: no key {absent[0]!r}; a job has {', '.join(keys)}.")
    return jobs


def _stop_rule(rule: Any) -> StopRule:
    """The early stop on standard input; raises UserError unless it has its three numbers."""
    from avbalance.analysis.confidence import StopRule

    try:
        return StopRule(**rule)
    except TypeError as error:
        raise UserError(f"standard input: the stop rule needs min_delta, patience and floor ({error}).") from error


def _dataset(options: argparse.Namespace) -> None:
    from avbalance.data.build import build_dataset
    from avbalance.schemas import check

    spec = _mapping("name", "spec")
    check("dataset", spec["spec"], f"data set {spec['name']}")
    build_dataset(spec["name"], spec["spec"], options.out)


def _features(options: argparse.Namespace) -> None:
    from avbalance.features.extract import extract

    extract(
        options.manifest,
        _spec(),
        options.out,
        state_dir=Path(".avbalance/features"),
        workers=options.workers,
        timeout_s=options.timeout,
    )


def _train(options: argparse.Namespace) -> None:
    from avbalance.training.cell import CellOptions, train_cell

    train_cell(
        CellOptions(
            jobs=_jobs("run", "seed", "method", "settings", "folder", "inputs", "outputs"),
            code=options.code,
            manifest=options.manifest,
            audio=options.audio,
            visual=options.visual,
            out=options.out,
            cache=Path(".avbalance"),
            device=options.device,
            threads=options.threads,
            checkpoint_every_s=options.checkpoint_every,
        )
    )


def _combine(options: argparse.Namespace) -> None:
    from avbalance.evaluation.combine import combine_runs

    combine_runs(_jobs("run", "seed", "method", "folder", "predictions"), options.code, options.out)


def _confidence(options: argparse.Namespace) -> None:
    from avbalance.analysis.confidence import estimate_confidence

    estimate_confidence(options.audio, options.visual, options.manifest, options.out, _stop_rule(_spec()))


def _subsets(options: argparse.Namespace) -> None:
    from avbalance.analysis.subsets import build_subsets

    spec = _mapping("pairs", "rule")
    pairs = {definition: (pair[0], pair[1]) for definition, pair in spec["pairs"].items()}
    build_subsets(pairs, options.manifest, options.out, _stop_rule(spec["rule"]))


def _measure(options: argparse.Namespace) -> None:
    from avbalance.evaluation.measure import measure

    paper, declarations = _paper()
    measure(paper, declarations["measures"], options.out)


def _paper() -> tuple[Paper, dict[str, Any]]:
    """The paper and the declarations on standard input."""
    from avbalance.evaluation.paper import Paper, declarations_of

    spec = _mapping("paper", "declarations")
    return Paper.from_dict(spec["paper"]), declarations_of(spec["declarations"])


def _table(options: argparse.Namespace) -> None:
    from avbalance.reporting.tables import render_tables

    paper, declarations = _paper()
    render_tables(paper, declarations, options.measurements, options.out)


def _figure(options: argparse.Namespace) -> None:
    from avbalance.reporting.figures import render_figures

    paper, declarations = _paper()
    render_figures(paper, declarations, options.measurements, options.out)


def _claims(options: argparse.Namespace) -> None:
    from avbalance.reporting.claims_report import render_claims

    paper, declarations = _paper()
    render_claims(paper, declarations, options.out)


def _losses(options: argparse.Namespace) -> None:
    from avbalance.reporting.facts import write_lost_clips

    write_lost_clips(_paper()[0], options.out)


def _methods(options: argparse.Namespace) -> None:
    from avbalance.methods import base

    for name in base.names():
        card = base.load(name).card
        print(f"{name:28} {card.label}: {card.summary} ({card.reference})")


if __name__ == "__main__":
    sys.exit(main())
