"""What one GPU does with the paper tier: `make bench-gpu`, or `python benchmarks/gpu_check.py [--budget 450]`.

- resume and determinism: a training killed inside an epoch ends as the unbroken one, two unbroken ones are equal, bit
  for bit;
- throughput at the papers' sizes and batches, float32 and bfloat16, with loading and of the steps alone, and of 1, 2
  and 4 seeds of one run side by side on the card;
- every row of the paper tier does two optimiser steps at full model size on random clips, rows of code that no earlier
  row ran first.

results/gpu-check/gpu-check.json and .md name card, driver, versions and date. When the time budget (seconds) ends, what
was left out is listed. Status 0: all that was run is right, 1: something failed, 2: there is no GPU. Speeds have no
wanted value. `--device cpu --quick` tries the script itself out on small networks.

A bare machine needs a CUDA build of torch, and numpy pandas pyarrow scipy safetensors pyyaml pydantic; run it at the
root of the repository with PYTHONPATH=src.
"""

from __future__ import annotations

import argparse
import io
import itertools
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from full_size import CLASSES, PARSING, RELEVANCE, made_up_fits, make_clips, rows_of, with_needs
from gpu_loads import LOADS, Options, exactness, side_by_side, throughput
from gpu_report import card, failures, markdown

from avbalance.errors import UserError
from avbalance.plan.sheet import Row
from avbalance.table_files import write_text
from avbalance.training.cell import prepare_torch
from avbalance.training.data import Clips
from avbalance.training.progress import Progress
from flowkeeper.files import write_json

LIMIT_S = 450.0  # of 8 minutes, with what starting and writing take
ROWS_SHARE = 0.5  # of the budget, kept for the rows of the paper tier
SIDE_BY_SIDE = (1, 2, 4)


class Budget:
    """Seconds that are left, and what there was no time for."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.seconds = seconds
        self.left_out: list[str] = []

    def allows(self, what: str, keep: float = 0.0) -> bool:
        """Whether more than `keep` seconds are left; if not, `what` is noted as left out."""
        if self.end - time.monotonic() > keep:
            return True
        self.left_out.append(what)
        return False


def rows_in_order(quick: bool) -> list[tuple[str, Row]]:
    """(paper, row): first a row of each method, network and data set, then what differs from one in numbers alone."""
    if quick:
        wanted = [(PARSING, "llp", "han"), (RELEVANCE, "kinetics-sounds", "ks-visual")]
        return [
            (slug, row) for slug, role, run in wanted for row in rows_of(slug) if (row.role, row.run) == (role, run)
        ]
    new: list[tuple[str, Row]] = []
    alike: list[tuple[str, Row]] = []
    seen: set[Any] = set()
    for slug in CLASSES:
        for row in rows_of(slug):
            kind = (slug, row.role, *row.parts, row.reports)
            (alike if kind in seen else new).append((slug, row))
            seen.add(kind)
    return new + alike


def two_steps(options: Options, row: Row, rows: list[Row], clips: Clips) -> dict[str, Any]:
    """Two optimiser steps and an evaluation; raises ValueError when a loss or a weight is not finite."""
    start = time.perf_counter()
    with made_up_fits():
        trainer = with_needs(row, rows, clips, options.device)
        trainer.progress = Progress(out=io.StringIO())
        if trainer.method.card.predicts:
            trainer.train()
        else:
            trainer.method.prepare(trainer)
    losses = [log["train_loss"] for log in trainer.history]
    if not all(map(math.isfinite, losses)):
        raise ValueError(f"losses {losses}")
    if not all(bool(torch.isfinite(value).all()) for value in trainer.model.state_dict().values()):
        raise ValueError("weights that are not finite")
    return {"train_loss": losses, "seconds": round(time.perf_counter() - start, 2)}


def every_row(options: Options, budget: Budget) -> list[dict[str, Any]]:
    """The outcome of every row for which there is time: "ok", or what went wrong."""
    sheets = {slug: rows_of(slug) for slug in CLASSES}
    clips: dict[tuple[str, str], Clips] = {}
    results = []
    for slug, row in rows_in_order(options.quick):
        name = f"{slug}/{row.role}/{row.run}"
        if not budget.allows(f"two steps of {name}"):
            continue
        if (slug, row.role) not in clips:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                clips[slug, row.role] = make_clips(Path(folder), slug, row.role)
        results.append(attempt({"row": name}, two_steps, options, row, sheets[slug], clips[slug, row.role]))
    return results


def attempt(about: dict[str, Any], work: Any, *arguments: Any) -> dict[str, Any]:
    """`about` and what `work` finds, and `outcome`: "ok", or the error in one line, after which the check goes on."""
    try:
        return {**about, "outcome": "ok", **work(*arguments)}
    except Exception as error:  # whatever goes wrong is to be reported
        return {**about, "outcome": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def check(options: Options, budget: Budget) -> dict[str, Any]:
    """Everything for which there is time, the short and important first."""
    kept = ROWS_SHARE * budget.seconds
    results: dict[str, Any] = {"card": card(options.device), "quick": options.quick}
    loads = LOADS[:2] if options.quick else LOADS
    together, seeds_together = (loads[:1], SIDE_BY_SIDE[1:2]) if options.quick else (loads[:2], SIDE_BY_SIDE)
    results["exactness"] = [
        attempt({"run": load.label}, exactness, options, load)
        for load in (loads[0], loads[-1])
        if budget.allows(f"resume and determinism of {load.label}")
    ]
    results["throughput"] = [
        attempt({"run": load.label, "precision": precision}, throughput, options, load, precision)
        for load, precision in itertools.product(loads, ("fp32", "bf16"))
        if budget.allows(f"throughput of {load.label} in {precision}", kept)
    ]
    results["side_by_side"] = [
        attempt({"run": load.label, "seeds": seeds}, side_by_side, options, load, seeds)
        for load, seeds in itertools.product(together, seeds_together)
        if budget.allows(f"{seeds} seeds side by side of {load.label}", kept)
    ]
    results["rows"] = every_row(options, budget)
    results["left_out"] = budget.left_out
    results["failed"] = failures(results)
    return results


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small networks: try the script out")
    parser.add_argument("--budget", type=float, default=LIMIT_S, metavar="SECONDS")
    parser.add_argument("--out", type=Path, default=Path("results/gpu-check"), metavar="FOLDER")
    given = parser.parse_args(arguments)
    budget = Budget(given.budget)
    try:
        if given.device == "cuda" and not torch.cuda.is_available():
            raise UserError(
                "torch sees no GPU, so nothing was measured; run this where there is one, with a CUDA build of torch, "
                "or try the script out with --device cpu --quick."
            )
        if given.device == "cpu" and not given.quick:
            raise UserError("--device cpu needs --quick: the papers' sizes take a processor hours.")
        prepare_torch(given.device, 1)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        results = check(Options(given.device, given.quick, folder), budget)
    write_json(given.out / "gpu-check.json", results)
    write_text(given.out / "gpu-check.md", markdown(results))
    print(markdown(results), end="")
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
