"""HAN and JoMoLD's training step and evaluation as their public code is structured, to compare with and to time.

YapengTian/AVVP-ECCV20 and MCG-NJU/JoMoLD: features read from one .npy file per video and kind, 80 frames of 2048 values
mapped before they are averaged, the attention layer run on each modality by itself, labels denoised class by class, and
an evaluation that takes one video at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from plain_scores import scores
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, normalize
from videos import CLASSES, PER_SECOND, Videos

FLOOR = 1e-7
Sample = tuple[Tensor, Tensor, Tensor, Tensor]  # audio, frames, clips, label
Parsed = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # P, p_a, p_v, frame_prob, similarities


class PlainHAN(nn.Module):
    """The network of width 512 for 25 classes; names of the layers are ours."""

    def __init__(self, dropout: float, visual_dropout: float) -> None:
        super().__init__()
        self.fc_a, self.fc_v = nn.Linear(128, 512), nn.Linear(2048, 512)
        self.fc_st, self.fc_fusion = nn.Linear(512, 512), nn.Linear(1024, 512)
        self.self_attention = nn.MultiheadAttention(512, 1, dropout)
        self.cross_attention = nn.MultiheadAttention(512, 1, dropout)
        self.expand, self.contract = nn.Linear(512, 512), nn.Linear(512, 512)
        self.norm_attended, self.norm_out = nn.LayerNorm(512), nn.LayerNorm(512)
        self.prob, self.frame_att, self.av_att = (nn.Linear(512, 25) for _ in range(3))
        self.drop, self.visual_drop = nn.Dropout(dropout), nn.Dropout(visual_dropout)

    def take(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of our network without MSDU, whose layers have the same last names."""
        own = set(self.state_dict())
        found = {}
        for name, value in weights.items():
            found[next(end for end in _endings(name) if end in own)] = value
        self.load_state_dict(found)

    def attend(self, query: Tensor, other: Tensor, with_ca: bool) -> Tensor:
        """One modality through the layer, time first as the module wants it."""
        query, other = query.permute(1, 0, 2), other.permute(1, 0, 2)
        attended = query
        if with_ca:
            attended = attended + self.drop(self.cross_attention(query, other, other)[0])
        attended = self.norm_attended(attended + self.drop(self.self_attention(query, query, query)[0]))
        step = self.contract(self.drop(self.expand(attended).relu()))
        result: Tensor = self.norm_out(attended + self.drop(step)).permute(1, 0, 2)
        return result

    def forward(self, audio: Tensor, frames: Tensor, clips: Tensor, with_ca: bool = True) -> Parsed:
        e_a = self.fc_a(audio)
        mapped = self.fc_v(frames).permute(0, 2, 1).unsqueeze(-1)
        seconds = avg_pool2d(mapped, (PER_SECOND, 1)).squeeze(-1).permute(0, 2, 1)
        e_v = self.fc_fusion(torch.cat((seconds, self.fc_st(clips)), dim=-1))
        f_a, f_v = self.attend(e_a, e_v, with_ca), self.attend(e_v, e_a, with_ca)
        similar = normalize(f_a, dim=-1).bmm(normalize(f_v, dim=-1).permute(0, 2, 1)) / 0.2
        x = torch.cat([f_a.unsqueeze(-2), self.visual_drop(f_v).unsqueeze(-2)], dim=-2)
        frame_prob = torch.sigmoid(self.prob(x))
        temporal = torch.softmax(self.frame_att(x), dim=1) * frame_prob
        P = (temporal * torch.softmax(self.av_att(x), dim=2)).sum(dim=2).sum(dim=1)
        return P, temporal[:, :, 0].sum(dim=1), temporal[:, :, 1].sum(dim=1), frame_prob, similar.reshape(-1, 10)


