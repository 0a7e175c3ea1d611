"""AudioSet (Gemmeke et al. 2017), clips recorded outdoors: lists joined with clips or released embeddings.

The subset, its two labellings and its parts are those of the paper modality-relevance, section 3.1; see
`avbalance.data.audioset`. The released embeddings are of sound alone: such a data set has no pictures.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from avbalance.data.sources.annotated import tell_oddities
from avbalance.data.sources.common import (
    absent_list,
    absent_media,
    card_for,
    files_below,
    index_youtube_clips,
    media_root_entry,
    missing_columns,
    read_options,
    ready_options,
    refuse_if_nothing_found,
    video_columns,
)
from avbalance.data.sources.options import FeatureOrMediaOptions
from avbalance.declared import Count, Once
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.audioset import Segment
    from avbalance.data.manifest import Manifest

log = logging.getLogger(__name__)

SegmentList = Literal["balanced_train_segments.csv", "unbalanced_train_segments.csv", "eval_segments.csv"]
# List -> folder of its records in the release of features.
FOLDERS: dict[SegmentList, str] = {
    "balanced_train_segments.csv": "bal_train",
    "unbalanced_train_segments.csv": "unbal_train",
    "eval_segments.csv": "eval",
}
NAMES = "class_labels_indices.csv"


class AudioSetOptions(FeatureOrMediaOptions):
    """Options of kind audioset; features_root holds bal_train, unbal_train and eval with released embeddings."""

    lists: Annotated[Once[SegmentList], Field(min_length=1)] = Field(default=list(FOLDERS))
    """the segment lists that are used; decision: all three, since the paper makes parts of its own"""
    seed: Count = 0
    """draws the surplus clips that are left out and the parts"""
    speech_descendants: bool = False
    """whether kinds of speech count as speech, too"""

    @property
    def record_folders(self) -> list[Path]:
        """Folders of the released records of the lists."""
        return [self.folder / FOLDERS[name] for name in self.lists]


OPTIONS = AudioSetOptions
_PAGE = "research.google.com/audioset (Download)"
MEDIA_SOURCES = {
    "features_root": f"unpack features.tar.gz of {_PAGE} into it",
    "media_root": "cut the clips out of the YouTube videos into it, named <YouTube id>_<start second>.mp4",
}
_RECORDS = (".tfrecord",)

Index = Mapping[tuple[str, int], str]  # (YouTube id, start second) -> path of the clip's file


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say which list or folder is missing and where to get it; None when all are there."""
    options = read_options(OPTIONS, spec)
    told = absent_list(inputs(spec), _PAGE)
    if told or options.root == "media_root":
        return told or absent_media(options.folder, MEDIA_SOURCES["media_root"], options)
    absent = [folder for folder in options.record_folders if not folder.is_dir()]
    if not absent or options.allow_missing:
        return None
    return (
        f"{absent[0]}: no such folder; unpack features.tar.gz of {_PAGE} so that it exists, take its list out of the "
        "option lists, or set the option allow_missing to plan without it."
    )


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips and name their labels."""
    options = read_options(OPTIONS, spec)
    return [str(Path(options.lists_dir) / name) for name in (*options.lists, NAMES)]


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """As many urban as rural clips, in parts of 70, 20 and 10 %, with the labelling speech besides.

    The clips are drawn from those with a file or record, as the paper drops the others before it makes parts; without
    any (allow_missing) from all that are listed. The card's left_out counts listed outdoor clips that are not in the
    manifest: both labels, missing, surplus (of the more frequent label); its records, where embeddings are used, all
    that were read. Raises UserError for malformed lists and damaged records, and when a label has no clip.
    """
    from avbalance.data.manifest import make_manifest

    options = ready_options(OPTIONS, spec, preflight)
    folder, heard = options.folder, options.root == "features_root"
    index = _index_records(options) if heard else index_youtube_clips(folder)
    rows, left_out = _listed(options, index)
    refuse_if_nothing_found(rows, folder, options, options.root)
    listed = len(rows)
    rows = [row for row in rows if "status" not in row] or rows
    left_out["missing"] = listed - len(rows)
    chosen = _balanced(rows, options.seed, folder)
    left_out["surplus"] = len(rows) - len(chosen)
    log.info("%s: %d of %d listed outdoor clips are used; left out: %s", folder, len(chosen), listed, left_out)
    card = card_for(name, spec, _tasks()["urban_rural"], media_root_entry(options.folder_as_given, out_dir))
    card.update(labellings={"speech": list(_tasks()["speech"])}, left_out=left_out)
    if heard:
        card.update(modalities=["audio"], records=len(index))
    return make_manifest(chosen, card, options.lists_dir)


def _tasks() -> Mapping[str, tuple[str, str]]:
    from avbalance.data.audioset import TASKS

    return TASKS


def _index_records(options: AudioSetOptions) -> Index:
    """Where the record of each clip is: `<file>#<offset>`, the file relative to features_root."""
    from avbalance.data.tfrecords import embedded_clip, read_records

    index: dict[tuple[str, int], str] = {}
    root, files = options.folder, 0
    for folder in options.record_folders:
        for name in files_below(folder, _RECORDS):
            path, files = folder / name, files + 1
            for offset, data in read_records(path):
                clip = embedded_clip(data, f"{path}, byte {offset}")
                index[clip.video, int(clip.start)] = f"{path.relative_to(root)}#{offset}"
    log.info("%s: %d clips in %d files", root, len(index), files)
    return index


def _listed(options: AudioSetOptions, index: Index) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """A row without its part for every listed clip with one outdoor label; how many clips have both."""
    from avbalance.data.audioset import outdoor_clips, read_class_names

    lists = Path(options.lists_dir)
    read_class_names(lists / NAMES)
    clips = outdoor_clips([lists / name for name in options.lists], options.speech_descendants)
    if not clips.ids:
        raise UserError(
            f"{lists}: none of the clips in {', '.join(options.lists)} has one outdoor label; take the lists again "
            f"from {_PAGE}."
        )
    rows = []
    for position, (clip, segment) in enumerate(zip(clips.ids, clips.segments, strict=True)):
        labels = {task: names[clips.labels[task][position]] for task, names in _tasks().items()}
        labelled = {"label": labels["urban_rural"], "label_speech": labels["speech"]}
        rows.append({"id": clip, "group": segment.video, **labelled, **_files(segment, index, options)})
    return rows, {"both labels": sum(tell_oddities(clips.oddities, "left out").values())}


def _files(segment: Segment, index: Index, options: AudioSetOptions) -> dict[str, Any]:
    found = index.get((segment.video, int(segment.start)))
    if options.root == "media_root":
        return video_columns(found, options.folder, options, f"{segment.id}[_<end>] (mp4, mkv, webm)")
    return {"audio": found} if found else missing_columns(f"no record of {segment.id}")


def _balanced(rows: Sequence[dict[str, Any]], seed: int, folder: Path) -> list[dict[str, Any]]:
    """The rows that are kept, as many of either label, each with its part; in the order of their ids."""
    import numpy as np

    from avbalance.data.audioset import half_and_half, random_parts

    names = _tasks()["urban_rural"]
    labels = np.array([names.index(row["label"]) for row in rows], dtype=np.int64)
    absent = [name for label, name in enumerate(names) if not (labels == label).any()]
    if absent:
        raise UserError(f"{folder}: not one of the {len(rows)} clips is {absent[0]}; get clips of both labels.")
    generator = np.random.default_rng(seed)
    kept = [rows[position] for position in half_and_half(labels, generator)]
    parts = random_parts([row["id"] for row in kept], generator)
    return [{**row, "split": str(part)} for row, part in zip(kept, parts, strict=True)]
