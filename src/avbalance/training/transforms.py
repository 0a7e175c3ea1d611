"""What happens to stored features on their way into a batch: windows of sound, choice, crops and flips of frames.

All functions work on whole batches. Training draws come from a generator; test-time transforms are deterministic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class FrameOptions:
    """How frames become (B, 3, K, crop, crop): K frames, crop in pixels, area and aspect ranges, flip probability."""

    frames: int
    crop: int
    crop_scale: tuple[float, float]
    crop_ratio: tuple[float, float]
    flip: float
    same_crop: bool


def audio_window(spectrogram: Tensor, window: int | None, generator: torch.Generator | None) -> Tensor:
    """Cut `window` time frames out of (B, F, T): at random with a generator, else centred; (B, 1, F, window).

    The OGM-GE loader for VGG-Sound takes 5 s of 10 s. It cuts the waveform; here the stored spectrogram is cut, which
    differs in one frame at each end (padding).
    """
    if window is None or window >= spectrogram.shape[-1]:
        return spectrogram.unsqueeze(1)
    room = spectrogram.shape[-1] - window
    if generator is None:
        return spectrogram[..., room // 2 : room // 2 + window].unsqueeze(1)
    starts = torch.randint(0, room + 1, (len(spectrogram), 1), generator=generator)
    columns = (starts + torch.arange(window)).unsqueeze(1).expand(-1, spectrogram.shape[1], -1)
    return spectrogram.gather(2, columns.to(spectrogram.device)).unsqueeze(1)


def choose_frames(counts: Tensor, frames: int, generator: torch.Generator | None) -> Tensor:
    """Positions (B, K) of K frames among `counts` (B,) sorted ones: the list is cut into K equal segments.

    Training draws one frame per segment uniformly; at test time the middle one is taken. (The paper says only that
    frames are drawn at random; the public loaders always read the first ones.) Clips with fewer than K frames repeat.
    """
    edges = torch.arange(frames + 1).unsqueeze(0) * counts.unsqueeze(1) // frames
    low, high = edges[:, :-1], edges[:, 1:].maximum(edges[:, :-1] + 1)
    if generator is None:
        position = low + (high - low) // 2
    else:
        position = low + (torch.rand(low.shape, generator=generator) * (high - low)).long()
    return position.minimum(counts.unsqueeze(1) - 1)


def crop_boxes(
    sizes: Tensor, options: FrameOptions, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random resized crops in the proportions of the original frames, as fractions of the frame.

    `sizes` (N, 2) original width and height in pixels. Returns centre x, centre y, width, height, each (N,), in 0..1.
    Area uniform in `crop_scale` of the frame, aspect log-uniform in `crop_ratio`; ten tries, then the largest central
    crop within the aspect range (the rule of the usual random resized crop).
    """
    count, tries = len(sizes), 10
    width, height = sizes[:, :1].double(), sizes[:, 1:].double()
    scale = _uniform((count, tries), *options.crop_scale, generator)
    aspect = _uniform((count, tries), math.log(options.crop_ratio[0]), math.log(options.crop_ratio[1]), generator).exp()
    area = scale * width * height
    w, h = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    w, h = w.gather(1, first)[:, 0], h.gather(1, first)[:, 0]
    x = _uniform((count,), 0.0, 1.0, generator)
    y = _uniform((count,), 0.0, 1.0, generator)
    width, height = width[:, 0], height[:, 0]
    left, top = (x * (width - w + 1)).floor(), (y * (height - h + 1)).floor()
    missed = ~fits.any(dim=1)
    ratio = (width / height).clamp(*options.crop_ratio)
    w = torch.where(missed, torch.minimum(width, height * ratio), w)
    h = torch.where(missed, torch.minimum(height, width / ratio), h)
    left, top = torch.where(missed, (width - w) / 2, left), torch.where(missed, (height - h) / 2, top)
    return (left + w / 2) / width, (top + h / 2) / height, w / width, h / height


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def training_frames(stored: Tensor, sizes: Tensor, options: FrameOptions, generator: torch.Generator) -> Tensor:
    """Random resized crop, flip and normalisation of (B, K, S, S, 3) uint8; returns (B, 3, K, crop, crop) float32.

    Bilinear sampling of the stored square frames; `sizes` (B, 2) are the original width and height, so that aspect
    ratios are drawn in original proportions. Frames are cropped independently unless `same_crop`. Draws come from
    the CPU `generator`; the work is done where `stored` lies.
    """
    batch, frames = stored.shape[:2]
    repeat = 1 if options.same_crop else frames
    x, y, w, h = crop_boxes(sizes.repeat_interleave(repeat, 0), options, generator)
    sign = 1.0 - 2.0 * (torch.rand(len(x), generator=generator) < options.flip).double()
    boxes = torch.stack([x, y, w * sign, h], dim=1).float()
    if options.same_crop:
        boxes = boxes.repeat_interleave(frames, 0)
    grid = sampling_grid(boxes.to(stored.device), options.crop)
    sampled = F.grid_sample(_planes(stored), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return _clip_shape(_normalise(sampled), batch, frames)


def sampling_grid(boxes: Tensor, size: int) -> Tensor:
    """Where to sample crops: `boxes` (N, 4) of centre x, centre y, width, height in fractions; (N, size, size, 2).

    Coordinates run from -1 to 1 over the frame as `grid_sample` counts them without aligned corners; a negative
    width mirrors.
    """
    steps = (2 * torch.arange(size, device=boxes.device, dtype=torch.float32) + 1) / size - 1
    grid = boxes.new_empty(len(boxes), size, size, 2)
    grid[..., 0] = (2 * boxes[:, 0:1] - 1 + boxes[:, 2:3] * steps).unsqueeze(1)
    grid[..., 1] = (2 * boxes[:, 1:2] - 1 + boxes[:, 3:4] * steps).unsqueeze(2)
    return grid


def evaluation_frames(stored: Tensor, crop: int) -> Tensor:
    """Resize of (B, K, S, S, 3) uint8 to crop x crop, aspect not kept, and normalisation; (B, 3, K, crop, crop)."""
    batch, frames = stored.shape[:2]
    images = _planes(stored)
    if images.shape[-1] != crop:
        images = F.interpolate(images, size=(crop, crop), mode="bilinear", antialias=True, align_corners=False)
    return _clip_shape(_normalise(images), batch, frames)


def _planes(stored: Tensor) -> Tensor:
    """(N, 3, S, S) float32 in 0..255."""
    return stored.reshape(-1, *stored.shape[2:]).permute(0, 3, 1, 2).to(torch.float32)


def _normalise(images: Tensor) -> Tensor:
    """From 0..255 to zero mean and unit variance of the usual statistics, in place."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return images.mul_(1 / (255 * std)).sub_(mean / std)


def _clip_shape(images: Tensor, batch: int, frames: int) -> Tensor:
    return images.reshape(batch, frames, *images.shape[1:]).transpose(1, 2)
