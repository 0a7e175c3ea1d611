"""The commands of the workflow's jobs: each reads its settings and files, and writes what its rule declares.

Settings are JSON, from the file that `--settings DIGEST` names, as in the workflow's rules, or from standard input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.errors import UserError
from avbalance.gpus import own_gpu
from avbalance.workflow import STATE, WORKFLOW
from flowkeeper.commands import AddCommand
from flowkeeper.writers import Writer, only_writer

if TYPE_CHECKING:
    from avbalance.evaluation.paper import Paper
    from avbalance.stopping import StopRule

_FEATURES = Path(STATE, "features")  # unfinished feature stores, and the locks of all who write stores


def add_commands(steps: Any, add: AddCommand) -> None:
    """Add a command for each kind of job; add(steps, name, run, help) makes one of them."""

    def command(name: str, run: Any, text: str, **paths: str) -> argparse.ArgumentParser:
        """A job's command, with the paths that it must be given: name of the option -> what it is."""
        step = add(steps, name, run, text)
        for option, what in paths.items():
            step.add_argument(f"--{option}", type=Path, required=True, help=what)
        step.add_argument(
            "--settings", metavar="DIGEST", help="of its settings; without it, they are read from standard input"
        )
        identity = name in ("train", "combine")  # the digest of its code is part of what it makes
        step.add_argument("--code", required=identity, help="digest of the planned code, compared with the code here")
        return step

    runs, of_data, of_paper = "results/<name>/runs", "manifest of the data set", "of the paper"
    made = "data/<name>/manifest.parquet"
    command("dataset", _dataset, "build a data set's manifest (settings {name, spec})", out=made)

    text = "decode clips and store features (settings {modality: recipe})"
    step = command("features", _features, text, manifest=of_data, out="folder for <modality>-<recipe>/")
    step.add_argument("--workers", type=int, default=1, help="decoder processes")
    step.add_argument("--timeout", type=float, default=60.0, help="seconds that one clip may take")

    text = "train a cell (settings: a list of jobs)"
    step = command("train", _train, text, manifest=of_data, audio="audio feature store", out=runs)
    step.add_argument("--visual", type=Path, help="visual feature store; none: pictures are not read")
    step.add_argument("--inputs", type=Path, help="folder of the runs that jobs read, by default that of --out")
    step.add_argument("--cache", type=Path, default=Path(".avbalance"), help="finished runs and saved states")
    step.add_argument("--device", default="auto", help="auto, cpu or cuda")
    step.add_argument("--threads", type=int, default=1)
    step.add_argument(
        "--checkpoint-every",
        type=float,
        default=os.environ.get("AVBALANCE_CHECKPOINT_EVERY", "20"),
        help="seconds between two saved states, by default $AVBALANCE_CHECKPOINT_EVERY or 20",
    )
    command("combine", _combine, "join predictions of finished runs (settings: a list of jobs)", out=runs)

    text, npz = (
        "estimate the discrepancy from two unimodal runs (settings: the rule)",
        "confidence.npz of this modality",
    )
    command("confidence", _confidence, text, audio=npz, visual=npz, manifest=of_data, out="folder")
    command("subsets", _subsets, "split a test set (settings {pairs, rule})", manifest=of_data, out="file")
    command("measure", _measure, "measure a paper's runs", out="file")
    command("tables", _tables, "make a paper's tables", measurements=of_paper, out="folder")
    command("figures", _figures, "draw a paper's figures", measurements=of_paper, out="folder")
    command("claims", _claims, "test a paper's claims", measurements=of_paper, out="folder")
    command("verdict", _verdict, "answer in words what was asked about a data set", out="folder")
    command("overview", _overview, "one page of all claims of all papers", out="file")
    command("page", _page, "put all evidence on one page, report.html", out="file")
    command("losses", _losses, "list the clips that were not used, and why", out="file")
    command("crate", _crate, "describe a result set for archives and for whoever checks it", out="folder")


def _writer(*paths: Path) -> AbstractContextManager[Writer]:
    """Let no other process write `paths`, see flowkeeper/writers.py."""
    return only_writer(paths, Path(STATE, "locks"))


def _settings(options: argparse.Namespace, *keys: str, jobs: bool = False) -> Any:
    """The settings of a step, JSON: those that --settings names, else what is on standard input.

    Raises UserError unless they are an object with all `keys`, if there are any; jobs: a list of such objects.
    """
    where, text = settings_text(options.settings)
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise UserError(f"{where} is not valid JSON ({error}).") from error
    if jobs and not (isinstance(settings, list) and settings):
        raise UserError(f"{where}: give a JSON list of at least one job, see workflow/rules/train.smk.")
    for number, each in enumerate(settings if jobs else [settings], start=1):
        absent = [key for key in keys if not isinstance(each, dict) or key not in each]
        if absent:
            place = f"{where}, job {number}" if jobs else where
            raise UserError(f"{place}: no key {absent[0]!r}; give a JSON object with {', '.join(keys)}.")
    return settings


def settings_text(digest: str | None) -> tuple[str, str]:
    """Where the settings of a digest come from, else those on standard input, and the settings as they are there."""
    from flowkeeper.digests import read_settings

    if digest is not None:
        text = read_settings(WORKFLOW, Path.cwd(), digest)
        if text is None:
            raise UserError(f"settings {digest} are not here; snakemake writes them when it runs the jobs of a plan.")
        return f"settings {digest}", text
    if sys.stdin.isatty():
        raise UserError("this step reads its settings as JSON from standard input, or give --settings DIGEST.")
    return "standard input", sys.stdin.read()


