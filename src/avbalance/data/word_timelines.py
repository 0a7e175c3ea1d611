"""Clips of ten seconds spliced from real takes of words: what a plan on a timeline looks and sounds like.

An event is a word of the GRID corpus. Every second of it is another take of the word, out of another sentence: its
sound is repeated until the second is full, its pictures are spread evenly over the second, as in slow motion. A second
that is heard and seen has both of one take. Words that overlap are added in sound, and lie one over the other in
pictures, like two exposures. Where no word is seen there is a mouth at rest, from the pause before or after a sentence.
The parts of a data set have no sentence in common.

Panels side by side, one for each word of a clip, were tried in place of exposures: the strongly supervised reference
read 23 % (segment F1, hardly any noise), since every word has to be learnt in every panel, from a third of the takes.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from avbalance.data import SEGMENTS
from avbalance.data.grid import VOCABULARY, Utterance, Word
from avbalance.data.noise import Frames, Sound, add_blocks, in_noise, pink_noise, unit_power
from avbalance.data.recordings import Excerpt, Recording, decode
from avbalance.data.scenes import PlannedClip, intervals
from avbalance.errors import LostClip, UserError

logger = logging.getLogger(__name__)

KINDS = ("digit", "colour", "command", "preposition", "adverb")  # 26 words; letters would be as many again
WORDS = tuple(word for kind in KINDS for word in VOCABULARY[kind])
SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}  # of the sentences
_MARGIN = 0.05  # s of the sentence before and after a word: the mouth moves before it is heard
_FADE = 0.01  # s at both ends of a take
_CALM = 0.15  # s after the beginning of a pause and before its end: the mouth closes and opens
_SHORTEST_REST = 0.1  # s
_ORDER_STREAM, _TAKE_STREAM, _SOUND_STREAM, _PICTURE_STREAM = 11, 12, 13, 14


@dataclass(frozen=True)
class SplicedClip(PlannedClip):
    """A planned clip with the sentences that it is made from.

    takes: class -> sentences with its word, for the seconds 0, 1, ... in turn. rests: likewise, for the seconds in
    which no word is seen.
    """

    takes: Mapping[int, tuple[Utterance, ...]]
    rests: tuple[Utterance, ...]


class Take(NamedTuple):
    """A word, cut out: its sound (n,), and pictures (fps, side, side, 3) at even distances over it."""

    sound: Sound
    frames: Frames


def part_sentences(utterances: Sequence[Utterance], seed: int) -> dict[str, list[Utterance]]:
    """Part -> its sentences, at random, in the shares SHARES; those without words are in none."""
    usable = [each for each in utterances if each.words]
    order = np.random.default_rng([seed, _ORDER_STREAM]).permutation(len(usable))
    bounds = np.round(np.cumsum(list(SHARES.values())) * len(usable)).astype(int)
    pieces = np.split(order, bounds[:-1])
    return {part: [usable[index] for index in piece] for part, piece in zip(SHARES, pieces, strict=True)}


def splice(planned: Sequence[PlannedClip], parts: Mapping[str, Sequence[Utterance]]) -> list[SplicedClip]:
    """Choose the takes of planned clips among the sentences of their part.

    Raises UserError when a part has no take of a word.
    """
    holders: dict[tuple[str, int], list[Utterance]] = defaultdict(list)
    for part, sentences in parts.items():
        for each in sentences:
            for kind in KINDS:
                holders[part, WORDS.index(each.word(kind).word)].append(each)
    spliced = []
    for clip in planned:
        rng = np.random.default_rng([*clip.scene.seed, _TAKE_STREAM])
        labels = clip.scene.labels()
        absent = [WORDS[cls] for cls in labels if not holders[clip.split, cls]]
        if absent:
            raise UserError(f"GRID: no sentence of part {clip.split} has the word {absent[0]!r}; give more talkers.")
        takes = {cls: _shuffled(holders[clip.split, cls], rng) for cls in labels}
        rests = _shuffled(parts[clip.split], rng)
        spliced.append(SplicedClip(clip.id, clip.split, clip.cls, clip.scene, takes, rests))
    return spliced


def _shuffled(sentences: Sequence[Utterance], rng: np.random.Generator) -> tuple[Utterance, ...]:
    """A sentence for every second, or as many as there are, in random order."""
    return tuple(sentences[index] for index in rng.permutation(len(sentences))[:SEGMENTS])


def make_clip(clip: SplicedClip, excerpt: Excerpt) -> tuple[Frames, Sound]:
    """Pictures (T, side, side, 3) and sound (n,) of a clip, at the SNRs of its scene.

    SNR: of sound, power of a single word over that of pink noise; of pictures, as in `avbalance.data.noise`. A take
    whose recording cannot be used gives way to the next one; raises LostClip when there is none.
    """
    return _seen(clip, excerpt), _heard(clip, excerpt)


def _heard(clip: SplicedClip, excerpt: Excerpt) -> Sound:
    rng = np.random.default_rng([*clip.scene.seed, _SOUND_STREAM])
    words = np.zeros((SEGMENTS, excerpt.rate), np.float32)
    for cls, onset, offset in intervals(clip.scene, "audio"):
        for second in range(onset, offset):
            words[second] += unit_power(np.resize(_word(clip, cls, second, excerpt).sound, excerpt.rate))
    return in_noise(words.reshape(-1), pink_noise(words.size, rng), clip.scene.snr_audio_db, rng)


def _seen(clip: SplicedClip, excerpt: Excerpt) -> Frames:
    rng = np.random.default_rng([*clip.scene.seed, _PICTURE_STREAM])
    exposed: list[list[Frames]] = [[] for _ in range(SEGMENTS)]
    for cls, onset, offset in intervals(clip.scene, "visual"):
        for second in range(onset, offset):
            exposed[second].append(_word(clip, cls, second, excerpt).frames)
    shown = [np.mean(words or [_rest(clip, second, excerpt)], axis=0) for second, words in enumerate(exposed)]
    return add_blocks(np.concatenate(shown).round().astype(np.uint8), clip.scene.snr_visual_db, rng)


def _word(clip: SplicedClip, cls: int, second: int, excerpt: Excerpt) -> Take:
    """The take of a word that belongs to a second."""
    sentences = clip.takes[cls]
    for number in range(len(sentences)):
        takes = cut_out(sentences[(second + number) % len(sentences)], excerpt).words
        if WORDS[cls] in takes:
            return takes[WORDS[cls]]
    raise LostClip("corrupt", f"no recording of the word {WORDS[cls]!r} can be used, {len(sentences)} were tried")


def _rest(clip: SplicedClip, second: int, excerpt: Excerpt) -> Frames:
    """A second of a mouth at rest, (fps, side, side, 3)."""
    for number in range(len(clip.rests)):
        rest = cut_out(clip.rests[(second + number) % len(clip.rests)], excerpt).rest
        if rest is not None:
            return rest
    raise LostClip("corrupt", f"no mouth at rest can be seen, {len(clip.rests)} recordings were tried")


class CutOut(NamedTuple):
    """What a sentence gives: word -> take, and pictures of its longest pause, if that is long enough."""

    words: dict[str, Take]
    rest: Frames | None


@lru_cache(2000)  # a sentence is part of many clips; what is kept of the sentences of two talkers takes about 300 MB
def cut_out(utterance: Utterance, excerpt: Excerpt) -> CutOut:
    """All takes of a sentence; fewer, with a warning, where the recording is of no use. Files must not change."""
    try:
        recording = decode(utterance.path, excerpt.rate)
    except LostClip as error:
        logger.warning("%s gives way to other takes: %s", utterance.name, error)
        return CutOut({}, None)
    takes = {}
    for kind in KINDS:
        word = utterance.word(kind)
        try:
            takes[word.word] = _take(recording, word, excerpt)
        except LostClip as error:
            logger.warning("%s gives way to other takes: %s", utterance.name, error)
    return CutOut(takes, _calm(recording, utterance, excerpt))


def _take(recording: Recording, word: Word, excerpt: Excerpt) -> Take:
    """A word with a margin; raises LostClip when it is not in the recording."""
    seconds = word.end - word.start + 2 * _MARGIN
    start = recording.span(word, seconds)
    sound = recording.sound_of(start, seconds)
    edge = np.minimum(np.arange(len(sound)), np.arange(len(sound))[::-1]) / (_FADE * excerpt.rate)
    frames = recording.frames_of(start, seconds, excerpt, excerpt.fps / seconds)
    return Take(sound * np.minimum(1.0, edge).astype(np.float32), frames)


def _calm(recording: Recording, utterance: Utterance, excerpt: Excerpt) -> Frames | None:
    """Pictures (fps, side, side, 3) of the longer one of the pauses before and after a sentence."""
    pauses = ((0.0, utterance.words[0].start), (utterance.words[-1].end, recording.seconds))
    start, end = max(pauses, key=lambda pause: pause[1] - pause[0])
    seconds = end - start - 2 * _CALM
    if seconds < _SHORTEST_REST:
        return None
    return recording.frames_of(start + _CALM, seconds, excerpt, excerpt.fps / seconds)
