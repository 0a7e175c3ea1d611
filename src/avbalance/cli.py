"""The command line: one subcommand per kind of job, and a few for whoever types them.

Everything heavy is imported inside the subcommands: `avbalance --help` and planning never import torch.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avbalance import job_commands, user_commands
from avbalance.checkout import lacking_package, use_code_of_this_checkout
from avbalance.errors import Faults, UserError
from avbalance.workflow import WORKFLOW
from flowkeeper import commands
from flowkeeper.digests import check_code
from flowkeeper.files import DISK_ERRORS

OWN_PACKAGES = ("avbalance", "flowkeeper")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status: 0, 1 for damaged files, 2 after a refusal, 130 after Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # which tells every glyph of a PDF that it keeps
    try:
        if arguments is None:
            use_code_of_this_checkout()
        options = _parser().parse_args(arguments)
        with _ended_by_sigterm():
            if getattr(options, "code", None):
                check_code(WORKFLOW, Path.cwd(), options.code)
            return options.run(options) or 0
    except UserError as error:
        return _told(error)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in OWN_PACKAGES:
            raise
        return _told(lacking_package(error))
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was.", file=sys.stderr)
        return 128 + signal.SIGINT
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(f"error: {error.filename}: {error.strerror}; free the disk or fix permissions.", file=sys.stderr)
        return 2


def _told(error: UserError) -> int:
    for sentence in Faults.of(error):
        print(f"error: {sentence}", file=sys.stderr)
    return 2


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
    job_commands.add_commands(steps, _step)
    user_commands.add_commands(steps, _step)
    commands.add_commands(steps, _step, WORKFLOW)
    return parser


def _step(steps: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = steps.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
