"""The command line: one subcommand per step of the workflow, and a few for whoever types them.

Steps read their settings, JSON, from the file that `--settings DIGEST` names, as the workflow's rules give it, or from
standard input. Everything heavy is imported inside the subcommands: `avbalance --help` and planning never import torch.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance import user_commands
from avbalance.errors import UserError
from avbalance.gpus import own_gpu
from avbalance.workflow import STATE, WORKFLOW
from flowkeeper import commands
from flowkeeper.closures import check_code
from flowkeeper.files import DISK_ERRORS
from flowkeeper.writers import Writer, only_writer

if TYPE_CHECKING:
    from avbalance.evaluation.paper import Paper
    from avbalance.stopping import StopRule

_FEATURES = Path(STATE, "features")  # unfinished feature stores, and the locks of all who write stores


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status: 0, 1 for damaged files, 2 after a sentence on standard error."""
    if arguments is None:
        _use_code_of_this_checkout()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    try:
        with _ended_by_sigterm():
            if getattr(options, "code", None):
                check_code(WORKFLOW, Path.cwd(), options.code)
            return options.run(options) or 0
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


def _use_code_of_this_checkout() -> None:
    """Where the command is typed in another checkout than the installed one, start again with the code there."""
    source = Path.cwd() / "src"
    elsewhere = (source / "avbalance").is_dir() and not Path(__file__).parent.samefile(source / "avbalance")
    if elsewhere and "AVBALANCE_SOURCE" not in os.environ:
        variables = {**os.environ, "PYTHONPATH": str(source), "AVBALANCE_SOURCE": str(source)}
        os.execve(sys.executable, [sys.executable, "-m", "avbalance", *sys.argv[1:]], variables)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as an exit does, so that nothing half-written stays, with the status of a shell."""

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="avbalance", description="Audio-visual modality imbalance, reproducibly.")
    steps = parser.add_subparsers(required=True, metavar="command")

    runs, of_data, of_paper = "results/<name>/runs", "manifest of the data set", "of the paper"
    made = "data/<name>/manifest.parquet"
    _job(steps, "dataset", _dataset, "build a data set's manifest (settings {name, spec})", out=made)

    text = "decode clips and store features (settings {modality: recipe})"
    step = _job(steps, "features", _features, text, manifest=of_data, out="folder for <modality>-<recipe>/")
    step.add_argument("--workers", type=int, default=1, help="decoder processes")
    step.add_argument("--timeout", type=float, default=60.0, help="seconds that one clip may take")

    text = "train a cell (settings: a list of jobs)"
    step = _job(steps, "train", _train, text, manifest=of_data, audio="audio feature store", out=runs)
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
    _job(steps, "combine", _combine, "join predictions of finished runs (settings: a list of jobs)", out=runs)

    text, npz = (
        "estimate the discrepancy from two unimodal runs (settings: the rule)",
        "confidence.npz of this modality",
    )
    _job(steps, "confidence", _confidence, text, audio=npz, visual=npz, manifest=of_data, out="folder")
    _job(steps, "subsets", _subsets, "split a test set (settings {pairs, rule})", manifest=of_data, out="file")
    _job(steps, "measure", _measure, "measure a paper's runs", out="file")
    _job(steps, "table", _table, "write one table as csv, md and tex", measurements=of_paper, out="folder")
    _job(steps, "figure", _figure, "draw one figure as png, pdf and csv", measurements=of_paper, out="folder")
    _job(steps, "claims", _claims, "test a paper's claims", measurements=of_paper, out="folder")
    _job(steps, "overview", _overview, "one page of all claims of all papers", out="file")
    _job(steps, "page", _page, "put all evidence on one page, report.html", out="file")
    _job(steps, "losses", _losses, "list the clips that were not used, and why", out="file")

    step = _step(steps, "methods", _methods, "list the methods and what they are")

    step = _step(
        steps,
        "show",
        _show,
        "say how a run came to be, and how to make exactly this run again; or print a job's settings",
    )
    step.add_argument("what", help="folder of a run, results/<name>/runs/..., or the digest of a job's settings")
    step.add_argument("--job", action="store_true", help="print the job as JSON, for the step that made it")
    step.add_argument("--json", action="store_true", help="print the record as it is")

    step = _step(steps, "estimate", _estimate, "say what a plan costs on a cluster: jobs, GPU-hours, disk, load")
    commands.take_configuration(step)

    user_commands.add_commands(steps, _step)
    commands.add_commands(steps, _step, WORKFLOW)
    return parser


def _step(steps: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = steps.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _job(steps: Any, name: str, run: Any, text: str, **paths: str) -> argparse.ArgumentParser:
    """A step of the workflow, with the paths that it must be given: name of the option -> what it is."""
    step = _step(steps, name, run, text)
    for option, what in paths.items():
        step.add_argument(f"--{option}", type=Path, required=True, help=what)
    step.add_argument(
        "--settings", metavar="DIGEST", help="of its settings; without it, they are read from standard input"
    )
    identity = name in ("train", "combine")  # the digest of its code is part of what it makes
    step.add_argument("--code", required=identity, help="digest of the planned code, compared with the code here")
    return step


def _writer(*paths: Path) -> AbstractContextManager[Writer]:
    """Let no other process write `paths`, see flowkeeper/writers.py."""
    return only_writer(paths, Path(STATE, "locks"))


def _settings(options: argparse.Namespace, *keys: str, jobs: bool = False) -> Any:
    """The settings of a step, JSON: those that --settings names, else what is on standard input.

    Raises UserError unless they are an object with all `keys`, if there are any; jobs: a list of such objects.
    """
    where, text = _settings_text(options.settings)
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


def _settings_text(digest: str | None) -> tuple[str, str]:
    """Where settings come from, and the settings as they are there."""
    from flowkeeper.settings import read_settings

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
        turn=_writer(options.out),  # waits inside: what another process has made meanwhile is taken over
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
    from avbalance.evaluation.paper import Paper, declarations_of

    spec = _settings(options, "paper", "declarations")
    return Paper.from_dict(spec["paper"]), declarations_of(spec["declarations"])


def _table(options: argparse.Namespace) -> None:
    from avbalance.reporting.tables import render_tables

    paper, declarations = _paper(options)
    with _writer(*(options.out / table["id"] for table in declarations["tables"])):
        render_tables(paper, declarations, options.measurements, options.out)


def _figure(options: argparse.Namespace) -> None:
    from avbalance.reporting.figures import render_figures

    paper, declarations = _paper(options)
    with _writer(*(options.out / figure["id"] for figure in declarations["figures"])):
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


def _page(options: argparse.Namespace) -> None:
    from avbalance.reporting.page import render_report

    spec = _settings(options, "name", "config", "runs", "papers")
    with _writer(options.out):
        render_report(spec, options.out)


def _losses(options: argparse.Namespace) -> None:
    from avbalance.reporting.facts import write_lost_clips

    paper, _ = _paper(options)
    with _writer(options.out):
        write_lost_clips(paper, options.out)


def _methods(options: argparse.Namespace) -> None:
    from avbalance.methods import base

    for name in base.names():
        card = base.load(name).card
        print(f"{name:28} {card.label}: {card.summary} ({card.reference})")


def _show(options: argparse.Namespace) -> None:
    from avbalance.provenance import show
    from flowkeeper.settings import DIGEST

    if DIGEST.fullmatch(options.what):
        print(json.dumps(json.loads(_settings_text(options.what)[1]), indent=2, sort_keys=True))
        return
    run = show.find_run(options.what)
    if options.job:
        print(show.job_of(run))
    elif options.json:
        print(json.dumps(run.record, indent=2, sort_keys=True))
    else:
        print("\n".join([*show.lines(run), "", show.code_note(run), "This run again, and a comparison of its bytes:"]))
        print("\n".join(f"  {command}" for command in show.commands(run)))


def _estimate(options: argparse.Namespace) -> None:
    from avbalance.cluster.estimate import lines
    from avbalance.plan.commandline import load_plan_for

    print("\n".join(lines(load_plan_for(Path.cwd(), options.configfile, options.config))))


if __name__ == "__main__":
    sys.exit(main())
