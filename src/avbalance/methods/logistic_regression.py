"""Logistic regression on pooled stored features: how much of the label a clip shows without any network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from avbalance.errors import UserError
from avbalance.methods.base import Method, MethodCard, Training
from avbalance.models.pooled_linear import PooledLinear

PENALTIES = (0.001, 0.01, 0.1, 1.0)  # scikit-learn's C, the inverse of the penalty, strongest first
ITERATIONS = 1000  # scikit-learn's 100 do not always converge where the penalty is weak


class LogisticRegression(Method):
    """Fitted by scikit-learn; the penalty is the one with the least loss on the validation part.

    Equation: `min over W, b of C sum CE(W x + b, y) + ||W||^2 / 2`.
    """

    card = MethodCard(
        name="logistic-regression",
        label="Logistic regression",
        reference="a reference of this repository, by scikit-learn",
        summary="Multinomial logistic regression on standardised features, pooled over the clip, without any network.",
        models=("pooled-linear",),
        deviations=(
            "Spectrograms are pooled to the mean and standard deviation of every band over time, frames to their mean "
            "in 8 x 8 areas, vectors of seconds to their mean; one vector per clip stays as it is.",
            "The penalty, C of 0.001, 0.01, 0.1 or 1, is the one with the least cross-entropy on the validation part.",
        ),
        fits=True,
    )

    def prepare(self, trainer: Training) -> None:
        """Fit the model; raises UserError for another one, or where the training part shows a single class."""
        model = trainer.model
        if not isinstance(model, PooledLinear):
            raise UserError("method logistic-regression: the model pools no features; use pooled-linear.")
        classes = len(trainer.source.clips.classes)
        features = {part: self._pooled(trainer, model, part, fit=part == "train") for part in ("train", "val")}
        labels = {part: trainer.source.targets[torch.as_tensor(trainer.parts[part])].numpy() for part in features}
        self._penalty, weight, bias = fitted(features, labels, classes)
        model.take(*(torch.as_tensor(each).float().to(trainer.device) for each in (weight, bias)))

    def _pooled(self, trainer: Training, model: PooledLinear, part: str, fit: bool) -> NDArray[np.float64]:
        """Standardised features (N, D) of a part; with `fit` they are first standardised by itself."""
        parts: dict[str, list[Any]] = {name: [] for name in model.modalities}
        encoders: dict[str, Any] = dict(model.encoders.items())
        with torch.no_grad():
            for batch in trainer.source.evaluation(trainer.parts[part]):
                for name, batches in parts.items():
                    batches.append(encoders[name].pool(batch.modality(name)))
            for name, batches in parts.items():
                if fit:
                    encoders[name].fit(torch.cat(batches))
            whole = [
                (torch.cat(batches) - encoders[name].mean) / encoders[name].deviation for name, batches in parts.items()
            ]
        return torch.cat(whole, 1).double().cpu().numpy()

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        log["inverse_penalty"] = self._penalty


def fitted(
    features: dict[str, NDArray[np.float64]], labels: dict[str, NDArray[np.int64]], classes: int
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The chosen inverse penalty, weights (C, D), biases (C,), for features (N, D), labels (N,) of "train" and "val".

    Of equal losses the stronger penalty is taken; a class without training clips is never named. Raises UserError for
    one class.
    """
    from sklearn.linear_model import LogisticRegression as Fit

    known = np.unique(labels["train"])
    if len(known) < 2:
        raise UserError("method logistic-regression: the training part has clips of one class only; give it more.")
    best: tuple[float, float, Any, Any] | None = None
    for penalty in PENALTIES:
        fit = Fit(C=penalty, max_iter=ITERATIONS).fit(features["train"], labels["train"])
        pair = len(known) == 2  # scikit-learn then has the second class alone
        weight = np.zeros((classes, features["train"].shape[1]))
        # exp(-1e4) is 0: a class that training lacks gets no probability, and its logarithm stays finite.
        bias = np.full(classes, -1e4)
        weight[known] = np.concatenate([np.zeros_like(fit.coef_), fit.coef_]) if pair else fit.coef_
        bias[known] = [0.0, *fit.intercept_] if pair else fit.intercept_
        logs = log_softmax(features["val"] @ weight.T + bias, axis=1)
        loss = -float(logs[np.arange(len(logs)), labels["val"]].mean())
        # Strictly less: from the strongest penalty on, an equal loss does not buy a weaker one.
        if best is None or loss < best[0]:
            best = loss, penalty, weight, bias
    assert best is not None
    return best[1:]


METHOD = LogisticRegression
