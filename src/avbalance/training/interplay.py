"""What a joint model answers when one modality comes from other clips: does it use it, and do the two interact?

The fusion head is asked for all pairs (sound of clip i, pictures of clip j) of a part, without encoding more:

- given-audio: the mean over j of the predicted probabilities. What remains is what the sound of clip i alone decides
  (an intervention, as in permutation importance, Breiman 2001, over all permutations at once). given-visual likewise.
- additive: the empirical multimodally-additive projection (EMAP, Hessel and Lee 2020, arXiv 2010.06572): mean over j of
  f(i, j) plus mean over j of f(j, i) less the mean over all pairs, on logits. What the model answers better than this
  rests on sound and pictures together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from avbalance.errors import UserError
from avbalance.training.probe import encoder_features

if TYPE_CHECKING:
    from avbalance.training.loop import Trainer

# Clips of the other modality at most, drawn once for all runs: their mean moves by less than 1/sqrt(512).
PARTNERS = 512
_PAIRS_AT_ONCE = 1 << 16  # 256 MB of two features of 512 values each


@torch.no_grad()
def interplay_logits(trainer: Trainer, split: str) -> dict[str, Tensor]:
    """Condition -> logits (n, C) of the clips of a part; for the two `given` ones they are log probabilities.

    Raises UserError for a network without a fusion head over two pooled features.
    """
    model = trainer.model
    if not hasattr(model, "fuse"):
        raise UserError(
            f"data.interplay: network {type(model).__name__} does not join two features; take fusion-net, or leave "
            "the setting out."
        )
    features = encoder_features(trainer, trainer.parts[split])
    audio, visual = (features[name].to(trainer.device) for name in ("audio", "visual"))
    clips = len(audio)
    drawn = np.arange(clips)
    if clips > PARTNERS:
        # Seed 0 for all runs and seeds: models are compared on the same pairs.
        drawn = np.sort(np.random.default_rng(0).permutation(clips)[:PARTNERS])
    partners = torch.as_tensor(drawn, device=trainer.device)
    by_sound, by_sound_log = _over_partners(model, audio, visual[partners], first="audio")
    by_picture, by_picture_log = _over_partners(model, visual, audio[partners], first="visual")
    base = by_sound[partners].mean(0)
    by_condition = {
        "given-audio": by_sound_log,
        "given-visual": by_picture_log,
        "additive": by_sound + by_picture - base,
    }
    return {name: logits.float().cpu() for name, logits in by_condition.items()}


def _over_partners(model: torch.nn.Module, own: Tensor, partners: Tensor, first: str) -> tuple[Tensor, Tensor]:
    """Means over partners (M, D) for each own feature (N, D): of logits, and the log of that of probabilities."""
    logits, chances = [], []
    for rows in torch.split(own, max(1, _PAIRS_AT_ONCE // len(partners))):
        pairs = rows.repeat_interleave(len(partners), 0), partners.repeat(len(rows), 1)
        audio, visual = pairs if first == "audio" else pairs[::-1]
        answers = model.fuse({"audio": audio, "visual": visual}).double()  # type: ignore[operator]
        answers = answers.view(len(rows), len(partners), -1)
        logits.append(answers.mean(1))
        # The mean of probabilities, not of logits: what the clip would be answered on average over its partners.
        # opponent.
        chances.append(answers.softmax(2).mean(1).clamp_min(1e-12).log())
    return torch.cat(logits), torch.cat(chances)
