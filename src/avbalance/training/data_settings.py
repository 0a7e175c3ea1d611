"""What a run reads of its data set: features, parts, labelling, frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from avbalance.data import DEFAULT_TASK
from avbalance.declared import Declared, Range, Share, Size, refusal
from avbalance.errors import UserError
from avbalance.features.recipes import SoundVectorRecipe, VisualRecipe, get_audio_recipe, get_visual_recipe
from avbalance.training.transforms import FrameOptions

FRAMES = ("frames", "crop", "crop_scale", "crop_ratio", "flip", "same_crop")


def _recipe(known: Callable[[str], Any]) -> Callable[[str], str]:
    """Checks the name of a recipe."""

    def check(name: str) -> str:
        try:
            known(name)
        except UserError as error:
            raise refusal(str(error).rstrip(".")) from error
        return name

    return check


class DataSettings(Declared):
    """What a run reads of its data set; a task may add settings of its own."""

    task: str = DEFAULT_TASK
    """what is learnt"""
    audio_recipe: Annotated[str, AfterValidator(_recipe(get_audio_recipe))] | None = None
    """recipe of the sound, which every run names; null: no sound is read"""
    visual_recipe: Annotated[str, AfterValidator(_recipe(get_visual_recipe))] | None = None
    """recipe of the pictures, which every run names; null: no pictures are read or needed"""
    labelling: str | None = None
    """which further labelling of the clips to learn; null: the first"""
    standardise: Literal["train"] | None = None
    """train: scale sound by mean and deviation of the training part; null: as stored"""
    train_part: Literal["all", "half-a", "half-b"] = "all"
    """what is trained on: the training part, or one stratified half of it, for cross-fitting"""
    estimation_holdout: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """share of the training part that Gradient-Blending holds out"""
    validation_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """share of the training part that becomes validation where a data set has none"""
    frames: Size | None = None
    """frames of a clip in a step; this and the five below are set where the recipe keeps frames"""
    crop: Annotated[int, Field(ge=8)] | None = None
    """height and width of what the network sees, in pixels"""
    crop_scale: Range | None = None
    """smallest and largest share of the frame's area that is cut out in training"""
    crop_ratio: Range | None = None
    """smallest and largest ratio of its width to its height"""
    flip: Share | None = None
    """probability of mirroring a frame in training"""
    same_crop: bool | None = None
    """whether all frames of a clip are cut alike"""

    @model_validator(mode="after")
    def _recipes_of_inputs(self) -> Self:
        if self.audio_recipe is not None and isinstance(get_audio_recipe(self.audio_recipe), SoundVectorRecipe):
            raise refusal(f"audio_recipe {self.audio_recipe} is a vector by a network, for scorers; train on another")
        if self.visual_recipe is not None and isinstance(get_visual_recipe(self.visual_recipe), VisualRecipe):
            absent = [name for name in FRAMES if getattr(self, name) is None]
            if absent:
                raise refusal(f"lacks the key {absent[0]!r}, which visual_recipe {self.visual_recipe} needs")
        return self

    def frame_options(self) -> FrameOptions:
        """How stored frames become a batch; raises UserError where the settings do not say it."""
        known = {name: getattr(self, name) for name in FRAMES}
        absent = [name for name, value in known.items() if value is None]
        if absent:
            raise UserError(f"setting data.{absent[0]} is missing, and the visual store holds frames; set it.")
        return FrameOptions(**known)
