"""Late ensemble: the average of two separately trained unimodal models, without any training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avbalance.errors import UserError
from avbalance.methods.base import Method, MethodCard

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

KEYS = ["id", "split", "condition", "checkpoint"]


def average_probabilities(audio: np.ndarray, visual: np.ndarray) -> np.ndarray:
    """Mean class probabilities, float64, of two models' logits `(N, C)`; raises UserError when their shapes differ."""
    from scipy.special import softmax

    if audio.shape != visual.shape:
        raise UserError(
            f"late-ensemble: predictions are {audio.shape} and {visual.shape}; train both models on one set."
        )
    return (softmax(audio.astype("float64"), axis=1) + softmax(visual.astype("float64"), axis=1)) / 2


class LateEnsemble(Method):
    """Average of the class probabilities of the audio and the visual model.

    Equation: `p = (softmax(z_a) + softmax(z_v)) / 2`.
    """

    card = MethodCard(
        name="late-ensemble",
        label="Late ensemble",
        reference="a control of this repository",
        summary="Average of the softmax probabilities of two separately trained unimodal models.",
        models=(),
        deviations=("Xia et al. 2023 do not print it; it shows what joint training adds to two unimodal models.",),
        trains=False,
    )

    def combine(self, predictions: dict[str, pd.DataFrame]) -> pd.DataFrame:
        """Average the predictions keyed "audio" and "visual", joined by id, split, condition and checkpoint.

        Conditions of one frame only, such as its probe, are left out. Logits are the logarithm of the averaged
        probability, in the order of the audio frame; logits_audio and logits_visual the models' own. Raises UserError
        when rows or labels differ.
        """
        import numpy as np

        shared = set.intersection(*(set(frame["condition"]) for frame in predictions.values()))
        known = {name: frame[frame["condition"].isin(shared)] for name, frame in predictions.items()}
        audio, visual = (_unique(name, known) for name in ("audio", "visual"))
        if set(audio.index) != set(visual.index):
            different = sorted(set(audio.index) ^ set(visual.index))
            raise UserError(
                f"late-ensemble: {len(different)} predictions of one modality only, first {different[0]}; "
                "make both runs from one manifest."
            )
        visual = visual.loc[audio.index]
        if not (audio["label"].to_numpy() == visual["label"].to_numpy()).all():
            raise UserError("late-ensemble: the two runs disagree on labels; make both from one manifest.")
        logits = {name: np.stack(list(frame["logits"])) for name, frame in (("audio", audio), ("visual", visual))}
        # Everything downstream takes a softmax of logits, which gives these probabilities back.
        averaged = np.log(average_probabilities(logits["audio"], logits["visual"]))
        columns: dict[str, Any] = {
            "label": audio["label"],
            "logits": list(averaged.astype(np.float32)),
            "logits_audio": list(logits["audio"].astype(np.float32)),
            "logits_visual": list(logits["visual"].astype(np.float32)),
        }
        frame = audio[[]].assign(**columns).reset_index()
        return frame[["id", "label", "split", "condition", "checkpoint", "logits", "logits_audio", "logits_visual"]]


def _unique(name: str, predictions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    if name not in predictions:
        raise UserError(f"late-ensemble: predictions of the {name} run are missing; name it among the run's needs.")
    frame = predictions[name].set_index(KEYS)
    if frame.index.has_duplicates:
        raise UserError(f"late-ensemble: {name} predictions hold a clip twice; remake that run.")
    return frame


METHOD = LateEnsemble
