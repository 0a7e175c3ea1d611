"""`avbalance diagnose FOLDER`: understand the folder, write the configuration, run the workflow, say what came out."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from avbalance.diagnosis import frozen
from avbalance.diagnosis.checks import with_parts
from avbalance.diagnosis.folder import MEDIA, read_folder
from avbalance.diagnosis.proposal import propose
from avbalance.errors import UserError
from avbalance.names import PAGE
from avbalance.new_files import OF_DATASET
from avbalance.own_methods import FOLDER_VARIABLE
from avbalance.screen import open_page
from avbalance.table_files import write_csv
from flowkeeper.files import atomic_path

Say = Callable[[str], None]
LONGEST_NAME = 100  # characters
MADE_BY = "# Made by avbalance diagnose; the next call writes it anew. Rename it before you change it."


@dataclass(frozen=True)
class DiagnosisRequest:
    """What is asked for: the folder, a name for the results, the table among several, and how long it may take.

    frozen: fetch a frozen network's weights, if they are not at hand. methods: a folder of methods to be tried too.
    """

    folder: Path
    name: str | None = None
    table: str | None = None
    minutes: float | None = None
    plan_only: bool = False
    cores: int | None = None
    frozen: bool = False
    methods: Path | None = None


def diagnose(request: DiagnosisRequest, say: Say) -> int:
    """Do all of it; returns the exit status of the workflow. Raises UserError before anything is computed."""
    name = _name(request)
    own = _own_methods(request.methods)
    clips = with_parts(read_folder(request.folder, request.table))
    table, config = (Path("config/user") / f"{name}{suffix}" for suffix in (".csv", ".yaml"))
    if config.is_file() and not config.read_text(encoding="utf-8").startswith(MADE_BY):
        raise UserError(f"{config}: is there, and not made by this command; give the results another name: --name.")
    if request.frozen:
        frozen.fetch(say)
    proposal = propose(name, clips, table, request.minutes, frozen.at_hand())
    for sentence in (*clips.told, *proposal.told):
        say(sentence)
    for sentence in clips.odd:
        say(f"look at this: {sentence}")
    command = ["snakemake", "--configfile", str(config)]
    typed = shlex.join(command)
    if own:
        typed = f"{FOLDER_VARIABLE}={shlex.quote(str(request.methods))} {typed}"
    columns = ["id", "label", "split", "group", *(kind for kind in MEDIA if (clips.frame[kind] != "").any())]
    write_csv(table, clips.frame[columns])
    if own:
        proposal.configuration["papers"]["diagnosis"]["further"] = own
    with atomic_path(config) as temporary:
        text = yaml.safe_dump(proposal.configuration, sort_keys=False, allow_unicode=True, width=110)
        temporary.write_text(f"{MADE_BY}\n#   {typed}\n{text}", encoding="utf-8")
    say(f"wrote {table} and {config}; a whole run takes {proposal.configuration['takes']}")
    if request.plan_only:
        say(f"run it with: {typed}")
        return 0
    cores = [] if request.cores is None else ["--cores", str(request.cores)]
    variables = {**os.environ, **({FOLDER_VARIABLE: str(request.methods)} if own else {})}
    status = _run([sys.executable, "-m", *command, *cores], variables)
    if status == 0:
        results = Path("results") / name
        say(_short((results / "papers" / "diagnosis" / "verdict.md").read_text(encoding="utf-8")))
        open_page(results / PAGE, say)
    else:
        say("not finished; once it is mended, the same command goes on where it was")
    return status


def _run(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run the workflow to its end, also after Ctrl-C, which it gets too and obeys in its own time."""
    process = subprocess.Popen(command, env=variables)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return process.wait()
    finally:
        if process.poll() is None:  # this command was told to end, the workflow not yet
            process.terminate()
            process.wait()


def _own_methods(folder: Path | None) -> dict[str, dict[str, Any]]:
    """A run, like the joint model, for each method in a folder; raises UserError for a folder without any."""
    if folder is None:
        return {}
    names = [path.stem.replace("_", "-") for path in sorted(folder.glob("[a-z]*.py"))]
    if not names:
        raise UserError(f"{folder}: has no methods, files such as my_method.py; see docs/how-to/add-a-method.md.")
    asked = {"interplay": None, "degraded": None}
    return {name: {"like": "baseline", "label": name, "method": name, "settings": {"data": asked}} for name in names}


def _short(verdict: str) -> str:
    """The verdict without the tables below its answers: these are on the page."""
    return verdict.partition("\n## Accuracy")[0]


def _name(request: DiagnosisRequest) -> str:
    """The name of the results, by default the folder's; raises UserError for one that cannot serve or is taken."""
    name = request.name
    if name is None:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", request.folder.absolute().name).strip("-._")
    if not OF_DATASET.fullmatch(name) or len(name) > LONGEST_NAME:
        what = f"{request.folder}: its name" if request.name is None else f"--name {name!r}"
        raise UserError(
            f"{what} cannot serve as a name of results; give --name one of letters, digits, '_', '.' and '-', "
            f"{LONGEST_NAME} at most."
        )
    taken = next(
        (path for kind in ("datasets", "tiers") if (path := Path("config", kind, f"{name}.yaml")).is_file()), None
    )
    if taken:
        raise UserError(f"{name!r} is the name of {taken}; give the results another one with --name.")
    return name
