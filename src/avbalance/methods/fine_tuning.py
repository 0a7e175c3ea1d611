"""Fine-tuning of a trained network on the clips that the mixture of modality gaps calls balanced (Liu, Yu and Liu)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from avbalance.analysis.adaptive_loss import FINE_TUNING_SETS, fine_tuning_set, high_quality, retention
from avbalance.errors import UserError
from avbalance.methods.base import MethodCard, Trainer
from avbalance.methods.parts.gaps import fit_record, training_scores
from avbalance.methods.parts.three_heads import ThreeHeadMethod
from avbalance.training.streams import derive

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FineTuning(ThreeHeadMethod):
    """Train a finished network on some of its own training clips, with the sum of its heads' cross-entropies.

    The need "checkpoint" is the model.safetensors of a run on the same clips. Whatever that run's loss was, this one's
    is that of the first stage.
    """

    card = MethodCard(
        name="fine-tuning",
        label="Fine-tuning",
        reference="Liu, Yu and Liu, arXiv 2510.21797, second and third version",
        summary="A trained network goes on with the clips whose modality gap is that of the balanced ones.",
        options={
            "subset": ("high-quality", "the abstract of the second version; controls: full, random, complement"),
            "threshold": (0.5, "decision: a clip is of high quality where P(balanced) reaches it"),
        },
        fusions=("sum", "concat", "film", "gated"),
        deviations=(
            "Approximate re-implementation: the abstracts say on which clips, not how long nor under which loss.",
            "Decision: the loss is the sum of three cross-entropies, without any term of the gap.",
        ),
    )

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.require("subset", self.options["subset"] in FINE_TUNING_SETS, f"one of {', '.join(FINE_TUNING_SETS)}")
        self.require("threshold", 0 < self.options["threshold"] <= 1, "above 0 and at most 1")
        self._whole: NDArray[np.int64] | None = None  # the training part before clips were chosen
        self._record: dict[str, Any] = {}

    def prepare(self, trainer: Trainer) -> None:
        """Load the checkpoint, fit the mixture of its gaps, and leave the chosen clips alone in the training part.

        Where no clip is chosen, as in a complement without a mixture, nothing is learnt and the checkpoint predicts.
        Raises UserError for a checkpoint that is missing or of another network or other clips.
        """
        import numpy as np

        from avbalance.analysis.modality_gap import fit, gap

        if self._whole is None:
            self._whole = trainer.parts["train"]
        load_checkpoint(trainer)
        scores = training_scores(self, trainer, self._whole)
        values = gap(scores.signed)
        found = fit(values, trainer.seed)
        kept = high_quality(values, found.mixture, self.options["threshold"])
        name, stream = self.options["subset"], derive(trainer.seed, self.name, "subset")
        chosen = fine_tuning_set(name, kept, scores.label, np.random.default_rng(stream))
        if not len(chosen):
            log.warning("fine-tuning: the set %r has no clip; the network stays as the checkpoint has it", name)
        trainer.parts["train"] = self._whole[chosen]
        self._record = {
            "subset": self.options["subset"],
            "threshold": self.options["threshold"],
            "kept": len(chosen),
            "high_quality": int(kept.sum()),
            "retention": _shares(chosen, scores.label, trainer.source.clips.classes),
            **fit_record(found, scores, values, monotone=False),
        }

    def artifacts(self) -> dict[str, Any]:
        """Return which clips were chosen: how many, the share of every class, and the mixture it follows from."""
        return {"fine_tuning.json": self._record}


def load_checkpoint(trainer: Trainer) -> None:
    """Put the need "checkpoint" into the trainer's model; raises UserError unless network and training clips agree."""
    if "checkpoint" not in trainer.needs:
        raise UserError(
            "method fine-tuning goes on with a trained network; add model.safetensors of its run to the needs as "
            "checkpoint."
        )
    checkpoint, own = trainer.needs["checkpoint"], trainer.facts
    for fact, noun in (("labelling", "labels"), ("classes", "classes"), ("train_ids", "training clips")):
        if checkpoint.facts.get(fact) != own[fact]:
            raise UserError(
                f"method fine-tuning: the checkpoint was trained on other {noun} than this run's; give both runs the "
                "same data set and data settings, and have the checkpoint's run made again."
            )
    try:
        trainer.model.load_state_dict(checkpoint)
    except RuntimeError as error:
        raise UserError(
            "method fine-tuning: the checkpoint is another network's; give both runs the same model settings."
        ) from error


def _shares(chosen: NDArray[np.int64], label: NDArray[np.int64], classes: list[str]) -> dict[str, float | None]:
    """Share of every class's clips that is chosen; None for a class without clips."""
    import numpy as np

    mask = np.zeros(len(label), bool)
    mask[chosen] = True
    shares = retention(mask, label, len(classes)).tolist()
    return {name: None if np.isnan(share) else share for name, share in zip(classes, shares, strict=True)}


METHOD = FineTuning
