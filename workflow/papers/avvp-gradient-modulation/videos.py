"""Which single videos are shown, and the predictions of the runs that parse them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.outcomes import NotTestable
from avbalance.evaluation.parsing_predictions import PARSING, ParsingPredictions, kind_of, read_parsing
from avbalance.evaluation.rows import USUAL

SHOWN = 3
NAMED_RULE = "the paper's own videos"
OWN_RULE = "first test videos, by id, with at least two classes and events in both modalities that differ"
MODALITIES = ("audio", "visual")


@dataclass(frozen=True)
class ShownClips:
    """Rows of predictions under the selected checkpoint of the test part, and the rule by which they were chosen."""

    rows: NDArray[np.intp]
    rule: str


def selected_rows(predictions: ParsingPredictions) -> NDArray[np.intp]:
    """Rows of the test part under the selected checkpoint, in the order of the ids."""
    return dict(predictions.places()).get(USUAL, np.empty(0, dtype=np.intp))


def is_named(video: str, name: str) -> bool:
    """Whether a video has the id `name`, alone or followed by its start and end second."""
    return video == name or video.startswith(f"{name}_")


def shown_clips(predictions: ParsingPredictions, names: Sequence[str]) -> ShownClips:
    """The named videos, in that order, where the data hold any of them; else the first three by OWN_RULE."""
    rows = selected_rows(predictions)
    own = [row for name in names for row in rows if is_named(str(predictions.id[row]), name)]
    if own:
        return ShownClips(np.array(own, dtype=np.intp), NAMED_RULE)
    audio, visual = predictions.truth_audio[rows], predictions.truth_visual[rows]
    several = (audio | visual).any(axis=2).sum(axis=1) >= 2
    both = audio.any(axis=(1, 2)) & visual.any(axis=(1, 2)) & (audio != visual).any(axis=(1, 2))
    return ShownClips(rows[several & both][:SHOWN], OWN_RULE)


def parsing_predictions(evidence: Evidence, role: str, run: str) -> dict[int, ParsingPredictions]:
    """Seed -> predictions of a run that parses videos; raises NotTestable when the tier has none."""
    runs = [each for each in evidence.runs(role, run) if kind_of(each.predictions) == PARSING]
    if not runs:
        raise NotTestable(f"{run} does not parse videos")
    return {each.seed: read_parsing(each.predictions) for each in runs}
