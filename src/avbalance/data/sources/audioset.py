"""AudioSet clips recorded outdoors: the published segment lists joined with whatever clips the user could download.

The subset, its two labellings and its parts are those of the paper modality-relevance, section 3.1; see
`avbalance.data.audioset`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources.annotated import tell_oddities
from avbalance.data.sources.common import (
    card_for,
    index_youtube_clips,
    media_root_entry,
    read_options,
    refuse_if_nothing_found,
    required,
    video_columns,
)
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.audioset import Segment
    from avbalance.data.manifest import Manifest

log = logging.getLogger(__name__)

# Decision: all three, since the paper makes parts of its own.
LISTS = ("balanced_train_segments.csv", "unbalanced_train_segments.csv", "eval_segments.csv")
NAMES = "class_labels_indices.csv"
DEFAULTS: dict[str, Any] = {
    "lists_dir": required(),
    "media_root": required(),
    "seed": 0,
    "speech_descendants": False,
    "allow_missing": False,
    "checksums": False,
}
MEDIA_SOURCES = {"media_root": "cut the clips out of the YouTube videos into it, named <YouTube id>_<start second>.mp4"}


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say which list or folder is missing and where to get it; None when all are there."""
    options = read_options(spec, DEFAULTS)
    for path in map(Path, inputs(spec)):
        if not path.is_file():
            return f"{path}: no such file; take it from research.google.com/audioset (Download)."
    media = Path(options["media_root"])
    if not options["allow_missing"] and not media.is_dir():
        return (
            f"{media}: no such folder; {MEDIA_SOURCES['media_root']}, or set the option allow_missing to plan "
            "without them."
        )
    return None


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips and name their labels."""
    lists = Path(read_options(spec, DEFAULTS)["lists_dir"])
    return [str(lists / name) for name in (*LISTS, NAMES)]


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """As many urban as rural clips, in parts of 70, 20 and 10 %, with the labelling speech besides.

    The clips are drawn from those with a file, as the paper drops the others before it makes parts; without any
    (allow_missing) from all that are listed. The card's left_out counts listed outdoor clips that are not in the
    manifest: both labels, missing, surplus (of the more frequent label). Raises UserError for malformed lists, and when
    a label has no clip.
    """
    from avbalance.data.manifest import make_manifest

    problem = preflight(spec)
    if problem is not None:
        raise UserError(problem)
    options = read_options(spec, DEFAULTS)
    media = Path(options["media_root"])
    rows, left_out = _listed(options, media)
    refuse_if_nothing_found(rows, media, options["allow_missing"])
    listed = len(rows)
    rows = [row for row in rows if "status" not in row] or rows
    left_out["missing"] = listed - len(rows)
    chosen = _balanced(rows, options["seed"], media)
    left_out["surplus"] = len(rows) - len(chosen)
    log.info("%s: %d of %d listed outdoor clips are used; left out: %s", media, len(chosen), listed, left_out)
    card = card_for(name, spec, _tasks()["urban_rural"], media_root_entry(options["media_root"], out_dir))
    card.update(labellings={"speech": list(_tasks()["speech"])}, left_out=left_out)
    return make_manifest(chosen, card, options["lists_dir"])


def _tasks() -> Mapping[str, tuple[str, str]]:
    from avbalance.data.audioset import TASKS

    return TASKS


def _listed(options: Mapping[str, Any], media: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """A row without its part for every listed clip with one outdoor label; how many clips have both."""
    from avbalance.data.audioset import outdoor_clips, read_class_names

    lists = Path(options["lists_dir"])
    read_class_names(lists / NAMES)
    clips = outdoor_clips([lists / name for name in LISTS], options["speech_descendants"])
    if not clips.ids:
        raise UserError(
            f"{lists}: none of the clips in {', '.join(LISTS)} has one outdoor label; take the lists again from "
            "research.google.com/audioset."
        )
    index = index_youtube_clips(media)
    rows = []
    for position, (clip, segment) in enumerate(zip(clips.ids, clips.segments, strict=True)):
        labels = {task: names[clips.labels[task][position]] for task, names in _tasks().items()}
        files = _files(segment, index, media, options["checksums"])
        labelled = {"label": labels["urban_rural"], "label_speech": labels["speech"]}
        rows.append({"id": clip, "group": segment.video, **labelled, **files})
    return rows, {"both labels": sum(tell_oddities(clips.oddities, "left out").values())}


def _files(segment: Segment, index: Mapping[tuple[str, int], str], media: Path, checksums: bool) -> dict[str, Any]:
    found = index.get((segment.video, int(segment.start)))
    return video_columns(found, media, checksums, f"{segment.id}[_<end>] (mp4, mkv, webm)")


def _balanced(rows: Sequence[dict[str, Any]], seed: int, media: Path) -> list[dict[str, Any]]:
    """The rows that are kept, as many of either label, each with its part; in the order of their ids."""
    import numpy as np

    from avbalance.data.audioset import half_and_half, random_parts

    names = _tasks()["urban_rural"]
    labels = np.array([names.index(row["label"]) for row in rows], dtype=np.int64)
    absent = [name for label, name in enumerate(names) if not (labels == label).any()]
    if absent:
        raise UserError(f"{media}: not one of the {len(rows)} clips is {absent[0]}; get clips of both labels.")
    generator = np.random.default_rng(seed)
    kept = [rows[position] for position in half_and_half(labels, generator)]
    parts = random_parts([row["id"] for row in kept], generator)
    return [{**row, "split": str(part)} for row, part in zip(kept, parts, strict=True)]
