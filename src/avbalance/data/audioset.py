"""AudioSet: its segment lists, and the subset of clips recorded outdoors that modality-relevance labels in two ways.

Lists and class names are those that research.google.com/audioset publishes. The paper (section 3.1) keeps clips with
the label "urban" or "rural", half of each, and gives the same clips a second label, speech or not. Decision: a clip
that carries both outdoor labels is left out, as is, of course, one that carries neither. A clip without a speech label
is non-speech (paper).
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avbalance.data import PARTS
from avbalance.data.annotations import Oddity, read_lines, text_lines
from avbalance.errors import UserError

URBAN, RURAL, SPEECH = "/t/dd00128", "/t/dd00129", "/m/09x0r"
SPEECH_DESCENDANTS = ("/m/05zppz", "/m/02zsn", "/m/0ytgt", "/m/01h8n0", "/m/02qldy")
NAMES: Mapping[str, str] = {
    URBAN: "Outside, urban or manmade",
    RURAL: "Outside, rural or natural",
    SPEECH: "Speech",
    SPEECH_DESCENDANTS[0]: "Male speech, man speaking",
    SPEECH_DESCENDANTS[1]: "Female speech, woman speaking",
    SPEECH_DESCENDANTS[2]: "Child speech, kid speaking",
    SPEECH_DESCENDANTS[3]: "Conversation",
    SPEECH_DESCENDANTS[4]: "Narration, monologue",
}
TASKS: Mapping[str, tuple[str, str]] = {"urban_rural": ("urban", "rural"), "speech": ("non-speech", "speech")}

_SOURCE = "research.google.com/audioset"
_COMMENTS = ("#", "YTID,")  # no video has an id of four characters
_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}")

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """One clip of a list: YouTube id, start and end in seconds, the machine ids of its labels, and its row."""

    video: str
    start: float
    end: float
    labels: frozenset[str]
    row: int

    @property
    def id(self) -> str:
        """`<YouTube id>_<start second, 6 digits>`, as in the other lists of YouTube clips."""
        return f"{self.video}_{int(self.start):06d}"


@dataclass(frozen=True)
class OutdoorClips:
    """N clips with exactly one outdoor label, sorted by id.

    ids, segments and labels[task] (N,), the latter indices into TASKS[task]; both: clips left out because they carry
    both labels; oddities: one for each of those.
    """

    ids: tuple[str, ...]
    segments: tuple[Segment, ...]
    labels: Mapping[str, Indices]
    oddities: tuple[Oddity, ...]


def read_segments(path: str | Path) -> Iterator[Segment]:
    """Yield the clips of a segment list, row by row: `YTID, start_seconds, end_seconds, "mid,mid,..."`.

    Lines that begin with "#" are comments; so is the line of column names where its "#" was lost. Raises UserError,
    naming file, row and fix, for a malformed row and a file that is absent or has no clip.
    """
    path = Path(path)
    row, listed = 0, 0
    for row, text in enumerate(text_lines(path, _SOURCE), start=1):
        if not text.startswith(_COMMENTS) and text.strip():
            listed += 1
            yield _segment(text, path, row)
    if not listed:
        raise UserError(f"{path}, row {row + 1}: no clip is listed; take it again from {_SOURCE}.")


def _segment(line: str, path: Path, row: int) -> Segment:
    try:
        cells = next(csv.reader([line], skipinitialspace=True))
        video, start, end, labels = cells[0], float(cells[1]), float(cells[2]), cells[3].split(",")
        valid = len(cells) == 4 and _VIDEO.fullmatch(video) and 0 <= start < end and all(labels)
    except (IndexError, ValueError, csv.Error):
        valid = False
    if not valid:
        raise UserError(
            f'{path}, row {row}: {line.strip()!r} is not <YouTube id>, <start>, <end>, "<label>,..."; '
            f"take the file again from {_SOURCE}."
        )
    return Segment(video, start, end, frozenset(labels), row)


def outdoor_clips(lists: Sequence[str | Path], speech_descendants: bool = False) -> OutdoorClips:
    """Read segment lists and keep the clips with exactly one of the two outdoor labels.

    Decision: speech is the label "Speech" itself; with `speech_descendants` also one of SPEECH_DESCENDANTS. Raises
    UserError, as `read_segments` does, and for an outdoor clip that is listed twice.
    """
    speech = {SPEECH, *SPEECH_DESCENDANTS} if speech_descendants else {SPEECH}
    kept: dict[str, tuple[Path, Segment]] = {}
    oddities = []
    for path in map(Path, lists):
        for segment in read_segments(path):
            outdoor = segment.labels & {URBAN, RURAL}
            if len(outdoor) == 2:
                what = f"{segment.id}: urban and rural at once"
                oddities.append(Oddity(str(path), segment.row, "both labels", what))
            elif outdoor and segment.id in kept:
                other, earlier = kept[segment.id]
                raise UserError(
                    f"{path}, row {segment.row}: {segment.id!r} stands in {other}, row {earlier.row}, already; "
                    "remove one of the two."
                )
            elif outdoor:
                kept[segment.id] = (path, segment)
    ids = tuple(sorted(kept))
    segments = tuple(kept[clip][1] for clip in ids)
    labels = {
        "urban_rural": np.array([RURAL in segment.labels for segment in segments], dtype=np.int64),
        "speech": np.array([bool(segment.labels & speech) for segment in segments], dtype=np.int64),
    }
    return OutdoorClips(ids, segments, labels, tuple(oddities))


def half_and_half(labels: Indices, generator: np.random.Generator) -> Indices:
    """Positions (M,), ascending, of as many clips of label 0 as of label 1, of `labels` (N,).

    Decision: clips of the more frequent label are dropped at random. To be done with the usable clips, after those
    without media or with broken media are out. Raises UserError when a label has no clip.
    """
    members = [np.flatnonzero(labels == label) for label in (0, 1)]
    size = min(map(len, members))
    if size == 0:
        raise UserError(
            f"of the usable clips {len(members[0])} have label 0, {len(members[1])} label 1; get more clips."
        )
    chosen = [generator.permutation(group)[:size] if len(group) > size else group for group in members]
    return np.sort(np.concatenate(chosen))


def part_sizes(clips: int, test_share: float = 0.1) -> dict[str, int]:
    """Clips of each part: a fifth, rounded down, validates, a share, rounded down, tests, the rest trains.

    7,276 clips make 5,094, 1,455 and 727; the paper's percentages are multiples of 1/727, so that the tenth is the
    test part.
    """
    val, test = clips // 5, math.floor(clips * test_share)
    return {"train": clips - val - test, "val": val, "test": test}


def random_parts(ids: Sequence[str], generator: np.random.Generator, test_share: float = 0.1) -> NDArray[np.str_]:
    """Part (N,) of each clip: one permutation of the sorted ids, of which the first train, the next validate.

    Not stratified (the class sizes of the paper's test part are those of a random one), the same for both tasks, since
    labels are not looked at. Raises UserError when an id repeats or a part is empty.
    """
    if len(set(ids)) < len(ids):
        raise UserError(f"{len(ids)} clips have only {len(set(ids))} different ids; name each clip once.")
    sizes = part_sizes(len(ids), test_share)
    empty = [name for name, size in sizes.items() if size == 0]
    if empty:
        raise UserError(f"{len(ids)} clips leave none for {' and '.join(empty)}; get at least 10.")
    names = np.repeat(PARTS, [sizes[name] for name in PARTS])
    parts = np.empty(len(ids), dtype=names.dtype)
    # Sorted first: the order of a list must not decide in which part a clip is.
    parts[np.argsort(np.asarray(ids))[generator.permutation(len(ids))]] = names
    return parts


def read_class_names(path: str | Path) -> dict[str, str]:
    """Machine id -> display name, from class_labels_indices.csv (`index,mid,display_name`, names quoted).

    Raises UserError, naming file, row and fix, for another header, a malformed row, or when a label that is used here
    has another name there.
    """
    path = Path(path)
    header, *lines = read_lines(path, ",", _SOURCE, csv.QUOTE_MINIMAL)
    if header.cells != ("index", "mid", "display_name"):
        raise header.error(f"the header is not index,mid,display_name; take it again from {_SOURCE}.")
    names: dict[str, str] = {}
    for index, line in enumerate(lines):
        if len(line.cells) != 3 or line.cells[0] != str(index) or line.cells[1] in names:
            raise line.error(f"{','.join(line.cells)!r} is not <index>,<mid>,<name>; take it from {_SOURCE}.")
        names[line.cells[1]] = line.cells[2]
    wrong = [label for label, name in NAMES.items() if names.get(label) != name]
    if wrong:
        label = wrong[0]
        raise UserError(f"{path}: {label} is {names.get(label)!r} instead of {NAMES[label]!r}; take it from {_SOURCE}.")
    return names
