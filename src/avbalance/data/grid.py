"""The GRID corpus as it lies in a folder: sentences of talkers with the times of their words, and their recordings.

Cooke, Barker, Cunningham and Shao 2006 (J. Acoust. Soc. Am. 120, 2421): 34 talkers say 1,000 sentences each, of six
words: command, colour, preposition, letter, digit, adverb, as in "bin blue at f two now". A clip is named by its
sentence (bbaf2n), lasts 3 s and has 25 pictures a second.

A folder named s<number> belongs to a talker. Clips (<id>.mpg and other endings) and timings (<id>.align) are looked for
in any folders below the root; the deepest talker folder above a file says whose it is. So s1/bbaf2n.mpg with
align/s1/bbaf2n.align is found, and s1/video/bbaf2n.mpg with s1/align/bbaf2n.align, too.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from avbalance.data.media_files import unreadable
from avbalance.errors import LostClip, UserError

# Kind of word, in the order of a sentence -> letter of the sentence's name -> word. A class is a position in it.
CODES: dict[str, dict[str, str]] = {
    "command": {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    "colour": {"b": "blue", "g": "green", "r": "red", "w": "white"},
    "preposition": {"a": "at", "b": "by", "i": "in", "w": "with"},
    "letter": {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},  # no w: its name has three syllables
    "digit": {
        **{"z": "zero", "1": "one", "2": "two", "3": "three", "4": "four"},
        **{"5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine"},
    },
    "adverb": {"a": "again", "n": "now", "p": "please", "s": "soon"},
}
KINDS = tuple(CODES)
VOCABULARY: dict[str, tuple[str, ...]] = {kind: tuple(words.values()) for kind, words in CODES.items()}
UNIT = 25_000  # of these make a second in an .align file
SECONDS = 3.0  # length of a clip
FPS = 25
_SUFFIXES = (".mpg", ".mpeg", ".mp4", ".mkv", ".avi", ".mov")
_TIMINGS = ".align"
_PAUSES = ("sil", "sp")
SLACK = 0.1  # s that timings may pass the end of the clip
_SHORTEST = 0.5  # s: a sentence that ends before has its times in another unit
_TALKER = re.compile(r"s0*[1-9]\d*", re.IGNORECASE)
_LAYOUT = "s1/<id>.mpg with align/s1/<id>.align, as the corpus is distributed"


@dataclass(frozen=True)
class Word:
    """A spoken word: its kind, itself, start and end in seconds."""

    kind: str
    word: str
    start: float
    end: float

    @property
    def cls(self) -> int:
        """Position in the vocabulary of its kind."""
        return VOCABULARY[self.kind].index(self.word)


@dataclass(frozen=True)
class Utterance:
    """A clip of one sentence.

    talker: s1, s2, ... id: the six letters of the sentence. path: the recording. words: one of each kind, in the order
    of KINDS; none, and `flaw` says why in a sentence, where the timings are of no use.
    """

    talker: str
    id: str
    path: Path
    words: tuple[Word, ...]
    flaw: str = ""

    @property
    def name(self) -> str:
        """Talker and sentence: no two clips of the corpus have the same."""
        return f"{self.talker}-{self.id}"

    def word(self, kind: str) -> Word:
        """The word of that kind; raises LostClip where the timings are of no use."""
        if not self.words:
            raise LostClip("corrupt", self.flaw)
        return self.words[KINDS.index(kind)]

    def cls(self, kind: str) -> int:
        """Class of that kind, told by the name alone."""
        return list(CODES[kind]).index(self.id[KINDS.index(kind)])

    @property
    def number(self) -> int:
        """Number of the sentence among all of all talkers: the same whatever else is in the folder."""
        number = int(self.talker[1:])
        for kind in KINDS:
            number = number * len(CODES[kind]) + self.cls(kind)
        return number


def is_sentence(name: str) -> bool:
    """Whether a file's name, without its ending, is that of a sentence."""
    return len(name) == len(KINDS) and all(letter in CODES[kind] for letter, kind in zip(name, KINDS, strict=True))


def read_talkers(root: str | os.PathLike[str], talkers: Sequence[str] | None = None) -> dict[str, list[Utterance]]:
    """Talker -> clips in the order of their names, of the given talkers or of all, by number.

    A clip whose timings are absent or wrong is there with its flaw. Raises UserError when the root holds no talker, or
    not one that is asked for, when two folders hold clips of one talker or one clip lies there twice, and when the
    timings of more than half of a talker's clips are of no use.
    """
    folder = Path(root)
    clips, timings = _index(folder)
    if not clips:
        raise UserError(f"{folder}: holds no clips of GRID; put them there as {_LAYOUT}, or set the option root.")
    chosen = sorted(clips, key=lambda name: int(name[1:])) if talkers is None else list(talkers)
    absent = [name for name in chosen if name not in clips]
    if absent:
        raise UserError(f"{folder}: holds no clips of talker {absent[0]}; it has those of {', '.join(sorted(clips))}.")
    return {name: _utterances(folder, name, clips[name], timings.get(name, {})) for name in chosen}


