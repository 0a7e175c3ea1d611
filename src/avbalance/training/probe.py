"""Linear probes: what a linear model reads from the frozen encoders of a finished run.

The accuracy of a joint model does not say how well each of its encoders has learnt. A logistic regression on the pooled
features of one encoder does, and compares with one on the encoder of a unimodal model (as in Peng et al. 2022, OGM-GE,
arXiv 2203.15332, who evaluate the encoders of joint models alone).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avbalance.methods.base import Indices

if TYPE_CHECKING:
    from avbalance.training.loop import Trainer

_STEPS = 2000  # of the solver at most; it converges in some hundreds


@torch.no_grad()
def encoder_features(trainer: Trainer, indices: Indices) -> dict[str, Tensor]:
    """Modality -> pooled features (n, D) of the clips at `indices`, in eval mode, with test-time transforms."""
    parts: dict[str, list[Tensor]] = {}
    for _, output in trainer.outputs(indices):
        for name, feature in output.features.items():
            parts.setdefault(name, []).append(feature.float().cpu())
    return {name: torch.cat(rows) for name, rows in parts.items()}


def probe_logits(trainer: Trainer, split: str) -> dict[str, Tensor]:
    """Modality -> logits (n, C) for the clips of a part, by a probe of that modality's encoder.

    A multinomial logistic regression (scikit-learn, C = 1) on features standardised by the training part, on which it
    is fitted. A class without training clips gets the row's lowest logit less 1, so that it is never named.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    clips, train = trainer.source.clips, trainer.parts["train"]
    known = encoder_features(trainer, train)
    asked = encoder_features(trainer, trainer.parts[split])
    logits_of = {}
    for name, feature in known.items():
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_STEPS))
        model.fit(feature.double().numpy(), clips.labels[train])
        log_probability = torch.from_numpy(model.predict_log_proba(asked[name].double().numpy()))
        # Scikit-learn knows only the classes that it was shown: the others are filled in, below all of these.
        logits = (log_probability.min(dim=1, keepdim=True).values - 1).repeat(1, len(clips.classes))
        logits[:, model.classes_] = log_probability
        logits_of[name] = logits.float()
    return logits_of
