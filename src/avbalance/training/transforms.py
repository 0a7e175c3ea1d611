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

    OGM-GE's loader takes 5 s of a waveform of 10 s; a cut spectrogram differs in one frame at each end (padding).
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
    # Whole numbers throughout: with floats a border may fall on either side of a frame, depending on the machine.
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
    # argmax of equal values is the first: the first of the ten tries that fits, or try 0, which is replaced below.
    first = fits.int().argmax(dim=1, keepdim=True)
    w, h = w.gather(1, first)[:, 0], h.gather(1, first)[:, 0]
    # Drawn for all frames, also those whose tries all missed: the stream does not depend on the sizes of pictures.
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

    Crops of whole pixels, resized as torchvision does, with antialiasing. `sizes` (B, 2): original width and height, in
    whose proportions aspect ratios are drawn. Frames are cropped independently unless `same_crop`. Draws come from the
    CPU `generator`. A CPU resizes frames one by one in uint8, twice as fast as a batch in float; a GPU all together,
    without that rounding.
    """
    batch, frames, side = stored.shape[:3]
    repeat = 1 if options.same_crop else frames
    edges = whole_pixels(crop_boxes(sizes.repeat_interleave(repeat, 0), options, generator), side)
    mirrored = torch.rand(len(edges), generator=generator) < options.flip
    if options.same_crop:
        edges, mirrored = edges.repeat_interleave(frames, 0), mirrored.repeat_interleave(frames)
    images = stored.reshape(-1, *stored.shape[2:]).permute(0, 3, 1, 2)
    resize = resized_one_by_one if stored.device.type == "cpu" else resized_together
    return _clip_shape(resize(images, edges, mirrored, options.crop), batch, frames)


def whole_pixels(boxes: tuple[Tensor, Tensor, Tensor, Tensor], side: int) -> Tensor:
    """Edges (N, 4) left, top, right, bottom in pixels of a frame of `side` pixels, at least one pixel apart.

    `boxes`: centre x, centre y, width, height, each (N,), as fractions of the frame; edges go to the nearest pixel's.
    """
    x, y, w, h = boxes
    low = (side * torch.stack([x - w / 2, y - h / 2], dim=1)).round().clamp(0, side - 1)
    high = (side * torch.stack([x + w / 2, y + h / 2], dim=1)).round().clamp(max=side).maximum(low + 1)
    return torch.cat([low, high], dim=1).long()


def resized_one_by_one(images: Tensor, edges: Tensor, mirrored: Tensor, size: int) -> Tensor:
    """Crops of `images` (N, 3, S, S) uint8 at `edges` (N, 4), mirrored or not, as normalised (N, 3, size, size).

    torchvision's resize of pictures: antialiased, rounded to uint8. On the CPU.
    """
    scale, shift = _scale_and_shift(images.device)
    result = torch.empty(len(images), 3, size, size)
    for number, ((left, top, right, bottom), mirror) in enumerate(zip(edges.tolist(), mirrored.tolist(), strict=True)):
        crop = images[number : number + 1, :, top:bottom, left:right]
        # On uint8: torch has a fast integer path for exactly this on CPUs.
        crop = F.interpolate(crop, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
        torch.addcmul(shift, crop.flip(-1) if mirror else crop, scale, out=result[number : number + 1])
    return result


def resized_together(images: Tensor, edges: Tensor, mirrored: Tensor, size: int) -> Tensor:
    """The same as `resized_one_by_one`, not rounded to uint8, by two products with matrices of weights."""
    count, _, side, _ = images.shape
    edges, mirrored = edges.to(images.device), mirrored.to(images.device)
    rows, columns = _weights(edges.T[[1, 0]].reshape(-1), edges.T[[3, 2]].reshape(-1), side, size).chunk(2)
    # Mirroring is a reversed order of the new columns: no pixel has to be moved for it.
    columns = torch.where(mirrored.view(-1, 1, 1), columns.flip(1), columns)
    lower = (rows @ images.permute(0, 2, 3, 1).reshape(count, side, -1).float()).view(count, size, side, 3)
    resized = columns @ lower.transpose(1, 2).reshape(count, side, -1)
    scale, shift = _scale_and_shift(images.device)
    return torch.addcmul(shift, resized.view(count, size, size, 3).permute(0, 3, 2, 1), scale).contiguous()


def _weights(low: Tensor, high: Tensor, side: int, size: int) -> Tensor:
    """(N, size, side): what each of `side` pixels gives to each of `size` that resize those from `low` to `high`, (N,).

    Triangles about the new pixels' centres, as wide as these where pictures shrink and as the old ones where they grow;
    pixels outside give nothing, and weights sum to 1.
    """
    low, high = low.float().view(-1, 1, 1), high.float().view(-1, 1, 1)
    scale = (high - low) / size
    old = torch.arange(side, device=low.device) + 0.5
    new = low + scale * (torch.arange(size, device=low.device) + 0.5).unsqueeze(1)
    weights = (1 - (old - new).abs() / scale.clamp(min=1)).clamp(min=0) * ((old > low) & (old < high))
    return weights / weights.sum(dim=-1, keepdim=True)


def evaluation_frames(stored: Tensor, crop: int) -> Tensor:
    """Resize of (B, K, S, S, 3) uint8 to crop x crop, aspect not kept, and normalisation; (B, 3, K, crop, crop).

    A CPU resizes in uint8, as training does; a GPU, which cannot, in float.
    """
    batch, frames = stored.shape[:2]
    images = stored.reshape(-1, *stored.shape[2:]).permute(0, 3, 1, 2)
    if images.shape[-1] != crop:
        images = images if images.device.type == "cpu" else images.float()
        images = F.interpolate(images, size=(crop, crop), mode="bilinear", antialias=True, align_corners=False)
    scale, shift = _scale_and_shift(images.device)
    return _clip_shape(images.float().mul_(scale).add_(shift), batch, frames)


def _scale_and_shift(device: torch.device) -> tuple[Tensor, Tensor]:
    """What 0..255 is multiplied by and what is added for zero mean and unit variance of the usual statistics."""
    mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=device).view(1, 3, 1, 1)
    return 1 / (255 * std), -mean / std


def _clip_shape(images: Tensor, batch: int, frames: int) -> Tensor:
    return images.reshape(batch, frames, *images.shape[1:]).transpose(1, 2)
