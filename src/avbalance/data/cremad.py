"""CREMA-D: the split into 6,698 training and 744 test clips that OGM-GE made (GeWu-Lab/OGM-GE_CVPR2022, data/CREMAD).

Clips are split at random: all 91 actors occur in both parts. Fu, Gao and Xu call the 744 clips "validation"; there is
no third part.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from avbalance.data.annotations import ListedPart, read_lines, refuse_repeats

CLASSES = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")  # in the order of stat.csv

_SOURCE = "the repository GeWu-Lab/OGM-GE_CVPR2022 (data/CREMAD)"
_CLIP = re.compile(r"\d{4}_[A-Z]{3}_(?P<emotion>[A-Z]{3})_(LO|MD|HI|XX)")


def read_split(path: str | Path) -> ListedPart:
    """Read train.csv or test.csv: `<clip>,<emotion>` per line, no header; a label is the index of the played emotion.

    Raises UserError, naming file, row and fix, for a malformed clip name, an unknown emotion or one other than in the
    clip's name, and a clip that stands twice.
    """
    path = Path(path)
    ids, labels = [], []
    for line in read_lines(path, ",", _SOURCE):
        clip = _CLIP.fullmatch(line.cells[0]) if len(line.cells) == 2 else None
        if clip is None:
            raise line.error(
                f"{','.join(line.cells)!r} is not <actor>_<sentence>_<emotion>_<level>,<emotion>; take the file again "
                f"from {_SOURCE}."
            )
        name, emotion = line.cells
        if emotion not in CLASSES:
            raise line.error(f"unknown emotion {emotion!r}; write one of {', '.join(CLASSES)}.")
        if emotion != clip["emotion"]:
            raise line.error(f"{emotion!r} is not the emotion in {name!r}; correct one of them.")
        ids.append(name)
        labels.append(CLASSES.index(emotion))
    part = ListedPart(path, tuple(ids), np.array(labels, dtype=np.int64), first_row=1)
    refuse_repeats([part])
    return part


def actor(clip: str) -> str:
    """The actor's number in a clip's name."""
    return clip[:4]
