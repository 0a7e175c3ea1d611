"""GRID (Cooke et al. 2006): real recordings of spoken sentences, a word or whole, as they are or with planted noise.

The label is the word of the kind `label`; further labellings are by other words of the sentence. The group is the
talker. Clips without usable recording or timings stay in the manifest with a status and a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from avbalance.data.grid import KINDS, VOCABULARY, read_talkers
from avbalance.data.scenes import JointLaw
from avbalance.data.sources.base import FilePath, Row
from avbalance.data.sources.generated import Beta, MadeSource, PartSizes, Side
from avbalance.declared import Count, Once, Range, Share, refusal

if TYPE_CHECKING:
    from avbalance.data.grid_clips import GridClip


def _part_of_picture(region: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = region
    if left >= right or top >= bottom:
        raise refusal(f"is {list(region)}; it needs left < right and top < bottom")
    return region


Word = Literal["command", "colour", "preposition", "letter", "digit", "adverb"]
Talkers = Once[Annotated[str, Field(pattern="^s[1-9][0-9]*$")]]
Region = Annotated[tuple[Share, Share, Share, Share], Field(strict=False), AfterValidator(_part_of_picture)]


class CorpusSource(MadeSource):
    """Data sets of clips that are cut out of GRID."""

    root: FilePath
    """folder of the corpus"""
    talkers: Annotated[Talkers, Field(min_length=1)]
    """talkers of all parts, such as s1"""
    seed: Count
    """draws the parts, what is planted and the noise"""
    clips: PartSizes
    """number of clips per part"""
    region: Region = (0.0, 0.0, 1.0, 1.0)
    """part of the pictures that is kept: left, top, right and bottom as shares of width and height"""
    flip: bool = False
    """exchange the informativeness of the two modalities (a control)"""

    def missing(self) -> str | None:
        if Path(self.root).is_dir():
            return None
        return (
            f"{self.root}: no such folder; type avbalance download grid, or put GRID there "
            "(docs/reference/datasets.md)."
        )


class GridOptions(CorpusSource):
    """Options of kind grid."""

    MODULES = ("grid_clips",)

    test_talkers: Talkers = Field(default=[])
    """talkers of the test part in place of those"""
    label: Word
    """the word of a sentence that is told"""
    labellings: Once[Word] | None = None
    """further words that are told; without it all of a sentence, none of a window"""
    window: Literal["word", "clip"] = "word"
    """word: that word alone; clip: the sentence, further labelled by its other words"""
    seconds: Annotated[float, Field(ge=0.2, le=2.9)] = 0.5
    """length of the window around a word"""
    side: Side = 48
    """height and width in pixels"""
    fps: Annotated[int, Field(ge=4, le=25)] = 25
    """pictures per second that are kept"""
    audio_noise: Literal["babble", "pink"] = "babble"
    """babble: three other clips of the same part at once"""
    visual_noise: Literal["blocks", "blur"] = "blocks"
    """what is done to pictures"""
    discrepancy_beta: Beta | None = None
    """as of synthetic; without it, as without the two ranges, nothing is planted"""
    snr_audio_db: Range | None = None
    """SNR of sound at informativeness 0 and 1 in dB"""
    snr_visual_db: Range | None = None
    """SNR of pictures at informativeness 0 and 1 in dB"""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        both = sorted(set(self.talkers) & set(self.test_talkers))
        if both:
            raise refusal(f"{both[0]} is in talkers and in test_talkers; leave it out of one")
        law = ("discrepancy_beta", "snr_audio_db", "snr_visual_db")
        given = [name for name in law if getattr(self, name) is not None]
        if given and len(given) < len(law):
            raise refusal(f"{given[0]} is given; a law of noise needs {', '.join(law)}")
        if self.visual_noise == "blur" and self.snr_visual_db is not None and min(self.snr_visual_db) <= 0:
            raise refusal("blur needs an snr_visual_db above 0, where nothing is left")
        return self

    def plan(self) -> list[GridClip]:
        from avbalance.data.grid_clips import plan_clips

        by_name = read_talkers(self.root, [*self.talkers, *self.test_talkers])
        law = None
        if self.discrepancy_beta and self.snr_audio_db and self.snr_visual_db:
            law = JointLaw(*self.discrepancy_beta, self.snr_audio_db, self.snr_visual_db, self.flip)
        talkers, others = ([by_name[name] for name in names] for names in (self.talkers, self.test_talkers))
        return plan_clips(talkers, others, self.clips, self.label, self.seed, law)

    @property
    def class_names(self) -> list[str]:
        return list(VOCABULARY[self.label])

    def _further(self) -> dict[str, list[str]]:
        """The further labellings: those that are asked for, else all of whole sentences and none of words."""
        asked: Sequence[str] | None = self.labellings
        if asked is None:
            asked = KINDS if self.window == "clip" else ()
        return {kind: list(VOCABULARY[kind]) for kind in asked if kind != self.label}

    def render(self, clip: GridClip) -> tuple[np.ndarray, np.ndarray]:
        from avbalance.data.grid_clips import Cut, make_clip
        from avbalance.data.recordings import Excerpt

        kind = self.label if self.window == "word" else None
        excerpt = Excerpt(self.region, self.side, self.fps, self.rate)
        return make_clip(clip, Cut(kind, self.seconds, excerpt, self.audio_noise, self.visual_noise))

    def columns(self, clip: GridClip) -> Row:
        columns: Row = {"split": clip.split, "group": clip.utterance.talker}
        columns["label"] = self.class_names[clip.utterance.cls(self.label)]
        columns |= {f"label_{kind}": words[clip.utterance.cls(kind)] for kind, words in self._further().items()}
        if clip.planted is not None:
            columns |= {"planted_audio": clip.planted.audio, "planted_visual": clip.planted.visual}
            columns |= {name: getattr(clip.planted, name) for name in ("snr_audio_db", "snr_visual_db")}
        return columns

    def origin(self, planned: Sequence[GridClip]) -> list[list[Any]]:
        """What every clip is cut from: its part, the file's size, the times of its words, whose voices are added."""
        return [
            [
                clip.id,
                clip.split,
                clip.utterance.path.stat().st_size,
                [[word.start, word.end] for word in clip.utterance.words],
                [each.name for each in (clip.planted.voices if clip.planted else ())],
            ]
            for clip in planned
        ]

    def further_card(self) -> dict[str, Any]:
        further = self._further()
        return {"labellings": further} if further else {}


OPTIONS = GridOptions
