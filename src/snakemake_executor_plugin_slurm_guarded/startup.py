"""What would end Snakemake in a traceback before it reads the workflow, told in one sentence.

Snakemake imports its plugins first of all, then reads the files of --configfile and makes its cache folder; no
Snakefile has a say before that.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path


def check(arguments: Sequence[str]) -> None:
    """End the process of a snakemake that cannot start; arguments: sys.argv. Other programs are left alone."""
    program = Path(arguments[0]) if arguments else Path()
    if program.stem == "snakemake" or (program.stem, program.parent.name) == ("__main__", "snakemake"):
        fault = _cache_fault() or next(_config_faults(arguments), None)
        if fault:
            sys.exit(f"error: {fault}")


def _cache_fault() -> str | None:
    """Why Snakemake's cache folder cannot be written to; None if it can."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "snakemake"
    reason = "permission denied"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if os.access(cache, os.W_OK):
            return None
    except OSError as error:
        reason = str(error.strerror).lower()
    return f"{cache}: cannot be written to ({reason}); set the variable XDG_CACHE_HOME to a folder of yours."


def _config_faults(arguments: Sequence[str]) -> Iterator[str]:
    for place, argument in enumerate(arguments, start=1):
        if argument in ("--configfile", "--configfiles"):
            for name in takewhile(lambda word: not word.startswith("-"), arguments[place:]):
                content = Path(name).read_bytes() if Path(name).is_file() else b""
                try:
                    content.decode("utf-8")
                except UnicodeDecodeError as error:
                    line = content.count(b"\n", 0, error.start) + 1
                    yield f"{name}, line {line}: not saved as UTF-8 ({error.reason}); save the file as UTF-8."
