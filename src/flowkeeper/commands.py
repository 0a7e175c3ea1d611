"""The commands of sharing for a command line of argparse: their options, and what they print."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from flowkeeper.errors import UserError
from flowkeeper.interface import ResultSet, Workflow

AddCommand = Callable[[Any, str, Any, str], argparse.ArgumentParser]
_say = partial(print, flush=True)


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


def _why(given: argparse.Namespace) -> None:
    from flowkeeper.why import why

    print("\n".join(why(given.workflow, Path.cwd(), given.configfile, given.config, given.targets, given.all)))


def _publish(given: argparse.Namespace) -> None:
    from flowkeeper.publish import publish

    publish(given.workflow, Path.cwd(), given.configfile, given.config, given.bulk, given.dry_run, _say)


def _fetch(given: argparse.Namespace) -> None:
    from flowkeeper.fetch import fetch

    fetch(given.workflow, Path.cwd(), given.name, given.only, given.bulk, _say)


def _verify(given: argparse.Namespace) -> int:
    from flowkeeper.verify import check

    well, lines = check(given.workflow, Path.cwd(), given.name)
    print("\n".join(lines))
    return 0 if well else 1


def _repair(given: argparse.Namespace) -> int:
    from flowkeeper.repair import repair

    done = repair(given.workflow, Path.cwd(), given.name, given.deleted, _say)
    _say(f"put right: {len(done.repaired)}, without a good copy: {len(done.beyond)}, deleted here: {len(done.deleted)}")
    return 1 if done.beyond else 0


def _clean(given: argparse.Namespace) -> None:
    from flowkeeper.clean import remove_stale, stale_files

    if not given.stale:
        raise UserError(
            f"say what to clean: `{given.workflow.command} clean --stale` removes the files of a result set that no job"
            " of its configuration makes, --dry-run only lists them."
        )
    plan = given.workflow.load_plan(Path.cwd(), given.configfile, given.config)
    results = ResultSet(given.workflow, Path.cwd(), plan.name)
    files = stale_files(results, plan) if given.dry_run else remove_stale(results, plan)
    for path, size in files.items():
        print(f"{size:>12,}  {path}")
    size, done = sum(files.values()), "would be removed" if given.dry_run else "removed"
    print(f"{len(files)} files of {size:,} bytes that no job of {results.folder} makes: {done}.")
