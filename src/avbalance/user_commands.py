"""Commands that are no job of the workflow: for who looks at runs and plans, or has data of their own.

See docs/how-to/your-own-data.md, add-a-method.md, check-stability.md, cite.md and docs/reference/datasets.md.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.job_commands import settings_text
from avbalance.names import PAGE
from avbalance.screen import open_page
from flowkeeper.commands import AddCommand, take_configuration


def add_commands(steps: Any, add: AddCommand) -> None:
    """Add these commands to the command line; add(steps, name, run, help) makes one of them."""
    add(steps, "methods", _methods, "list the methods and what they are")

    text = "say how a run came to be, and how to make exactly this run again; or print a job's settings"
    step = add(steps, "show", _show, text)
    step.add_argument("what", help="folder of a run, results/<name>/runs/..., or the digest of a job's settings")
    step.add_argument("--job", action="store_true", help="print the job as JSON, for the step that made it")
    step.add_argument("--json", action="store_true", help="print the record as it is")

    step = add(steps, "estimate", _estimate, "say what a plan costs on a cluster: jobs, GPU-hours, disk, load")
    take_configuration(step)

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

    step = add(steps, "diagnose", _diagnose, "say of a folder of clips whether both modalities are needed, and used")
    step.add_argument("folder", type=Path, help="videos, or sounds with pictures: a table, or a folder per class")
    step.add_argument("--name", help="of the results, by default the folder's")
    step.add_argument("--table", help="name of the file that lists the clips, where there are several")
    step.add_argument("--minutes", type=_positive(float), help="how long it may take on two cores")
    step.add_argument(
        "--frozen", action="store_true", help="fetch the weights of a ResNet-50 that looks at the pictures"
    )
    step.add_argument(
        "--methods", type=Path, help="folder with methods of your own, to be tried beside those that are there"
    )
    step.add_argument("--plan-only", action="store_true", help="write the configuration, compute nothing")
    step.add_argument("--cores", type=_positive(int), help="by default all")

    step = add(steps, "new-dataset", _new_dataset, "lay down the two files that a data set of your own needs")
    step.add_argument("name", help="of the data set, and of its results")
    step.add_argument("--folder", help="with the clips and manifest.csv, by default downloads/<name>")

    step = add(steps, "new-method", _new_method, "lay down a method of your own: its file, test, run and table")
    step.add_argument("name", help="of the method and its run, as label-smoothing")

    step = add(steps, "check-method", _check_method, "run the contract test of one method: does it do what all do")
    step.add_argument("name", help="of the method; avbalance methods lists them")

    text = "try the instruments of diagnose where it is known what each modality tells, and write a table"
    step = add(steps, "validate-instruments", _validate_instruments, text)
    step.add_argument("--out", type=Path, default=Path("docs/reference/instruments.md"), help="the table, Markdown")
    step.add_argument(
        "--recordings", type=Path, default=Path("downloads/grid"), help="folder of GRID, by default downloads/grid"
    )

    step = add(steps, "compare", _compare, "say which verdicts and numbers of two result sets differ")
    step.add_argument("first", type=Path, help="results/<name>")
    step.add_argument("second", type=Path, help="results/<other name>, of the same plan")
    step.add_argument(
        "--table", default="papers/balanced-audiovisual/table2.csv", help="CSV of a table below both, the README's"
    )
    step.add_argument("--out", type=Path, default=Path("results/stability"), help="folder for stability.json and .md")

    step = add(steps, "cite", _cite, "say what to cite for a configuration's results, as BibTeX")
    take_configuration(step)
    step.add_argument("--plain", action="store_true", help="as plain sentences")

    step = add(steps, "download", _download, "get real recordings from the host that offers them")
    step.add_argument("what", choices=("grid",), help="the GRID corpus, see docs/reference/datasets.md")
    step.add_argument("--talkers", nargs="+", default=["s1"], metavar="TALKER", help="s1 to s34, by default s1")
    step.add_argument("--to", type=Path, default=Path("downloads/grid"), help="folder, by default downloads/grid")
    step.add_argument("--record", metavar="ADDRESS", help="of the host's list of files, by default Zenodo's")


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is no number above 0")
        return value

    return number


def _methods(options: argparse.Namespace) -> None:
    from avbalance.methods import base

    for name in base.names():
        card = base.load(name).card
        print(f"{name:28} {card.label}: {card.summary} ({card.reference})")


def _show(options: argparse.Namespace) -> None:
    from avbalance.provenance import show
    from flowkeeper.digests import SETTINGS_DIGEST

    if SETTINGS_DIGEST.fullmatch(options.what):
        print(json.dumps(json.loads(settings_text(options.what)[1]), indent=2, sort_keys=True))
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
    from avbalance.plan.plan import load_plan_for

    print("\n".join(lines(load_plan_for(Path.cwd(), options.configfile, options.config))))


def _say(line: str) -> None:
    print(line, flush=True)


def _open(options: argparse.Namespace) -> None:
    open_page(_page(options.name), _say)


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


def _balance(options: argparse.Namespace) -> None:
    from avbalance.balancing.own_data import BalanceRequest, balance_folder

    out = options.out or Path("results/balance") / options.folder.absolute().name
    wanted = BalanceRequest(
        options.audio_recipe,
        options.visual_recipe,
        options.epochs,
        options.folds,
        options.least,
        options.noise_share,
    )
    for sentence in balance_folder(options.folder, out, wanted, options.device):
        _say(sentence)


def _new_dataset(options: argparse.Namespace) -> None:
    from avbalance.new_files import new_dataset

    dataset, user = new_dataset(Path.cwd(), options.name, options.folder)
    _say(f"wrote {dataset} and {user}; change the lines that are marked, then:")
    _say(f"  snakemake -n --quiet rules --configfile {user}")


def _new_method(options: argparse.Namespace) -> None:
    from avbalance.new_files import PAPER, new_method

    (method, test, paper, tables), table = new_method(Path.cwd(), options.name)
    _say(f"wrote {method} and {test}; they work, change the lines that are marked")
    _say(f"added a run to {paper} and a table to {tables}, at their tops; then:")
    _say(f"  avbalance check-method {options.name}")
    _say(f"  snakemake --config tier=smoke -- results/smoke/papers/{PAPER}/{table}.md")


def _check_method(options: argparse.Namespace) -> int:
    from avbalance.contract import check_method

    return 0 if check_method(Path.cwd(), options.name, _say) else 1


def _diagnose(options: argparse.Namespace) -> int:
    from avbalance.checkout import require_checkout
    from avbalance.diagnosis.command import DiagnosisRequest, diagnose

    require_checkout(Path.cwd())
    asked = (
        options.name,
        options.table,
        options.minutes,
        options.plan_only,
        options.cores,
        options.frozen,
        options.methods,
    )
    return diagnose(DiagnosisRequest(options.folder, *asked), _say)


def _validate_instruments(options: argparse.Namespace) -> int:
    from avbalance.diagnosis.validation import validate

    return 0 if validate(options.out, _say, options.recordings) else 1


def _compare(options: argparse.Namespace) -> int:
    from avbalance.reporting.stability import compare, write_stability

    differences = compare(options.first, options.second, options.table)
    print(write_stability(differences, options.out), end="")
    return 0 if differences.stable else 1


def _cite(options: argparse.Namespace) -> None:
    from avbalance.plan.plan import load_plan_for
    from avbalance.reporting.citations import cited, text_of

    plan = load_plan_for(Path.cwd(), options.configfile, options.config)
    print(text_of(cited(Path.cwd(), plan), options.plain))


def _download(options: argparse.Namespace) -> None:
    from avbalance.data.download import GRID_RECORD, download_grid

    download_grid(options.talkers, options.to, options.record or GRID_RECORD, _say)
