"""What the sources with published annotations share: oddities told and counted, events as text, released features."""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from avbalance.data.annotations import Oddity

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
_SHOWN = 20


def tell_oddities(oddities: Iterable[Oddity], treated: str = "left as they are") -> dict[str, int]:
    """Log a warning per file and kind with the rows and how they are `treated`; returns kind -> number, by name."""
    found: dict[tuple[str, str], list[Oddity]] = defaultdict(list)
    for odd in oddities:
        found[odd.file, odd.kind].append(odd)
    counts: Counter[str] = Counter()
    for (file, kind), group in found.items():
        counts[kind] += len(group)
        rows = ", ".join(str(odd.row) for odd in group[:_SHOWN]) + (", ..." if len(group) > _SHOWN else "")
        first = group[0].what
        log.warning("%s: %s in %d rows (%s), %s; first: %s", file, kind, len(group), rows, treated, first)
    return dict(sorted(counts.items()))


def tell_shared_videos(rows: Sequence[Mapping[str, Any]], list_path: Path) -> dict[str, int]:
    """Log a warning when videos, by `group`, have clips in more than one part; returns parts -> number of such videos.

    Clips of one video are alike: what a test clip shares with the training part makes it easier than it seems.
    """
    parts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        parts[row["group"]].add(row["split"])
    shared = {video: " and ".join(s for s in SPLITS if s in found) for video, found in parts.items() if len(found) > 1}
    counts = dict(sorted(Counter(shared.values()).items()))
    if shared:
        told = ", ".join(f"{pair} {number}" for pair, number in counts.items())
        log.warning(
            "%s: %d of %d videos have clips in more than one part (%s), left as they are; first: %s",
            list_path,
            len(shared),
            len(parts),
            told,
            next(iter(shared)),
        )
    return counts


def refuse_empty_intervals(oddities: Iterable[Oddity]) -> None:
    """Raise UserError for an onset that is not before its offset: the published files have a few, others must not."""
    for odd in oddities:
        if odd.kind == "empty interval":
            raise UserError(
                f"{odd.file}, row {odd.row}: the onset is not before the offset ({odd.what}), in a row that the "
                "published file does not have; correct it or take the published file."
            )


def events_text(active: NDArray[np.bool_], classes: Sequence[str]) -> str:
    """JSON [[class name, onset, offset], ...] of the runs of active seconds in (C, S), by class, then onset."""
    import numpy as np

    edges = np.diff(np.pad(active.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = (np.argwhere(edges == sign) for sign in (1, -1))
    return json.dumps([[classes[c], int(on), int(off)] for (c, on), (_, off) in zip(starts, ends, strict=True)])
