"""Real words on a timeline: mp4 clips of ten seconds that record what is heard and seen.

They are spliced from GRID (Cooke et al. 2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from avbalance.data.grid import Utterance, read_talkers
from avbalance.data.scenes import plan_timelines
from avbalance.data.sources.base import Row
from avbalance.data.sources.generated import Side
from avbalance.data.sources.grid import CorpusSource
from avbalance.data.sources.scene import FlipOptions
from avbalance.data.sources.synthetic_timeline import Scheme, timeline_columns, with_background
from avbalance.declared import Size
from flowkeeper.files import digest_json

if TYPE_CHECKING:
    from avbalance.data.word_timelines import SplicedClip


class GridTimelineOptions(CorpusSource, FlipOptions):
    """Options of kind grid-timeline."""

    MODULES = ("word_timelines",)

    scheme: Scheme
    """parsing: one to three events per clip, each heard, seen or both; localisation: one event, heard and seen"""
    side: Side = 32
    """height and width in pixels"""
    fps: Size = 4
    """pictures per second that are kept"""

    def _parts(self) -> dict[str, list[Utterance]]:
        """Part -> its sentences."""
        from avbalance.data.word_timelines import part_sentences

        talkers = read_talkers(self.root, self.talkers)
        return part_sentences([each for talker in talkers.values() for each in talker], self.seed)

    def plan(self) -> list[SplicedClip]:
        from avbalance.data.word_timelines import WORDS, splice

        planned = plan_timelines(self.scheme, self.seed, self.clips, len(WORDS), self.law())
        return splice(planned, self._parts())

    @property
    def class_names(self) -> list[str]:
        from avbalance.data.word_timelines import WORDS

        return with_background(WORDS, self.scheme)

    def render(self, clip: SplicedClip) -> tuple[np.ndarray, np.ndarray]:
        from avbalance.data.recordings import Excerpt
        from avbalance.data.word_timelines import make_clip

        return make_clip(clip, Excerpt(self.region, self.side, self.fps, self.rate))

    def columns(self, clip: SplicedClip) -> Row:
        return timeline_columns(clip, self.class_names)

    def further_card(self) -> dict[str, Any]:
        """Which sentences each part has, by their names, as a digest: rows name none."""
        return {"sentences": digest_json({part: [each.name for each in has] for part, has in self._parts().items()})}

    def origin(self, planned: Sequence[SplicedClip]) -> dict[str, Any]:
        """The sentences of every clip, in their order, and of each the file's size and the times of its words."""
        clips = {clip.id: [*clip.rests, *(each for takes in clip.takes.values() for each in takes)] for clip in planned}
        used = {each.name: each for chosen in clips.values() for each in chosen}
        return {
            "clips": {clip: [each.name for each in chosen] for clip, chosen in clips.items()},
            "sentences": {
                name: [each.path.stat().st_size, [[word.start, word.end] for word in each.words]]
                for name, each in used.items()
            },
        }


OPTIONS = GridTimelineOptions
