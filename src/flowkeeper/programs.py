"""Other programs, run as lists of words: dvc, git and snakemake, each shown before it runs."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowkeeper.errors import UserError
from flowkeeper.patches import dvc_without_memory

Say = Callable[[str], None]

TIMED_OUT = 124  # exit status of a program that was ended because it took too long, as of timeout(1)
_SHOWN_WORDS = 12  # of a long list of files
_SHOWN_ERRORS = 3


@dataclass(frozen=True)
class Finished:
    """A program that ended: exit status, standard output, standard error."""

    status: int
    output: str
    errors: str

    @property
    def fault(self) -> str:
        """What it complained of, in short: its lines that say ERROR, else its last one."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        told = (line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:"))
        said = [line.removeprefix("unexpected error - ").rstrip(".") for line in told] or lines[-1:]
        return "; ".join(dict.fromkeys(said[:_SHOWN_ERRORS])) or f"exit status {self.status} without a word"


def run(
    arguments: Sequence[str], root: Path | None, say: Say, timeout_s: float | None = None, **environment: str
) -> Finished:
    """Run a program in the folder `root`, shown as `$ ...` beforehand; nothing is left to a shell.

    root: None stands for the current folder. environment: variables that are added to those of this process. Neither
    output reaches the terminal. After `timeout_s` it is killed, and its status is TIMED_OUT. Raises UserError when
    there is no such program.
    """
    say(f"$ {shown(arguments)}")
    try:
        done = subprocess.run(
            [program(arguments[0]), *arguments[1:]],
            cwd=root,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return Finished(TIMED_OUT, "", f"no end after {timeout_s} s")
    return Finished(done.returncode, done.stdout, done.stderr)


def dvc(arguments: Sequence[str], root: Path, say: Say, **environment: str) -> Finished:
    """Run dvc, which sends no statistics."""
    return run(["dvc", *arguments], root, say, None, DVC_NO_ANALYTICS="1", **environment)


def dvc_transfer(arguments: Sequence[str], root: Path, say: Say) -> Finished:
    """Run a dvc command that talks to a remote, without what DVC believes to know of the remote from earlier calls."""
    with dvc_without_memory() as variables:
        return dvc(arguments, root, say, **variables)


def program(name: str) -> str:
    """Path of a program: the one of this Python's environment, activated or not, else the one on the PATH."""
    beside = Path(sys.executable).parent / name
    path = str(beside) if beside.is_file() else shutil.which(name)
    if path is None:
        raise UserError(f"{name}: no such program; install the environment, as with `make .venv/.ready`.")
    return path


def shown(arguments: Sequence[str]) -> str:
    """A command as one could type it; of very many words the first are shown."""
    if len(arguments) <= _SHOWN_WORDS + 1:
        return shlex.join(arguments)
    return f"{shlex.join(arguments[:_SHOWN_WORDS])} ... ({len(arguments) - _SHOWN_WORDS} more)"
