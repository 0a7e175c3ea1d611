"""VGGSounder: what people heard and what they saw in test clips of VGG-Sound (Zverev et al. 2025).

The file vggsounder.csv of Bizilizi/VGGSounder (folder vggsounder/data) has a row for each clip and class that somebody
found in it: `modality` is A (heard), V (seen) or AV (both). A clip may have several rows; clips with background music
stand in a second file, vggsounder+background-music.csv, which has the same columns and holds all rows of the first.
Decision: the columns background_music, static_image and voice_over are not read. They speak of the whole clip, and what
a still picture or a voice does to the clip's own class is in `modality` already.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from avbalance.data.annotations import read_columns

COLUMNS = ("video_id", "label", "modality")
MODALITIES = {"A": (True, False), "V": (False, True), "AV": (True, True)}

_SOURCE = "the repository Bizilizi/VGGSounder (vggsounder/data)"
_CLIP = re.compile(r"[A-Za-z0-9_-]{11}_\d{6}")

Perceived = dict[str, dict[str, tuple[bool, bool]]]


def read_modalities(path: str | Path, classes: Collection[str] | None = None) -> Perceived:
    """Clip (`<YouTube id>_<start, 6 digits>`) -> class -> whether it is heard and whether it is seen.

    classes: names that a row may have; None where they are not all known. Raises UserError, naming file, row and fix,
    for a missing column, a malformed clip, another modality, an unknown class, and a clip and class that stand twice
    with different modalities. A row that repeats another one sets nothing new.
    """
    path = Path(path)
    perceived: Perceived = defaultdict(dict)
    first: dict[tuple[str, str], int] = {}
    for line in read_columns(path, COLUMNS, ",", _SOURCE, csv.QUOTE_MINIMAL):
        clip, label, modality = line.cells
        if not _CLIP.fullmatch(clip):
            raise line.error(f"{clip!r} is not <YouTube id>_<start, 6 digits>; correct it.")
        if modality not in MODALITIES:
            raise line.error(f"modality {modality!r} is unknown; write A, V or AV.")
        if classes is not None and label not in classes:
            raise line.error(
                f"class {label!r} is not in the list of VGG-Sound; spell it as the list does, byte for byte, or take "
                "the file again."
            )
        if perceived[clip].setdefault(label, MODALITIES[modality]) != MODALITIES[modality]:
            earlier = first[clip, label]
            raise line.error(
                f"{clip} has {label!r} as {modality}, but another modality in row {earlier}; remove the wrong row."
            )
        first.setdefault((clip, label), line.number)
    return dict(perceived)
