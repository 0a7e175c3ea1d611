"""MMTM: the multimodal transfer block that lets two branches gate each other's channels (Joze et al. 2020).

Used by Greedy (Wu et al. 2022), which adds to each block the running mean of its gates, so that one branch can be
trained on its own ("curated").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def hidden_width(first_channels: int, second_channels: int, reduction: int = 4) -> int:
    """Width of the shared layer, `floor(2 (C_0 + C_1) / reduction)`."""
    return 2 * (first_channels + second_channels) // reduction


class MMTM(nn.Module):
    """Squeeze both modalities, mix them in a shared layer, gate each modality's channels.

    With squeeze vectors `q_m (B, C_m)`: `h = relu(S [q_0; q_1] + s)`, `g_m = sigmoid(E_m h + e_m)`; no factor 2. Equal
    channels make 4 C^2 + 3 C parameters at reduction 4. Buffers: `gate_mean_<m> (C,)` with `gate_count`, the cumulative
    mean over all training forwards of the batch-mean gate of m.
    """

    def __init__(self, modalities: tuple[str, ...], channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.modalities = modalities
        width = hidden_width(channels, channels, reduction)
        self.squeeze = nn.Linear(len(modalities) * channels, width)
        self.excite = nn.ModuleDict({name: nn.Linear(width, channels) for name in modalities})
        for name in modalities:
            self.register_buffer(f"gate_mean_{name}", torch.zeros(channels))
        self.register_buffer("gate_count", torch.zeros((), dtype=torch.long))

    def forward(self, squeezes: dict[str, Tensor], cared: str | None = None) -> dict[str, Tensor]:
        """The gates `(B, C)` for squeeze vectors `(B, C)`, both keyed by modality.

        In training every call updates the running means, and `cared` replaces that modality's gate by its mean.
        """
        gates = self.gates(squeezes)
        if self.training:
            self._update_gate_means(gates)
            if cared is not None:
                # A copy: the buffer changes in place in the next forward, while backward of this one may still read it.
                gates[cared] = self.get_buffer(f"gate_mean_{cared}").clone().expand_as(gates[cared])
        return gates

    def gates(self, squeezes: dict[str, Tensor]) -> dict[str, Tensor]:
        """The gates of the squeeze vectors, without any side effect."""
        hidden = torch.relu(self.squeeze(torch.cat([squeezes[name] for name in self.modalities], dim=1)))
        return {name: torch.sigmoid(self.excite[name](hidden)) for name in self.modalities}

    @torch.no_grad()
    def _update_gate_means(self, gates: dict[str, Tensor]) -> None:
        self.get_buffer("gate_count").add_(1)
        for name, gate in gates.items():
            mean = self.get_buffer(f"gate_mean_{name}")
            # A cumulative mean, as in the reference code: early gates count as much as late ones, and one number is
            # enough state.
            mean.add_((gate.mean(0) - mean) / self.get_buffer("gate_count"))
