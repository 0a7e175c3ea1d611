"""Clips cut out of the GRID corpus: which sentence stands in which part, what is planted, how a clip is made.

A clip is a word within a window, or a whole sentence. Where there is a law of noise, how informative sound and pictures
of a clip are is drawn from the data set's seed and the sentence alone, as that of generated clips is (see
`avbalance.data.scenes`); other voices are those of other clips of the same part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avbalance.data import PARTS
from avbalance.data.grid import SECONDS, Utterance
from avbalance.data.noise import Frames, Sound, add_blocks, blur, mix_sound, pink_noise, unit_power
from avbalance.data.recordings import Excerpt, decode, decode_sound
from avbalance.data.scenes import JointLaw, draw_informativeness
from avbalance.errors import LostClip, UserError

VOICES = 3  # of babble: single words of it can no longer be made out
_CANDIDATES = 3 * VOICES  # some of them may be broken files
_ORDER_STREAM, _LAW_STREAM, _VOICE_STREAM, _SOUND_STREAM, _PICTURE_STREAM = range(5)


@dataclass(frozen=True)
class Planted:
    """Informativeness of both modalities in [0, 1], the SNRs (dB) made from it, and whose voices the babble is."""

    audio: float
    visual: float
    snr_audio_db: float
    snr_visual_db: float
    voices: tuple[Utterance, ...]


@dataclass(frozen=True)
class GridClip:
    """A sentence in its part. seed: of its random streams. planted: None without a law of noise."""

    utterance: Utterance
    split: str
    seed: tuple[int, int]
    planted: Planted | None

    @property
    def id(self) -> str:
        return self.utterance.name


@dataclass(frozen=True)
class Cut:
    """How a clip is made.

    kind: of the word in the middle of a window of `seconds`; None for the whole sentence. audio_noise: "babble" or
    "pink"; visual_noise: "blocks" or "blur".
    """

    kind: str | None
    seconds: float
    excerpt: Excerpt
    audio_noise: str
    visual_noise: str


def plan_clips(
    talkers: Sequence[Sequence[Utterance]],
    test_talkers: Sequence[Sequence[Utterance]],
    counts: Mapping[str, int],
    kind: str,
    seed: int,
    law: JointLaw | None,
) -> list[GridClip]:
    """Plan as many clips of each part as `counts` says, in each of them as many of each class of `kind` as can be.

    The test part has clips of `test_talkers`, where there are some, and else of `talkers`, as the others have. Raises
    UserError when there are fewer clips than that.
    """
    known = _interleaved([each for talker in talkers for each in talker], kind, seed)
    unknown = _interleaved([each for talker in test_talkers for each in talker], kind, seed)
    parts: dict[str, list[GridClip]] = {}
    for split in PARTS[::-1]:  # the test part first: it is the same for every size of the others
        count = counts.get(split, 0)
        pool = unknown if split == "test" and test_talkers else known
        if count > len(pool):
            raise UserError(
                f"data set of kind grid: option 'clips' asks for {count} of the part {split}, and the talkers have "
                f"{len(pool)} left; lower the number or give more talkers."
            )
        part, pool[:count] = pool[:count], []
        parts[split] = [GridClip(each, split, (seed, each.number), _plant(each, part, seed, law)) for each in part]
    return [clip for split in PARTS for clip in parts[split]]


def _interleaved(utterances: Sequence[Utterance], kind: str, seed: int) -> list[Utterance]:
    """The sentences in random order, the classes taking turns."""
    rng = np.random.default_rng([seed, _ORDER_STREAM])
    shuffled = [utterances[index] for index in rng.permutation(len(utterances))]
    turns: dict[int, int] = {}
    places = []
    for each in shuffled:
        cls = each.cls(kind)
        turns[cls] = turns.get(cls, -1) + 1
        places.append((turns[cls], cls))
    # First one clip of each class, then a second one: any number of clips from the front is as even as can be.
    order = sorted(range(len(shuffled)), key=places.__getitem__)
    return [shuffled[index] for index in order]


def _plant(each: Utterance, part: Sequence[Utterance], seed: int, law: JointLaw | None) -> Planted | None:
    if law is None:
        return None
    planted = draw_informativeness(law, _rng((seed, each.number), _LAW_STREAM))
    # Of the same part: a test clip's noise must not be a voice that training has seen as a label.
    others = [other for other in part if other is not each and other.words]
    drawn = _rng((seed, each.number), _VOICE_STREAM).permutation(len(others))[:_CANDIDATES]
    return Planted(*planted, *law.snr_db(planted), tuple(others[index] for index in drawn))


def _rng(seed: tuple[int, int], stream: int) -> np.random.Generator:
    return np.random.default_rng([*seed, stream])


def make_clip(clip: GridClip, cut: Cut) -> tuple[Frames, Sound]:
    """Pictures (T, side, side, 3) and sound (n,) of a clip; raises LostClip where the recording is of no use."""
    words = clip.utterance.words if cut.kind is None else (clip.utterance.word(cut.kind),)
    if not words:
        raise LostClip("corrupt", clip.utterance.flaw)
    rate = cut.excerpt.rate
    recording = decode(clip.utterance.path, rate)
    if cut.kind is None:
        recording.span(words[-1], 0.0)  # the last word must be there
        start, seconds = 0.0, SECONDS
    else:
        start, seconds = recording.span(words[0], cut.seconds), cut.seconds
    frames = recording.frames_of(start, seconds, cut.excerpt)
    sound = recording.sound_of(start, seconds)
    if clip.planted is None:
        return frames, np.clip(sound, -1.0, 1.0)
    spoken = (round((words[0].start - start) * rate), round((words[-1].end - start) * rate))
    return _seen(frames, clip, clip.planted, cut), _heard(sound, spoken, clip, clip.planted, cut)


def _seen(frames: Frames, clip: GridClip, planted: Planted, cut: Cut) -> Frames:
    if cut.visual_noise == "blur":
        return blur(frames, planted.snr_visual_db)
    return add_blocks(frames, planted.snr_visual_db, _rng(clip.seed, _PICTURE_STREAM))


def _heard(sound: Sound, spoken: tuple[int, int], clip: GridClip, planted: Planted, cut: Cut) -> Sound:
    rng = _rng(clip.seed, _SOUND_STREAM)
    noise = (
        pink_noise(len(sound), rng)
        if cut.audio_noise == "pink"
        else _babble(planted.voices, len(sound), cut.excerpt.rate, rng)
    )
    first, last = max(0, spoken[0]), min(len(sound), spoken[1])
    return mix_sound(sound, (first, last), noise, planted.snr_audio_db, rng)


def _babble(voices: Sequence[Utterance], samples: int, rate: int, rng: np.random.Generator) -> Sound:
    """VOICES sentences at once, each from a random place on and equally loud, of unit power, (samples,)."""
    total, voiced = np.zeros(samples, np.float32), 0
    for voice in voices:
        if voiced == VOICES:
            break
        try:
            sound = decode_sound(voice.path, rate)
        except LostClip:
            continue
        first, last = (round(time * rate) for time in (voice.words[0].start, voice.words[-1].end))
        spoken = sound[first:last]
        if len(spoken):
            # From a random place and around its end: sentences begin alike, and would be heard to begin together.
            total += unit_power(np.resize(np.roll(spoken, rng.integers(len(spoken))), samples))
            voiced += 1
    if not voiced:
        raise LostClip("missing", "no other clip of this part can be heard, to make babble of")
    return unit_power(total)
