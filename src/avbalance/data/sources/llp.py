"""LLP (Tian et al. 2020): its lists and truth joined with the released features, or with clips that were downloaded.

Training videos have weak labels only; validation and test have what is heard and seen in each second as well. Of the
audio truth two versions are about (see `avbalance.data.llp`): the main protocol reads the older one, on which the
published numbers rest, and the repaired one stands beside it in the column events_audio_repaired (decision).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from avbalance.data.sources.annotated import events_text, refuse_empty_intervals, tell_oddities
from avbalance.data.sources.base import FeatureOrMediaSource, FilePath, Listing, Row
from avbalance.data.sources.common import file_columns, missing_columns, video_columns, videos_by_name
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.annotations import ListedPart
    from avbalance.data.llp import Segments

Version = Literal["old", "repaired"]
_SPLITS = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}
_VISUAL = "AVVP_eval_visual.csv"
_FEATURES = ("vggish", "res152", "r2plus1d_18")
_OLD_FROM = "the repository MCG-NJU/JoMoLD (data)"


class LLPOptions(FeatureOrMediaSource):
    """Options of kind llp; lists_dir holds the three split lists and the truth of the visual track."""

    LISTS_FROM = "the repository YapengTian/AVVP-ECCV20 (data)"
    FEATURES_FROM = (
        "unpack there the archive of features that the page of YapengTian/AVVP-ECCV20 links "
        "(vggish, res152, r2plus1d_18)"
    )
    MEDIA_FROM = "download the 10 s clips there with the script of YapengTian/AVVP-ECCV20"

    audio_truth: Version = "old"
    """version of the audio truth of the main protocol"""
    audio_old: FilePath = "old/AVVP_eval_audio.csv"
    """the older audio truth below lists_dir"""
    audio_repaired: FilePath = "AVVP_eval_audio.csv"
    """the present audio truth below lists_dir"""

    def audio_file(self, version: Version) -> Path:
        """The file of one version of the audio truth."""
        return Path(self.lists_dir) / (self.audio_old if version == "old" else self.audio_repaired)

    @property
    def second_audio(self) -> Path | None:
        """The repaired audio truth, where the main one is the old one and the file is there."""
        path = self.audio_file("repaired")
        return path if self.audio_truth == "old" and path.is_file() else None

    def list_files(self) -> Sequence[Path]:
        """All lists but the second version of the audio truth."""
        lists = Path(self.lists_dir)
        return [*(lists / name for name in (*_SPLITS.values(), _VISUAL)), self.audio_file(self.audio_truth)]

    def list_from(self, path: Path) -> str:
        return f"take {path.name} from {_OLD_FROM if path == self.audio_file('old') else self.LISTS_FROM}"

    def inputs(self) -> Sequence[str]:
        second = self.second_audio
        return [*super().inputs(), *([str(second)] if second else [])]

    def listing(self) -> Listing:
        """A video's id is its whole file name, its group the YouTube id.

        The card's `oddities` counts the odd rows of the files of the main protocol by kind, `audio_truth` names the
        versions. Raises UserError for malformed rows, a video in two splits, and an onset that is not before its offset
        unless the published file has it.
        """
        from avbalance.data.annotations import refuse_repeats
        from avbalance.data.llp import CLASSES, audio_version, read_split

        lists, second = Path(self.lists_dir), self.second_audio
        splits = {split: read_split(lists / file) for split, file in _SPLITS.items()}
        refuse_repeats(list(splits.values()))
        truth = self._truth([name for split in ("val", "test") for name in splits[split].names])
        odd = [each for part in splits.values() for each in part.oddities]
        odd += [each for column in ("events_audio", "events_visual") for each in truth[column].oddities]
        versions = {
            "main": audio_version(self.audio_file(self.audio_truth)),
            "second": audio_version(second) if second else None,
        }
        card = {"oddities": tell_oddities(odd), "audio_truth": versions}
        return Listing(_rows(splits, truth, self._files()), CLASSES, self.lists_dir, card)

    def _truth(self, names: Sequence[str]) -> dict[str, Segments]:
        """Manifest column -> truth of the videos `names`."""
        from avbalance.data.llp import read_segments

        visual = read_segments(Path(self.lists_dir) / _VISUAL, names)
        refuse_empty_intervals(visual.oddities)  # the published file has none
        truth = {"events_audio": self._audio(self.audio_truth, names), "events_visual": visual}
        if self.second_audio is not None:
            truth["events_audio_repaired"] = self._audio("repaired", names)
        return truth

    def _audio(self, version: Version, names: Sequence[str]) -> Segments:
        """One version of the audio truth; raises UserError when the file is the other published one."""
        from avbalance.data.llp import audio_version, read_segments

        path = self.audio_file(version)
        found = audio_version(path)
        published = found.split()[0] in ("old", "repaired")
        if published and found.split()[0] != version:
            raise UserError(
                f"{path}: is the version {found!r}; set the option audio_{version} to the {version} file of "
                f"{_OLD_FROM if version == 'old' else self.LISTS_FROM}, or audio_truth to {found.split()[0]}."
            )
        segments = read_segments(path, names)
        if not published:
            refuse_empty_intervals(segments.oddities)
        return segments

    def _files(self) -> Callable[[str, str], Row]:
        """Of a file name and a YouTube id the manifest columns of the files; clips may be named by the id alone."""
        if self.root == "features_root":
            return lambda name, video: self._features(video)
        clips = videos_by_name(self.folder)
        return lambda name, video: video_columns(
            clips.get(name, clips.get(video)), self, f"{name} or {video} (mp4, ...)"
        )

    def _features(self, video: str) -> Row:
        """Columns of a video whose features are files; those of the second visual network are found by their place."""
        names = [f"{kind}/{video}.npy" for kind in _FEATURES]
        absent = [name for name in names if not (self.folder / name).is_file()]
        if absent:
            return missing_columns(f"no feature file {' and '.join(absent)} in {self.folder}")
        return file_columns(names[0], names[1], [self.folder / name for name in names], self)


OPTIONS = LLPOptions


def _rows(
    splits: Mapping[str, ListedPart], truth: Mapping[str, Segments], files: Callable[[str, str], Row]
) -> list[Row]:
    from avbalance.data.llp import CLASSES

    places = itertools.count()  # of the evaluated videos in the truth
    rows = []
    for split, part in splits.items():
        for name, video, active in zip(part.names, part.ids, part.labels, strict=True):
            labels = [label for label, is_on in zip(CLASSES, active, strict=True) if is_on]
            row: dict[str, Any] = {"id": name, "group": video, "split": split, "label": labels[0]}
            row |= {"labels": json.dumps(labels), **dict.fromkeys(truth), **files(name, video)}
            if split != "train":
                place = next(places)
                row |= {column: events_text(segments.truth[place], CLASSES) for column, segments in truth.items()}
            rows.append(row)
    return rows
