"""Fusion heads: two pooled features in, fused logits and the logits of each modality alone out.

The first modality is audio unless a model says otherwise: it fills the first columns of `concat`, conditions
in `film` and is the gate in `gated`. Source: the OGM-GE reference code (Peng et al. 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SumFusion(nn.Module):
    """One linear head per modality; fused logits `W_1 x_1 + b_1 + W_2 x_2 + b_2`.

    Each modality's logits use its own full bias, in training and in evaluation (the reference code halves it
    in evaluation).
    """

    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(dimension, classes)
        self.second = nn.Linear(dimension, classes)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map two features `(B, D)` to fused, first and second logits `(B, C)`."""
        first_logits, second_logits = self.first(first), self.second(second)
        return first_logits + second_logits, first_logits, second_logits


class ConcatFusion(nn.Module):
    """One linear head on the concatenated features; fused logits `W [x_1; x_2] + b`.

    A modality's logits are its columns of W with half the bias, so that the two add up to the fused logits.
    """

    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * dimension, classes)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map two features `(B, D)` to fused, first and second logits `(B, C)`."""
        fused = self.linear(torch.cat((first, second), dim=1))
        first_columns, second_columns = self.linear.weight.chunk(2, dim=1)
        # Half for each, as in the OGM-GE code: the two logits then add up to the fused ones exactly.
        half_bias = self.linear.bias / 2
        return (
            fused,
            functional.linear(first, first_columns, half_bias),
            functional.linear(second, second_columns, half_bias),
        )


class _JoinedHead(nn.Module):
    """A head of both features, whose logits for one modality have a zero vector in the other's place."""

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map two features `(B, D)` to fused, first and second logits `(B, C)`."""
        # The public code slices the head in halves that do not fit these heads; a zero vector says "nothing of the
        # other".
        zero = torch.zeros_like(first)
        return self.fuse(first, second), self.fuse(first, zero), self.fuse(zero, second)

    def fuse(self, first: Tensor, second: Tensor) -> Tensor:
        """The fused logits `(B, C)`."""
        raise NotImplementedError


class FilmFusion(_JoinedHead):
    """The first modality scales and shifts the second: `W (gamma(x_1) * x_2 + beta(x_1)) + b`.

    Decision: the reference code's slices of W do not fit. While the condition's biases are 0, as at initialisation, the
    second modality's logits are constant.
    """

    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__()
        self.condition = nn.Linear(dimension, 2 * dimension)
        self.linear = nn.Linear(dimension, classes)

    def fuse(self, first: Tensor, second: Tensor) -> Tensor:
        gamma, beta = self.condition(first).chunk(2, dim=1)
        return self.linear(gamma * second + beta)


class GatedFusion(_JoinedHead):
    """The first modality gates the second: `W (sigmoid(P_1 x_1 + c_1) * (P_2 x_2 + c_2)) + b`."""

    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(dimension, dimension)
        self.second = nn.Linear(dimension, dimension)
        self.linear = nn.Linear(dimension, classes)

    def fuse(self, first: Tensor, second: Tensor) -> Tensor:
        return self.linear(torch.sigmoid(self.first(first)) * self.second(second))


FUSIONS: dict[str, type[SumFusion] | type[ConcatFusion] | type[FilmFusion] | type[GatedFusion]] = {
    "sum": SumFusion,
    "concat": ConcatFusion,
    "film": FilmFusion,
    "gated": GatedFusion,
}
