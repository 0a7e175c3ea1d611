"""Frozen encoders: a linear head on the features of two encoders that were trained alone, a control."""

from __future__ import annotations

from avbalance.errors import UserError
from avbalance.methods.base import Method, MethodCard, Training, TrainingStep
from avbalance.models.base import MODALITIES, Batch, Model

SAME = ("features", "labelling", "classes", "train_ids")  # what the encoders' runs must share with this one


class FrozenEncoders(Method):
    """Late fusion whose encoders come from finished unimodal runs and do not learn; only the fusion head does.

    Equation: `min over W, b of CE(W [x_a; x_v] + b, y)`, x_a and x_v the features of the frozen encoders.
    """

    card = MethodCard(
        name="frozen-encoders",
        label="Frozen encoders",
        reference="a control of this repository",
        summary="A fusion head is trained on the features of two frozen encoders, each from a unimodal run.",
        fusions=("concat", "sum", "film", "gated"),
        deviations=("Batch norm of the encoders keeps the statistics of the unimodal runs.",),
    )

    def prepare(self, trainer: Training) -> None:
        """Load and freeze the encoders; raises UserError where weights are missing, of another network or other data.

        The needs encoder_audio and encoder_visual are the model.safetensors of unimodal runs.
        """
        for modality in MODALITIES:
            self._load(trainer, modality)
        trainer.model.encoders.requires_grad_(False)

    def _load(self, trainer: Training, modality: str) -> None:
        need, prefix = f"encoder_{modality}", f"encoders.{modality}."
        weights = self.needed(trainer, need, f"model.safetensors of a run on {modality} alone")
        for fact in SAME:
            if weights.facts.get(fact) != trainer.facts[fact]:
                raise UserError(
                    f"method {self.name}: {need} was trained with other {fact} than this run has; give both runs the "
                    "same data settings, and have its run made again."
                )
        # load_weights wants a whole network: what is not this encoder's stays as it is.
        others = {name: each for name, each in trainer.model.state_dict().items() if not name.startswith(prefix)}
        encoder = {name: each for name, each in weights.items() if name.startswith(prefix)}
        self.load_weights(trainer.model, others | encoder, need)

    def batch(self, model: Model, batch: Batch, step: TrainingStep) -> Batch:
        """The batch as it is; the encoders are put into eval mode, so that no statistics of theirs change."""
        # In every step: the loop puts the whole model into training mode before each epoch.
        model.encoders.eval()
        return batch


METHOD = FrozenEncoders
