"""What of each data set of a plan is at hand, what is missing and where to get it, and what the data set costs.

What is at hand is counted by the data set's own source, so that a clip is at hand exactly when the workflow would use
it. Only lists are read; of media the names and sizes are looked at, so that 200,000 clips take seconds on a local disk.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources import build, read_source, source_class
from avbalance.data.sources.base import FetchedSource, Source
from avbalance.errors import UserError
from avbalance.plan.plan import Plan

if TYPE_CHECKING:
    from avbalance.cluster.estimate import PlanCosts
    from avbalance.data.manifest import Manifest

_HEADER = (
    f"{'data set':<28}{'lists':>6}{'clips at hand':>22}{'media':>10}{'decoding':>14}{'store':>8}{'training':>11}",
    f"{'':<28}{'':>6}{'of those listed':>22}{'GB':>10}{'core-hours':>14}{'GB':>8}{'GPU-hours':>11}",
)
_DRY_RUN = re.compile(r"--dry-?run|-[npqFk]*n[npqFk]*")
_WITHOUT_MEDIA = {"allow_missing": True, "checksums": False}
_ROW = re.compile(r"(\.h5|\.hdf5|\.tfrecord)#\d+$")


@dataclass(frozen=True)
class AtHand:
    """What is there of a data set, and one sentence on what is not and where to get it ("": nothing is missing).

    lists: whether all files that name the clips are there; without them nothing is counted. listed, present: clips, and
    those of them with all their files. size: bytes of the files that the manifest names; siblings that a source finds
    by their place (LLP's r2plus1d_18) are not among them.
    """

    lists: bool
    listed: int = 0
    present: int = 0
    size: int = 0
    missing: str = ""


Inventory = Mapping[str, AtHand | None]  # by data set; None for one that the workflow makes, or the user's own folder


def take_inventory(plan: Plan) -> Inventory:
    """Look at the folders of every data set of the plan."""
    return {name: at_hand(name, spec) if is_fetched(spec) else None for name, spec in plan.datasets.items()}


def gaps(inventory: Inventory) -> list[str]:
    """A sentence for each data set of which something is missing."""
    return [f"{name}: {there.missing}" for name, there in inventory.items() if there and there.missing]


def is_fetched(spec: Mapping[str, Any]) -> bool:
    """Whether others publish the media of a data set; the rest are made here, or the user's."""
    return issubclass(source_class(spec["kind"], "kind"), FetchedSource)


def at_hand(name: str, spec: Mapping[str, Any]) -> AtHand:
    """Count what is there of a data set whose media others publish; wrong lists become the sentence."""
    try:
        source = read_source(spec)
        problem = source.missing() or ""
        if not all(Path(path).is_file() for path in source.inputs()):
            return AtHand(lists=False, missing=problem)
        with _silence():
            manifest = build(name, {**spec, "options": {**spec["options"], **_WITHOUT_MEDIA}}, Path())
    except UserError as error:
        return AtHand(lists=True, missing=str(error))
    frame = manifest.frame
    present = frame[frame["status"] == "ok"]
    listed = len(frame) + int(manifest.card.get("left_out", {}).get("missing", 0))
    root = Path(manifest.card["media_root"])
    size = _size(root, {*present["audio"].dropna(), *present["visual"].dropna()})
    gap = _gap(manifest, listed - len(present), listed, source)
    return AtHand(True, listed, len(present), size, problem or gap)


@contextmanager
def _silence() -> Iterator[None]:
    """Oddities and missing clips are told when the data set is built."""
    logger = logging.getLogger("avbalance.data")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _size(root: Path, paths: Iterable[str]) -> int:
    """Bytes of files, of the files in folders, and of arrays of which rows are named."""
    return sum(_bytes(os.path.join(root, path)) for path in {_ROW.sub(r"\1", path) for path in paths})


def _bytes(path: str) -> int:
    status = os.stat(path)
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    with os.scandir(path) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


def _gap(manifest: Manifest, missing: int, listed: int, source: Source) -> str:
    assert isinstance(source, FetchedSource)
    if not missing:
        return ""
    lost = manifest.frame[manifest.frame["status"] != "ok"]
    first = f", the first {lost['id'].iloc[0]} ({lost['reason'].iloc[0]})" if len(lost) else ""
    where, how = getattr(source, source.root), source.media_from()
    return f"{where}: {missing:,} of {listed:,} clips are missing{first}; {how}."


def table(inventory: Inventory, costs: PlanCosts) -> Iterator[str]:
    """A line for each data set: what is at hand, what it costs to decode, to store and to train on."""
    yield from _HEADER
    for name, there in inventory.items():
        yield f"{name:<28}{_there(there, costs.known_clips(name))}{_costs(name, costs)}"


def _there(there: AtHand | None, known: float | None) -> str:
    if there is None:
        return f"{'-':>6}{'made here':>22}{'-':>10}"
    if there.listed:
        return f"{'yes':>6}{f'{there.present:,} of {there.listed:,}':>22}{there.size / 1e9:>10,.2f}"
    clips = f"? of {known:,.0f}" if known else "?"
    return f"{'wrong' if there.lists else 'no':>6}{clips:>22}{'?':>10}"


def _costs(name: str, costs: PlanCosts) -> str:
    if costs.known_clips(name) is None:
        return f"{'?':>14}{'?':>8}{'?':>11}"
    hours, store = costs.feature_hours(name), costs.store_gb(name)
    return f"{hours:>14,.0f}{store:>8,.0f}{costs.training_hours(name):>11,.0f}"


def asks_for_dry_run(arguments: Sequence[str]) -> bool:
    """Whether a command line of snakemake asks for a dry run: `-n` alone or among other letters, or `--dry-run`.

    Snakemake itself tells a Snakefile only after all of it was read.
    """
    return any(_DRY_RUN.fullmatch(argument) for argument in arguments)


def told_in_dry_run(plan: Plan) -> list[str]:
    """The table, what building sets costs, which data sets were chosen, and of which a part of the media is missing.

    Nothing without data sets that are fetched. What keeps a data set from being read at all is the preflight's matter.
    """
    if not any(is_fetched(spec) for spec in plan.datasets.values()):
        return []
    from avbalance.cluster.estimate import PlanCosts

    inventory, costs = take_inventory(plan), PlanCosts(plan)
    known = set(plan.preflight())
    notes = [*building(costs), *plan.chosen, *(gap for gap in gaps(inventory) if gap not in known)]
    return [*table(inventory, costs), *(f"note: {note}" for note in notes)]


def building(costs: PlanCosts) -> Iterator[str]:
    """A sentence on each set that is built: what is decoded and trained for it, besides what the table tells."""
    for name, spec in costs.plan.datasets.items():
        if spec["kind"] == "built" and all(costs.known_clips(each) for each in read_source(spec).members()):
            cost = costs.building(name)
            yield (
                f"{name}: building it decodes {cost.clips:,.0f} clips ({cost.decode_hours:,.0f} core-hours) and trains "
                f"{cost.estimators} models that judge clips ({cost.gpu_hours:,.0f} GPU-hours at most)."
            )
