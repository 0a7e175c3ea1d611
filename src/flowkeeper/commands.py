"""The commands of sharing for a command line of argparse: their options, and what they print."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowkeeper.errors import UserError
from flowkeeper.interface import ResultSet, Workflow

AddCommand = Callable[[Any, str, Any, str], argparse.ArgumentParser]


def add_commands(commands: Any, add: AddCommand, workflow: Workflow) -> None:
    """Add why, publish, fetch, verify, repair and clean; add(commands, name, run, help) makes one of them."""
    bulk = workflow.bulk
    why = add(commands, "why", _why, "say in words why each pending job would run, or that nothing is pending")
    publish = add(commands, "publish", _publish, "share the results of a configuration through DVC")
    fetch = add(commands, "fetch", _fetch, "get a published result set, or part of it, beside what was made here")
    verify = add(commands, "verify", _verify, "read every byte of a result set and compare it with its ledger")
    repair = add(commands, "repair", _repair, "put the published bytes in place of damaged files")
    clean = add(commands, "clean", _clean, "remove results that no job of a configuration makes any more")
    for command in (why, publish, clean):
        take_configuration(command)
    default = "of results/NAME.dvc; default: the default configuration's, or the only one"
    for command in (fetch, verify, repair):
        command.add_argument("name", nargs="?", metavar="NAME", help=default)
    for command in (why, publish, fetch, verify, repair, clean):
        command.set_defaults(workflow=workflow)
    why.add_argument("--all", action="store_true", help="show lists in full")
    why.add_argument("targets", nargs="*", metavar="TARGET", help="files, by default everything")
    publish.add_argument(bulk.option, dest="bulk", action="store_true", help=f"with the {bulk.called}")
    publish.add_argument("--dry-run", action="store_true", help="only say what would be published, or why not")
    only = "only these files; may be given more than once"
    fetch.add_argument("--only", action="append", default=[], choices=tuple(workflow.kinds), help=only)
    fetch.add_argument(bulk.option, dest="bulk", action="store_true", help=f"also the {bulk.called}, if published")
    repair.add_argument("--deleted", action="store_true", help="also in place of files that were deleted here")
    clean.add_argument("--stale", action="store_true", help="these files; nothing else can be cleaned")
    clean.add_argument("--dry-run", action="store_true", help="only list them")


def take_configuration(command: argparse.ArgumentParser) -> None:
    """Let a command take a configuration as snakemake does."""
    command.add_argument("--configfile", nargs="+", default=[], metavar="FILE", help="as given to snakemake")
    command.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="as given to snakemake")


def _say(line: str) -> None:
    print(line, flush=True)


def _why(options: argparse.Namespace) -> None:
    from flowkeeper.why import why

    lines = why(options.workflow, Path.cwd(), options.configfile, options.config, options.targets, options.all)
    print("\n".join(lines))


def _publish(options: argparse.Namespace) -> None:
    from flowkeeper.publish import publish

    words = options.configfile, options.config
    publish(options.workflow, Path.cwd(), *words, options.bulk, options.dry_run, _say)


def _fetch(options: argparse.Namespace) -> None:
    from flowkeeper.fetch import fetch

    fetch(options.workflow, Path.cwd(), options.name, options.only, options.bulk, _say)


def _verify(options: argparse.Namespace) -> int:
    from flowkeeper.verify import check

    well, lines = check(options.workflow, Path.cwd(), options.name)
    print("\n".join(lines))
    return 0 if well else 1


def _repair(options: argparse.Namespace) -> int:
    from flowkeeper.repair import repair

    done = repair(options.workflow, Path.cwd(), options.name, options.deleted, _say)
    _say(f"put right: {len(done.repaired)}, without a good copy: {len(done.beyond)}, deleted here: {len(done.deleted)}")
    return 1 if done.beyond else 0


def _clean(options: argparse.Namespace) -> None:
    from flowkeeper.clean import remove_stale, stale_files

    workflow, root = options.workflow, Path.cwd()
    if not options.stale:
        raise UserError(
            f"say what to clean: `{workflow.command} clean --stale` removes the files of a result set that no job of"
            " its configuration makes, --dry-run only lists them."
        )
    plan = workflow.load_plan(root, options.configfile, options.config)
    results = ResultSet(workflow, root, plan.name)
    files = stale_files(results, plan) if options.dry_run else remove_stale(results, plan)
    for file in files:
        print(f"{file.size:>12,}  {file.path}")
    done = "would be removed" if options.dry_run else "removed"
    size = sum(file.size for file in files)
    print(f"{len(files)} files of {size:,} bytes that no job of {results.folder} makes: {done}.")
