"""Real words on a timeline: mp4 clips of ten seconds that record what is heard and seen.

They are spliced from GRID (Cooke et al. 2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from avbalance.data.sources import generated
from avbalance.data.sources.grid import CorpusOptions, missing_corpus
from avbalance.data.sources.options import FlipOptions, Side
from avbalance.data.sources.synthetic_timeline import BACKGROUND, Scheme, timeline_columns
from avbalance.declared import Size
from flowkeeper.files import digest_json

if TYPE_CHECKING:
    import numpy as np

    from avbalance.data.grid import Utterance
    from avbalance.data.word_timelines import SplicedClip


class GridTimelineOptions(CorpusOptions, FlipOptions):
    """Options of kind grid-timeline."""

    scheme: Scheme
    """parsing: one to three events per clip, each heard, seen or both; localisation: one event, heard and seen"""
    side: Side = 32
    """height and width in pixels"""
    fps: Size = 4
    """pictures per second that are kept"""


OPTIONS = GridTimelineOptions


def _parts(options: GridTimelineOptions) -> dict[str, list[Utterance]]:
    """Part -> its sentences."""
    from avbalance.data.grid import read_talkers
    from avbalance.data.word_timelines import part_sentences

    talkers = read_talkers(options.root, options.talkers)
    return part_sentences([each for talker in talkers.values() for each in talker], options.seed)


def _plan(options: GridTimelineOptions) -> list[SplicedClip]:
    from avbalance.data.scenes import plan_timelines
    from avbalance.data.word_timelines import WORDS, splice

    law = options.law()
    planned = plan_timelines(options.scheme, options.seed, options.clips, len(WORDS), law)
    return splice(planned, _parts(options))


def _classes(options: GridTimelineOptions) -> list[str]:
    from avbalance.data.word_timelines import WORDS

    return [*WORDS, *([BACKGROUND] if options.scheme == "localisation" else [])]


def _render(clip: SplicedClip, options: GridTimelineOptions) -> tuple[np.ndarray, np.ndarray]:
    from avbalance.data.recordings import Excerpt
    from avbalance.data.word_timelines import make_clip

    return make_clip(clip, Excerpt(options.region, options.side, options.fps, options.rate))


def _card(options: GridTimelineOptions) -> dict[str, Any]:
    """Which sentences each part has, by their names, as a digest: rows name none."""
    parts = _parts(options)
    return {"sentences": digest_json({part: [each.name for each in sentences] for part, sentences in parts.items()})}


def _origin(planned: Sequence[SplicedClip]) -> dict[str, Any]:
    """The sentences of every clip, in their order, and of each the file's size and the times of its words."""
    sentences = {clip.id: [*clip.rests, *(each for takes in clip.takes.values() for each in takes)] for clip in planned}
    used = {each.name: each for chosen in sentences.values() for each in chosen}
    return {
        "clips": {clip: [each.name for each in chosen] for clip, chosen in sentences.items()},
        "sentences": {
            name: [each.path.stat().st_size, [[word.start, word.end] for word in each.words]]
            for name, each in used.items()
        },
    }


_GENERATOR = generated.Generator(
    modules=("word_timelines",),
    options=OPTIONS,
    plan=_plan,
    classes=_classes,
    render=_render,
    columns=lambda clip, options: timeline_columns(clip, _classes(options)),
    card=_card,
    origin=_origin,
    missing=missing_corpus,
)
preflight, inputs, build, remake = _GENERATOR.preflight, _GENERATOR.inputs, _GENERATOR.build, _GENERATOR.remake
