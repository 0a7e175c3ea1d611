"""TCMax: the loss by hand, and all pairs of sounds and pictures for every fusion."""

from __future__ import annotations

import math

import pytest
import torch
from one_step import gradients, network

from avbalance.errors import UserError
from avbalance.methods.tcmax import TCMax, pair_logits, total_correlation_loss


def test_loss_by_hand() -> None:
    # z_jk[c] = a_j[c] + v_k[c], with exp a = (2, 1), (1, 1) and exp v = (1, 1), (1, 3). The sum of all exponentials is
    # (2 + 1)(1 + 1) + (1 + 1)(1 + 3) = 14; those of the true pairs are 2 * 1 for label 0 and 1 * 3 for label 1.
    audio, visual = torch.tensor([[2.0, 1.0], [1.0, 1.0]]).log(), torch.tensor([[1.0, 1.0], [1.0, 3.0]]).log()
    loss = total_correlation_loss(audio[:, None] + visual[None], torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(-(math.log(2 / 14) + math.log(3 / 14)) / 2 - math.log(2))


def test_without_any_knowledge_it_is_the_logarithm_of_pairs_and_classes_and_perfect_is_0() -> None:
    label = torch.tensor([0, 1, 2])
    # each true pair has 1 / (3 * 3 * 4): log 36 - log 3
    assert total_correlation_loss(torch.zeros(3, 3, 4), label).item() == pytest.approx(math.log(12))
    sure = torch.full((3, 3, 4), -50.0)
    sure[range(3), range(3), label] = 50.0
    assert total_correlation_loss(sure, label).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("modalities", [["audio", "visual"], ["visual", "audio"]])
@pytest.mark.parametrize("fusion", ["sum", "concat", "film", "gated"])
def test_every_first_modality_meets_every_second_one(fusion: str, modalities: list[str]) -> None:
    model = network(fusion=fusion, modalities=modalities, unimodal_heads=True)
    for parameter in model.fusion.parameters():  # biases, too, as after some training
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(len(parameter)))
    generator = torch.Generator().manual_seed(2)
    features = {name: torch.randn(3, 16, generator=generator) for name in modalities}
    pairs = pair_logits(model, features)
    assert pairs.shape == (3, 3, 3)
    one, two = modalities
    for row in range(3):
        for column in range(3):
            alone = model.fuse({one: features[one][[row]], two: features[two][[column]]})[0]
            torch.testing.assert_close(pairs[row, column], alone, rtol=1e-4, atol=1e-4)


def test_a_network_without_a_fusion_head_is_refused() -> None:
    assert gradients(TCMax(), network())
    with pytest.raises(UserError, match="tcmax: the model has no fusion head"):
        gradients(TCMax(), network("unimodal-net", modality="audio"))
