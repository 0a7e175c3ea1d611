"""CREMA-D: the split into 6,698 training and 744 test clips that OGM-GE made (GeWu-Lab/OGM-GE_CVPR2022, data/CREMAD).

Clips are split at random: all 91 actors occur in both parts. Fu, Gao and Xu call the 744 clips "validation"; there is
no third part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from avbalance.data.annotations import read_rows, refuse_repeats
from avbalance.errors import UserError

CLASSES = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")  # in the order of stat.csv

_SOURCE = "the repository GeWu-Lab/OGM-GE_CVPR2022 (data/CREMAD)"
_CLIP = re.compile(r"(?P<actor>\d{4})_[A-Z]{3}_(?P<emotion>[A-Z]{3})_(LO|MD|HI|XX)")


@dataclass(frozen=True)
class Split:
    """One part: N clips, named as their media files are, and the class index (N,) of the emotion each actor played."""

    path: Path
    ids: tuple[str, ...]
    labels: NDArray[np.int64]

    first_row: ClassVar[int] = 1

    @property
    def actors(self) -> tuple[str, ...]:
        """The actor's number (N,), for splits that keep actors apart."""
        return tuple(clip[:4] for clip in self.ids)


def read_split(path: str | Path) -> Split:
    """Read train.csv or test.csv: `<clip>,<emotion>` per line, no header.

    Raises UserError, naming file, row and fix, for a malformed clip name, an unknown emotion or one other than in the
    clip's name, and a clip that stands twice.
    """
    path = Path(path)
    ids, labels = [], []
    for row, cells in enumerate(read_rows(path, ",", _SOURCE), start=1):
        clip = _CLIP.fullmatch(cells[0]) if len(cells) == 2 else None
        if clip is None:
            raise UserError(
                f"{path}, row {row}: {','.join(cells)!r} is not <actor>_<sentence>_<emotion>_<level>,<emotion>; "
                f"take the file again from {_SOURCE}."
            )
        emotion = cells[1]
        if emotion not in CLASSES:
            raise UserError(f"{path}, row {row}: unknown emotion {emotion!r}; write one of {', '.join(CLASSES)}.")
        if emotion != clip["emotion"]:
            raise UserError(f"{path}, row {row}: {emotion!r} is not the emotion in {cells[0]!r}; correct one of them.")
        ids.append(cells[0])
        labels.append(CLASSES.index(emotion))
    split = Split(path, tuple(ids), np.array(labels, dtype=np.int64))
    refuse_repeats([split])
    return split
