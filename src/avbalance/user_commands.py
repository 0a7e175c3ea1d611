"""Commands that are no step of the workflow: open the evidence, balance a folder, compare results, fetch data.

See docs/how-to/your-own-data.md, docs/how-to/check-stability.md and docs/reference/datasets.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.names import PAGE
from flowkeeper.commands import AddCommand


def add_commands(steps: Any, add: AddCommand) -> None:
    """Add open, balance, compare and download to the command line; add(steps, name, run, help) makes one of them."""
    step = add(steps, "open", _open, "say where the page with all evidence is, and open it when there is a screen")
    step.add_argument("name", nargs="?", metavar="NAME", help="of results/NAME; default: the configuration's")

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


def _say(line: str) -> None:
    print(line, flush=True)


def _open(options: argparse.Namespace) -> None:
    page = _page(options.name)
    _say(f"The evidence on one page: {page}")
    if _has_screen():
        webbrowser.open(page.absolute().as_uri())


def _page(name: str | None) -> Path:
    """The page of a result set, without a name that of the configuration or else the only one; UserError for none."""
    from avbalance.workflow import WORKFLOW

    made = sorted(Path("results").glob(f"*/{PAGE}"))
    page = Path("results", name or WORKFLOW.default_name(Path.cwd()) or "demo", PAGE)
    if page in made:
        return page
    if len(made) == 1 and name is None:
        return made[0]
    known = f" There are: {', '.join(path.parent.name for path in made)}." if made else ""
    raise UserError(f"{page}: not made yet; snakemake makes it as its last step.{known}")


def _has_screen() -> bool:
    """Whether a window can be opened here; without one, a browser of text would take the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


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


def _compare(options: argparse.Namespace) -> int:
    from avbalance.evaluation.stability import compare
    from avbalance.reporting.stability import write_stability

    differences = compare(options.first, options.second, options.table)
    print(write_stability(differences, options.out), end="")
    return 0 if differences.stable else 1


def _download(options: argparse.Namespace) -> None:
    from avbalance.data.download import GRID_RECORD, download_grid

    download_grid(options.talkers, options.to, options.record or GRID_RECORD, _say)
