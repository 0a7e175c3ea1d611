"""From a pool of clips to the candidates of a balanced set: types, supplement and parts.

Xia et al. 2023, section 4: what two networks say of a clip tells its type, and each category keeps as many clips of
each type, filled up from sets that exist; caps, targets and the order are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.balancing.recalibration import hashes
from avbalance.data.media_files import youtube_clip
from avbalance.errors import UserError

BOTH, AUDIO, VISUAL, NEITHER = "both", "audio", "visual", "neither"
TYPES = (BOTH, AUDIO, VISUAL)
SPARE = 50  # clips: by which a type may exceed twice the rarest one, so that rare categories are not starved
CLIP_S = 10  # clips of a video that begin less than this apart overlap

Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]


def overlapping(ids: Sequence[str]) -> Bools:
    """Clips (N,) that overlap in time with an earlier one of the same video; ids that name no YouTube clip never do."""
    named = [youtube_clip(each) for each in ids]
    frame = pd.DataFrame([each or (None, 0) for each in named], columns=["video", "start"])
    marked = np.zeros(len(frame), dtype=bool)
    for _, group in frame.dropna(subset="video").groupby("video", sort=False):
        if len(group) > 1:
            # Compared with clips that stay only: a chain of overlapping clips then keeps every second one.
            taken: list[int] = []
            for row, start in zip(group.index, group["start"], strict=True):
                marked[row] = any(abs(start - other) < CLIP_S for other in taken)
                if not marked[row]:
                    taken.append(start)
    return marked


def clip_types(scores: Mapping[str, NDArray[np.float64]], topics: Ints) -> NDArray[np.str_]:
    """Type of each clip (N,): for which of the modalities its topic is the most probable category.

    scores: modality -> (N, C) over categories. Where a network gives every category the probability 0 it is wrong.
    """
    right = {
        modality: (values.argmax(axis=1) == topics) & (values.max(axis=1) > 0) for modality, values in scores.items()
    }
    cases = [right[AUDIO] & right[VISUAL], right[AUDIO], right[VISUAL]]
    return np.select(cases, [BOTH, AUDIO, VISUAL], NEITHER)


def capped(types: NDArray[np.str_], topics: Ints, ids: Sequence[str], seed: int) -> Bools:
    """Clips (N,) that stay: of each type of a category at most twice its rarest type and SPARE more, by a hash."""
    counts = _counts(types, topics)
    limit = 2 * counts.min(axis=0) + SPARE
    frame = pd.DataFrame({"type": types, "topic": topics, "order": hashes(ids, seed, "types")})
    place = frame.sort_values("order").groupby(["type", "topic"]).cumcount().sort_index().to_numpy()
    stays: Bools = np.isin(types, TYPES) & (place < limit[topics])
    return stays


def supplement(
    types: NDArray[np.str_],
    topics: Ints,
    further_types: NDArray[np.str_],
    further_topics: Ints,
    further_ids: Sequence[str],
    target: int,
    seed: int,
) -> Bools:
    """Clips of further sets (M,) to add: of categories below `target` clips, of the shortest type first.

    types, topics (N,) are of the clips there are. Each clip would bring its type to a level, what there is of the type
    and the clips before it; the lowest levels are taken.
    """
    count = int(max(topics.max(initial=-1), further_topics.max(initial=-1))) + 1
    have = _counts(types, topics, count)
    frame = pd.DataFrame(
        {"type": further_types, "topic": further_topics, "order": hashes(further_ids, seed, "supplement")}
    )
    frame = frame[frame["type"].isin(TYPES)].sort_values("order")
    kind = frame["type"].map({name: row for row, name in enumerate(TYPES)}).to_numpy(np.int64)
    # What a type would have with this clip: the types of a category are filled up side by side.
    level = have[kind, frame["topic"]] + frame.groupby(["type", "topic"]).cumcount()
    frame = frame.assign(level=level).sort_values(["level", "order"])
    place = frame.groupby("topic").cumcount()
    need = np.maximum(target - have.sum(axis=0), 0)
    chosen = frame.index[place < need[frame["topic"]]]
    added = np.zeros(len(further_types), dtype=bool)
    added[chosen] = True
    return added


def _counts(types: NDArray[np.str_], topics: Ints, categories: int = 0) -> Ints:
    """Number of clips of each type and category, (3, C)."""
    count = max(categories, int(topics.max(initial=-1)) + 1)
    return np.stack([np.bincount(topics[types == name], minlength=count) for name in TYPES])


def grouped_split(
    topics: Ints, groups: Sequence[str], shares: Mapping[str, float], seed: int, purpose: str = "parts"
) -> NDArray[np.str_]:
    """Part of each clip (N,), `shares` of each category, all clips of a group (a video) in one part.

    A group belongs to the category of its first clip. Raises UserError when the shares do not sum to one.
    """
    if abs(sum(shares.values()) - 1) > 1e-9 or min(shares.values()) < 0:
        raise UserError(f"shares of the parts are {dict(shares)}; they must sum to one.")
    frame = pd.DataFrame({"topic": topics, "group": list(groups)})
    videos = frame.groupby("group", sort=False)["topic"].agg(topic="first", size="size").reset_index()
    videos = videos.assign(order=hashes(videos["group"].tolist(), seed, purpose)).sort_values(["topic", "order"])
    sizes = videos.groupby("topic")["size"]
    # A video belongs where its middle falls: parts then miss their shares by half a video at most.
    middle = (sizes.cumsum() - videos["size"] / 2) / sizes.transform("sum")
    bounds = np.cumsum(list(shares.values()))[:-1]
    part = np.array(list(shares))[np.searchsorted(bounds, middle, side="right")]
    return frame["group"].map(dict(zip(videos["group"], part, strict=True))).to_numpy(str)