def _index(root: Path) -> tuple[dict[str, dict[str, Path]], dict[str, dict[str, Path]]]:
    """Talker -> sentence -> file, of the clips and of the timings below the root."""
    clips: dict[str, dict[str, Path]] = defaultdict(dict)
    timings: dict[str, dict[str, Path]] = defaultdict(dict)
    homes: dict[str, Path] = {}
    for path in _files(root):
        suffix = path.suffix.lower()
        # parents go from the innermost folder outwards: s1/video/x.mpg belongs to s1.
        home = next((folder for folder in path.relative_to(root).parents if _TALKER.fullmatch(folder.name)), None)
        if home is None or not is_sentence(path.stem) or suffix not in (*_SUFFIXES, _TIMINGS):
            continue
        talker = f"s{home.name.lstrip('sS0')}"
        if suffix != _TIMINGS and homes.setdefault(talker, home) != home:
            both = f"{root / homes[talker]} and {root / home}"
            raise UserError(f"{both}: two folders with clips of talker {talker}; remove or rename one of them.")
        first = (timings if suffix == _TIMINGS else clips)[talker].setdefault(path.stem, path)
        if first != path:
            raise UserError(f"{first} and {path}: two files of one sentence; keep one of them.")
    return clips, timings


def _files(root: Path) -> Iterator[Path]:
    """All files below the root, in an order that does not depend on the disk."""
    for folder, inner, names in os.walk(root):
        # In place: os.walk then enters the folders in this order.
        inner.sort()
        yield from (Path(folder) / name for name in sorted(names))


def _utterances(root: Path, talker: str, clips: dict[str, Path], timings: dict[str, Path]) -> list[Utterance]:
    """The clips of a talker with their words; raises UserError when more than half are without."""
    utterances = []
    for name, path in sorted(clips.items()):
        try:
            if name not in timings:
                raise UserError(f"{path}: there is no {name}{_TIMINGS} of talker {talker}; put it in align/{talker}.")
            utterances.append(Utterance(talker, name, path, read_words(timings[name])))
        except UserError as error:
            utterances.append(Utterance(talker, name, path, (), str(error).removeprefix(f"{root}{os.sep}")))
    flaws = [each.flaw for each in utterances if each.flaw]
    if not timings:
        raise UserError(f"{root}: no timings of talker {talker}; put the corpus' alignments in {root}/align/{talker}.")
    if 2 * len(flaws) > len(utterances):
        raise UserError(f"{flaws[0]} (So it is with {len(flaws)} of {len(utterances)} clips of talker {talker}.)")
    return utterances


def read_words(path: Path) -> tuple[Word, ...]:
    """The six words of an .align file: a line is start, end, word; a second has 25,000 units; sil and sp are pauses.

    Raises UserError, naming file and row, for lines and times that cannot be, times in other units, words other than
    those that the file's name tells, and words after the end of a clip.
    """
    if reason := unreadable(path):
        raise UserError(f"{path}: {reason}.")
    words: list[Word] = []
    end = 0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for row, line in enumerate(lines, start=1):
        where = f"{path}, row {row}"
        if not line.strip():
            continue
        fields = line.split()
        if len(fields) != 3:
            raise UserError(f"{where}: {line.strip()!r} is not start, end and word; correct the line.")
        if not (fields[0].isdecimal() and fields[1].isdecimal()):
            raise UserError(f"{where}: {line.strip()!r} has no whole numbers; give times in units of 1/{UNIT} s.")
        start, stop, text = int(fields[0]), int(fields[1]), fields[2].lower()
        if not end <= start < stop:
            raise UserError(f"{where}: {line.strip()!r} does not begin after the row before and end later; correct it.")
        end = stop
        if text not in _PAUSES:
            words.append(_word(path.stem, len(words), text, (start / UNIT, stop / UNIT), where))
    if len(words) < len(KINDS):
        raise UserError(f"{path}, row {len(lines)}: ends after {len(words)} of {len(KINDS)} words; add the others.")
    # A file in milliseconds would pass every other check: its words follow each other and end before 3 s.
    if end < _SHORTEST * UNIT:
        raise UserError(
            f"{path}, row {len(lines)}: ends at {end}; give times in units of 1/{UNIT} s, not milliseconds."
        )
    return tuple(words)


def _word(name: str, position: int, text: str, span: tuple[float, float], where: str) -> Word:
    """A word, checked against the sentence's name and the clip's length."""
    if position >= len(KINDS):
        raise UserError(f"{where}: {text!r} is a seventh word; a sentence has {len(KINDS)}.")
    kind = KINDS[position]
    expected = CODES[kind][name[position]]
    if text not in VOCABULARY[kind]:
        raise UserError(f"{where}: {text!r} is no {kind}; use one of {', '.join(VOCABULARY[kind])}.")
    if text != expected:
        raise UserError(f"{where}: {text!r} is not the {kind} {expected!r} that the name tells; correct one of them.")
    if span[1] > SECONDS + SLACK:
        raise UserError(
            f"{where}: {text!r} ends at {span[1]:.2f} s, after the end of a clip of {SECONDS:g} s; give times of this "
            f"clip in units of 1/{UNIT} s."
        )
    return Word(kind, text, *span)
