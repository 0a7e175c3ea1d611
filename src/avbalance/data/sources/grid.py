"""GRID (Cooke et al. 2006): real recordings of spoken sentences, a word or whole, as they are or with planted noise.

The label is the word of the kind `label`; further labellings are by other words of the sentence. The group is the
talker. PartSizes without usable recording or timings stay in the manifest with a status and a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from avbalance.data.sources import generated
from avbalance.data.sources.options import Beta, FilePath, MadeOptions, PartSizes, Side
from avbalance.declared import Count, Once, Share, TwoNumbers, refusal

if TYPE_CHECKING:
    import numpy as np

    from avbalance.data.grid_clips import Cut, GridClip


def _part_of_picture(region: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = region
    if left >= right or top >= bottom:
        raise refusal(f"is {list(region)}; it needs left < right and top < bottom")
    return region


Word = Literal["command", "colour", "preposition", "letter", "digit", "adverb"]
Talkers = Once[Annotated[str, Field(pattern="^s[1-9][0-9]*$")]]
Region = Annotated[tuple[Share, Share, Share, Share], Field(strict=False), AfterValidator(_part_of_picture)]


class CorpusOptions(MadeOptions):
    """Options of clips that are cut out of GRID."""

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


class GridOptions(CorpusOptions):
    """Options of kind grid."""

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
    snr_audio_db: TwoNumbers | None = None
    """SNR of sound at informativeness 0 and 1 in dB"""
    snr_visual_db: TwoNumbers | None = None
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


OPTIONS = GridOptions


def missing_corpus(options: CorpusOptions) -> str | None:
    """Say that the folder of the corpus is missing, and how to get it; None when it is there."""
    if Path(options.root).is_dir():
        return None
    return (
        f"{options.root}: no such folder; type avbalance download grid, or put GRID there (docs/reference/datasets.md)."
    )


def _plan(options: GridOptions) -> list[GridClip]:
    from avbalance.data.grid import read_talkers
    from avbalance.data.grid_clips import plan_clips
    from avbalance.data.scenes import JointLaw

    found = read_talkers(options.root, [*options.talkers, *options.test_talkers])
    law = None
    if options.discrepancy_beta and options.snr_audio_db and options.snr_visual_db:
        law = JointLaw(*options.discrepancy_beta, options.snr_audio_db, options.snr_visual_db, options.flip)
    talkers, others = ([found[name] for name in names] for names in (options.talkers, options.test_talkers))
    return plan_clips(talkers, others, options.clips, options.label, options.seed, law)


def _classes(options: GridOptions) -> list[str]:
    from avbalance.data.grid import VOCABULARY

    return list(VOCABULARY[options.label])


def _labellings(options: GridOptions) -> dict[str, list[str]]:
    """The further labellings: those that are asked for, else all of whole sentences and none of words."""
    from avbalance.data.grid import KINDS, VOCABULARY

    asked: Sequence[str] | None = options.labellings
    if asked is None:
        asked = KINDS if options.window == "clip" else ()
    return {kind: list(VOCABULARY[kind]) for kind in asked if kind != options.label}


def _cut(options: GridOptions) -> Cut:
    from avbalance.data.grid_clips import Cut
    from avbalance.data.recordings import Excerpt

    return Cut(
        kind=options.label if options.window == "word" else None,
        seconds=options.seconds,
        excerpt=Excerpt(options.region, options.side, options.fps, options.rate),
        audio_noise=options.audio_noise,
        visual_noise=options.visual_noise,
    )


def _render(clip: GridClip, options: GridOptions) -> tuple[np.ndarray, np.ndarray]:
    from avbalance.data.grid_clips import make_clip

    return make_clip(clip, _cut(options))


def _columns(clip: GridClip, options: GridOptions) -> dict[str, Any]:
    classes: dict[str, tuple[str, list[str]]] = {"label": (options.label, _classes(options))}
    classes |= {f"label_{kind}": (kind, words) for kind, words in _labellings(options).items()}
    columns: dict[str, Any] = {name: words[clip.utterance.cls(kind)] for name, (kind, words) in classes.items()}
    if clip.planted is not None:
        columns |= {"planted_audio": clip.planted.audio, "planted_visual": clip.planted.visual}
        columns |= {name: getattr(clip.planted, name) for name in ("snr_audio_db", "snr_visual_db")}
    return {"split": clip.split, "group": clip.utterance.talker, **columns}


def _origin(planned: Sequence[GridClip]) -> list[list[Any]]:
    """What every clip is cut from: its part, the file's size, the times of its words, whose voices are added."""
    sizes = {clip.utterance.path: clip.utterance.path.stat().st_size for clip in planned}
    return [
        [
            clip.id,
            clip.split,
            sizes[clip.utterance.path],
            [[word.start, word.end] for word in clip.utterance.words],
            [each.name for each in (clip.planted.voices if clip.planted else ())],
        ]
        for clip in planned
    ]


def _card(options: GridOptions) -> dict[str, Any]:
    further = _labellings(options)
    return {"labellings": further} if further else {}


_GENERATOR = generated.Generator(
    modules=("grid_clips",),
    options=OPTIONS,
    plan=_plan,
    classes=_classes,
    render=_render,
    columns=_columns,
    card=_card,
    origin=_origin,
    missing=missing_corpus,
)
preflight, inputs, build, remake = _GENERATOR.preflight, _GENERATOR.inputs, _GENERATOR.build, _GENERATOR.remake
