"""A set that is built from a pool of other data sets' clips so that both modalities matter equally in it.

How it is built: avbalance.balancing.build. Planning needs only what stands here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from avbalance.data.sources.base import FilePath, Source
from avbalance.declared import Count, Declared, Name, Share, Size, Weight, refusal
from avbalance.stopping import StopRule

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest

KINETICS = "kinetics-400"  # labels that need no file
LEAST = 34_000  # clips of the published set


class OfEachModality(Declared):
    """One name for sound and one for pictures."""

    audio: str
    """of sound"""
    visual: str
    """of pictures"""


class Scorer(Declared):
    """What judges the sound, or the pictures, of a clip: by a linear model, a file of scores, or stored scores."""

    dataset: Name | None = None
    """data set that a linear model is fitted to"""
    recipe: str | None = None
    """recipe of the features that the linear model reads; or, with labels, whose values are a network's scores"""
    file: FilePath | None = None
    """file of scores"""
    labels: FilePath | None = None
    """labels of those scores: a file of one in a line, VGG-Sound's stat.csv, or kinetics-400"""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = {name for name in ("dataset", "file", "labels", "recipe") if getattr(self, name) is not None}
        if given not in ({"dataset"}, {"dataset", "recipe"}, {"file", "labels"}, {"recipe", "labels"}):
            raise refusal("needs dataset, with or without recipe; or file and labels; or recipe and labels")
        return self

    @property
    def files(self) -> list[str]:
        """Files that it reads."""
        return [path for path in (self.file, self.labels) if path is not None and path != KINETICS]


class ScorerOfEach(Declared):
    """The scorers of both modalities."""

    audio: Scorer
    """what judges sound"""
    visual: Scorer
    """what judges pictures"""

    def of_each(self) -> list[Scorer]:
        """Both."""
        return [self.audio, self.visual]


class PartShares(Declared):
    """Share of each part."""

    train: Share = 0.81
    """of training"""
    val: Share = 0.08
    """of validation"""
    test: Share = 0.11
    """of the test"""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not math.isclose(whole := self.train + self.val + self.test, 1):
            raise refusal(f"train, val and test add up to {whole:g}; they must make 1")
        return self


class EstimatorOptions(Declared):
    """Unimodal models that judge the clips of the other folds; settings as those of a run."""

    folds: Annotated[int, Field(ge=2)]
    """parts of the pool, each of which is judged by models of the others"""
    data: dict[str, Any]
    """data settings"""
    model: dict[str, Any]
    """model settings"""
    protocol: dict[str, Any]
    """protocol"""
    rule: StopRule
    """when a model counts as stopped"""

    def runs(self) -> dict[str, dict[str, Any]]:
        """Modality -> settings of its models, as those of a run of the method unimodal."""
        return {
            modality: {
                "data": {"audio_recipe": None, "visual_recipe": None, **self.data},
                "model": {"name": "unimodal-net", **self.model, "modality": modality},
                "protocol": self.protocol,
            }
            for modality in ("audio", "visual")
        }


class Rule(Declared):
    """How far a pool is recalibrated, see avbalance.balancing.recalibration; all defaults are ours."""

    least: Size | None = None
    """clips that remain at the least; null: least_share of the pool, or LEAST if that is fewer"""
    least_share: Annotated[float, Field(gt=0, le=1)] = 0.6
    """that share"""
    noise: Share = 0.10
    """a clip whose two confidences are below it is noise"""
    noise_share: Share = 0.10
    """share of the pool that may be noise"""
    share_slack: Weight = 0.02
    """how far the share of audio-preferred clips may stay from one half"""
    category_floor: Count = 300
    """no category falls below it, or below what it has"""
    flat_enough: Weight = 0.05
    """a set this close to a flat map, and with share_enough, needs no further round"""
    share_enough: Weight = 0.03
    """how far its share of audio-preferred clips may lie from one half"""
    gain: Weight = 0.005
    """a round that brings less is the last"""
    rounds: Count = 3
    """rounds at most"""
    seed: Count = 0
    """draws what leaves among equals"""

    def fewest(self, pool: int) -> int:
        """N_min: how many clips of a pool of this size remain at the least."""
        return min(self.least, pool) if self.least is not None else min(LEAST, int(self.least_share * pool))


class BuiltOptions(Source):
    """Options of kind built."""

    pool: Name
    """data set whose clips are candidates"""
    supplements: list[Name] = Field(default=[])
    """data sets that fill up categories below the target"""
    recipes: OfEachModality
    """recipes of the features that scorers and estimators read"""
    scorers: ScorerOfEach | None = None
    """what judges a clip's sound and pictures; null: clips are not sorted into types"""
    categories: FilePath | None = None
    """table of categories, as workflow/papers/balanced-audiovisual/categories.yaml; null: the labels"""
    target: Size = 1300
    """clips of a category up to which supplements are added"""
    shares: PartShares = Field(default=PartShares())
    """share of each part; by default those of the published set"""
    together: Literal["group", "id"] = "group"
    """column of the pool's manifest whose clips stay in one part: group (videos), or id"""
    estimators: EstimatorOptions
    """unimodal models that judge clips"""
    recalibration: Rule = Field(default=Rule())
    """how far clips are left out"""
    seed: Count = 0
    """draws folds, parts and what leaves among equals"""

    CAN_REMAKE = True

    def members(self) -> Sequence[str]:
        scorers = [each.dataset for each in self._scorers() if each.dataset is not None]
        return list(dict.fromkeys([self.pool, *self.supplements, *scorers]))

    def inputs(self) -> Sequence[str]:
        files = [path for each in self._scorers() for path in each.files]
        return [*files, *([self.categories] if self.categories else [])]

    def _scorers(self) -> list[Scorer]:
        return self.scorers.of_each() if self.scorers else []

    def missing(self) -> str | None:
        absent = next((path for path in self.inputs() if not Path(path).is_file()), None)
        if absent is None:
            return None
        return f"{absent}: no such file; let the network score the clips of the pool, or fix the path."

    def remake(self, manifest: Manifest, media: Path, workers: int) -> list[str]:
        """Make absent clips of the pool again, where its source can; ids of clips with other bytes are told there."""
        from avbalance.data.build import ensure_media

        for dataset in self.members():
            if (media / dataset / "manifest.parquet").is_file():
                ensure_media(media / dataset / "manifest.parquet", workers)
        return []


OPTIONS = BuiltOptions
