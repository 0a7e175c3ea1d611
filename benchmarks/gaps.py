"""What the mixture of modality gaps costs beside the training that it belongs to: `python benchmarks/gaps.py`.

The pass that measures the gaps is a forward pass over the training clips, like that of every evaluation.
"""

from __future__ import annotations

import numpy as np
import torch
from side_by_side import ratio

from avbalance.analysis.modality_gap import fit, posterior
from avbalance.methods.base import TrainingStep
from avbalance.methods.head_losses import HeadLosses
from avbalance.models.base import Batch, build

CLIPS, BATCH, CLASSES = 15_000, 64, 31
NETWORK = {"name": "fusion-net", "encoder": "convolutional", "width": 8, "dimension": 64, "unimodal_heads": True}
FEWEST = 50  # an epoch should take at least as many fits


def epoch(generator: torch.Generator) -> None:
    """An epoch's steps with the network of the demo, without reading and augmenting clips."""
    model = build(NETWORK, CLASSES, generator).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    audio = torch.randn(BATCH, 1, 32, 64, generator=generator)
    visual = torch.randn(BATCH, 1, 32, 32, 3, generator=generator).permute(0, 4, 1, 2, 3)
    batch = Batch(audio, visual, torch.arange(BATCH) % CLASSES, torch.arange(BATCH))
    method = HeadLosses()
    for index in range(CLIPS // BATCH):
        loss = method.loss(model, model(batch), batch, TrainingStep(0, index, CLIPS // BATCH, generator))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def measured(gaps: np.ndarray) -> None:
    """A fit and the posterior of all clips."""
    posterior(gaps, fit(gaps, seed=0).mixture)


def main() -> None:
    numbers = np.random.default_rng(0)
    imbalanced = numbers.random(CLIPS) < 0.4
    gaps = abs(np.where(imbalanced, numbers.normal(0.5, 0.2, CLIPS), numbers.normal(0.08, 0.06, CLIPS))).clip(0, 1)
    generator = torch.Generator().manual_seed(0)
    name = f"fit and posterior of {CLIPS} gaps, against an epoch of training on as many clips"
    ratio(name, lambda: epoch(generator), lambda: measured(gaps), rounds=3, wanted=FEWEST)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