def _stop_rule(rule: Any) -> StopRule:
    """The early stop of a step's settings."""
    from avbalance.declared import read
    from avbalance.stopping import StopRule

    return read(StopRule, rule, "settings, rule")


def _dataset(options: argparse.Namespace) -> None:
    from avbalance.data.build import build_dataset
    from avbalance.data.sources import check_dataset

    spec = _settings(options, "name", "spec")
    check_dataset(spec["spec"], f"data set {spec['name']}")
    with _writer(options.out):
        if spec["spec"]["kind"] == "built":
            from avbalance.balancing.build import build_balanced

            build_balanced(spec["name"], spec["spec"], options.out)
        else:
            build_dataset(spec["name"], spec["spec"], options.out)


def _features(options: argparse.Namespace) -> None:
    from avbalance.features.extract import extract

    extract(
        options.manifest,
        _settings(options),
        options.out,
        state_dir=_FEATURES,
        workers=options.workers,
        timeout_s=options.timeout,
        lock=_writer(options.out),  # waits inside: what another process has made meanwhile is taken over
    )


def _train(options: argparse.Namespace) -> None:
    jobs = _settings(options, "run", "seed", "method", "settings", "folder", "inputs", "outputs", jobs=True)
    with _writer(*(options.out / job["folder"] for job in jobs)) as writer, own_gpu(options.device != "cpu"):
        _train_jobs(jobs, options, writer)


def _train_jobs(jobs: list[dict[str, Any]], options: argparse.Namespace, writer: Writer) -> None:
    from avbalance.features.store import array_is_there
    from avbalance.training.cell import CellOptions, train_cell

    stores = {"audio": options.audio, **({"visual": options.visual} if options.visual else {})}
    if not all(array_is_there(folder) for folder in stores.values()):
        from avbalance.features.arrays import ensure_arrays

        ensure_arrays(options.manifest, stores, _FEATURES, options.threads)
    train_cell(
        CellOptions(
            jobs=jobs,
            code=options.code,
            manifest=options.manifest,
            audio=options.audio,
            visual=options.visual,
            out=options.out,
            cache=options.cache,
            inputs=options.inputs,
            device=options.device,
            threads=options.threads,
            checkpoint_every_s=options.checkpoint_every,
            after_save=writer.check,
        )
    )


def _combine(options: argparse.Namespace) -> None:
    from avbalance.evaluation.combine import combine_runs

    jobs = _settings(options, "run", "seed", "method", "folder", "predictions", jobs=True)
    with _writer(*(options.out / job["folder"] for job in jobs)):
        combine_runs(jobs, options.code, options.out)


def _confidence(options: argparse.Namespace) -> None:
    from avbalance.analysis.confidence import estimate_confidence

    rule = _stop_rule(_settings(options))
    with _writer(options.out):
        estimate_confidence(options.audio, options.visual, options.manifest, options.out, rule)


def _subsets(options: argparse.Namespace) -> None:
    from avbalance.analysis.subsets import build_subsets

    spec = _settings(options, "pairs", "rule")
    pairs = {definition: (pair[0], pair[1]) for definition, pair in spec["pairs"].items()}
    with _writer(options.out):
        build_subsets(pairs, options.manifest, options.out, _stop_rule(spec["rule"]))


def _measure(options: argparse.Namespace) -> None:
    from avbalance.evaluation.measure import measure

    paper, declarations = _paper(options)
    with _writer(options.out):
        measure(paper, declarations["measures"], options.out)


def _paper(options: argparse.Namespace) -> tuple[Paper, dict[str, Any]]:
    """The paper and the declarations of a reporting step."""
    from avbalance.evaluation.paper import Paper

    spec = _settings(options, "paper", "declarations")
    return Paper.from_dict(spec["paper"]), spec["declarations"]


def _tables(options: argparse.Namespace) -> None:
    from avbalance.reporting.tables import render_tables

    paper, declarations = _paper(options)
    with _writer(options.out / "tables"):
        render_tables(paper, declarations, options.measurements, options.out)


def _figures(options: argparse.Namespace) -> None:
    from avbalance.reporting.figures import render_figures

    paper, declarations = _paper(options)
    with _writer(options.out / "figures"):
        render_figures(paper, declarations, options.measurements, options.out)


def _claims(options: argparse.Namespace) -> None:
    from avbalance.reporting.claims_report import render_claims

    paper, declarations = _paper(options)
    with _writer(options.out / "claims"):
        render_claims(paper, declarations, options.out, options.measurements)


def _overview(options: argparse.Namespace) -> None:
    from avbalance.reporting.overview import render_overview

    spec = _settings(options, "name", "claims")
    with _writer(options.out):
        render_overview(spec["name"], spec["claims"], options.out)


def _losses(options: argparse.Namespace) -> None:
    from avbalance.reporting.facts import write_lost_clips

    paper, _ = _paper(options)
    with _writer(options.out):
        write_lost_clips(paper, options.out)


def _verdict(options: argparse.Namespace) -> None:
    from avbalance.diagnosis.report import write_verdict

    paper, declarations = _paper(options)
    with _writer(options.out / "verdict"):
        write_verdict(paper, str(declarations["verdict"]), options.out)


def _crate(options: argparse.Namespace) -> None:
    from avbalance.reporting.crate import describe

    with _writer(options.out / "ro-crate-metadata.json"):
        describe(_settings(options, "name", "papers", "titles", "datasets", "sources", "files", "records"), options.out)


def _page(options: argparse.Namespace) -> None:
    from avbalance.reporting.page import render_report

    spec = _settings(options, "name", "config", "runs", "papers")
    with _writer(options.out):
        render_report(spec, options.out)
