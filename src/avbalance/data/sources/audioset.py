"""AudioSet (Gemmeke et al. 2017), clips recorded outdoors: lists joined with clips or released embeddings.

The subset, its two labellings and its parts are those of the paper modality-relevance, section 3.1; see
`avbalance.data.audioset`. The released embeddings are of sound alone: such a data set has no pictures.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from avbalance.data.annotations import tell_oddities
from avbalance.data.audioset import TASKS, Segment, half_and_half, outdoor_clips, random_parts, read_class_names
from avbalance.data.media_files import files_below
from avbalance.data.sources.base import FeatureOrMediaSource, Listing, Row
from avbalance.data.sources.common import ClipIndex, index_youtube_clips, missing_columns, video_columns
from avbalance.data.tfrecords import embedded_clip, read_records
from avbalance.declared import Count, Once
from avbalance.errors import UserError

log = logging.getLogger(__name__)

SegmentList = Literal["balanced_train_segments.csv", "unbalanced_train_segments.csv", "eval_segments.csv"]
# List -> folder of its records in the release of features.
FOLDERS: dict[SegmentList, str] = {
    "balanced_train_segments.csv": "bal_train",
    "unbalanced_train_segments.csv": "unbal_train",
    "eval_segments.csv": "eval",
}
NAMES = "class_labels_indices.csv"


class AudioSetOptions(FeatureOrMediaSource):
    """Options of kind audioset; features_root holds bal_train, unbal_train and eval with released embeddings."""

    LISTS_FROM = "research.google.com/audioset (Download)"
    FEATURES_FROM = f"unpack features.tar.gz of {LISTS_FROM} into it"
    MEDIA_FROM = "cut the clips out of the YouTube videos into it, named <YouTube id>_<start second>.mp4"

    lists: Annotated[Once[SegmentList], Field(min_length=1)] = Field(default=list(FOLDERS))
    """the segment lists that are used; decision: all three, since the paper makes parts of its own"""
    seed: Count = 0
    """draws the surplus clips that are left out and the parts"""
    speech_descendants: bool = False
    """whether kinds of speech count as speech, too"""

    def list_files(self) -> Sequence[Path]:
        return [Path(self.lists_dir) / name for name in (*self.lists, NAMES)]

    def folders(self) -> Sequence[Path]:
        """That of the clips, or those of the released records of the lists."""
        return [self.folder] if self.root == "media_root" else [self.folder / FOLDERS[name] for name in self.lists]

    def media_from(self, folder: Path | None = None) -> str:
        if folder is None or self.root == "media_root":
            return super().media_from(folder)
        return f"unpack features.tar.gz of {self.LISTS_FROM} so that it exists, take its list out of the option lists"

    def listing(self) -> Listing:
        """As many urban as rural clips, in parts of 70, 20 and 10 %, with the labelling speech besides.

        The clips are drawn from those with a file or record, as the paper drops the others before it makes parts;
        without any (allow_missing) from all that are listed. The card's left_out counts listed outdoor clips that are
        not in the manifest: both labels, missing, surplus (of the more frequent label); its records, where embeddings
        are used, all that were read. Raises UserError also for damaged records, and when a label has no clip.
        """
        heard = self.root == "features_root"
        index = self._records() if heard else index_youtube_clips(self.folder)
        listed, left_out = self._outdoor(index)
        self.refuse_if_nothing_found(listed)
        rows = [row for row in listed if "status" not in row] or listed
        left_out["missing"] = len(listed) - len(rows)
        chosen = self._balanced(rows)
        left_out["surplus"] = len(rows) - len(chosen)
        told = "%s: %d of %d listed outdoor clips are used; left out: %s"
        log.info(told, self.folder, len(chosen), len(listed), left_out)
        card: dict[str, Any] = {"labellings": {"speech": list(TASKS["speech"])}, "left_out": left_out}
        if heard:
            card |= {"modalities": ["audio"], "records": len(index)}
        return Listing(chosen, TASKS["urban_rural"], self.lists_dir, card)

    def _records(self) -> ClipIndex:
        """Where the record of each clip is: `<file>#<offset>`, the file relative to features_root."""
        index: dict[tuple[str, int], str] = {}
        paths = [folder / name for folder in self.folders() for name in files_below(folder, (".tfrecord",))]
        for path in paths:
            for offset, data in read_records(path):
                clip = embedded_clip(data, f"{path}, byte {offset}")
                index[clip.video, int(clip.start)] = f"{path.relative_to(self.folder)}#{offset}"
        log.info("%s: %d clips in %d files", self.folder, len(index), len(paths))
        return index

    def _outdoor(self, index: ClipIndex) -> tuple[list[Row], dict[str, int]]:
        """A row without its part for every listed clip with one outdoor label; how many clips have both."""
        lists = Path(self.lists_dir)
        read_class_names(lists / NAMES)
        clips = outdoor_clips([lists / name for name in self.lists], self.speech_descendants)
        if not clips.ids:
            raise UserError(
                f"{lists}: none of the clips in {', '.join(self.lists)} has one outdoor label; take the lists again "
                f"from {self.LISTS_FROM}."
            )
        rows = []
        for position, (clip, segment) in enumerate(zip(clips.ids, clips.segments, strict=True)):
            labels = {task: names[clips.labels[task][position]] for task, names in TASKS.items()}
            labelled = {"label": labels["urban_rural"], "label_speech": labels["speech"]}
            rows.append({"id": clip, "group": segment.video, **labelled, **self._files(segment, index)})
        return rows, {"both labels": sum(tell_oddities(clips.oddities, "left out").values())}

    def _files(self, segment: Segment, index: ClipIndex) -> Row:
        place = index.get((segment.video, int(segment.start)))
        if self.root == "media_root":
            return video_columns(place, self, f"{segment.id}[_<end>] (mp4, mkv, webm)")
        return {"audio": place} if place else missing_columns(f"no record of {segment.id}")

    def _balanced(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that are kept, as many of either label, each with its part; in the order of their ids."""
        names = TASKS["urban_rural"]
        labels = np.array([names.index(row["label"]) for row in rows], dtype=np.int64)
        absent = [name for label, name in enumerate(names) if not (labels == label).any()]
        if absent:
            raise UserError(
                f"{self.folder}: not one of the {len(rows)} clips is {absent[0]}; get clips of both labels."
            )
        generator = np.random.default_rng(self.seed)
        kept = [rows[position] for position in half_and_half(labels, generator)]
        parts = random_parts([row["id"] for row in kept], generator)
        return [{**row, "split": str(part)} for row, part in zip(kept, parts, strict=True)]


OPTIONS = AudioSetOptions
