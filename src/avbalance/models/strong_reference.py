"""A small network of single seconds for each modality: what the features show to whoever has the truth per second."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from avbalance.declared import Count
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput, ReferenceSettings
from avbalance.models.parsing import loudest

EPOCHS, BATCH, RATE, DECAY, DROPOUT = 40, 128, 1e-3, 1e-4, 0.3  # as when the stand-ins on a timeline were set by it


class StrongReferenceSettings(ReferenceSettings):
    """Settings of strong-reference."""

    name: Literal["strong-reference"] = "strong-reference"
    """which network"""
    exclusive: bool = False
    """whether a second has one class, or the background"""
    hidden: Count = 256
    """hidden units; 0: none"""


class Standardise(nn.Module):
    """Features (..., D) less the mean of a sample `(N, D)`, by its standard deviation."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", sample.mean(0))
        # A value that hardly varies, such as a silent band, would be blown up to the size of the others.
        self.register_buffer("deviation", sample.std(0) + 1e-3)

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation


def seconds_network(sample: Tensor, classes: int, hidden: int) -> nn.Sequential:
    """Logits of single seconds: standardised by `sample (N, D)`, one hidden layer (0: none), one layer of classes."""
    width = sample.shape[1]
    layers = [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(DROPOUT)] if hidden else []
    return nn.Sequential(Standardise(sample), *layers, nn.Linear(hidden or width, classes))


def fit_seconds(features: Tensor, truth: Tensor, hidden: int, seed: int) -> nn.Sequential:
    """Train a network of seconds on `features (N, D)` with their truth, by Adam; it is returned in eval mode.

    truth: (N, C) floats of 0 and 1, several classes at a time, or one-hot whole numbers (N, C), one class at a time.
    Torch's own random stream is left as it was.
    """
    exclusive = not truth.is_floating_point()
    with torch.random.fork_rng(devices=[]):
        # Layers and dropout draw from the global generator, which the fork gives back untouched.
        torch.manual_seed(seed)
        model = seconds_network(features, truth.shape[1], hidden).to(features.device)
        optimiser = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=DECAY)
        several = nn.BCEWithLogitsLoss()
        for _ in range(EPOCHS):
            for batch in torch.split(torch.randperm(len(features)).to(features.device), BATCH):
                optimiser.zero_grad()
                logits = model(features[batch])
                loss = cross_entropy(logits, truth[batch].argmax(1)) if exclusive else several(logits, truth[batch])
                loss.backward()
                optimiser.step()
    return model.eval()


class SecondsNet(Model):
    """Both modalities' networks of seconds side by side; nothing joins the seconds of a clip.

    Parsing: a class is in the video when it is in a second. With `exclusive`, one class or the background per second,
    the prediction is the mean of both modalities' log-probabilities.
    """

    Settings = StrongReferenceSettings
    modalities = MODALITIES

    def __init__(self, settings: StrongReferenceSettings, classes: int) -> None:
        super().__init__()
        self.exclusive, self.hidden = settings.exclusive, settings.hidden
        # Placeholders of two rows (a deviation needs two), until fit_seconds has made the real ones.
        empty = {name: seconds_network(torch.zeros(2, 1), classes, 0) for name in self.modalities}
        self.encoders = nn.ModuleDict(empty)

    def forward(self, batch: Batch) -> ModelOutput:
        """The output of a parsing network, or with `exclusive` logits `(B, T, C)`."""
        logits = {name: self.encoders[name](batch.modality(name).flatten(2)) for name in self.modalities}
        if self.exclusive:
            scores = {name: each.log_softmax(2) for name, each in logits.items()}
            return ModelOutput(torch.stack(list(scores.values())).mean(0), scores, logits)
        frame_prob = torch.stack([logits[name].sigmoid() for name in self.modalities], 2)
        return loudest(frame_prob, *logits.values(), *logits.values())


MODEL = SecondsNet
