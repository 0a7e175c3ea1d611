"""Fine-tuning of a trained network on the clips that the mixture of modality gaps calls balanced (Liu, Yu and Liu)."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from avbalance.analysis.gap_mixture import Mixture
from avbalance.analysis.modality_gap import fit, gap, posterior
from avbalance.declared import Declared
from avbalance.errors import UserError
from avbalance.methods.base import Given, Indices, MethodCard, Training
from avbalance.methods.parts.gaps import ThreeHeadMethod, fit_record, training_scores
from avbalance.streams import derive

log = logging.getLogger(__name__)

Subset = Literal["high-quality", "full", "random", "complement"]
Mask = NDArray[np.bool_]


class FineTuningOptions(Declared):
    """Options of fine-tuning."""

    subset: Subset = "high-quality"
    """the abstract of the second version; controls: full, random, complement"""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.5
    """decision: a clip is of high quality where P(balanced) reaches it"""


def high_quality(values: NDArray[np.floating[Any]], mixture: Mixture | None, threshold: float) -> Mask:
    """Which samples (N,) to fine-tune on: those with P(B | g) >= threshold; all without a mixture.

    values: gaps (N,) of the kind that the mixture was fitted on. The threshold is our formulation.
    """
    return 1 - posterior(values, mixture, monotone=False) >= threshold


def fine_tuning_set(name: Subset, kept: Mask, label: Indices, generator: np.random.Generator) -> Indices:
    """The positions, ascending, of one set: the high-quality samples, which are `kept` (N,), or a control.

    "random" has as many samples of every class, drawn from all. A set may be empty.
    """
    if name == "random":
        drawn = [
            generator.choice(np.flatnonzero(label == known), int((kept & (label == known)).sum()), replace=False)
            for known in np.unique(label)
        ]
        chosen = np.sort(np.concatenate(drawn)) if drawn else np.empty(0, np.int64)
    else:
        masks = {"high-quality": kept, "full": np.ones_like(kept), "complement": ~kept}
        chosen = np.flatnonzero(masks[name])
    return chosen.astype(np.int64)


def retention(chosen: Indices, label: Indices, classes: int) -> list[float | None]:
    """Share of every class's samples (of `label` (N,)) that is chosen; None for a class without samples."""
    total, of_chosen = (np.bincount(each, minlength=classes).tolist() for each in (label, label[chosen]))
    return [part / whole if whole else None for part, whole in zip(of_chosen, total, strict=True)]


class FineTuning(ThreeHeadMethod):
    """Train a finished network on some of its own training clips, with the sum of its heads' cross-entropies.

    The need "checkpoint" is the model.safetensors of a run on the same clips, whatever that run's loss was.

    Equation: `CE_f + CE_a + CE_v` over `S = {i: P(balanced | d_i) >= threshold}`.
    """

    card = MethodCard(
        name="fine-tuning",
        label="Fine-tuning",
        reference="Liu, Yu and Liu, arXiv 2510.21797, second and third version",
        summary="A trained network goes on with the clips whose modality gap is that of the balanced ones.",
        artifacts=("fine_tuning.json",),
        options=FineTuningOptions,
        fusions=("sum", "concat", "film", "gated"),
        deviations=(
            "Approximate re-implementation: the abstracts say on which clips, not how long nor under which loss.",
            "Decision: the loss is the sum of three cross-entropies, without any term of the gap.",
        ),
    )
    options: FineTuningOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.whole: Indices | None = None  # the training part before clips were chosen
        self.record: dict[str, Any] = {}

    def prepare(self, trainer: Training) -> None:
        """Load the checkpoint, fit the mixture of its gaps, and leave the chosen clips alone in the training part.

        Where no clip is chosen, nothing is learnt. Raises UserError for a checkpoint of another network or other clips.
        """
        # A resumed run prepares again, when the training part is the chosen clips already.
        if self.whole is None:
            self.whole = trainer.parts["train"]
        self._load(trainer)
        scores = training_scores(self, trainer, self.whole)
        values = gap(scores.signed)
        fitted = fit(values, trainer.seed)
        kept = high_quality(values, fitted.mixture, self.options.threshold)
        generator = np.random.default_rng(derive(trainer.seed, self.name, "subset"))
        chosen = fine_tuning_set(self.options.subset, kept, scores.label, generator)
        if not len(chosen):
            log.warning(
                "fine-tuning: the set %r has no clip; the network stays as the checkpoint has it", self.options.subset
            )
        trainer.parts["train"] = self.whole[chosen]
        classes = trainer.source.clips.classes
        self.record = {
            "subset": self.options.subset,
            "threshold": self.options.threshold,
            "kept": len(chosen),
            "high_quality": int(kept.sum()),
            "retention": dict(zip(classes, retention(chosen, scores.label, len(classes)), strict=True)),
            **fit_record(fitted, scores, values, monotone=False),
        }

    def _load(self, trainer: Training) -> None:
        """Put the checkpoint into the trainer's model; raises UserError unless network and training clips agree."""
        checkpoint = self.needed(trainer, "checkpoint", "model.safetensors")
        # Weights of equal shape would load in silence, though the clips or classes are others.
        for fact, noun in (("labelling", "labels"), ("classes", "classes"), ("train_ids", "training clips")):
            if checkpoint.facts.get(fact) != trainer.facts[fact]:
                raise UserError(
                    f"method fine-tuning: the checkpoint was trained on other {noun} than this run's; give both runs "
                    "the same data set and data settings, and have the checkpoint's run made again."
                )
        self.load_weights(trainer.model, checkpoint, "checkpoint")

    def artifacts(self) -> dict[str, Any]:
        """Which clips were chosen: how many, the share of every class, and the mixture it follows from."""
        return {"fine_tuning.json": self.record}


METHOD = FineTuning