def _endings(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def plain_sample(videos: Videos, names: list[str]) -> Sample:
    """A batch put together video by video."""
    columns: list[list[Tensor]] = [[], [], [], []]
    for name in names:
        label = np.zeros(len(CLASSES), dtype=np.float32)
        label[[CLASSES.index(each) for each in videos.labels[name]]] = 1
        read = [np.load(videos.folder / kind / f"{name}.npy") for kind in ("vggish", "res152", "r2plus1d_18")]
        for column, values in zip(columns, [*read, label], strict=True):
            column.append(torch.from_numpy(values))
    audio, frames, clips, label_ = (torch.stack(column) for column in columns)
    return audio, frames, clips, label_


def plain_denoise(losses: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor], ratios: tuple[Tensor, Tensor]) -> int:
    """Set noisy labels of both targets (B, C) to 0, class by class; returns how many."""
    orders = [torch.sort(loss, dim=0)[1] for loss in losses]
    positive = [each > 0.5 for each in target]
    gone = 0
    for c in range(len(CLASSES)):
        for own in (1, 0):
            other = 1 - own
            number = int(ratios[own][c] * sum(positive[own][:, c].type(torch.IntTensor)))
            high, low = torch.zeros(len(target[0])), torch.zeros(len(target[0]))
            if number > 0:
                high[orders[own][positive[own][orders[own][:, c], c], c][-number:]] = 1
                low[orders[other][positive[own][orders[other][:, c], c], c][:number]] = 1
            mask = torch.nonzero(high * low).squeeze(-1)
            target[own][mask, c] = 0
            gone += len(mask)
    return gone


def plain_step(
    model: PlainHAN, optimiser: torch.optim.Optimizer, sample: Sample, ratios: tuple[Tensor, Tensor]
) -> tuple[float, int]:
    """One step of JoMoLD with denoising, weights 2, 1, 1 and 1; returns the loss and how many labels were removed."""
    model.train()
    *features, label = sample
    target = (label.clone(), 0.9 * label + 0.05)
    with torch.no_grad():
        _, p_a, p_v, *_ = (each.clamp(FLOOR, 1 - FLOOR) for each in model(*features, with_ca=False))
        entries = nn.BCELoss(reduction="none")
        gone = plain_denoise((entries(p_a, target[0]), entries(p_v, target[1])), target, ratios)
    optimiser.zero_grad()
    P, p_a, p_v, _, similar = model(*features, with_ca=True)
    mean = nn.BCELoss()
    a, v, video = (
        mean(p.clamp(FLOOR, 1 - FLOOR), wanted) for p, wanted in ((p_a, target[0]), (p_v, target[1]), (P, label))
    )
    place = torch.arange(10).repeat(len(label))
    mixed = torch.full_like(similar, 0.1 / 9).scatter_(1, place.unsqueeze(1), 0.9)
    loss = 2 * a + v + video - torch.mean(torch.log(torch.sum(mixed * similar.softmax(-1), dim=-1)))
    loss.backward()
    optimiser.step()
    return loss.item(), gone


@torch.no_grad()
def plain_scores_of(model: PlainHAN, videos: Videos, names: list[str]) -> list[float]:
    """The ten scores in percent of the videos, each read, parsed and scored by itself; its truth is looked up first."""
    model.eval()
    events = {modality: videos.events[videos.events["modality"] == modality] for modality in ("audio", "visual")}
    found = []
    for name in names:
        *features, _ = plain_sample(videos, [name])
        _, p_a, p_v, frame_prob, _ = model(*features)
        predicted, truth = [], []
        for number, (p, of_modality) in enumerate(zip((p_a, p_v), events.values(), strict=True)):
            found_here = (frame_prob[0, :, number].numpy() >= 0.5).astype(float) * (p.numpy() >= 0.5).repeat(10, axis=0)
            predicted.append(found_here.T)
            rows = of_modality.loc[of_modality["id"] == name]
            cells = np.zeros((len(CLASSES), 10))
            for event, onset, offset in zip(rows["class"], rows["onset"], rows["offset"], strict=True):
                cells[CLASSES.index(event), onset:offset] = 1
            truth.append(cells)
        found.append(scores((predicted[0], predicted[1]), (truth[0], truth[1])))
    return [100 * sum(column) / len(column) for column in zip(*found, strict=True)]
