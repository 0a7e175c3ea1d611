"""Options that several kinds of data sets have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from avbalance.declared import Above0, Count, Declared, Size, TwoNumbers, nearest, refusal

if TYPE_CHECKING:
    from avbalance.data.scenes import JointLaw

PARTS = ("train", "val", "test")
FilePath = Annotated[str, Field(min_length=1)]


class ClipOptions(Declared):
    """Options of data sets whose clips are files that the user has, or has not."""

    allow_missing: bool = False
    """plan without the clips that are absent"""
    checksums: bool = False
    """hash every clip"""


class MediaOptions(ClipOptions):
    """Options of data sets whose clips lie in one folder."""

    media_root: FilePath
    """folder of the clips"""


class FeatureOrMediaOptions(ClipOptions):
    """Options of data sets of which there are released features and clips."""

    lists_dir: FilePath
    """folder of the published lists"""
    features_root: FilePath | None = None
    """folder of the released features; null for clips"""
    media_root: FilePath | None = None
    """folder of the clips; null for features"""

    @model_validator(mode="after")
    def _one_root(self) -> Self:
        if (self.features_root is None) == (self.media_root is None):
            given = "none" if self.media_root is None else "both"
            raise refusal(
                f"{given} of features_root and media_root given; set features_root to the folder of the released "
                "features, or media_root to that of the clips"
            )
        return self

    @property
    def root(self) -> str:
        """Which of features_root and media_root is set."""
        return "media_root" if self.features_root is None else "features_root"

    @property
    def folder_as_given(self) -> str:
        """What it says."""
        return str(getattr(self, self.root))

    @property
    def folder(self) -> Path:
        """The folder that it names."""
        return Path(self.folder_as_given)


def _even(side: int) -> int:
    if side % 2:
        raise refusal(f"is {side}; it must be even, since pictures are coded in blocks of two")
    return side


def _parts(clips: dict[str, int]) -> dict[str, int]:
    for part in clips:
        if part not in PARTS:
            raise refusal(f"has the part {part!r}{nearest(part, PARTS)}; there are {', '.join(PARTS)}")
    absent = [part for part in ("train", "test") if not clips.get(part)]
    if absent:
        raise refusal(f"is {clips}; it needs clips of the part {absent[0]!r}")
    return clips


Beta = Annotated[tuple[Above0, Above0], Field(strict=False)]  # alpha and beta: u_audio - u_visual is 2 Beta - 1
Side = Annotated[int, Field(ge=16), AfterValidator(_even)]
PartSizes = Annotated[dict[str, Count], AfterValidator(_parts)]


class MadeOptions(Declared):
    """Options of all data sets whose clips are made here."""

    side: Side
    """height and width in pixels"""
    fps: Size
    """frames per second"""
    rate: Literal[8000, 16000, 22050, 32000, 44100, 48000] = 16000
    """audio samples per second"""
    workers: Size = 1
    """processes that make clips side by side"""


class LawOptions(Declared):
    """The law by which noise is planted."""

    discrepancy_beta: Beta
    """alpha and beta: u_audio - u_visual is 2 Beta(alpha, beta) - 1"""
    snr_audio_db: TwoNumbers
    """SNR of sound at informativeness 0 and 1 in dB"""
    snr_visual_db: TwoNumbers
    """SNR of pictures at informativeness 0 and 1 in dB"""

    def law(self, flip: bool = False) -> JointLaw:
        """The law of informativeness that the options describe."""
        from avbalance.data.scenes import JointLaw

        return JointLaw(*self.discrepancy_beta, self.snr_audio_db, self.snr_visual_db, flip)


class FlipOptions(LawOptions):
    """The same, and its control."""

    flip: bool = False
    """exchange the informativeness of the two modalities (a control)"""

    def law(self, flip: bool = False) -> JointLaw:
        return super().law(self.flip)


class SceneOptions(MadeOptions, FlipOptions):
    """Options of generated scenes with classes."""

    seed: Count
    """seed of all clips"""
    clips: PartSizes
    """number of clips per part"""
    classes: Annotated[int, Field(ge=2)]
    """number of classes"""
    side: Side = 64
    """height and width in pixels"""
    fps: Size = 4
    """frames per second"""

    @property
    def class_names(self) -> list[str]:
        """Names of the classes of events."""
        return [f"class-{cls:02d}" for cls in range(self.classes)]
