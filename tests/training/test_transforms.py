"""Windows of sound, choice of frames, crops and flips, against worked numbers and torchvision."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from avbalance.training import transforms
from avbalance.training.transforms import (
    MEAN,
    STD,
    FrameOptions,
    audio_window,
    choose_frames,
    crop_boxes,
    evaluation_frames,
    resized_one_by_one,
    resized_together,
    training_frames,
    whole_pixels,
)

OPTIONS = FrameOptions(2, 12, (0.08, 1.0), (3 / 4, 4 / 3), flip=0.0, same_crop=False)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stored_frames(clips: int = 3, frames: int = 2, side: int = 16) -> torch.Tensor:
    return torch.randint(0, 256, (clips, frames, side, side, 3), generator=seeded(9), dtype=torch.uint8)


def denormalised(images: torch.Tensor) -> torch.Tensor:
    """Pixels in 0..1 of (B, 3, K, H, W)."""
    shape = (1, 3, 1, 1, 1)
    return images * torch.tensor(STD).view(shape) + torch.tensor(MEAN).view(shape)


def test_audio_windows_of_training_start_anywhere_and_independently() -> None:
    spectrogram = torch.arange(10.0).expand(3000, 2, 10)
    cut = audio_window(spectrogram, 7, seeded())
    starts = cut[:, 0, 0, 0]
    assert torch.equal(cut, starts[:, None, None, None] + torch.arange(7.0).expand(3000, 1, 2, 7))
    share = torch.bincount(starts.long(), minlength=4) / 3000
    # four starts, each with probability 1/4: five standard errors are 5 * sqrt(3/16/3000) = 0.0395
    assert share.tolist() == pytest.approx([0.25] * 4, abs=0.0395)


def test_clips_with_too_few_frames_repeat_them() -> None:
    # 2 frames in 3 segments: edges 0, 0, 1, 2, empty segments widened to one frame: frames 0, 0, 1
    assert choose_frames(torch.tensor([2, 1]), 3, None).tolist() == [[0, 0, 1], [0, 0, 0]]
    assert choose_frames(torch.tensor([2, 1]), 3, seeded()).tolist() == [[0, 0, 1], [0, 0, 0]]


def test_crop_boxes_lie_within_and_have_the_declared_areas_and_aspects() -> None:
    sizes = torch.tensor([[320, 240]]).expand(4000, 2)
    x, y, w, h = crop_boxes(sizes, OPTIONS, seeded())
    assert ((x - w / 2 >= -1e-9) & (x + w / 2 <= 1 + 1e-9) & (y - h / 2 >= -1e-9) & (y + h / 2 <= 1 + 1e-9)).all()
    aspect, area = (w * 320) / (h * 240), w * h
    assert aspect.min() > 0.72 and aspect.max() < 1.38  # pixels are rounded
    assert area.min() > 0.075 and area.max() <= 1.0
    # areas are uniform on [0.08, 1] before crops that do not fit are drawn again: small ones are unaffected
    small = ((area > 0.1) & (area < 0.2)).float().mean().item()
    other = ((area > 0.2) & (area < 0.3)).float().mean().item()
    assert small == pytest.approx(other, abs=0.03)
    # log-uniform aspect: symmetric about 1 among small crops, which always fit
    logarithm = aspect[area < 0.3].log()
    assert logarithm.mean().abs().item() < 5 * math.log(4 / 3) / math.sqrt(3 * len(logarithm))
    # pixels: left edges are whole numbers
    left = (x - w / 2) * 320
    assert torch.allclose(left, left.round(), atol=1e-6)


def test_a_crop_that_never_fits_is_the_largest_central_one() -> None:
    # 1000 x 10 pixels: an area of 8 % or more at aspect 3/4 .. 4/3 needs a height of 24 pixels and never fits;
    # the largest crop within the aspect range is 10 high and 40/3 wide
    x, y, w, h = crop_boxes(torch.tensor([[1000, 10], [10, 1000]]), OPTIONS, seeded())
    assert x.tolist() == y.tolist() == pytest.approx([0.5, 0.5])
    assert w.tolist() == pytest.approx([0.04 / 3, 1.0])
    assert h.tolist() == pytest.approx([1.0, 0.04 / 3])


def given_boxes(monkeypatch: pytest.MonkeyPatch, boxes: list[tuple[int, int, int, int]], side: int) -> None:
    """Let crop_boxes return (left, top, width, height) in pixels of a square of `side`."""
    left, top, w, h = torch.tensor(boxes, dtype=torch.float64).T
    fractions = ((left + w / 2) / side, (top + h / 2) / side, w / side, h / side)
    monkeypatch.setattr(transforms, "crop_boxes", lambda *_: fractions)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_crops_are_those_of_torchvision(flip: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.transforms.v2 import functional

    side, crop = 32, 12
    boxes = [(0, 0, 32, 32), (3, 5, 20, 14), (12, 0, 20, 32), (7, 9, 12, 12), (4, 18, 6, 7), (1, 1, 30, 16)]
    given_boxes(monkeypatch, boxes, side)
    stored = stored_frames(3, 2, side)
    options = FrameOptions(2, crop, (0.08, 1.0), (0.75, 4 / 3), flip=flip, same_crop=False)
    found = denormalised(training_frames(stored, torch.full((3, 2), side), options, seeded()))
    assert found.shape == (3, 3, 2, crop, crop)
    for number, (left, top, width, height) in enumerate(boxes):
        image = stored[number // 2, number % 2].permute(2, 0, 1)
        expected = functional.resized_crop(image, top, left, height, width, [crop, crop], antialias=True)
        expected = functional.hflip(expected) if flip else expected
        assert torch.allclose(found[number // 2, :, number % 2], expected / 255, atol=1e-6), number


@pytest.mark.parametrize("side, size", [(256, 224), (32, 32), (64, 20)])
def test_frames_resized_together_are_those_resized_one_by_one_before_rounding(side: int, size: int) -> None:
    images = stored_frames(20, 1, side)[:, 0].permute(0, 3, 1, 2)
    edges = whole_pixels(crop_boxes(torch.tensor([[480, 360]]).expand(20, 2), OPTIONS, seeded()), side)
    mirrored = torch.arange(20) % 2 == 0
    one, all_ = (resize(images, edges, mirrored, size) for resize in (resized_one_by_one, resized_together))
    levels = 255 * (denormalised(one.unsqueeze(2)) - denormalised(all_.unsqueeze(2)))
    # rounded once after each axis: half a level twice, and the weights of torchvision are rounded too
    assert levels.abs().max() < 1.05
    assert levels.mean().abs() < 0.1


def test_a_box_goes_to_the_nearest_pixels_and_keeps_one() -> None:
    # of 10 pixels: 0.24 .. 0.76 becomes 2 .. 8, and 0.99 .. 1.0 the last pixel
    boxes = (
        torch.tensor([0.5, 0.995]),
        torch.tensor([0.5, 0.995]),
        torch.tensor([0.52, 0.01]),
        torch.tensor([1, 0.01]),
    )
    assert whole_pixels(boxes, 10).tolist() == [[2, 0, 8, 10], [9, 9, 10, 10]]


def test_flips_happen_as_often_as_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    given_boxes(monkeypatch, [(0, 0, 4, 4)] * 2000, 4)
    stored = stored_frames(1, 1, 4).expand(2000, 1, 4, 4, 3)
    options = FrameOptions(1, 4, (0.08, 1.0), (0.75, 4 / 3), flip=0.3, same_crop=False)
    found = denormalised(training_frames(stored, torch.full((2000, 2), 4), options, seeded()))
    upright = stored[0, 0].permute(2, 0, 1).float() / 255
    kept = (found[:, :, 0] - upright).abs().amax((1, 2, 3)) < 1e-4
    turned = (found[:, :, 0] - upright.flip(-1)).abs().amax((1, 2, 3)) < 1e-4
    assert (kept ^ turned).all()
    assert turned.float().mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 2000))


@pytest.mark.parametrize("same", [True, False])
def test_frames_share_a_crop_only_on_request(same: bool) -> None:
    stored = stored_frames(4, 1, 16).expand(4, 3, 16, 16, 3)  # three equal frames
    options = FrameOptions(3, 12, (0.08, 1.0), (0.75, 4 / 3), flip=0.5, same_crop=same)
    found = training_frames(stored, torch.full((4, 2), 16), options, seeded())
    assert torch.equal(found[:, :, 0], found[:, :, 1]) is same
    assert not torch.equal(found[0], found[1])


def test_evaluation_frames_are_deterministic_and_whole() -> None:
    stored = stored_frames()
    found = evaluation_frames(stored, 16)
    assert torch.equal(found, evaluation_frames(stored, 16))
    pixels: Any = denormalised(found)[1, :, 1]
    assert torch.allclose(pixels, stored[1, 1].permute(2, 0, 1) / 255, atol=1e-6)
    assert evaluation_frames(stored, 8).shape == (3, 3, 2, 8, 8)
    # halving a picture keeps its mean
    assert torch.allclose(evaluation_frames(stored, 8).mean(), found.mean(), atol=0.05)
