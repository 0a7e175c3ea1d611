"""Commands for people who share and compare results or fetch data: their options, and what they print.

See docs/how-to/share-artifacts.md, docs/how-to/check-stability.md and docs/reference/datasets.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avbalance.errors import UserError

AddStep = Callable[[Any, str, Any, str], argparse.ArgumentParser]


def add_commands(steps: Any, add: AddStep, configured: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add balance, publish, fetch, verify, repair, clean, compare and download to the command line."""
    step = add(steps, "balance", _balance, "say which clips of a folder to leave out so that both modalities matter")
    step.add_argument("folder", type=Path, help="your media and their manifest.csv, see docs/how-to/your-own-data.md")
    step.add_argument("--out", type=Path, help="folder for the lists, by default results/balance/<name of the folder>")
    step.add_argument("--audio-recipe", default="logmel64x128-4s", help="what of the sound is looked at")
    step.add_argument("--visual-recipe", default="fps1-middle-64-4s", help="what of the pictures is looked at")
    step.add_argument("--least", type=int, help="clips to keep at the least, by default 60 %% of them")
    step.add_argument("--noise-share", type=float, default=0.10, help="of the clips that may be noise, by default 0.1")
    step.add_argument("--epochs", type=int, default=40, help="of each estimator, by default 40")
    step.add_argument("--folds", type=int, default=5, help="of cross-fitting, by default 5")
    step.add_argument("--device", default="auto", help="auto, cpu or cuda")

    step = add(steps, "publish", _publish, "share the results of a configuration through DVC")
    configured(step)
    step.add_argument("--features", action="store_true", help="with the arrays of the feature stores")
    step.add_argument("--dry-run", action="store_true", help="only say what would be published, or why not")

    step = add(steps, "fetch", _fetch, "get a published result set, or part of it, beside what was made here")
    _named(step)
    step.add_argument(
        "--only",
        action="append",
        default=[],
        choices=("tables", "predictions", "records", "models"),
        help="only these files; may be given more than once. From the predictions every table can be made",
    )
    step.add_argument("--features", action="store_true", help="also the arrays of the feature stores, if published")

    step = add(steps, "verify", _verify, "read every byte of a result set and compare it with its ledger")
    _named(step)

    step = add(steps, "repair", _repair, "put the published bytes in place of damaged files")
    _named(step)
    step.add_argument("--deleted", action="store_true", help="also in place of files that were deleted here")

    step = add(steps, "clean", _clean, "remove results that no job of a configuration makes any more")
    configured(step)
    step.add_argument("--stale", action="store_true", help="these files; nothing else can be cleaned")
    step.add_argument("--dry-run", action="store_true", help="only list them")

    step = add(steps, "compare", _compare, "say which verdicts and numbers of two result sets differ")
    step.add_argument("first", type=Path, help="results/<name>")
    step.add_argument("second", type=Path, help="results/<other name>, of the same plan")
    step.add_argument(
        "--table", default="papers/balanced-audiovisual/table2.csv", help="CSV of a table below both, the README's"
    )
    step.add_argument("--out", type=Path, default=Path("results/stability"), help="folder for stability.json and .md")

    step = add(steps, "download", _download, "get real recordings from the host that offers them")
    step.add_argument("what", choices=("grid",), help="the GRID corpus, see docs/reference/datasets.md")
    step.add_argument("--talkers", nargs="+", default=["s1"], metavar="TALKER", help="s1 to s34, by default s1")
    step.add_argument("--to", type=Path, default=Path("downloads/grid"), help="folder, by default downloads/grid")
    step.add_argument("--record", metavar="ADDRESS", help="of the host's list of files, by default Zenodo's")


def _named(step: argparse.ArgumentParser) -> None:
    step.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="of results/NAME.dvc; default: the default configuration's, or the only one",
    )


def _say(line: str) -> None:
    print(line, flush=True)


def _balance(options: argparse.Namespace) -> None:
    from avbalance.balancing.own_data import Request, balance_folder

    out = options.out or Path("results/balance") / options.folder.absolute().name
    wanted = Request(
        options.audio_recipe,
        options.visual_recipe,
        options.epochs,
        options.folds,
        options.least,
        options.noise_share,
    )
    for sentence in balance_folder(options.folder, out, wanted, options.device):
        _say(sentence)


def _publish(options: argparse.Namespace) -> None:
    from avbalance.sharing.publish import publish

    publish(Path.cwd(), options.configfile, options.config, options.features, options.dry_run, _say)


def _fetch(options: argparse.Namespace) -> None:
    from avbalance.sharing.fetch import fetch

    fetch(Path.cwd(), options.name, options.only, options.features, _say)


def _verify(options: argparse.Namespace) -> int:
    from avbalance.sharing import repair, sets

    root = Path.cwd()
    name = sets.chosen(root, options.name)
    checked = repair.check(root, name)
    print("\n".join(repair.report(checked, name)))
    return 1 if checked.damaged else 0


def _repair(options: argparse.Namespace) -> int:
    from avbalance.sharing.repair import repair

    done = repair(Path.cwd(), options.name, options.deleted, _say)
    print(
        f"put right: {len(done.repaired)}, without a good copy: {len(done.beyond)}, deleted here: {len(done.deleted)}"
    )
    return 1 if done.beyond else 0


def _compare(options: argparse.Namespace) -> int:
    from avbalance.evaluation.stability import compare
    from avbalance.reporting.stability import write_stability

    found = compare(options.first, options.second, options.table)
    print(write_stability(found, options.out), end="")
    return 0 if found.stable else 1


def _clean(options: argparse.Namespace) -> None:
    from avbalance.plan.commandline import load_plan_for
    from avbalance.sharing.clean import remove_stale, stale_files

    if not options.stale:
        raise UserError(
            "say what to clean: `avbalance clean --stale` removes the files of a result set that no job of its"
            " configuration makes, --dry-run only lists them."
        )
    root = Path.cwd()
    plan = load_plan_for(root, options.configfile, options.config)
    found = stale_files(root, plan) if options.dry_run else remove_stale(root, plan)
    for file in found:
        print(f"{file.size:>12,}  {file.path}")
    done = "would be removed" if options.dry_run else "removed"
    print(
        f"{len(found)} files of {sum(file.size for file in found):,} bytes that no job of {plan.results} makes: {done}."
    )


def _download(options: argparse.Namespace) -> None:
    from avbalance.data.download import GRID_RECORD, download_grid

    download_grid(options.talkers, options.to, options.record or GRID_RECORD, _say)
