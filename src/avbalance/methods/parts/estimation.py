"""A trained parsing network's probabilities on many clips, for methods that look over the training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avbalance.analysis.parsing_losses import Pair
from avbalance.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from avbalance.methods.base import Method, Trainer

BATCH = 128


def load_estimator(method: Method, trainer: Trainer) -> None:
    """Put the need "model" into the trainer's model; raises UserError when it is missing or another network's."""
    if "model" not in trainer.needs:
        raise UserError(
            f"method {method.name} reads model.safetensors of an estimator's run; add it to the run's needs as model."
        )
    try:
        trainer.model.load_state_dict(trainer.needs["model"])
    except RuntimeError as error:
        raise UserError(
            f"method {method.name}: the weights it needs are another network's; give both runs the same model settings."
        ) from error


def video_probabilities(
    trainer: Trainer,
    indices: NDArray[np.int64],
    visual_indices: NDArray[np.int64] | None = None,
) -> tuple[Pair, Tensor]:
    """Return p_a and p_v, and the labels, of the clips at `indices`: `(N, C)` on the CPU, in this order.

    Evaluation mode, batches of 128. With `visual_indices (N,)` the pictures are those of other clips. The
    model is left in the mode that it was in.
    """
    import torch

    training = trainer.model.training
    trainer.model.eval()
    columns: list[list[Tensor]] = [[], [], []]
    with torch.no_grad():
        for start in range(0, len(indices), BATCH):
            here = slice(start, start + BATCH)
            batch = trainer.source.batch_of(indices[here], None if visual_indices is None else visual_indices[here])
            output: Any = trainer.model(batch)
            for column, values in zip(columns, (output.p_a, output.p_v, batch.label), strict=True):
                column.append(values)
    trainer.model.train(training)
    audio, visual, label = (torch.cat(column).cpu() for column in columns)
    return Pair(audio, visual), label
